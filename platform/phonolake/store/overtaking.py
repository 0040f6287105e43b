"""Whether what a commit rests on is still what is published."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from phonolake.store import naming
from phonolake.store.changes import Change, Reads
from phonolake.store.naming import TOMBSTONES

if TYPE_CHECKING:
    from phonolake.store.lake import Lake


def check(lake: "Lake", changes: Mapping[str, Change], reads: Reads) -> None:
    """Refuse a commit that others have overtaken.

    Parameters
    ----------
    lake : Lake
        What is published now.

    Raises
    ------
    OvertakenError
    """
    check_read(lake, reads)
    for name, change in changes.items():
        _check_current(lake, name, change)
    _check_forgotten(lake, changes, reads)


def check_read(lake: "Lake", reads: Reads) -> None:
    """Refuse what others have changed since it was read; the errors are those of `check`."""
    for table, version in reads.whole.items():
        if table != TOMBSTONES and lake.versions().get(table, -1) != version:
            raise lake.overtaken(table)
    for table, files in reads.shards.items():
        if not set(files) <= lake.shards(table).keys():
            raise lake.overtaken(table)


def _check_current(lake: "Lake", table: str, change: Change) -> None:
    """What is replaced must be published, unless all that takes its place is: then it was replaced by this."""
    published = lake.shards(table)
    for new, old in change.replaces.items():
        if new not in published and old not in published:
            raise lake.overtaken(table)


def _check_forgotten(lake: "Lake", changes: Mapping[str, Change], reads: Reads) -> None:
    """New rows may name no track that was forgotten, since the job read the table of those or ever."""
    version = lake.versions().get(TOMBSTONES, -1)
    if version < 0 or reads.whole.get(TOMBSTONES) == version:
        return
    ids = naming.buried(lake)
    for table, change in changes.items():
        published = lake.shards(table)
        for shard in change.add:
            new = table != TOMBSTONES and shard.file not in published
            if new and naming.holds(lake.opened(table, shard.file), ids):
                raise lake.overtaken(TOMBSTONES)
