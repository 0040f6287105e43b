"""The next triplet for a rater, and everyone's progress."""

from dataclasses import dataclass

import duckdb

from phonolake.annotation import journal
from phonolake.annotation.journal import TripletAnswer
from phonolake.annotation.queue import Progress, Turn
from phonolake.errors import unknown
from phonolake.store.lake import Lake

TABLE = "triplets"


@dataclass(frozen=True, slots=True)
class Triplet:
    """Does the first or the second sound more like the track? `position` is its place in the sample, from 1."""

    position: int
    track_id: str
    first_id: str
    second_id: str

    @property
    def key(self) -> tuple[str, str, str]:
        """The three tracks."""
        return self.track_id, self.first_id, self.second_id


def names(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Names of the samples of triplets."""
    rows = connection.execute("SELECT DISTINCT sample FROM triplets ORDER BY sample").fetchall()
    return [name for (name,) in rows]


def turn(lake: Lake, connection: duckdb.DuckDBPyConnection, sample: str, rater: str) -> Turn[Triplet, TripletAnswer]:
    """The next triplet of a sample for a rater, from the journal, including the last answer.

    Raises
    ------
    UsageError
        For an unknown sample, or a rater without a name.
    """
    asked = _asked(connection, sample)
    answers = {_key(answer): answer for answer in journal.compared(lake, rater)}
    found = [answers[triplet.key] for triplet in asked if triplet.key in answers]
    own = [answer for answer in answers.values() if answer.sample == sample]
    triplet = next((one for one in asked if one.key not in answers), None)
    progress = Progress(sample, rater, len(asked), len(found), sum(answer.value is None for answer in found))
    before = None if triplet is None else answers.get(triplet.key)
    return Turn(triplet, before, own[-1] if own else None, progress)


def progress(lake: Lake, connection: duckdb.DuckDBPyConnection) -> list[Progress]:
    """The progress of each rater with each sample of triplets that they started."""
    found = []
    everything = journal.everything(lake)
    for sample in names(connection):
        asked = {triplet.key for triplet in _asked(connection, sample)}
        for rater, replies in everything.items():
            own = [r for r in replies if isinstance(r, TripletAnswer) and _key(r) in asked]
            if own:
                found.append(Progress(sample, rater, len(asked), len(own), sum(r.value is None for r in own)))
    return found


def _key(answer: TripletAnswer) -> tuple[str, str, str]:
    return answer.track_id, answer.first_id, answer.second_id


def _asked(connection: duckdb.DuckDBPyConnection, sample: str) -> list[Triplet]:
    rows = connection.execute(
        "SELECT position, track_id, first_id, second_id FROM triplets WHERE sample = $1 ORDER BY position", [sample]
    ).fetchall()
    if not rows:
        raise unknown("sample of triplets", sample, names(connection))
    return [Triplet(*row) for row in rows]
