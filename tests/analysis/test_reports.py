"""Splits that leak, figures and the clips behind them, licences: against tables written by hand."""

from datetime import UTC, datetime

import duckdb
import numpy as np
import pytest

from phonolake.analysis.collection import licences, splits
from phonolake.analysis.results import coverage
from phonolake.errors import PhonolakeError, UsageError
from phonolake.lineage import fingerprint
from phonolake.metrics import classification


def insert(lake: duckdb.DuckDBPyConnection, table: str, **values: object) -> None:
    names = ", ".join(values)
    marks = ", ".join(f"${n + 1}" for n in range(len(values)))
    lake.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(values.values()))


def add(
    lake: duckdb.DuckDBPyConnection, track: str, part: str | int, *, split: str = "official", **facts: object
) -> None:
    """A track in one part (text) or fold (number) of a split."""
    dataset = track.partition(":")[0]
    base = {"duration_seconds": 3600.0, "config_hash": "", "code_version": "", "source_id": "", "dataset": dataset}
    numbers = {key: facts.pop(key, None) for key in ("artist_id", "album_id")}
    insert(lake, "tracks", track_id=track, **base, **facts)
    insert(lake, "metadata", track_id=track, attributes="{}", metadata_hash="", **numbers)
    side = {"part": part} if isinstance(part, str) else {"fold": part}
    insert(lake, "splits", track_id=track, split=split, **side)


def duplicate(lake: duckdb.DuckDBPyConnection, one: str, two: str, kind: str = "near") -> None:
    stamp = {"config_hash": "", "code_version": ""}
    insert(lake, "duplicates", track_id=one, other_id=two, kind=kind, similarity=0.9, offset_seconds=0.0, **stamp)


# -- splits ------------------------------------------------------------------------------------------------------------


def kinds(lake: duckdb.DuckDBPyConnection, split: str | None = None) -> list[tuple]:
    return [(leak.kind, leak.what, leak.sides, leak.n_tracks) for leak in splits.check(lake, split)]


def test_a_split_without_leaks_is_clean(lake: duckdb.DuckDBPyConnection) -> None:
    add(lake, "a:1", "train", artist="X", album="One")
    add(lake, "a:2", "train", artist="X", album="One")
    add(lake, "a:3", "test", artist="Y", album="Two")
    duplicate(lake, "a:1", "a:2")
    assert splits.check(lake) == []


def test_an_artist_on_two_sides_is_found_however_it_is_spelt(lake: duckdb.DuckDBPyConnection) -> None:
    add(lake, "a:1", "train", artist="The X")
    add(lake, "a:2", "test", artist=" the x ")
    add(lake, "a:3", "valid", artist=None)
    add(lake, "a:4", "test", artist=None)
    (leak,) = splits.check(lake)
    assert (leak.kind, leak.sides, leak.n_tracks, leak.track_id, leak.other_id) == (
        "artist",
        "test, train",
        2,
        "a:1",
        "a:2",
    )
    assert splits.unknown_artists(lake) == 2


def test_the_numbers_of_a_dataset_count_before_names(lake: duckdb.DuckDBPyConnection) -> None:
    add(lake, "a:1", "train", artist="X", artist_id="7")
    add(lake, "a:2", "test", artist="X", artist_id="8")
    add(lake, "a:3", "test", artist="X feat. Y", artist_id="7")
    (leak,) = splits.check(lake)
    assert (leak.track_id, leak.other_id) == ("a:1", "a:3")


def test_the_same_number_in_two_datasets_is_not_the_same_artist(lake: duckdb.DuckDBPyConnection) -> None:
    add(lake, "a:1", "train", artist_id="7")
    add(lake, "b:1", "test", artist_id="7")
    assert splits.check(lake) == []


def test_an_album_on_two_folds_is_found(lake: duckdb.DuckDBPyConnection) -> None:
    add(lake, "a:1", 1, album="Best of", artist="X")
    add(lake, "a:2", 2, album="best of", artist="Y")
    assert kinds(lake) == [("album", "Best of", "fold 1, fold 2", 2)]


