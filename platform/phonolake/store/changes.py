"""What a commit changes, what it rests on, and how it is refused."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from phonolake.errors import PhonolakeError
from phonolake.store.schema import TableSchema
from phonolake.store.shards import Shard


@dataclass(slots=True)
class Change:
    """What one table gains and loses in one commit.

    Parameters
    ----------
    schema : TableSchema
        Of the table.
    add, remove : list
        Shards that lie ready, and files that go.
    replaces : dict
        The old shard of each that is written again.
    reusable : bool
        Whether the added shards are the work of a stage, which its next attempt takes up; others go with a refusal.
    """

    schema: TableSchema
    add: list[Shard] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    replaces: dict[str, str] = field(default_factory=dict)
    reusable: bool = False


@dataclass(frozen=True, slots=True)
class Reads:
    """What a commit rests on.

    Parameters
    ----------
    whole : mapping of str to int
        Tables that were read as a whole, with their versions (-1 for one that had none): nobody may change them before
        the commit. The version of the table of forgotten tracks only says that the job knew of those.
    shards : mapping of str to collection of str
        Shards that must still be published, by their tables; others may come.
    """

    whole: Mapping[str, int] = field(default_factory=dict)
    shards: Mapping[str, Collection[str]] = field(default_factory=dict)


# Of a commit that rests on nothing.
NOTHING = Reads()


class OvertakenError(PhonolakeError):
    """What a commit rests on is no longer what is published: another job was faster."""
