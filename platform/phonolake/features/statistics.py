"""Statistics over frames: moments of a series, and combining those of parts."""

import numpy as np

# A deviation this small beside the mean is what rounding leaves of a constant.
CONSTANT = 1e-7


def standardised(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Skewness and excess kurtosis from mean and central moments 2, 3, 4 (first axis); 0 and -3 for a constant."""
    mean, second, third, fourth = moments
    constant = second <= (CONSTANT * np.abs(mean)) ** 2
    variance = np.where(constant, 1.0, second)
    return np.where(constant, 0.0, third / variance**1.5), np.where(constant, 0.0, fourth / variance**2) - 3.0


def seven(series_TK: np.ndarray) -> dict[str, np.ndarray]:
    """The seven statistics that FMA publishes of each column, in the alphabetical order of their names."""
    x = series_TK.astype(np.float64)
    deviation = x - x.mean(axis=0)
    squared = deviation * deviation
    central = [squared.mean(axis=0), (squared * deviation).mean(axis=0), (squared * squared).mean(axis=0)]
    skew, kurtosis = standardised(np.stack([x.mean(axis=0), *central]))
    return {
        "kurtosis": kurtosis,
        "max": x.max(axis=0),
        "mean": x.mean(axis=0),
        "median": np.median(x, axis=0),
        "min": x.min(axis=0),
        "skew": skew,
        "std": np.sqrt(central[0]),
    }
