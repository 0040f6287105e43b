"""Possible relations of two labels: hierarchy or synonyms.

Both are suggestions for a person. Labels by many annotators are incomplete: even of two synonyms few tracks have both
(Choi et al. 2018, Sec. III-A: 30 % of `female vocalist` are also `female vocalists`). So the thresholds are low, the
shares are taken at the lower end of their interval, and spelling counts as well.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from phonolake.analysis.labels.cooccurrence import lift, normalize
from phonolake.errors import UsageError, unknown
from phonolake.metrics.intervals import CONFIDENCE, wilson

KINDS = ("hierarchy", "synonyms")
SHARE, LIFT, ASYMMETRY = 0.25, 2.0, 2.0


@dataclass(frozen=True, slots=True)
class Relation:
    """A suggestion about two labels.

    Parameters
    ----------
    kind : {"hierarchy", "synonyms"}
        Hierarchy: i is a kind of j. Synonyms are unordered.
    reason : {"tracks", "spelling"}
        Whether the tracks or the words speak for it.
    c_ij, c_ji : float
        Share of the tracks with i that have j, and the reverse.
    """

    kind: str
    label_i: str
    label_j: str
    reason: str
    c_ij: float
    c_ji: float
    lift: float
    n_both: int
    n_i: int
    n_j: int


def suggest(
    labels: Sequence[str],
    both_LL: np.ndarray,
    n_tracks: int,
    *,
    kind: str = "hierarchy",
    share: float = SHARE,
    min_lift: float = LIFT,
    asymmetry: float = ASYMMETRY,
    confidence: float = CONFIDENCE,
) -> list[Relation]:
    """Suggest hierarchies or synonyms, the surest first.

    Parameters
    ----------
    both_LL : ndarray
        Counts of `cooccurrence_counts`.
    kind : {"hierarchy", "synonyms"}
        Hierarchy, i in j: C(i, j) is high and at least `asymmetry` times C(j, i), at the near ends of their intervals.
        Synonyms: both are high, or the words differ in case, signs or one last letter only.
    share : float
        What counts as high: the lower end of the interval of C reaches it.
    min_lift : float
        Labels that come together less than this many times as often as by chance are no relation: most tracks are pop,
        whatever else they are.

    Raises
    ------
    UsageError
        For an unknown kind, or a share outside [0, 1].
    """
    if kind not in KINDS:
        raise unknown("relation", kind, KINDS)
    if not 0 <= share <= 1:
        raise UsageError(f"a share lies between 0 and 1, received {share}")
    n_L = np.diag(both_LL)
    C_LL, lift_LL = normalize(both_LL), lift(both_LL, n_tracks)
    low_LL, high_LL = wilson(both_LL, np.broadcast_to(n_L[:, None], both_LL.shape), confidence=confidence)
    often_LL = (lift_LL >= min_lift) & (low_LL >= share)
    np.fill_diagonal(often_LL, False)
    if kind == "hierarchy":
        reasons = dict.fromkeys(_pairs(often_LL & (low_LL >= asymmetry * high_LL.T)), "tracks")
        order = np.nan_to_num(C_LL)
    else:
        reasons = dict.fromkeys(_same_word(labels), "spelling")
        reasons |= dict.fromkeys(_pairs(np.triu(often_LL & often_LL.T)), "tracks")
        order = np.nan_to_num(np.minimum(C_LL, C_LL.T))
    ranked = sorted(reasons, key=lambda pair: (-order[pair], labels[pair[0]], labels[pair[1]]))
    counts = (both_LL.tolist(), n_L.tolist())
    return [
        Relation(
            kind, labels[i], labels[j], reasons[i, j], float(C_LL[i, j]), float(C_LL[j, i]), float(lift_LL[i, j]),
            counts[0][i][j], counts[1][i], counts[1][j],
        )
        for i, j in ranked
    ]  # fmt: skip


def _pairs(where_LL: np.ndarray) -> Iterator[tuple[int, int]]:
    i, j = np.nonzero(where_LL)
    yield from zip(i.tolist(), j.tolist(), strict=True)


def _same_word(labels: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs of labels that are spelt alike: `Hip-Hop` and `hip hop`, `female vocalist` and `female vocalists`."""
    words = [re.sub(r"[\W_]+", "", label.casefold()) for label in labels]
    places: dict[str, list[int]] = defaultdict(list)
    for k, word in enumerate(words):
        places[word].append(k)
    pairs = set()
    for k, word in enumerate(words):
        # Digits tell eras apart, and of short words the last letter is no ending.
        shorter = word[:-1] if len(word) > 4 and word[-1].isalpha() else word
        pairs |= {(min(k, other), max(k, other)) for other in (*places[word], *places.get(shorter, ())) if other != k}
    yield from sorted(pair for pair in pairs if words[pair[0]])