def test_duplicates_across_sides_and_datasets_are_found(lake: duckdb.DuckDBPyConnection) -> None:
    add(lake, "a:1", "train")
    add(lake, "b:1", "test")
    add(lake, "b:2", "test")
    duplicate(lake, "a:1", "b:1")
    duplicate(lake, "b:1", "b:2")
    assert [(leak.track_id, leak.other_id) for leak in splits.check(lake)] == [("a:1", "b:1")]


def test_copies_that_are_paired_with_a_third_one_are_copies_of_each_other(lake: duckdb.DuckDBPyConnection) -> None:
    add(lake, "a:1", "train", split="other")
    add(lake, "a:2", "train")
    add(lake, "a:3", "test")
    duplicate(lake, "a:1", "a:2", "exact")
    duplicate(lake, "a:1", "a:3", "exact")
    assert [(leak.track_id, leak.other_id) for leak in splits.check(lake)] == [("a:2", "a:3")]


def test_splits_are_checked_one_by_one(lake: duckdb.DuckDBPyConnection) -> None:
    add(lake, "a:1", "train", artist="X")
    add(lake, "a:2", "test", artist="X")
    insert(lake, "splits", track_id="a:1", split="folds", fold=1)
    insert(lake, "splits", track_id="a:2", split="folds", fold=1)
    assert kinds(lake, "folds") == []
    assert len(kinds(lake, "official")) == 1
    with pytest.raises(UsageError, match="Did you mean 'folds'"):
        splits.check(lake, "fold")


def test_the_fingerprint_of_a_split_changes_with_any_of_its_rows(lake: duckdb.DuckDBPyConnection) -> None:
    add(lake, "a:1", "train")
    add(lake, "a:2", "test")
    (before,) = splits.listing(lake, 3)
    assert (before.split, before.datasets, before.n_tracks, before.sides, before.version) == (
        "official",
        "a",
        2,
        "test: 1, train: 1",
        3,
    )
    lake.execute("UPDATE splits SET part = 'valid' WHERE track_id = 'a:1'")
    (after,) = splits.listing(lake, 4)
    assert before.fingerprint != after.fingerprint


# -- coverage ----------------------------------------------------------------------------------------------------------


def train(
    lake: duckdb.DuckDBPyConnection, run: str, model: str, scores: dict[str, dict[str, float]], hour: int = 1
) -> None:
    """A run that was tested on some clips, with its probabilities."""
    moment = datetime(2026, 1, 1, hour, tzinfo=UTC)
    insert(
        lake, "runs", run_id=run, stage="train", config="{}", config_hash="", inputs=1, outputs=1, rejects=0,
        snapshot="", started_at=moment, finished_at=moment, code_version="",
    )  # fmt: skip
    labels = sorted({label for of in scores.values() for label in of})
    insert(
        lake, "models", run_id=run, model=model, input="", labels=labels, split="official", card="{}", code_version=""
    )
    insert(lake, "metrics", run_id=run, part="test", metric="accuracy", value=0.5, n=len(scores))
    for track, of in scores.items():
        for label, probability in of.items():
            insert(
                lake, "predictions", track_id=track, model=model, run_id=run, label=label, probability=probability,
                part="test", source_shard="", code_version="",
            )  # fmt: skip


def test_a_set_of_clips_has_one_fingerprint_in_any_order() -> None:
    assert fingerprint(["b", "a", "b"]) == fingerprint(["a", "b"])
    assert fingerprint(["a", "b"]) != fingerprint(["a", "c"])
    assert fingerprint(["ab"]) != fingerprint(["a", "b"])
    assert fingerprint([]) == ""


def test_a_figure_says_on_which_share_it_was_computed(lake: duckdb.DuckDBPyConnection) -> None:
    for n in range(4):
        insert(lake, "official_splits", track_id=f"a:{n}", split="official", part="test")
    insert(lake, "official_splits", track_id="a:9", split="official", part="train")
    train(lake, "r1", "forest", {f"a:{n}": {"x": 0.5, "y": 0.5} for n in range(3)})
    (found,) = coverage.runs(lake)
    assert (found.n_clips, found.n_official, found.share) == (3, 4, 0.75)
    assert found.clips == fingerprint(["a:0", "a:1", "a:2"])


