"""What every byte of a shard should be: SHA-256 by file name, beside the shards of a table, as `sha256sum -c` reads it.

    tables/NAME/_SHA256SUMS            in a folder: a file that grows
    tables/NAME/_checksums/DIGEST.txt  on object storage: an object for each commit

Parquet guards its pages with checksums, but neither its footer nor the headers of pages, and a Delta log has no place
for one. Lines are only ever added, before the log names the shard; the last one about a file counts. Shards of lakes
that are older than this have none, and are held against what Parquet itself guards.
"""

import os
import re
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from phonolake.files import sha256, sync
from phonolake.lineage import digest
from phonolake.store.place import Place

NAME, FOLDER = "_SHA256SUMS", "_checksums/"
LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def record(folder: Path, files: Collection[str]) -> None:
    """Keep the checksums of shards that lie ready in a table's folder; those that stand there already add nothing."""
    known = recorded(folder)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip(files, pool.map(lambda file: sha256(folder / file), files), strict=True))
    new = [f"{found[f]}  {f}\n" for f in sorted(found) if known.get(f) != found[f]]
    if new:
        # It begins with the end of a line that a killed writer may have left half-written.
        with open(folder / NAME, "a", encoding="utf-8") as lines:
            lines.write("\n" + "".join(new))
            lines.flush()
            os.fsync(lines.fileno())
    # Their names too, and that of the checksums: the log may only name what is on the disk.
    sync(folder)


def keep(place: Place, folder: str, found: Mapping[str, str]) -> None:
    """Keep the checksums of shards on object storage."""
    if found:
        lines = "".join(f"{found[file]}  {file}\n" for file in sorted(found))
        place.put(f"{folder}/{FOLDER}{digest(lines)}.txt", lines.encode())


def recorded(folder: Path) -> dict[str, str]:
    """Checksums by file name; empty where none were kept."""
    path = folder / NAME
    # A line that a killed writer left half-written is passed over.
    return _parsed(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else {}


def kept(place: Place, folder: str) -> dict[str, str]:
    """Checksums by file name of a table, wherever it lies."""
    if not place.is_remote:
        return recorded(place.root / folder)
    found: dict[str, str] = {}
    for entry in sorted(place.list(f"{folder}/{FOLDER}"), key=lambda entry: (entry.modified, entry.name)):
        found |= _parsed(place.read(entry.name).decode(errors="replace"))
    return found


def _parsed(text: str) -> dict[str, str]:
    return {line[2]: line[1] for line in map(LINE.fullmatch, text.split("\n")) if line}
