"""Combine the values of parts of a long recording."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from phonolake.errors import AudioError


@dataclass(frozen=True, slots=True)
class Pooling:
    """How the columns of a feature set are pooled; unnamed ones by their weighted mean.

    A weighted mean is exact for means, and only approximates medians, skewness and the like.

    Parameters
    ----------
    minima, maxima : frozenset of str
        The smallest, and the largest, of the parts counts.
    medians : frozenset of str
        The (lower) weighted median of the parts counts, which is one that was found.
    deviations : mapping
        Standard deviations, each with the column of the mean beside it: that of all frames together.
    """

    minima: frozenset[str] = frozenset()
    maxima: frozenset[str] = frozenset()
    medians: frozenset[str] = frozenset()
    deviations: Mapping[str, str] = field(default_factory=dict)

    def pool(self, columns: tuple[str, ...], values_WK: np.ndarray, weights_W: np.ndarray) -> np.ndarray:
        """Pool the values of the parts of a recording.

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

        Raises
        ------
        AudioError
            ``too-short`` when there is no part.
        """
        if not len(values_WK):
            raise AudioError("too-short", "no window of the recording has features")
        share_W = np.asarray(weights_W, np.float64) / np.sum(weights_W)
        mean_K = share_W @ values_WK
        pooled_K, place = mean_K.copy(), {name: k for k, name in enumerate(columns)}
        for name, k in place.items():
            x_W = values_WK[:, k]
            if (mean := self.deviations.get(name)) is not None:
                middle = place[mean]
                pooled_K[k] = np.sqrt(share_W @ x_W**2 + share_W @ (values_WK[:, middle] - mean_K[middle]) ** 2)
            elif name in self.minima:
                pooled_K[k] = x_W.min()
            elif name in self.maxima:
                pooled_K[k] = x_W.max()
            elif name in self.medians:
                pooled_K[k] = _lower_median(x_W, share_W)
        return pooled_K


def _lower_median(x_W: np.ndarray, share_W: np.ndarray) -> float:
    order = np.argsort(x_W, kind="stable")
    return float(x_W[order][np.searchsorted(np.cumsum(share_W[order]), 0.5 - 1e-9)])
