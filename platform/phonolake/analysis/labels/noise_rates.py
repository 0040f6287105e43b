"""Estimate how many labels are wrong, label by label: missing and false positives separately, and which ones.

`class_noise` and `tag_noise` describe assumptions and estimation. Both separate the noise of the labels from errors of
the models, so that the latter do not count as noise.

Shape suffixes: N tracks, L labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phonolake.analysis.labels import class_noise, tag_noise
from phonolake.analysis.labels.class_noise import Scenario
from phonolake.lookup.held_out import HeldOut

# An interval wider than this is not called an estimate.
WIDEST = 0.25
NORMAL = 1.96
# How probable the lower ends of the intervals of tags are, the estimates, and the upper ends: three points for a normal
# distribution (Gauss and Hermite).
ENDS = (1 / 6, 2 / 3, 1 / 6)


@dataclass(frozen=True, slots=True)
class NoiseRate:
    """Estimated noise of one label, or of all (`label` is None).

    Parameters
    ----------
    n_given, n_true : int, float
        Tracks that have the label, and that should have it.
    n_false, n_missing : float
        Tracks that have it and should not, and that should have it and do not.
    false_rate, missing_rate : float
        Of those that have it, the share that should not (1 - precision); of those that should, the share that do not
        (1 - recall). NaN where there are none.
    false_low, false_high, missing_low, missing_high : float
        95 % intervals of the two shares; NaN if unknown.
    """

    label: str | None
    n_tracks: int
    n_given: int
    n_true: float
    n_false: float
    n_missing: float
    false_rate: float
    missing_rate: float
    false_low: float = float("nan")
    false_high: float = float("nan")
    missing_low: float = float("nan")
    missing_high: float = float("nan")


@dataclass(frozen=True, slots=True)
class NoiseEstimate:
    """The noise of the labels of a collection.

    Parameters
    ----------
    rates : tuple of NoiseRate
        All labels together first, then each.
    scenarios : tuple of Scenario
        What may be the case: for each the probability that a value of Y is wrong, that a label which a track has is
        false, or one that it lacks missing.
    single : bool
        Whether each track has one label.
    errs_when_sure : bool
        Whether the models err about as often where they are surest: then their own errors cannot be told from wrong
        labels, the intervals begin at 0, and the scenarios are not to be trusted.
    """

    rates: tuple[NoiseRate, ...]
    scenarios: tuple[Scenario, ...]
    single: bool
    errs_when_sure: bool

    @property
    def wrong_NL(self) -> np.ndarray:  # noqa: N802
        """Probability that a value of Y is wrong, over all scenarios."""
        each = [one.weight * one.real_D.mean() * one.wrong.astype(np.float64) for one in self.scenarios]
        wrong_NL: np.ndarray = np.sum(each, axis=0)
        return wrong_NL

    @property
    def known(self) -> bool:
        """Whether the interval of the share of wrong labels is narrow enough for an estimate."""
        whole = self.rates[0]
        return not self.errs_when_sure and bool(whole.false_high - whole.false_low <= WIDEST)

    @property
    def said(self) -> str:
        """The estimate in words."""
        whole = self.rates[0]
        between = f"between {whole.false_low:.0%} and {whole.false_high:.0%}"
        if self.errs_when_sure:
            return (
                f"How many labels are wrong cannot be told, {between}: the models err about as often where they are "
                "surest, so their errors look like wrong labels. Cross-validate others too: several together may tell."
            )
        if not self.known:
            return f"How many labels are wrong can hardly be told, {between}: it takes more tracks, or better models."
        found = (
            f"About {whole.false_rate:.1%} of the {whole.n_given:,} labels are wrong (95 % interval "
            f"{whole.false_low:.1%} to {whole.false_high:.1%})"
        )
        if self.single:
            return f"{found}; the models' own errors are taken off."
        return (
            f"{found}, and {whole.missing_rate:.1%} of those that should be there are missing ({whole.missing_low:.1%} "
            f"to {whole.missing_high:.1%}); the models' own errors are taken off."
        )


def estimate(held: HeldOut) -> NoiseEstimate:
    """Estimate the noise of every label. Where each track has one, they are classes that exclude each other."""
    from threadpoolctl import threadpool_limits  # late: pages without this analysis do not need it

    P_MNL = held.by_model or (held.P_NL,)
    # The optimiser's vectors are short: threads that share them wait for each other.
    with threadpool_limits(1, "blas"):
        if held.single and len(held.labels) > 1:
            return _of_classes(held, P_MNL)
        return _of_tags(held, P_MNL)


def truly(labels: Sequence[str], given_NL: np.ndarray, true_NL: np.ndarray) -> list[NoiseRate]:
    """The same figures from a known truth."""
    given, true = np.asarray(given_NL, bool), np.asarray(true_NL, bool)
    false_L, missing_L = (given & ~true).sum(axis=0), (true & ~given).sum(axis=0)
    given_L = given.sum(axis=0)
    rates = [
        _rate(label, len(given), int(given_L[k]), float(false_L[k]), float(missing_L[k]))
        for k, label in enumerate(labels)
    ]
    return [_rate(None, len(given), int(given_L.sum()), float(false_L.sum()), float(missing_L.sum())), *rates]


def _of_classes(held: HeldOut, P_MNL: Sequence[np.ndarray]) -> NoiseEstimate:
    found = class_noise.fit(held.classes, P_MNL)
    Y, n_tracks = held.Y_NL, len(held.Y_NL)
    n_false, ends = found.share * n_tracks, (found.low, found.high)
    rates = [_rate(None, n_tracks, n_tracks, n_false, n_false, ends, ends)]
    for k, label in enumerate(held.labels):
        n_given = int(Y[:, k].sum())
        (least, false, most), (fewest, missing, greatest) = (
            _counts(found.scenarios, [float(one.wrong[rows_N, k].sum()) for one in found.scenarios], int(rows_N.sum()))
            for rows_N in (Y[:, k], ~Y[:, k])
        )
        n_true = max(n_given - false + missing, missing, 1)
        reach = least / max(n_given, 1), min(most / max(n_given, 1), 1.0)
        lacking = fewest / n_true, min(greatest / n_true, 1.0)
        if found.errs_when_sure:
            reach = lacking = (float("nan"), float("nan"))
        rates.append(_rate(label, n_tracks, n_given, false, missing, reach, lacking))
    return NoiseEstimate(tuple(rates), found.scenarios, True, found.errs_when_sure)


def _counts(scenarios: Sequence[Scenario], looks_wrong: Sequence[float], of: int) -> tuple[float, float, float]:
    """How many of `of` labels are wrong, between the ends that the scenarios and chance leave.

    By chance it varies as a count does: labels of one class may be wrong more often than those of another.
    """
    least = class_noise.quantile(scenarios, looks_wrong, class_noise.TAIL)
    value, most = (
        class_noise.quantile(scenarios, looks_wrong, asked, all_real=True) for asked in (0.5, 1 - class_noise.TAIL)
    )
    least -= NORMAL * np.sqrt(least * (1 - least / max(of, 1)))
    most += NORMAL * np.sqrt(most * (1 - most / max(of, 1)))
    return float(max(0, least)), value, float(most)


def _of_tags(held: HeldOut, P_MNL: Sequence[np.ndarray]) -> NoiseEstimate:
    Y, n_tracks = held.Y_NL, len(held.Y_NL)
    wrong_3NL = np.zeros((len(ENDS), *Y.shape), np.float32)
    rates = []
    # Counts of false and missing: below, above the estimate; squared, since tags err apart.
    off_22 = np.zeros((2, 2))
    for k, label in enumerate(held.labels):
        n_given = int(Y[:, k].sum())
        if n_given == n_tracks:
            # No track lacks it: nothing says how sure the models are of its absence.
            rates.append(_rate(label, n_tracks, n_given, 0.0, 0.0))
            continue
        found = tag_noise.fit(Y[:, k], [P_NL[:, k] for P_NL in P_MNL])
        wrong_3N = [np.where(Y[:, k], 1 - true_N, true_N) for true_N in (found.low_N, found.true_N, found.high_N)]
        wrong_3NL[:, :, k] = wrong_3N
        false, missing = float(wrong_3N[1][Y[:, k]].sum()), float(wrong_3N[1][~Y[:, k]].sum())
        n_true = float(found.true_N.sum())
        counts = ((found.false, n_tracks - n_true), (found.missing, n_true))
        for place, (share, among) in enumerate(counts):
            off_22[place] += np.square([among * (share.value - share.low), among * (share.high - share.value)])
        of_given = (n_tracks - n_true) / n_given
        ends = (min(1.0, found.false.low * of_given), min(1.0, found.false.high * of_given))
        rates.append(_rate(label, n_tracks, n_given, false, missing, ends, (found.missing.low, found.missing.high)))
    n_given, n_false = sum(r.n_given for r in rates), sum(r.n_false for r in rates)
    n_missing, n_true = sum(r.n_missing for r in rates), sum(r.n_true for r in rates)
    whole = _rate(
        None, n_tracks, n_given, n_false, n_missing, _around(n_false, off_22[0], n_given),
        _around(n_missing, off_22[1], n_true),
    )  # fmt: skip
    scenarios = [Scenario(weight, np.ones(1), wrong_NL) for weight, wrong_NL in zip(ENDS, wrong_3NL, strict=True)]
    return NoiseEstimate((whole, *rates), tuple(scenarios), False, False)


def _around(count: float, off_2: np.ndarray, of: float) -> tuple[float, float]:
    below, above = np.sqrt(off_2)
    return float(max(0, count - below) / max(of, 1)), float(min(1, (count + above) / max(of, 1)))


def _rate(
    label: str | None,
    n_tracks: int,
    given: int,
    false: float,
    missing: float,
    false_ends: tuple[float, float] = (float("nan"), float("nan")),
    missing_ends: tuple[float, float] = (float("nan"), float("nan")),
) -> NoiseRate:
    true = given - false + missing
    false_rate = false / given if given else float("nan")
    missing_rate = missing / true if true else float("nan")
    return NoiseRate(
        label, n_tracks, given, true, false, missing, false_rate, missing_rate,
        *_holding(false_rate, false_ends), *_holding(missing_rate, missing_ends),
    )  # fmt: skip


def _holding(value: float, ends: tuple[float, float]) -> tuple[float, float]:
    """An interval that holds its value: on few tracks the two come of different counts, and may lie apart."""
    return float(np.minimum(ends[0], value)), float(np.maximum(ends[1], value))
