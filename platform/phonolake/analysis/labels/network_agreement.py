"""Compare which labels separately trained networks find similar, and how people use them.

Shape suffixes: K labels, D values of a label vector.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from phonolake.analysis.labels.label_vectors import (
    common_labels,
    compare,
    label_vector_similarity,
    rank_correlation,
    ranked_pairs,
)
from phonolake.errors import UsageError, unknown
from phonolake.lookup.label_matrix import LabelMatrix

# Alike by the label vectors of Choi et al. 2018 though seldom used together, and rightly so to a listener (Sec. V-A).
SURPRISING = (("sad", "beautiful"), ("happy", "catchy"), ("rnb", "sexy"))
USE = "co-occurrence"


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """Spearman correlation of two rankings of the same pairs of labels: networks, or the use that people make."""

    first: str
    second: str
    pairs: int
    rank_correlation: float


@dataclass(frozen=True, slots=True)
class PairRanks:
    """The ranks of a pair of labels.

    Parameters
    ----------
    ranks : dict of str to float
        By network, and `USE` where it is known: from 1, of `pairs`.
    holds : bool
        Whether every network has it among the first share of all pairs that was asked for.
    """

    label_i: str
    label_j: str
    ranks: dict[str, float]
    pairs: int
    holds: bool


@dataclass(frozen=True, slots=True)
class Rankings:
    """Similarities S_KK of the same labels by several networks, and how people use them, C_KK."""

    labels: tuple[str, ...]
    networks: dict[str, np.ndarray]
    use: np.ndarray | None

    @property
    def pairs(self) -> int:
        """Number of unordered pairs."""
        return len(self.labels) * (len(self.labels) - 1) // 2


def align(vectors: Mapping[str, tuple[Sequence[str], np.ndarray]], matrix: LabelMatrix | None = None) -> Rankings:
    """Compare label vectors by cosine over the labels that all networks, and a collection, share.

    Parameters
    ----------
    vectors : mapping
        By network: its labels and output weights W_KD.
    matrix : LabelMatrix, optional
        Labels that people gave.

    Raises
    ------
    UsageError
        For fewer than two networks, or fewer than three labels that they share.
    """
    if len(vectors) < 2:
        raise UsageError(f"two networks or more are compared; received {', '.join(vectors) or 'none'}")
    first, *others = (names for names, _ in vectors.values())
    labels = tuple(name for name in first if all(name in names for names in others))
    if len(labels) < 3:
        raise UsageError(f"labels that {', '.join(vectors)} share: {len(labels)}, and a ranking of pairs needs 3")
    whole = {name: label_vector_similarity(_rows(*found, labels)) for name, found in vectors.items()}
    if matrix is None:
        return Rankings(labels, whole, None)
    kept, _, C_KK = common_labels(labels, next(iter(whole.values())), matrix)
    places = np.ix_(*[[labels.index(label) for label in kept]] * 2)
    return Rankings(kept, {name: S_KK[places] for name, S_KK in whole.items()}, C_KK)


def correlations(rankings: Rankings) -> list[RankCorrelation]:
    """Rank correlation of every two networks, and of each with co-occurrence."""
    sides = dict(rankings.networks) | ({} if rankings.use is None else {USE: rankings.use})
    return [
        RankCorrelation(first, second, rankings.pairs, rank_correlation(sides[first], sides[second]))
        for first, second in combinations(sides, 2)
    ]


def places(rankings: Rankings, asked: Sequence[tuple[str, str]], *, share: float) -> list[PairRanks]:
    """Ranks of pairs of labels by each network; a pair holds if all have it among the first `share` of all pairs.

    Without a pair that is asked for, those of `SURPRISING` whose labels are there.

    Raises
    ------
    UsageError
        For a label that the networks do not share.
    """
    asked = asked or [pair for pair in SURPRISING if set(pair) <= set(rankings.labels)]
    for label in (label for pair in asked for label in pair):
        if label not in rankings.labels:
            raise unknown("label", label, rankings.labels)
    ranks: dict[str, dict[frozenset[str], float]] = {
        name: {frozenset((pair.label_i, pair.label_j)): pair.rank for pair in ranked_pairs(rankings.labels, S_KK)}
        for name, S_KK in rankings.networks.items()
    }
    if rankings.use is not None:
        compared = compare(rankings.labels, next(iter(rankings.networks.values())), rankings.use)
        ranks[USE] = {frozenset((pair.label_i, pair.label_j)): pair.cooccurrence_rank for pair in compared}
    found = []
    for i, j in asked:
        own = {name: of_pair[frozenset((i, j))] for name, of_pair in ranks.items()}
        worst = max(rank for name, rank in own.items() if name != USE)
        found.append(PairRanks(i, j, own, rankings.pairs, worst <= share * rankings.pairs))
    return found


def _rows(names: Sequence[str], W_KD: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    return W_KD[[list(names).index(label) for label in labels]]
