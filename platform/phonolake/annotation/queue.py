"""The next question for a rater, and everyone's progress. Questions do not contain the given label."""

from dataclasses import dataclass
from typing import Generic, TypeVar

import duckdb

from phonolake.annotation import journal
from phonolake.annotation.journal import Answer, Reply
from phonolake.errors import unknown
from phonolake.store.lake import Lake

Asked = TypeVar("Asked")
Said = TypeVar("Said", bound=Reply)


@dataclass(frozen=True, slots=True)
class Question:
    """Is this label right for this track? `position` is its place in the sample, from 1."""

    position: int
    track_id: str
    label: str


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a rater with a sample."""

    sample: str
    rater: str
    total: int
    answered: int
    skipped: int


@dataclass(frozen=True, slots=True)
class Turn(Generic[Asked, Said]):
    """The state of a rater: the next question (None if there is none left), the last answer, and the progress.

    Parameters
    ----------
    before : Answer or TripletAnswer or None
        The rater's answer to the question so far: skipped, or None.
    """

    question: Asked | None
    before: Said | None
    last: Said | None
    progress: Progress


def names(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Names of the samples."""
    rows = connection.execute("SELECT DISTINCT sample FROM samples ORDER BY sample").fetchall()
    return [name for (name,) in rows]


def turn(
    lake: Lake, connection: duckdb.DuckDBPyConnection, sample: str, rater: str, *, skipped_again: bool = False
) -> Turn[Question, Answer]:
    """The next question of a sample for a rater, from the journal, including the last answer.

    Parameters
    ----------
    skipped_again : bool
        Whether skipped questions come again when no other is left.

    Raises
    ------
    UsageError
        For an unknown sample, or a rater without a name.
    """
    questions = _questions(connection, sample)
    answers = {(a.track_id, a.label): a for a in journal.standing(lake, rater)}
    asked = [(q, answers.get((q.track_id, q.label))) for q in questions]
    open_ones = [q for q, answer in asked if answer is None]
    # In the order in which they were skipped: a question that is skipped again goes to the end.
    by_key = {(q.track_id, q.label): q for q in questions}
    passed = [by_key[key] for key, answer in answers.items() if key in by_key and answer.value is None]
    if not open_ones and skipped_again:
        open_ones = passed
    own = [a for a in answers.values() if a.sample == sample]
    progress = Progress(sample, rater, len(asked), sum(a is not None for _, a in asked), len(passed))
    question = open_ones[0] if open_ones else None
    before = None if question is None else answers.get((question.track_id, question.label))
    return Turn(question, before, own[-1] if own else None, progress)


def progress(lake: Lake, connection: duckdb.DuckDBPyConnection) -> list[Progress]:
    """The progress of each rater with each sample that they started."""
    found = []
    everyone = journal.everyone(lake)
    for sample in names(connection):
        wanted = {(q.track_id, q.label) for q in _questions(connection, sample)}
        for rater, answers in everyone.items():
            own = [a for a in answers if (a.track_id, a.label) in wanted]
            if own:
                found.append(Progress(sample, rater, len(wanted), len(own), sum(a.value is None for a in own)))
    return found


def _questions(connection: duckdb.DuckDBPyConnection, sample: str) -> list[Question]:
    rows = connection.execute(
        "SELECT position, track_id, label FROM samples WHERE sample = $1 ORDER BY position", [sample]
    ).fetchall()
    if not rows:
        raise unknown("sample", sample, names(connection))
    return [Question(*row) for row in rows]
