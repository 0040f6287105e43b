"""Publish the raters' journals in the tables `annotations` and `comparisons`: a shard for each rater, one commit.

Journals are on the disk at once; SQL sees an answer when it is published. The page publishes every few answers, when a
sample is done and whenever it is opened, and every command about annotations publishes first.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from phonolake.annotation import journal
from phonolake.annotation.journal import Answer, TripletAnswer
from phonolake.errors import PhonolakeError
from phonolake.files import locked
from phonolake.lineage import digest
from phonolake.store import naming, schema
from phonolake.store.attempts import attempts
from phonolake.store.lake import Change, Lake, Reads
from phonolake.store.shards import SEPARATOR, SUFFIX, keep_rows

# A table for each kind of answer.
TABLES: dict[str, type[Answer] | type[TripletAnswer]] = {"annotations": Answer, "comparisons": TripletAnswer}


def publish(lake: Lake) -> int:
    """Update the tables from the journals; answers that are already published cost nothing.

    Returns
    -------
    int
        Number of raters whose answers changed.

    Raises
    ------
    PhonolakeError
        When the lake cannot be written to; the journals keep the answers.
    """
    if not journal.has_any(lake):
        return 0
    with _alone(lake):
        for attempt in attempts(lake):
            with attempt as seen:
                changes, changed = _changes(seen)
                if changes:
                    lake.commit(changes, Reads({table: seen.versions().get(table, -1) for table in changes}))
                    for table, change in changes.items():
                        _forget(lake, table, change)
                return len(changed)
    raise AssertionError("the last attempt raises")


def _changes(lake: Lake) -> tuple[dict[str, Change], set[str]]:
    """Answers in the journals that the lake does not have yet, by table, and raters with changes."""
    changes, changed = {}, set()
    gone = set(naming.buried(lake).to_pylist())
    everything = journal.everything(lake)
    for name, kind in TABLES.items():
        table = schema.table(name)
        change = Change(table)
        published = list(lake.shards(name))
        for rater, replies in everything.items():
            prefix = journal.stem(rater) + SEPARATOR
            own = [asdict(reply) for reply in replies if isinstance(reply, kind)]
            rows = sorted(
                (row for row in own if gone.isdisjoint(row.get(column) for column in naming.NAMING)),
                key=lambda row: [str(row[column]) for column in kind.ABOUT],
            )
            stem = prefix + digest(rows)
            old = [file for file in published if file.startswith(prefix) and (not rows or file != stem + SUFFIX)]
            if rows and stem + SUFFIX not in published:
                change.add.append(keep_rows(lake.path(name, stem), table.arrow, rows))
            elif not old:
                continue
            change.remove += old
            changed.add(rater)
        if change.add or change.remove:
            changes[name] = change
    return changes, changed


@contextmanager
def _alone(lake: Lake) -> Iterator[None]:
    """Hold a lock: two publications at once would each replace the same shard, and both new ones would stay.

    Object storage has no locks: there the second one is refused, and reads again.
    """
    if lake.place.is_remote:
        yield
        return
    try:
        with locked(lake.root / journal.FOLDER / ".lock"):
            yield
    except OSError as error:
        raise PhonolakeError(
            f"the answers are kept in {journal.FOLDER}/ but could not be published ({error}): "
            "`phonolake annotations progress` tries again"
        ) from error


def _forget(lake: Lake, table: str, change: Change) -> None:
    """Remove the shards of earlier publications. Those of the last one stay: a reader may use them.

    On object storage they stay for `phonolake verify --mend`: another job may be publishing one of them again.
    """
    if lake.place.is_remote:
        return
    kept = {*lake.shards(table), *change.remove}
    prefixes = tuple({file.split(SEPARATOR)[0] + SEPARATOR for file in change.remove})
    for path in lake.folder(table).glob(f"*{SUFFIX}"):
        if path.name not in kept and path.name.startswith(prefixes):
            path.unlink(missing_ok=True)
