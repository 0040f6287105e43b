"""How many of the first suspects are wrong: expectation and interval.

Each scenario (see `class_noise.Scenario`) gives each suspect a probability of being wrong. Under one scenario the
number of wrong ones among the first is a sum of independent events (the Poisson binomial distribution); what is known
is the mixture over the scenarios. Its interval is wider than chance alone makes it, since all suspects stand or fall
together with the share of wrong labels and with how often models err where they are sure.

Shape suffixes: S suspects, W ways in which things may be, C counts.
"""

import numpy as np

from phonolake.analysis.labels.noise_rates import NoiseEstimate

# Where fewer suspects than this are listed, or nobody counts as many, the rest is left out.
MOST_COUNTED = 500
CONFIDENCE = 0.95


def count_wrong(
    noise: NoiseEstimate, rows: np.ndarray, columns: np.ndarray, *, most: int = MOST_COUNTED
) -> list[tuple[float, int, int]]:
    """Wrong ones among the first suspect, the first two, and so on.

    Parameters
    ----------
    rows, columns : ndarray of int, shape (S,)
        Places of the suspects in the matrix of labels, in their order.
    most : int
        Count among so many of the first at most.

    Returns
    -------
    list of (expected, low, high)
        The mean, and the ends of a 95 % interval; one for each of the first `most` suspects. Nothing where no scenario
        is known.
    """
    if not noise.scenarios:
        return []
    rows, columns = rows[:most], columns[:most]
    weight_W = np.concatenate([np.full(len(one.real_D), one.weight / len(one.real_D)) for one in noise.scenarios])
    p_WS = np.concatenate(
        [one.real_D[:, None] * one.wrong[rows, columns].astype(np.float64) for one in noise.scenarios]
    )
    found = []
    chance_WC = np.ones((len(weight_W), 1))
    tail = (1 - CONFIDENCE) / 2
    for p_W in p_WS.T:
        wider_WC = np.zeros((len(weight_W), chance_WC.shape[1] + 1))
        wider_WC[:, :-1] = chance_WC * (1 - p_W)[:, None]
        wider_WC[:, 1:] += chance_WC * p_W[:, None]
        chance_WC = wider_WC
        chance_C = weight_W @ chance_WC
        below_C = np.cumsum(chance_C) / chance_C.sum()
        low, high = (int(np.searchsorted(below_C, end - 1e-12)) for end in (tail, 1 - tail))
        found.append((float(chance_C @ np.arange(len(chance_C)) / chance_C.sum()), low, high))
    return found
