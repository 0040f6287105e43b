"""Spectrograms as pictures in the colours of matplotlib's map "jet", which image networks were given.

A drawing program shows each cell as a rectangle of one colour and scales the drawing smoothly: here each pixel is the
mean of the colours that it covers, by area.
"""

from functools import cache

import numpy as np

# Where red, green and blue change their slope, in matplotlib's map "jet".
JET = (
    ((0, 0), (0.35, 0), (0.66, 1), (0.89, 1), (1, 0.5)),
    ((0, 0), (0.125, 0), (0.375, 1), (0.64, 1), (0.91, 0), (1, 0)),
    ((0, 0.5), (0.11, 1), (0.34, 1), (0.65, 0), (1, 0)),
)
SHADES = 256


def draw(values_FT: np.ndarray, side: int) -> np.ndarray:
    """Draw values, of which those from 0 to 1 are told apart.

    Returns
    -------
    np.ndarray of float32, shape (3, side, side)
        Red, green and blue from 0 to 1; the first row is the top of the picture, where the highest frequency lies.
    """
    n_bands, n_frames = values_FT.shape
    shade_FT = np.clip(values_FT[::-1] * SHADES, 0, SHADES - 1).astype(np.int64)
    vertical, horizontal = coverage(side, n_bands), coverage(side, n_frames)
    return np.stack([vertical @ channel[shade_FT] @ horizontal.T for channel in jet()])


@cache
def jet() -> np.ndarray:
    """The colour map: float32 of shape (3, 256)."""
    at = np.linspace(0, 1, SHADES)
    return np.stack([np.interp(at, [x for x, _ in points], [level for _, level in points]) for points in JET]).astype(
        np.float32
    )


@cache
def coverage(n_pixels: int, n_cells: int) -> np.ndarray:
    """Part of each pixel that each cell covers when both fill one length: float32 of shape (n_pixels, n_cells)."""
    pixels, cells = np.arange(n_pixels)[:, None] / n_pixels, np.arange(n_cells)[None, :] / n_cells
    overlap = np.minimum(pixels + 1 / n_pixels, cells + 1 / n_cells) - np.maximum(pixels, cells)
    return (np.maximum(0.0, overlap) * n_pixels).astype(np.float32)
