"""Check whether the dependencies of a commit are still published."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from phonolake.store import naming
from phonolake.store.changes import Change, Reads
from phonolake.store.naming import TOMBSTONES

if TYPE_CHECKING:
    from phonolake.store.lake import Lake


def check(lake: "Lake", changes: Mapping[str, Change], reads: Reads) -> None:
    """Refuse a commit that another job has overtaken.

    Parameters
    ----------
    lake : Lake
        The currently published state.

    Raises
    ------
    OvertakenError
    """
    check_read(lake, reads)
    for name, change in changes.items():
        _check_current(lake, name, change)
    _check_forgotten(lake, changes, reads)


def check_read(lake: "Lake", reads: Reads) -> None:
    """Refuse if another job has changed tables since they were read; the errors are those of `check`."""
    for table, version in reads.whole.items():
        if table != TOMBSTONES and lake.versions().get(table, -1) != version:
            raise lake.overtaken(table)
    for table, files in reads.shards.items():
        if not set(files) <= lake.shards(table).keys():
            raise lake.overtaken(table)


def _check_current(lake: "Lake", table: str, change: Change) -> None:
    """A replaced shard must be published, unless its replacements are: then this commit was already made."""
    published = lake.shards(table)
    for new, old in change.replaces.items():
        if new not in published and old not in published:
            raise lake.overtaken(table)


def _check_forgotten(lake: "Lake", changes: Mapping[str, Change], reads: Reads) -> None:
    """New rows must not name a forgotten track."""
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
