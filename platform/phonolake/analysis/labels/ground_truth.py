"""How often given labels are right, from a sample that raters checked (Choi et al. 2018, Sec. III-B, Table I).

The sample is stratified: for each label some tracks that have it and some that have not. The raters' answers count as
true, so each label has two error rates: p+, of the tracks with the label that should not have it, and p-, of those
without that should.

Shape suffixes: A answers, B bootstrap samples.

References
----------
.. [1] G. Zou, A. Donner, "Construction of confidence limits about effect measures: a general approach",
       Statistics in Medicine 27, 2008 (limits of a sum from the limits of its parts).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phonolake.analysis.labels.reannotation import Answers, CollectionCounts
from phonolake.errors import UsageError
from phonolake.metrics.intervals import CONFIDENCE, wilson


@dataclass(frozen=True, slots=True)
class Checked:
    """Answers about one label, counted: of `n_positive` tracks with the label, `n_positive_wrong` should not have it;
    of `n_negative` without, `n_negative_wrong` should."""

    label: str
    n_positive: int
    n_positive_wrong: int
    n_negative: int
    n_negative_wrong: int

    def __post_init__(self) -> None:
        for wrong, n in ((self.n_positive_wrong, self.n_positive), (self.n_negative_wrong, self.n_negative)):
            if not 0 <= wrong <= n:
                raise UsageError(f"{self.label}: {wrong} wrong of {n} cannot be")


@dataclass(frozen=True, slots=True)
class Validation:
    """One row of Table I. NaN for values that the sample does not determine.

    Parameters
    ----------
    error_positive, error_negative : float
        p+ and p-, each with its Wilson interval.
    precision : float
        1 - p+.
    recall : float
        (1 - p+) / (1 - p+ + p-), with its bootstrap interval: the share found of what holds, were half of the tracks
        given the label. It is what the paper prints, and its measure of tagability.
    tagability : float
        The share of tracks with the label among those of the whole collection that should have it.
    n_given : int
        Tracks of the collection with the label; `share_given` of all.
    n_estimated : float
        Tracks that should have it (Eq. 2), with the interval from the limits of both rates [1]_, and from a bootstrap.
    """

    label: str
    n_positive: int
    n_negative: int
    error_positive: float
    error_positive_low: float
    error_positive_high: float
    error_negative: float
    error_negative_low: float
    error_negative_high: float
    precision: float
    recall: float
    recall_low: float
    recall_high: float
    tagability: float
    n_given: int
    share_given: float
    n_estimated: float
    n_estimated_low: float
    n_estimated_high: float
    n_bootstrap_low: float
    n_bootstrap_high: float
    share_estimated: float


@dataclass(frozen=True, slots=True)
class SecondSample:
    """A comparison of an estimate with another sample, drawn at random from all tracks.

    Parameters
    ----------
    share : float
        Of the second sample's tracks, those where the label holds, with its Wilson interval.
    closer : bool
        Whether the estimate is closer to it than the share of tracks that were given the label.
    compatible : bool
        Whether the intervals of estimate and second sample meet.
    """

    label: str
    n: int
    n_positive: int
    share: float
    share_low: float
    share_high: float
    share_given: float
    share_estimated: float
    closer: bool
    compatible: bool


def tally(label_A: Sequence[str], given_A: np.ndarray, answer_A: np.ndarray) -> list[Checked]:
    """Count answers, label by label in order of their names.

    Parameters
    ----------
    label_A : sequence of str
        Label that was asked about.
    given_A : ndarray
        1 where the track was given the label, else 0.
    answer_A : ndarray
        1 where it holds, 0 where it does not, NaN where nobody said.

    Raises
    ------
    UsageError
        If the lengths differ, or a value is none of these.
    """
    labels = np.asarray(label_A, str)
    given, answer = np.asarray(given_A, np.float64), np.asarray(answer_A, np.float64)
    if not labels.shape == given.shape == answer.shape:
        raise UsageError(
            f"one label, given value and answer each; received {len(labels)}, {given.shape} and {answer.shape}"
        )
    if not np.isin(given, (0, 1)).all() or not (np.isnan(answer) | np.isin(answer, (0, 1))).all():
        raise UsageError("labels are 0 or 1, received other values")
    checked = []
    for label in np.unique(labels):
        mine = (labels == label) & ~np.isnan(answer)
        with_it, without = mine & (given == 1), mine & (given == 0)
        wrong = int((answer[with_it] == 0).sum()), int((answer[without] == 1).sum())
        checked.append(Checked(str(label), int(with_it.sum()), wrong[0], int(without.sum()), wrong[1]))
    return checked


def estimated_count(n_given: float, n_tracks: float, p_positive: float, p_negative: float) -> float:
    """Tracks that should have a label: N+ (1 - p+) + (T - N+) p- (Eq. 2)."""
    return n_given * (1 - p_positive) + (n_tracks - n_given) * p_negative


def validate(
    checked: Checked,
    *,
    n_given: int,
    n_tracks: int,
    confidence: float = CONFIDENCE,
    n_bootstrap: int = 10_000,
    seed: int = 0,
) -> Validation:
    """Validate one label by its sample.

    Parameters
    ----------
    n_given, n_tracks : int
        Tracks of the collection with the label (N+), and all of them (T).
    n_bootstrap : int
        Samples drawn again from the sample, for the bootstrap intervals.

    Raises
    ------
    UsageError
        If more tracks were given the label than there are.
    """
    if not 0 <= n_given <= n_tracks:
        raise UsageError(f"{checked.label}: {n_given} tracks of {n_tracks} cannot have it")
    p_plus = _share(checked.n_positive_wrong, checked.n_positive)
    p_minus = _share(checked.n_negative_wrong, checked.n_negative)
    plus_low, plus_high = _wilson(checked.n_positive_wrong, checked.n_positive, confidence)
    minus_low, minus_high = _wilson(checked.n_negative_wrong, checked.n_negative, confidence)
    # Where no track was given the label, how many of those are wrong does not matter.
    plus = p_plus if n_given else 0.0
    estimate = estimated_count(n_given, n_tracks, plus, p_minus)
    n_not = n_tracks - n_given
    # The farther limits of both parts, put together as independent errors are.
    below = np.hypot(n_given * (plus_high - plus), n_not * (p_minus - minus_low))
    above = np.hypot(n_given * (plus - plus_low), n_not * (minus_high - p_minus))
    recall_limits, count_limits = _bootstrap(checked, n_given, n_tracks, confidence, n_bootstrap, seed)
    return Validation(
        label=checked.label,
        n_positive=checked.n_positive,
        n_negative=checked.n_negative,
        error_positive=p_plus,
        error_positive_low=plus_low,
        error_positive_high=plus_high,
        error_negative=p_minus,
        error_negative_low=minus_low,
        error_negative_high=minus_high,
        precision=1 - p_plus,
        recall=float(_recall(p_plus, p_minus)),
        recall_low=recall_limits[0],
        recall_high=recall_limits[1],
        tagability=_share(n_given * (1 - plus), estimate),
        n_given=n_given,
        share_given=_share(n_given, n_tracks),
        n_estimated=estimate,
        n_estimated_low=float(max(0.0, estimate - below)),
        n_estimated_high=float(min(n_tracks, estimate + above)),
        n_bootstrap_low=count_limits[0],
        n_bootstrap_high=count_limits[1],
        share_estimated=_share(estimate, n_tracks),
    )


def check(validation: Validation, *, n: int, n_positive: int, confidence: float = CONFIDENCE) -> SecondSample:
    """Compare an estimate with a second, random sample: the label holds for `n_positive` of `n` tracks."""
    low, high = _wilson(n_positive, n, confidence)
    share = _share(n_positive, n)
    n_tracks = validation.n_given / validation.share_given if validation.share_given else float("nan")
    estimate_low, estimate_high = validation.n_estimated_low / n_tracks, validation.n_estimated_high / n_tracks
    return SecondSample(
        label=validation.label,
        n=n,
        n_positive=n_positive,
        share=share,
        share_low=low,
        share_high=high,
        share_given=validation.share_given,
        share_estimated=validation.share_estimated,
        closer=abs(validation.share_estimated - share) < abs(validation.share_given - share),
        compatible=estimate_low <= high and low <= estimate_high,
    )


def validate_all(
    answers: Answers, counts: CollectionCounts, *, confidence: float = CONFIDENCE, seed: int = 0
) -> list[Validation]:
    """Validate every label with answers, in order of their names.

    Raises
    ------
    UsageError
        If it is not known which tracks were given a label, or how many.
    """
    if np.isnan(answers.given).any():
        raise UsageError("the answers do not say which tracks were given the label: they need the column given")
    checked = tally(answers.label, answers.given, answers.answer)
    for one in checked:
        if one.n_positive and one.label not in counts.given:
            raise UsageError(
                f"no count of tracks with {one.label!r}, which some were given; counts: "
                f"{', '.join(sorted(counts.given)) or 'none'}"
            )
    return [
        validate(
            one, n_given=counts.given.get(one.label, 0), n_tracks=counts.n_tracks, confidence=confidence, seed=seed
        )
        for one in checked
    ]


def check_all(
    validations: Sequence[Validation], second: Answers, *, confidence: float = CONFIDENCE
) -> list[SecondSample]:
    """Compare estimates with a second sample, for their common labels.

    Raises
    ------
    UsageError
        If they have no label in common.
    """
    label_A = np.asarray(second.label, str)
    found = [
        check(one, n=int(mine.sum()), n_positive=int(second.answer[mine].sum()), confidence=confidence)
        for one in validations
        if (mine := label_A == one.label).any()
    ]
    if not found:
        raise UsageError(f"the second sample is about none of {', '.join(one.label for one in validations)}")
    return found


def _bootstrap(
    checked: Checked, n_given: int, n_tracks: int, confidence: float, n_bootstrap: int, seed: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Percentile intervals of recall and of the estimated count."""
    if not checked.n_positive or not checked.n_negative:
        return (float("nan"),) * 2, (float("nan"),) * 2
    rng = np.random.default_rng(seed)
    # To draw n answers of n with replacement is to draw the number of wrong ones.
    plus_B, minus_B = (
        rng.binomial(n, wrong / n, n_bootstrap) / n
        for wrong, n in (
            (checked.n_positive_wrong, checked.n_positive),
            (checked.n_negative_wrong, checked.n_negative),
        )
    )
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    recall_B = _recall(plus_B, minus_B)
    known_B = ~np.isnan(recall_B)
    recall = np.quantile(recall_B[known_B], tails) if known_B.any() else (np.nan, np.nan)
    count = np.quantile(n_given * (1 - plus_B) + (n_tracks - n_given) * minus_B, tails)
    return (float(recall[0]), float(recall[1])), (float(count[0]), float(count[1]))


def _wilson(hits: int, trials: int, confidence: float) -> tuple[float, float]:
    low, high = wilson(hits, trials, confidence=confidence)
    return float(low), float(high)


def _recall(p_plus: np.ndarray | float, p_minus: np.ndarray | float) -> np.ndarray:
    found = 1 - np.asarray(p_plus)
    with np.errstate(invalid="ignore"):
        return found / (found + p_minus)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
