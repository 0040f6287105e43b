"""Recordings that killed their worker: the next worker knows them, and rejects them after some losses.

A killed worker, as a rule for lack of memory, cannot report the recording. So it notes each recording before it starts
with it, in a hidden file beside its shard, which is deleted when the shard is done.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from phonolake import files
from phonolake.errors import AudioError

# Losses of a worker over one recording, in one job, after which it is rejected.
LOSSES = 2


def killed() -> AudioError:
    """The reject of a recording."""
    how = f"the worker was lost {LOSSES} times over it, as a rule for memory"
    return AudioError("killed", f"{how}: give Ray fewer cores, or see --max-seconds")


class Suspects:
    """The notes of lost workers about the recordings of a shard.

    Parameters
    ----------
    path : Path
        The shard.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f".{path.name}{files.TOUCHED}")
        job = files.owner.get()
        before, last = self._read()
        # A command that was stopped and started again has not lost a worker.
        losses = Counter(before.get("losses", {}) if before.get("job") == job else {})
        losses.update([last] if last and before.get("job") == job else [])
        self.left_out = set(before.get("left_out", [])) | {name for name, n in losses.items() if n >= LOSSES}
        said = {"job": job, "losses": losses, "left_out": sorted(self.left_out)}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666)
        self._note(json.dumps(said))

    def touch(self, name: str) -> bool:
        """Note the start of work on a recording; False if it must be rejected."""
        if name in self.left_out:
            return False
        self._note(json.dumps(name))
        return True

    def close(self) -> None:
        """Delete the notes: the shard is done, or failed for another reason."""
        os.close(self._file)
        self._path.unlink(missing_ok=True)

    def _note(self, line: str) -> None:
        os.write(self._file, line.encode() + b"\n")

    def _read(self) -> tuple[dict[str, Any], str | None]:
        """What an earlier worker began with, and what it touched last."""
        try:
            head, *touched = self._path.read_text(encoding="utf-8").splitlines()
            return json.loads(head), json.loads(touched[-1]) if touched else None
        except (OSError, ValueError):  # there is none, or its worker was lost in the middle of a line
            return {}, None


@contextmanager
def watched(path: Path) -> Iterator[Suspects]:
    """The suspects of a shard that is about to be written; nothing is left of them when the block ends."""
    suspects = Suspects(path)
    try:
        yield suspects
    finally:
        suspects.close()
