"""Checksums of shards: SHA-256 by file name, beside the shards of a table, in the format of `sha256sum -c`.

    tables/NAME/_SHA256SUMS            in a folder: a file that grows
    tables/NAME/_checksums/SHARD.txt   in a folder: the worker's note about a shard, until it is committed
    tables/NAME/_checksums/DIGEST.txt  on object storage: an object for each commit

Parquet guards its pages with checksums, but neither its footer nor the headers of pages, and a Delta log has no place
for one. Lines are only appended, before the log names the shard; the last one about a file counts. Shards of older
lakes have none; for them only Parquet's own checksums are verified.
"""

import os
import re
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from phonolake.files import sha256, sync
from phonolake.lineage import digest
from phonolake.store.place import Place

# Smaller shards are read as fast as their note.
LARGE = 1 << 20
NAME, FOLDER = "_SHA256SUMS", "_checksums/"
NOTE = re.compile(r"([0-9a-f]{64}) (\d+ \d+ \d+)\n")
LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def note(path: Path) -> None:
    """Let a worker that wrote a large shard note its checksum, so that the commit need not read it again."""
    with suppress(FileNotFoundError):  # nobody needs it any more
        before = _facts(path)
        if path.stat().st_size >= LARGE:
            digest, beside = sha256(path), _note_of(path)
            beside.parent.mkdir(exist_ok=True)
            # It need not reach the disk: a torn note does not match the shard.
            beside.write_text(f"{digest} {before}\n", encoding="utf-8")


def record(folder: Path, files: Collection[str]) -> None:
    """Store the checksums of finished shards in a table's folder; known ones add nothing."""
    known = recorded(folder)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip(files, pool.map(lambda file: _checksum(folder / file), files), strict=True))
    new = [f"{found[f]}  {f}\n" for f in sorted(found) if known.get(f) != found[f]]
    if new:
        # Start with a line end, in case a killed writer left a half-written line.
        with open(folder / NAME, "a", encoding="utf-8") as lines:
            lines.write("\n" + "".join(new))
            lines.flush()
            os.fsync(lines.fileno())
    # Flush their names too, and that of the checksums: the log may only name what is on the disk.
    sync(folder)
    for file in files:
        _note_of(folder / file).unlink(missing_ok=True)


def _checksum(path: Path) -> str:
    """The worker's note, if the file is unchanged, else the checksum of the file."""
    try:
        noted = NOTE.fullmatch(_note_of(path).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        noted = None
    return noted[1] if noted and noted[2] == _facts(path) else sha256(path)


def _note_of(path: Path) -> Path:
    return path.parent / FOLDER / f"{path.name}.txt"


def _facts(path: Path) -> str:
    """A value that changes whenever the file is rewritten."""
    facts = os.stat(path)
    return f"{facts.st_ino} {facts.st_size} {facts.st_mtime_ns}"


def keep(place: Place, folder: str, found: Mapping[str, str]) -> None:
    """Store the checksums of shards on object storage."""
    if found:
        lines = "".join(f"{found[file]}  {file}\n" for file in sorted(found))
        place.put(f"{folder}/{FOLDER}{digest(lines)}.txt", lines.encode())


def recorded(folder: Path) -> dict[str, str]:
    """Checksums by file name; empty if none were stored."""
    path = folder / NAME
    # Skip a line that a killed writer left half-written.
    return _parsed(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else {}


def kept(place: Place, folder: str) -> dict[str, str]:
    """Checksums by file name of a table, in a folder or on object storage."""
    if not place.is_remote:
        return recorded(place.root / folder)
    found: dict[str, str] = {}
    for entry in sorted(place.list(f"{folder}/{FOLDER}"), key=lambda entry: (entry.modified, entry.name)):
        found |= _parsed(place.read(entry.name).decode(errors="replace"))
    return found


def _parsed(text: str) -> dict[str, str]:
    return {line[2]: line[1] for line in map(LINE.fullmatch, text.split("\n")) if line}
