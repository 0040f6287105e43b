"""Test with a lake's own labels whether the text tower of a network matches its audio.

Each label's name is encoded as a text, and tracks are ranked by the similarity of their vectors to it: the figure is
the macro ROC-AUC over the labels. Chance is not just one half: a meaningless tower still ranks tracks by the arbitrary
directions of its vectors, so that some labels come out well and others badly. What counts is whether each name fits its
own label better than the names of others do: a permutation test [1]_ compares the figure with those of randomly
permuted names.

Shape suffixes: N tracks, K labels, E embedding values, R deals.

References
----------
.. [1] E. Pitman, "Significance Tests Which May be Applied to Samples from any Populations", 1937.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import permutations
from math import factorial
from typing import Any

import duckdb
import numpy as np
from scipy.stats import rankdata

from phonolake.errors import AudioError, PhonolakeError
from phonolake.inference.outside import Excerpt, RecordingFile
from phonolake.inference.predictor import Predictor
from phonolake.lookup import kinship
from phonolake.metrics import bootstrap
from phonolake.models.loaded_network import LoadedNetwork
from phonolake.records import Seconds
from phonolake.search.vectors import unit
from phonolake.store import query, tracks
from phonolake.store.lake import Lake

# Number of tracks, one window of each.
TRACKS, LABELS = 128, 32
# A label with fewer tracks that have it, or that lack it, says nothing; fewer labels can be dealt out in too few ways.
LEAST_TRACKS, LEAST_LABELS = 5, 4
MOST_BYTES = 64 << 20
DEALS, LEVEL = 2000, 0.05


@dataclass(frozen=True, slots=True)
class ZeroShot:
    """The zero-shot figure of the label names.

    Parameters
    ----------
    roc_auc, low, high : float
        Macro ROC-AUC with its 95 % interval over tracks; those of an artist are drawn together.
    chance : float
        The 95 % quantile of the figure for randomly permuted names.
    p : float
        Share of the permutations with at least this figure, including the real one.
    n_labels, n_tracks : int
    """

    roc_auc: float
    low: float
    high: float
    chance: float
    p: float
    n_labels: int
    n_tracks: int

    @property
    def is_broken(self) -> bool:
        """Whether the texts match the audio no better than chance on these tracks."""
        return self.p > LEVEL

    def said(self) -> str:
        return (
            f"zero-shot ROC-AUC {self.roc_auc:.3f} [{self.low:.3f}, {self.high:.3f}] of {self.n_labels} label names on "
            f"{self.n_tracks} tracks, where names dealt out at random reach up to {self.chance:.3f}"
        )

    def as_card(self) -> dict[str, Any]:
        return {name: round(value, 4) for name, value in asdict(self).items()}


def measure(lake: Lake, predictor: Predictor) -> ZeroShot | None:
    """Evaluate the text tower of a network on the labels of a lake; None if the lake has too few.

    Raises
    ------
    UsageError
        If the network has no text tower.
    """
    assert isinstance(predictor.model, LoadedNetwork)
    with query.connect(lake) as connection:
        chosen = _chosen(connection)
        heard = {
            track_id: vector for track_id in chosen if (vector := _hear(connection, predictor, track_id)) is not None
        }
        groups = kinship.groups(connection) if heard else {}
    track_ids = list(heard)
    names = sorted({label for labels in chosen.values() for label in labels})
    Y_NK = np.array([[name in chosen[track_id] for name in names] for track_id in track_ids], bool)
    if not track_ids:
        return None
    n_K = Y_NK.sum(axis=0)
    told = (n_K >= LEAST_TRACKS) & (len(track_ids) - n_K >= LEAST_TRACKS)
    if told.sum() < LEAST_LABELS:
        return None
    Y_NK, names = Y_NK[:, told], [name for name, kept in zip(names, told, strict=True) if kept]
    T_KE = unit(np.stack([predictor.model.network.embed_text(spoken(name)) for name in names]))
    S_NK = unit(np.stack([heard[track_id] for track_id in track_ids])) @ T_KE.T
    return judge(S_NK, Y_NK, [groups.get(track_id, track_id) for track_id in track_ids])


def judge(S_NK: np.ndarray, Y_NK: np.ndarray, clusters: Sequence[str], *, seed: int = 0) -> ZeroShot:
    """Evaluate similarities of tracks and names by the labels of the tracks.

    Parameters
    ----------
    S_NK : ndarray
        Similarity of each track and the name of each label.
    Y_NK : ndarray of bool
        Which track has which label; of each some have it and some do not.
    clusters : sequence of str
        What tracks that are drawn together have in common.
    """
    n, k = S_NK.shape
    A_KK = _crossed(S_NK, Y_NK)
    observed = float(A_KK.diagonal().mean())
    own = np.arange(k)
    if factorial(k) <= DEALS:
        deals_RK = np.array(list(permutations(range(k))))
    else:
        rng = np.random.default_rng(seed)
        deals_RK = np.stack([own, *(rng.permutation(k) for _ in range(DEALS - 1))])
    dealt_R = A_KK[deals_RK, own].mean(axis=1)
    drawn_R = bootstrap.roc_auc(Y_NK.astype(np.int64), S_NK, bootstrap.draws(clusters, seed=seed))
    estimate = bootstrap.estimate(observed, drawn_R)
    return ZeroShot(
        observed,
        estimate.low,
        estimate.high,
        float(np.quantile(dealt_R, 1 - LEVEL)),
        float((dealt_R >= observed - 1e-12).mean()),
        k,
        n,
    )


def spoken(label: str) -> str:
    """A label's name as a text: words are parted by blanks."""
    return label.replace("_", " ")


