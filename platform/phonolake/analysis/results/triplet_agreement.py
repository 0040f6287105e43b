"""How often embeddings agree with people about which of two tracks sounds more like a third.

For each triplet the track with the greater cosine similarity counts as nearer; a tie counts half. The figure is the
share of triplets where raters agree, with the mean over several raters of one triplet. Chance is 1/2. Raters do not
always agree with each other either, so their own agreement is reported, too.

Shape suffixes: T tracks, Q triplets, A answers, D values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, groupby

import duckdb
import numpy as np

from phonolake.errors import UsageError
from phonolake.lookup import embeddings, runs
from phonolake.metrics.intervals import CONFIDENCE, wilson
from phonolake.search.vectors import unit

RANDOM, NEIGHBOURS = "random", "neighbours"
CHANCE = 0.5


@dataclass(frozen=True, slots=True)
class TripletAgreement:
    """The agreement of one run's embeddings with raters.

    Parameters
    ----------
    drawn : {"random", "neighbours"}
        How the triplets were drawn: see `phonolake.annotation.drawing`. Those around neighbours are of this run.
    n_triplets, n_answers, n_raters : int
        Numbers of answered triplets, answers without skips, and raters.
    agreed, low, high : float
        Share of the triplets where raters and embedding say the same, in [0, 1], with a Wilson interval over triplets.
    raters_agreed : float or None
        Of every two answers to one triplet, the share that are the same; None where nobody answered what another did.
    """

    model: str
    run_id: str
    drawn: str
    n_triplets: int
    n_answers: int
    n_raters: int
    agreed: float
    low: float
    high: float
    raters_agreed: float | None


Answered = tuple[str, str, str, str, int, str | None]


def agreement(
    connection: duckdb.DuckDBPyConnection,
    model_or_run: str | None = None,
    *,
    sample: str | None = None,
    confidence: float = CONFIDENCE,
) -> list[TripletAgreement]:
    """The figure of every run with embeddings that raters heard triplets of, the newest first.

    Parameters
    ----------
    model_or_run : str, optional
        Only of this one.
    sample : str, optional
        Only answers to this sample.
    confidence : float
        Probability that an interval covers the true share, in (0, 1).

    Raises
    ------
    UsageError
        For an unknown model, or a confidence outside (0, 1).
    """
    known = runs.with_embeddings(connection)
    if model_or_run is not None:
        found = runs.find(known, model_or_run, what="model with embeddings")
        if found is None:
            raise UsageError(f"no embeddings by {model_or_run!r}: the lake has none yet")
        known = [found]
    answered = connection.execute(
        "SELECT c.track_id, c.first_id, c.second_id, c.rater, c.value, t.run_id FROM comparisons AS c "
        "JOIN triplets AS t USING (sample, track_id, first_id, second_id) "
        "WHERE c.value IS NOT NULL AND ($1 IS NULL OR sample = $1) ORDER BY ALL",
        [sample],
    ).fetchall()
    return [
        one
        for run in known
        for drawn, own in ((RANDOM, None), (NEIGHBOURS, run.run_id))
        if (one := _figure(connection, run, drawn, [a for a in answered if a[5] == own], confidence)) is not None
    ]


def _figure(
    connection: duckdb.DuckDBPyConnection,
    run: runs.ModelRun,
    drawn: str,
    answered: Sequence[Answered],
    confidence: float,
) -> TripletAgreement | None:
    heard = sorted({track_id for answer in answered for track_id in answer[:3]})
    vectors = embeddings.read(connection, heard, model=run.run_id) if heard else None
    if vectors is None:
        return None
    place = {track_id: n for n, track_id in enumerate(vectors.track_ids)}
    e_TD = unit(vectors.E_ND)
    agreed_Q, same, pairs, raters = [], 0, 0, set()
    n_answers = 0
    for key, its in groupby(answered, key=lambda a: a[:3]):
        if not all(track_id in place for track_id in key):
            continue
        said = [(rater, value) for _, _, _, rater, value, _ in its]
        track, first, second = (e_TD[place[track_id]] for track_id in key)
        # 1 where the first is nearer, 0 where the second is, 1/2 where neither.
        nearer = (1 + np.sign(track @ first - track @ second)) / 2
        agreed_Q.append(np.mean([1 - abs(nearer - value) for _, value in said]))
        raters |= {rater for rater, _ in said}
        n_answers += len(said)
        for (_, one), (_, other) in combinations(said, 2):
            same, pairs = same + (one == other), pairs + 1
    if not agreed_Q:
        return None
    low, high = wilson(sum(agreed_Q), len(agreed_Q), confidence=confidence)
    return TripletAgreement(
        run.model, run.run_id, drawn, len(agreed_Q), n_answers, len(raters), float(np.mean(agreed_Q)), float(low),
        float(high), same / pairs if pairs else None,
    )  # fmt: skip
