"""Files that an ingest skips by file extension: counted, named, and stored in `passed_over`."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from phonolake.audio.containers import OTHER_AUDIO
from phonolake.lineage import digest
from phonolake.store import schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import describe, write_rows

# File extensions to name in one line.
NAMED = 6


def said(paths: Sequence[str]) -> str:
    """A readable count of skipped files, audio file extensions first; empty if there are none."""
    if not paths:
        return ""
    counts = Counter(_ending(path) for path in paths)
    sound = {ending for ending in counts if ending[1:] in OTHER_AUDIO}
    order = sorted(counts, key=lambda ending: (ending not in sound, -counts[ending], ending))
    named = [f"{counts[ending]} {ending or 'without an ending'}" for ending in order[:NAMED]]
    more = [f"{sum(counts[ending] for ending in order[NAMED:])} others"] if order[NAMED:] else []
    audio = sum(counts[ending] for ending in sound)
    which = f", {audio} of them audio that no decoder here reads" if audio else ""
    files = "1 file by its name" if len(paths) == 1 else f"{len(paths)} files by their names"
    return f"passed over {files}{which}: {', '.join(named + more)}"


def replacing(lake: Lake, dataset: str, paths: Sequence[str]) -> Change:
    """Write the skipped files of a dataset as one shard that replaces the lake's earlier one."""
    table = schema.table("passed_over")
    counts = Counter(_ending(path) for path in paths)
    examples = {_ending(path): path for path in reversed(paths)}
    rows = [
        {"dataset": dataset, "ending": ending, "files": n, "example": examples[ending]}
        for ending, n in sorted(counts.items())
    ]
    # The name begins with the dataset's, written so that no dataset's name is the beginning of another's.
    prefix = f"{re.sub(r'[^A-Za-z0-9_]+', '-', dataset)[:40]}-{digest(dataset, length=8)}-"
    path = lake.path("passed_over", prefix + digest(rows))
    change = Change(table, remove=[file for file in lake.shards("passed_over") if file.startswith(prefix)])
    if rows:
        change.add.append(describe(path) if path.exists() else write_rows(path, table.arrow, rows))
    return change


def _ending(path: str) -> str:
    return PurePosixPath(path).suffix.lower()
