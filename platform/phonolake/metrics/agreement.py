"""How far two raters agree beyond chance.

References
----------
.. [1] J. Cohen, "A Coefficient of Agreement for Nominal Scales", Educational and Psychological Measurement 20(1), 1960.
"""

import numpy as np

from phonolake.errors import UsageError


def cohen_kappa(first_N: np.ndarray, second_N: np.ndarray) -> float:
    """Compute Cohen's kappa [1]_: (p_o - p_e) / (1 - p_e).

    p_o is the share of items on which both say the same, p_e what two raters with these habits reach by chance.

    Parameters
    ----------
    first_N, second_N : ndarray, shape (N,)
        What each rater says of the same N items; any values that can be compared.

    Returns
    -------
    float
        At most 1; 0 at chance, negative below. NaN where both always say the same one thing, or there is no item.

    Raises
    ------
    UsageError
        If the shapes differ or are not one-dimensional.
    """
    first_N, second_N = np.asarray(first_N), np.asarray(second_N)
    if first_N.ndim != 1 or first_N.shape != second_N.shape:
        raise UsageError(f"two raters answer the same items, received shapes {first_N.shape} and {second_N.shape}")
    if not first_N.size:
        return float("nan")
    values, numbers = np.unique(np.concatenate([first_N, second_N]), return_inverse=True)
    share_2K = [np.bincount(half, minlength=len(values)) / first_N.size for half in np.split(numbers, 2)]
    expected = float(share_2K[0] @ share_2K[1])
    observed = float(np.mean(first_N == second_N))
    return (observed - expected) / (1 - expected) if expected < 1 else float("nan")
