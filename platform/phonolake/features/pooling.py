"""Values of a long recording from those of its parts, by what the columns say they are."""

import numpy as np

from phonolake.errors import AudioError


def pool(columns: tuple[str, ...], values_WK: np.ndarray, weights_W: np.ndarray) -> np.ndarray:
    """Describe a recording by what its parts were described by.

    Means are weighted means; a standard deviation beside a mean of the same name is that of all frames together; the
    smallest minimum and the largest maximum count; tempo is the (lower) weighted median, which is one that was found.
    Other values, such as medians and skewness, are weighted means, which only approximate those of the whole.

    Parameters
    ----------
    columns : tuple of str
        Names of the values.
    values_WK : np.ndarray, shape (n_parts, n_columns)
    weights_W : np.ndarray, shape (n_parts,)
        Lengths of the parts.

    Returns
    -------
    np.ndarray of float64, shape (n_columns,)
    """
    if not len(values_WK):
        raise AudioError("too-short", "not one window of the recording could be described")
    share_W = np.asarray(weights_W, np.float64) / np.sum(weights_W)
    mean_K = share_W @ values_WK
    pooled_K, where = mean_K.copy(), {name: k for k, name in enumerate(columns)}
    for name, k in where.items():
        middle = where.get(name.replace("std", "mean"))
        if "_std" in name and middle is not None:
            within = share_W @ values_WK[:, k] ** 2
            pooled_K[k] = np.sqrt(within + share_W @ (values_WK[:, middle] - mean_K[middle]) ** 2)
        elif "_min" in name:
            pooled_K[k] = values_WK[:, k].min()
        elif "_max" in name:
            pooled_K[k] = values_WK[:, k].max()
        elif name == "tempo":
            pooled_K[k] = _lower_median(values_WK[:, k], share_W)
    return pooled_K


def _lower_median(x_W: np.ndarray, share_W: np.ndarray) -> float:
    order = np.argsort(x_W, kind="stable")
    return float(x_W[order][np.searchsorted(np.cumsum(share_W[order]), 0.5 - 1e-9)])
