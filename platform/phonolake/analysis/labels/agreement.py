"""Agreement of raters on questions that both answered."""

from dataclasses import dataclass

import duckdb
import numpy as np


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two raters on one label, or on all labels together (`label` None).

    Parameters
    ----------
    n : int
        Questions that both answered with yes or no.
    agreed : float
        Share of them with the same answer, in [0, 1].
    kappa : float or None
        Cohen's kappa: agreement beyond chance, at most 1; None if both always gave the same single answer.
    """

    rater_a: str
    rater_b: str
    label: str | None
    n: int
    agreed: float
    kappa: float | None


def between_raters(connection: duckdb.DuckDBPyConnection, *, sample: str | None = None) -> list[Agreement]:
    """Every pair of raters over all labels, followed by each label; questions that one of them skipped do not count.

    Parameters
    ----------
    sample : str, optional
        Only questions of this sample, even if another sample contained them first.
    """
    from sklearn.metrics import cohen_kappa_score  # late: it takes a second to import

    rows = connection.execute(
        "SELECT a.rater, b.rater, a.label, a.value, b.value FROM annotations a JOIN annotations b "
        "ON a.track_id = b.track_id AND a.label = b.label AND a.rater < b.rater "
        "WHERE a.value IS NOT NULL AND b.value IS NOT NULL AND ($1 IS NULL OR (a.track_id, a.label) IN "
        "(SELECT (s.track_id, s.label) FROM samples s WHERE s.sample = $1)) ORDER BY 1, 2, 3",
        [sample],
    ).fetchall()
    groups: dict[tuple[str, str, str | None], list[tuple[int, int]]] = {}
    for rater_a, rater_b, label, value_a, value_b in rows:
        for key in ((rater_a, rater_b, None), (rater_a, rater_b, label)):
            groups.setdefault(key, []).append((value_a, value_b))
    found = []
    for (rater_a, rater_b, label), pairs in groups.items():
        first_N, second_N = np.array(pairs).T
        agreed = float(np.mean(first_N == second_N))
        # Two who always say the same one thing leave chance nothing to fall short of.
        same = len(np.unique(pairs)) == 1
        kappa = None if same else float(cohen_kappa_score(first_N, second_N))
        found.append(Agreement(rater_a, rater_b, label, len(pairs), agreed, kappa))
    return sorted(found, key=lambda a: (a.rater_a, a.rater_b, a.label is not None, a.label or ""))