def _crossed(S_NK: np.ndarray, Y_NK: np.ndarray) -> np.ndarray:
    """ROC-AUC of the name in each row for the label in each column, by Mann and Whitney's ranks."""
    ranks_NK = rankdata(S_NK, axis=0)
    n_K = Y_NK.sum(axis=0)
    sums_KK = ranks_NK.T @ Y_NK
    crossed: np.ndarray = (sums_KK - n_K * (n_K + 1) / 2) / (n_K * (len(Y_NK) - n_K))
    return crossed


def _chosen(connection: duckdb.DuckDBPyConnection) -> dict[str, set[str]]:
    """Tracks to hear with their labels: of each of the commonest labels in turn, in an order that depends on ids alone.

    Labels of the dataset count, those of others where there are none; names without a letter are no words.
    """
    ((own,),) = connection.execute("SELECT count(*) FROM labels WHERE source = 'dataset' AND value = 1").fetchall()
    rows = connection.execute(
        "WITH said AS (SELECT DISTINCT track_id, label FROM labels WHERE value = 1 "
        "AND ($1 OR source = 'dataset') AND regexp_matches(label, '\\pL') "
        "AND track_id IN (SELECT track_id FROM audio)), "
        "common AS (SELECT label FROM said GROUP BY label ORDER BY count(*) DESC, label LIMIT $2), "
        "kept AS (FROM said SEMI JOIN common USING (label)), "
        "turns AS (SELECT track_id, min(turn) AS turn FROM ("
        "SELECT track_id, row_number() OVER (PARTITION BY label ORDER BY md5(track_id)) AS turn FROM kept) "
        "GROUP BY track_id ORDER BY turn, md5(track_id) LIMIT $3) "
        "SELECT k.track_id, list(k.label) FROM kept AS k JOIN turns AS t USING (track_id) "
        "GROUP BY k.track_id, t.turn ORDER BY t.turn, md5(k.track_id)",
        [not own, LABELS, TRACKS],
    ).fetchall()
    return {track_id: set(labels) for track_id, labels in rows}


def _hear(connection: duckdb.DuckDBPyConnection, predictor: Predictor, track_id: str) -> np.ndarray | None:
    """The vector of the window in the middle of a track; None for one that cannot be heard."""
    sr = predictor.input.sr  # type: ignore[attr-defined]
    window = predictor.window / sr
    try:
        data = tracks.read_audio(connection, track_id, most_bytes=MOST_BYTES).data
        ((duration,),) = connection.execute(
            "SELECT duration_seconds FROM tracks WHERE track_id = $1", [track_id]
        ).fetchall()
        start = max(0.0, (float(duration) - window) / 2)
        whole = RecordingFile(data, Seconds(float(duration)))
        return predictor.score_recording(Excerpt(whole, Seconds(start), Seconds(start + window))).embedding
    except AudioError:
        return None


def check(lake: Lake, predictor: Predictor) -> ZeroShot | None:
    """As `measure`; a `PhonolakeError` with the figure for a text tower no better than chance."""
    found = measure(lake, predictor)
    if found is not None and found.is_broken:
        raise PhonolakeError(
            f"the text tower tells nothing about this lake's labels ({found.said()}): --no-text goes without"
        )
    return found
