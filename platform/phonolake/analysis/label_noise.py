"""Which labels are doubtful: tracks that models, having never seen them, take for something else.

The probabilities come from held-out predictions: with one run for each fold, every track is judged by a model that
did not learn from it. A track is the more suspect the further another class lies above the given one (the normalised
margin of Northcutt, Jiang and Chuang, "Confident learning", JAIR 2021, Sec. 2.2).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import duckdb

from phonolake.errors import PhonolakeError


@dataclass(frozen=True, slots=True)
class Suspect:
    """A doubtful label, with the evidence.

    Parameters
    ----------
    p_given, p_suggested : float
        Mean held-out probability of the given and of the most probable other class.
    margin : float
        ``p_suggested - p_given``, in [-1, 1]; positive where the models disagree with the label.
    """

    rank: int
    track_id: str
    given: str
    suggested: str
    p_given: float
    p_suggested: float
    margin: float


def suspects(
    connection: duckdb.DuckDBPyConnection, *, source: str = "dataset", top: int | None = None
) -> list[Suspect]:
    """Labels of one source in order of doubt.

    Raises
    ------
    PhonolakeError
        When no track has a held-out prediction.
    """
    rows = connection.execute(
        """
        WITH p AS (
            SELECT track_id, label, avg(probability) AS p FROM predictions WHERE part = 'test' GROUP BY ALL
        ), given AS (
            SELECT l.track_id, l.label, p.p FROM labels l JOIN p USING (track_id, label)
            WHERE l.source = $1 AND l.value = 1
        ), other AS (
            SELECT p.track_id, arg_max(p.label, p.p) AS label, max(p.p) AS p
            FROM p JOIN given g ON g.track_id = p.track_id AND g.label <> p.label GROUP BY p.track_id
        )
        SELECT g.track_id, g.label, o.label, g.p, o.p, o.p - g.p AS margin FROM given g JOIN other o USING (track_id)
        ORDER BY margin DESC, g.track_id
        """
        + ("" if top is None else f"LIMIT {int(top)}"),
        [source],
    ).fetchall()
    if not rows:
        raise PhonolakeError("no held-out predictions yet: `phonolake crossval` makes one for every track")
    return [Suspect(rank, *row) for rank, row in enumerate(rows, start=1)]


def precision_at(ranked: Sequence[Suspect], truly_wrong: Collection[str], k: int) -> float:
    """Share of the first k suspects whose label is wrong in truth."""
    first = [suspect.track_id for suspect in ranked[:k]]
    return sum(track_id in truly_wrong for track_id in first) / max(1, len(first))
