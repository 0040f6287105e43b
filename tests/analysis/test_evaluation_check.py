"""Figures on doubtful labels beside those on good ones, against scikit-learn and scipy."""

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import roc_auc_score

from phonolake.analysis.labels.evaluation_check import as_rows, check, correlate
from phonolake.errors import UsageError


def runs_of_rising_skill(n: int = 600, n_labels: int = 6, seed: int = 0):
    """Truth, given labels that miss many positives, and five runs, each better than the one before."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((n, n_labels)) < 0.4).astype(int)
    given = truth * (rng.random(truth.shape) < 0.6)
    noise = rng.standard_normal(truth.shape)
    return truth, given, {f"run-{k}": skill * truth + noise for k, skill in enumerate((0.2, 0.5, 0.8, 1.2, 2.0))}


def test_runs_keep_their_order_on_noisy_labels():
    truth, given, scores = runs_of_rising_skill()
    answers = np.where(np.arange(6) < 2, truth, np.nan)  # two tags were listened to
    answers[400:] = np.nan
    labels = [f"tag {k}" for k in range(6)]
    found = check(scores, labels, given, answers)
    for run in found.runs:
        P = scores[run.run_id]
        assert run.auc_all == pytest.approx(roc_auc_score(given, P))
        assert run.auc_given == pytest.approx(roc_auc_score(given[:400, :2], P[:400, :2]))
        assert run.auc_annotated == pytest.approx(roc_auc_score(truth[:400, :2], P[:400, :2]))
    expected = pearsonr([r.auc_annotated for r in found.runs], [r.auc_given for r in found.runs])
    assert found.rho_1.value == pytest.approx(expected.statistic)
    interval = expected.confidence_interval(0.95)
    assert (found.rho_1.low, found.rho_1.high) == pytest.approx((interval.low, interval.high))
    assert found.rho_2.value == pytest.approx(
        pearsonr([r.auc_given for r in found.runs], [r.auc_all for r in found.runs]).statistic
    )
    assert found.rho_1.value > 0.9
    assert {(tag.label, tag.n) for tag in found.tags} == {("tag 0", 400), ("tag 1", 400)}
    # Missing positives make every run look worse than it is.
    assert all(run.auc_given < run.auc_annotated for run in found.runs[1:])
    assert len(as_rows(found)) == 5 + 10


def test_what_is_not_defined_is_not_a_number():
    assert np.isnan(correlate("r", "", [1.0], [2.0]).value)
    assert np.isnan(correlate("r", "", [1.0, 1.0], [2.0, 3.0]).value)
    three = correlate("r", "", [1.0, 2.0, 4.0, float("nan")], [1.0, 3.0, 2.0, 5.0])
    assert (three.n_runs, three.value) == (3, pytest.approx(pearsonr([1, 2, 4], [1, 3, 2]).statistic))
    assert np.isnan(three.low)
    truth, given, scores = runs_of_rising_skill()
    answers = np.full(truth.shape, np.nan)
    with pytest.raises(UsageError, match="none of the scored tracks"):
        check(scores, list("abcdef"), given, answers)
    answers[:5, 0] = 1  # one class only
    assert np.isnan(check(scores, list("abcdef"), given, answers).tags[0].auc_annotated)
    with pytest.raises(UsageError, match="differ"):
        check(scores, list("abcdef"), given[:5], answers)