def test_a_fold_is_a_share_of_its_own_clips(lake: duckdb.DuckDBPyConnection) -> None:
    """Two folds of two clips; one clip of the second is not there, and a clip of the first does not count for it."""
    for n in range(4):
        insert(lake, "official_splits", track_id=f"a:{n}", split="official", fold=n // 2 + 1)
    train(lake, "r1", "forest", {f"a:{n}": {"x": 0.5} for n in (0, 1)})
    train(lake, "r2", "forest", {f"a:{n}": {"x": 0.5} for n in (0, 2)})
    train(lake, "r3", "forest", {})
    lake.execute("UPDATE models SET test_fold = CASE run_id WHEN 'r1' THEN 1 ELSE 2 END")
    found = {run.run_id: run for run in coverage.runs(lake)}
    assert [(found[run].n_official, found[run].share) for run in ("r1", "r2", "r3")] == [(2, 1.0), (2, 0.5), (2, 0.0)]
    assert found["r3"].clips is None


def test_a_split_that_nobody_published_has_no_share(lake: duckdb.DuckDBPyConnection) -> None:
    train(lake, "r1", "forest", {"a:1": {"x": 1.0, "y": 0.0}})
    (found,) = coverage.runs(lake)
    assert (found.n_official, found.share) == (None, None)


def test_two_runs_are_compared_on_their_common_clips_only(lake: duckdb.DuckDBPyConnection) -> None:
    rng = np.random.default_rng(0)
    truth = {f"a:{n}": "xyz"[n % 3] for n in range(30)}
    for track, label in truth.items():
        insert(lake, "labels", track_id=track, label=label, value=1, source="dataset")
    scores = {
        name: {f"a:{n}": dict(zip("xyz", rng.dirichlet([1, 1, 1]), strict=True)) for n in range(low, high)}
        for name, low, high in (("r1", 0, 20), ("r2", 10, 30))
    }
    train(lake, "r1", "forest", scores["r1"])
    train(lake, "r2", "svm", scores["r2"])
    found = {c.metric: c for c in coverage.compare(lake, "r1", "svm")}
    common = sorted(f"a:{n}" for n in range(10, 20))
    y = np.array(["xyz".index(truth[t]) for t in common])
    for run, side in (("r1", "first"), ("r2", "second")):
        p = np.array([[np.float32(scores[run][t][k]) for k in "xyz"] for t in common])
        assert getattr(found["accuracy"], side) == (p.argmax(axis=1) == y).mean()
        auc = classification.macro(classification.roc_auc(y_true=y, scores=p))
        assert getattr(found["roc-auc"], side) == pytest.approx(auc)
    assert {c.n_clips for c in found.values()} == {10}
    assert {(c.share_of_first, c.share_of_second) for c in found.values()} == {(0.5, 0.5)}
    assert {c.clips for c in found.values()} == {fingerprint(common)}


def test_the_difference_of_two_runs_has_an_interval(lake: duckdb.DuckDBPyConnection) -> None:
    """That of accuracies is what the pairs say by themselves: the deviation of right minus right, over root n."""
    rng = np.random.default_rng(0)
    n, truth = 200, {}
    for k in range(n):
        truth[f"a:{k:03}"] = "xy"[k % 2]
        insert(lake, "labels", track_id=f"a:{k:03}", label="xy"[k % 2], value=1, source="dataset")
    right = {"r1": rng.random(n) < 0.7, "r2": rng.random(n) < 0.8}
    for run, model in (("r1", "forest"), ("r2", "svm")):
        said = {
            track: {label: 0.9 if right[run][k] else 0.1, "yx"["xy".index(label)]: 0.1 if right[run][k] else 0.9}
            for k, (track, label) in enumerate(truth.items())
        }
        train(lake, run, model, said)
    found = {c.metric: c for c in coverage.compare(lake, ["r1"], ["r2"])}["accuracy"]
    difference = right["r2"].astype(float) - right["r1"]
    assert found.difference == pytest.approx(difference.mean())
    reach = 1.96 * difference.std(ddof=1) / np.sqrt(n)
    assert (found.high - found.low) / 2 == pytest.approx(reach, rel=0.4)
    assert (found.high + found.low) / 2 == pytest.approx(found.difference)
    same = coverage.compare(lake, ["r1"], ["r1"])[0]
    assert (same.low, same.high) == (0, 0)


def test_figures_of_different_splits_are_not_set_side_by_side_silently(lake: duckdb.DuckDBPyConnection) -> None:
    scores = {f"a:{n}": {"x": 0.6, "y": 0.4} for n in range(4)}
    for n, track in enumerate(scores):
        insert(lake, "labels", track_id=track, label="xy"[n % 2], value=1, source="dataset")
    for run, model in (("r1", "forest"), ("r2", "svm"), ("r3", "net")):
        train(lake, run, model, scores)
    lake.execute("UPDATE models SET split = 'random-5-seed-1' WHERE run_id = 'r3'")
    same, other = coverage.compare(lake, "forest", "svm"), coverage.compare(lake, "forest", "r3")
    assert {c.splits for c in same} == {"official"}
    assert coverage.warning(same) == ""
    assert {c.splits for c in other} == {"official against random-5-seed-1"}
    assert "splits differ (official against random-5-seed-1)" in coverage.warning(other)


def test_clips_with_several_labels_have_no_accuracy(lake: duckdb.DuckDBPyConnection) -> None:
    for track, labels in {"a:1": "x", "a:2": "xy", "a:3": "y"}.items():
        for label in labels:
            insert(lake, "labels", track_id=track, label=label, value=1, source="dataset")
    scores = {"a:1": {"x": 0.9, "y": 0.1}, "a:2": {"x": 0.8, "y": 0.7}, "a:3": {"x": 0.2, "y": 0.6}}
    train(lake, "r1", "forest", scores)
    train(lake, "r2", "svm", {t: {k: 1 - p for k, p in of.items()} for t, of in scores.items()})
    found = {c.metric: (c.first, c.second) for c in coverage.compare(lake, "r1", "r2")}
    assert found["roc-auc"] == (1.0, 0.0)
    assert found.keys() == {"roc-auc", "pr-auc"}


def test_runs_that_cannot_be_compared_say_why(lake: duckdb.DuckDBPyConnection) -> None:
    train(lake, "r1", "forest", {"a:1": {"x": 1.0, "y": 0.0}})
    train(lake, "r2", "svm", {"a:2": {"x": 1.0, "y": 0.0}})
    train(lake, "r3", "net", {"a:1": {"x": 1.0, "z": 0.0}})
    train(lake, "r4", "tree", {})
    for other, says in (("r2", "no common test clip"), ("r3", "different labels"), ("r4", "phonolake score --run r4")):
        with pytest.raises(PhonolakeError, match=says):
            coverage.compare(lake, "r1", other)
    with pytest.raises(UsageError, match="unknown run or model"):
        coverage.compare(lake, "r1", "r5")


# -- licences ----------------------------------------------------------------------------------------------------------


def test_licences_are_counted_and_filtered(lake: duckdb.DuckDBPyConnection) -> None:
    for n, licence in enumerate(["CC BY 4.0", "CC BY 4.0", "CC BY-NC 4.0", None]):
        add(lake, f"a:{n}", "train", licence=licence)
    found = [(x.licence, x.n_tracks, x.hours, x.share) for x in licences.listing(lake)]
    assert found == [("CC BY 4.0", 2, 2.0, 0.5), ("CC BY-NC 4.0", 1, 1.0, 0.25), (None, 1, 1.0, 0.25)]
    assert [x.licence for x in licences.listing(lake, pattern="nc")] == ["CC BY-NC 4.0"]
    assert [row[0] for row in licences.tracks(lake, "cc by 4")] == ["a:0", "a:1"]
