"""What every byte of a shard should be: SHA-256 by file name, beside the shards of a table, as `sha256sum -c` reads it.

Parquet guards its pages with checksums, but neither its footer nor the headers of pages, and a Delta log has no place
for one. Lines are only ever added, before the log names the shard; the last one about a file counts. Shards of lakes
that are older than this have none, and are held against what Parquet itself guards.
"""

import os
import re
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from phonolake.files import sha256, sync

NAME = "_SHA256SUMS"
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


def recorded(folder: Path) -> dict[str, str]:
    """Checksums by file name; empty where none were kept."""
    path = folder / NAME
    if not path.is_file():
        return {}
    # A line that a killed writer left half-written is passed over.
    lines = map(LINE.fullmatch, path.read_text(encoding="utf-8", errors="replace").split("\n"))
    return {line[2]: line[1] for line in lines if line}
