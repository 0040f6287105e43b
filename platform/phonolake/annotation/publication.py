"""From the journals of the raters into the table `annotations`: one shard for each rater, all in one commit.

Journals are on the disk at once; SQL sees an answer when it is published. The page publishes every few answers, when a
sample is done and whenever it is opened, and every command about annotations publishes first.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from phonolake.annotation import journal
from phonolake.annotation.journal import Answer
from phonolake.errors import PhonolakeError
from phonolake.files import locked
from phonolake.lineage import digest
from phonolake.store import naming, schema
from phonolake.store.attempts import attempts
from phonolake.store.lake import Change, Lake, Reads
from phonolake.store.shards import SEPARATOR, SUFFIX, keep_rows

TABLE = "annotations"


def publish(lake: Lake) -> int:
    """Bring the table up to the journals; what was published already costs nothing.

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
                change, changed = _changes(seen)
                if changed:
                    lake.commit({TABLE: change}, Reads({TABLE: seen.versions().get(TABLE, -1)}))
                    _forget(lake, change)
                return changed
    raise AssertionError("the last attempt raises")


def _changes(lake: Lake) -> tuple[Change, int]:
    """What the journals say beyond what a lake shows, and of how many raters."""
    table = schema.table(TABLE)
    change, changed = Change(table), 0
    published = list(lake.shards(TABLE))
    gone = set(naming.buried(lake).to_pylist())
    for rater, answers in journal.everyone(lake).items():
        prefix = journal.stem(rater) + SEPARATOR
        heard = [answer for answer in answers if answer.track_id not in gone]
        rows = [_row(answer) for answer in sorted(heard, key=lambda a: (a.track_id, a.label))]
        stem = prefix + digest(rows)
        old = [file for file in published if file.startswith(prefix) and (not rows or file != stem + SUFFIX)]
        if rows and stem + SUFFIX not in published:
            change.add.append(keep_rows(lake.path(TABLE, stem), table.arrow, rows))
        elif not old:
            continue
        change.remove += old
        changed += 1
    return change, changed


@contextmanager
def _alone(lake: Lake) -> Iterator[None]:
    """Two publications at once would each replace the same shard by one of their own, and both would stay.

    On object storage nobody can be kept out: there the second one is refused, and looks again.
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


def _forget(lake: Lake, change: Change) -> None:
    """Remove the shards of earlier publications. Those of the last one stay: somebody may be reading them.

    On object storage they stay for `phonolake verify --mend`: another job may be publishing one of them again.
    """
    if lake.place.is_remote:
        return
    kept = {*lake.shards(TABLE), *change.remove}
    prefixes = tuple({file.split(SEPARATOR)[0] + SEPARATOR for file in change.remove})
    for path in lake.folder(TABLE).glob(f"*{SUFFIX}"):
        if path.name not in kept and path.name.startswith(prefixes):
            path.unlink(missing_ok=True)


def _row(answer: Answer) -> dict[str, object]:
    return {
        "track_id": answer.track_id,
        "label": answer.label,
        "value": answer.value,
        "rater": answer.rater,
        "annotated_at": answer.annotated_at,
        "sample": answer.sample,
    }
