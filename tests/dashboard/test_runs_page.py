"""The page Runs: models of tags, two runs side by side, and figures that people checked by listening again."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import roc_auc_score
from streamlit.testing.v1 import AppTest

from phonolake.lineage import CODE_VERSION
from phonolake.store.lake import Lake

OpenPage = Callable[..., AppTest]
TAGS = ("live", "loud", "slow")
SKILLS = (0.3, 0.8, 1.5, 3.0)


@pytest.fixture(scope="module")
def truth(toy: ModuleType) -> np.ndarray:
    """Whether each track has each tag."""
    return np.random.default_rng(1).random((toy.N_TRACKS, len(TAGS))) < 0.5


@pytest.fixture(scope="module")
def given(truth: np.ndarray) -> np.ndarray:
    """The same, but every fourth track lacks the tags that it should have."""
    found = truth.copy()
    found[::4] = False
    found[0] = True
    return found


@pytest.fixture(scope="module")
def probabilities(truth: np.ndarray) -> dict[str, np.ndarray]:
    """What four taggers say, each better than the one before."""
    noise = np.random.default_rng(2).standard_normal(truth.shape)
    return {
        f"tagger-{k}": np.float32(1 / (1 + np.exp(1.5 - skill * 2 * truth - noise))) for k, skill in enumerate(SKILLS)
    }


@pytest.fixture(scope="module")
def tag_lake(
    tmp_path_factory: pytest.TempPathFactory,
    toy: ModuleType,
    given: np.ndarray,
    probabilities: dict[str, np.ndarray],
) -> Path:
    """Tracks with several tags each, and four taggers that were tested on all of them."""
    rows = toy.recordings() | {name: [] for name in ("predictions", "models", "runs", "metrics")}
    rows["labels"] = [
        {"track_id": toy.track_id(n), "label": TAGS[k], "value": 1, "source": "tags"} for n, k in np.argwhere(given)
    ]
    for hour, (run_id, p_NK) in enumerate(probabilities.items()):
        about = {"model": run_id, "run_id": run_id, "part": "test", "source_shard": "s", "code_version": CODE_VERSION}
        rows["predictions"] += [
            about | {"track_id": toy.track_id(n), "label": TAGS[k], "probability": float(p)}
            for (n, k), p in np.ndenumerate(p_NK)
        ]
        rows["models"].append(
            {"run_id": run_id, "model": run_id, "input": "features:mfcc-120", "labels": list(TAGS), "split": "fixed"}
            | {"test_fold": None, "card": '{"config": {"labels": "tags"}}', "code_version": CODE_VERSION}
        )
        rows["runs"].append(toy.run_row(run_id, hour) | {"config": '{"labels": "tags"}'})
        rows["metrics"].append(
            {"run_id": run_id, "part": "test", "metric": "roc-auc", "value": auc(given, p_NK), "chance": 0.5}
            | {"n": toy.N_TRACKS}
        )
        rows["metrics"] += [
            {"run_id": run_id, "part": "test", "metric": "roc-auc", "label": tag, "value": 0.5, "n": toy.N_TRACKS}
            for tag in TAGS
        ]
    # A classifier is tested on the same tracks; none of its labels was asked about.
    other = {"model": "other", "run_id": "other", "part": "test", "source_shard": "s", "code_version": CODE_VERSION}
    rows["predictions"] += [
        other | {"track_id": toy.track_id(n), "label": "Folk", "probability": 0.5} for n in range(toy.N_TRACKS)
    ]
    lake = Lake.create(tmp_path_factory.mktemp("tags") / "lake")
    toy.fill(lake, rows)
    return lake.root


@pytest.fixture
def heard_lake(tag_lake: Path, toy: ModuleType, truth: np.ndarray, tmp_path: Path) -> Path:
    """The same after somebody listened to 20 tracks for two of the tags."""
    lake = Lake.open(shutil.copytree(tag_lake, tmp_path / "lake"))
    about: dict[str, Any] = {"rater": "ann", "sample": "one", "annotated_at": datetime(2026, 1, 1, tzinfo=UTC)}
    answers = [
        about | {"track_id": toy.track_id(n), "label": TAGS[k], "value": int(truth[n, k])}
        for n in range(20)
        for k in range(2)
    ]
    toy.fill(lake, {"annotations": answers})
    return lake.root


def auc(y_NK: np.ndarray, p_NK: np.ndarray) -> float:
    return float(roc_auc_score(y_NK, p_NK, average="macro"))


def shown(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def told(app: AppTest) -> str:
    return "\n".join(box.value for kind in (app.info, app.error) for box in kind)


@pytest.mark.parametrize("show", ["Curves", "Classes", "Confusion", "ROC", "Compare", "Checked by ear"])
def test_a_tagger_opens_in_every_part(open_page: OpenPage, tag_lake: Path, show: str) -> None:
    app = open_page(tag_lake, "runs", show=show)
    assert not app.exception
    assert not app.error
    # Tags are not told apart like classes, and what guessing reaches stands beside what was reached.
    assert next(iter(shown(app))) == "ROC-AUC (chance 0.500)"
    assert not [label for label in shown(app) if "Accuracy" in label]


def test_taggers_are_compared_by_areas_only(
    open_page: OpenPage, tag_lake: Path, given: np.ndarray, probabilities: dict[str, np.ndarray]
) -> None:
    app = open_page(tag_lake, "runs", run="tagger-1", other="tagger-3")
    assert not app.exception
    figures = {metric.label: metric for metric in app.metric}
    compared = figures["ROC-AUC of tagger-3"]
    first, second = auc(given, probabilities["tagger-1"]), auc(given, probabilities["tagger-3"])
    assert compared.value == f"{second:.3f}"
    assert compared.delta == f"{second - first:+.3f}"
    assert not [label for label in figures if "McNemar" in label]
    (interval,) = [c.value for c in app.caption if c.value.startswith("difference")][:1]
    low, high = (float(word) for word in interval.split() if word[0] in "+-")
    assert low < second - first < high


def test_two_runs_are_compared_on_their_common_tracks(open_page: OpenPage, toy: ModuleType, full_lake: Path) -> None:
    """The network was tested on every fifth track, the forest on all, and both say the same."""
    app = open_page(full_lake, "runs", run=toy.NETWORK, other=toy.FOREST)
    assert not app.exception
    assert not app.error
    figures = shown(app)
    assert figures["Accuracy of random-forest"] == "1.000"
    assert (figures["Both right"], figures["Neither"], figures["p (McNemar, exact)"]) == ("6", "0", "1.000")
    assert "On the 6 test tracks that both scored (100% of those of k2c2, 20% of random\\-forest)" in "".join(
        caption.value for caption in app.caption
    )


def test_the_best_measured_training_comes_first(open_page: OpenPage, toy: ModuleType, tmp_path: Path) -> None:
    """Five folds with their mean before one of a few tracks, and that before a tagger of which nothing was measured."""
    rows = toy.recordings() | {name: [] for name in ("predictions", "models", "runs", "metrics")}
    trained = [("forest", fold, 0.70 + fold / 100, 40, 1) for fold in range(1, 6)]
    trained += [("forest", 1, 0.9, 40, 0), ("lucky", None, 1.0, 6, 2), ("tagger", None, None, 0, 3)]
    for model, fold, value, n, hour in trained:
        run_id = f"{model}-{fold}-{hour}"
        rows["runs"].append(toy.run_row(run_id, hour))
        rows["models"].append(
            {"run_id": run_id, "model": model, "input": "features:mfcc-120", "labels": list(toy.CLASSES)}
            | {"split": "folds", "test_fold": fold, "card": "{}", "code_version": CODE_VERSION}
        )
        if value is not None:
            rows["metrics"].append(
                {"run_id": run_id, "part": "test", "metric": "accuracy", "value": value, "chance": 0.4, "n": n}
            )
    lake = Lake.create(tmp_path / "lake")
    toy.fill(lake, rows)
    app = open_page(lake.root, "runs")
    assert not app.exception
    table = app.dataframe[0].value
    assert table["training"].tolist() == ["forest", "lucky", "tagger"]
    assert table.loc[0, ["accuracy", "n", "folds", "chance", "seconds"]].tolist() == ["0.730 ± 0.016", 200, 5, 0.4, 300]
    assert shown(app) == {"Accuracy (chance 0.400)": "0.730 ± 0.016"}
    assert "mean ± standard deviation over 5 folds, 200 test tracks" in "".join(c.value for c in app.caption)
    folds = open_page(lake.root, "runs", show="Folds").dataframe[1].value
    assert folds["accuracy"].tolist() == pytest.approx([0.71, 0.72, 0.73, 0.74, 0.75])
    alone = open_page(lake.root, "runs", run="tagger-None-3")
    assert not alone.exception
    assert "There are no figures of tagger" in "".join(c.value for c in alone.caption)


def test_figures_are_checked_by_ear(
    open_page: OpenPage,
    heard_lake: Path,
    truth: np.ndarray,
    given: np.ndarray,
    probabilities: dict[str, np.ndarray],
) -> None:
    app = open_page(heard_lake, "runs", show="Checked by ear")
    assert not app.exception
    assert not app.error
    heard = np.s_[:20, :2]
    by_given = [auc(given[heard], p[heard]) for p in probabilities.values()]
    by_ear = [auc(truth[heard], p[heard]) for p in probabilities.values()]
    everything = [auc(given, p) for p in probabilities.values()]
    table = next(frame.value for frame in app.dataframe if "auc_all" in frame.value).set_index("run_id")
    np.testing.assert_allclose(table["auc_given"], by_given)
    np.testing.assert_allclose(table["auc_annotated"], by_ear)
    np.testing.assert_allclose(table["auc_all"], everything)
    figures = {label[:2]: value for label, value in shown(app).items()}
    assert figures["ρ₁"] == f"{pearsonr(by_given, by_ear).statistic:.3f}"
    assert figures["ρ₂"] == f"{pearsonr(by_given, everything).statistic:.3f}"
    tags = next(frame.value for frame in app.dataframe if "label" in frame.value)
    assert tags[["label", "n"]].values.tolist() == [["live", 20], ["loud", 20]]


def test_nobody_listened_to_test_tracks_yet(open_page: OpenPage, tag_lake: Path) -> None:
    app = open_page(tag_lake, "runs", show="Checked by ear")
    assert not app.exception
    assert "page Re\\-annotate" in told(app)


def test_compare_begins_with_one_that_was_tested_on_the_same_tracks(
    open_page: OpenPage, toy: ModuleType, tmp_path: Path
) -> None:
    """And not with a better one that was not."""
    rows = toy.recordings() | toy.derived()
    rows["models"].append(rows["models"][0] | {"run_id": "apart-0", "model": "apart"})
    rows["runs"].append(toy.run_row("apart-0", 3))
    rows["metrics"].append(
        {"run_id": "apart-0", "part": "test", "metric": "accuracy", "value": 0.95, "chance": 0.4, "n": toy.N_TRACKS}
    )
    rows["predictions"] += [
        row | {"run_id": "apart-0", "model": "apart", "part": "test"}
        for row in rows["predictions"]
        if row["run_id"] == toy.NETWORK and row["part"] == "train"
    ]
    lake = Lake.create(tmp_path / "lake")
    toy.fill(lake, rows)
    app = open_page(lake.root, "runs", run=toy.NETWORK, show="Compare")
    assert not app.exception
    assert not app.error
    assert "Accuracy of random-forest" in [metric.label for metric in app.metric]
