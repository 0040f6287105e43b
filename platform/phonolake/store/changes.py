"""The changes of a commit, its dependencies, and its refusal."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from phonolake.errors import PhonolakeError
from phonolake.store.schema import TableSchema
from phonolake.store.shards import Shard


@dataclass(slots=True)
class Change:
    """The changes of one table in one commit.

    Parameters
    ----------
    schema : TableSchema
        Schema of the table.
    add, remove : list
        Finished shards to add, and files to remove.
    replaces : dict
        For each rewritten shard, the old one.
    reusable : bool
        Whether the next attempt of the stage can reuse the added shards; others are deleted on a refusal.
    """

    schema: TableSchema
    add: list[Shard] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    replaces: dict[str, str] = field(default_factory=dict)
    reusable: bool = False


@dataclass(frozen=True, slots=True)
class Reads:
    """The dependencies of a commit.

    Parameters
    ----------
    whole : mapping of str to int
        Tables that were read as a whole, with their versions (-1 for one that had none): no other job may change them
        before the commit. The version of the table of forgotten tracks only says that the job knew those.
    shards : mapping of str to collection of str
        Shards that must still be published, by their tables; others may be added.
    """

    whole: Mapping[str, int] = field(default_factory=dict)
    shards: Mapping[str, Collection[str]] = field(default_factory=dict)


# For a commit without dependencies.
NOTHING = Reads()


class OvertakenError(PhonolakeError):
    """The dependencies of a commit have changed: another job was faster."""
