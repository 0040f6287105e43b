"""Ensembles against their definitions, and over a lake whose predictions are known.

Shape suffixes: R members, N clips, K classes.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from phonolake.analysis.results import ensembles
from phonolake.analysis.results.ensembles import average, common_clips, compare, vote
from phonolake.cli.main import main
from phonolake.cli.studies import ensemble as command
from phonolake.errors import PhonolakeError, UsageError
from phonolake.lookup.held_out import read_held_out
from phonolake.store import query, schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows

CLASSES = ["blues", "jazz", "rock"]
shapes = st.tuples(st.integers(1, 5), st.integers(1, 8), st.integers(2, 4))
quick = settings(max_examples=80)


@st.composite
def probabilities(draw):
    raw_RNK = draw(arrays(np.float64, shapes, elements=st.integers(1, 9)))
    return raw_RNK / raw_RNK.sum(axis=2, keepdims=True)


@quick
@given(probabilities())
def test_the_vote_is_that_of_a_count_with_ties_broken_by_the_mean(P_RNK):
    S_NK = vote(P_RNK)
    np.testing.assert_allclose(S_NK.sum(axis=1), 1)
    for n in range(P_RNK.shape[1]):
        votes = np.bincount([int(p.argmax()) for p in P_RNK[:, n]], minlength=P_RNK.shape[2])
        mean = P_RNK[:, n].mean(axis=0)
        tied = np.flatnonzero(votes == votes.max())
        assert S_NK[n].argmax() in tied
        assert mean[S_NK[n].argmax()] == pytest.approx(mean[tied].max())


@quick
@given(probabilities(), st.randoms(use_true_random=False))
def test_the_order_of_the_members_does_not_matter(P_RNK, random):
    order = list(range(len(P_RNK)))
    random.shuffle(order)
    np.testing.assert_allclose(average(P_RNK), average(P_RNK[order]))
    np.testing.assert_allclose(vote(P_RNK), vote(P_RNK[order]))


@quick
@given(probabilities())
def test_an_ensemble_of_one_names_what_it_names(P_RNK):
    alone = P_RNK[:1]
    np.testing.assert_array_equal(average(alone), alone[0])
    np.testing.assert_array_equal(vote(alone).argmax(axis=1), alone[0].argmax(axis=1))


def test_a_majority_beats_one_confident_member():
    P_RNK = np.array([[[0.51, 0.49]], [[0.51, 0.49]], [[0.0, 1.0]]])
    assert vote(P_RNK).argmax() == 0
    assert average(P_RNK).argmax() == 1


@pytest.mark.parametrize("shape", [(2, 3), (0, 2, 3), (2, 0, 3)])
def test_what_is_no_stack_of_probabilities_is_refused(shape):
    with pytest.raises(UsageError, match="members, clips, classes"):
        average(np.ones(shape))


# -- over a lake -------------------------------------------------------------------------------------------------------

# Truth by track; t5 has two labels, t6 none.
TRUTH = {"t0": ["blues"], "t1": ["jazz"], "t2": ["rock"], "t3": ["rock"], "t4": ["jazz"], "t5": ["rock", "jazz"]}
# Run -> track -> (part, probabilities in the order of the run's own labels).
RUNS = {
    "knn-one": ("knn", ["blues", "jazz", "rock"]),
    "knn-two": ("knn", ["blues", "jazz", "rock"]),
    "svm-all": ("svm", ["rock", "jazz", "blues"]),
}
SCORES = {
    "knn-one": {"t0": ("test", [0.6, 0.2, 0.2]), "t1": ("test", [0.5, 0.3, 0.2]), "t2": ("train", [0.0, 0.0, 1.0])},
    "knn-two": {"t2": ("test", [0.4, 0.3, 0.3]), "t3": ("test", [0.1, 0.1, 0.8]), "t0": ("train", [1.0, 0.0, 0.0])},
    "svm-all": {
        "t0": ("test", [0.1, 0.1, 0.8]),
        "t1": ("test", [0.1, 0.8, 0.1]),
        "t2": ("test", [0.9, 0.1, 0.0]),
        "t3": ("valid", [0.9, 0.1, 0.0]),
        "t4": ("test", [0.2, 0.6, 0.2]),
        "t5": ("test", [0.5, 0.5, 0.0]),
    },
}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake.create(tmp_path / "lake")
    rows = {
        "labels": [
            {"track_id": track, "label": label, "value": 1, "source": "dataset"}
            for track, labels in TRUTH.items()
            for label in labels
        ],
        "models": [
            {
                "run_id": run,
                "model": model,
                "labels": labels,
                "input": "features:x",
                "split": "s",
                "card": json.dumps({}),
            }
            for run, (model, labels) in RUNS.items()
        ],
        "predictions": [
            {"run_id": run, "model": RUNS[run][0], "track_id": t, "label": label, "probability": p, "part": part}
            for run, tracks in SCORES.items()
            for t, (part, values) in tracks.items()
            for label, p in zip(RUNS[run][1], values, strict=True)
        ],
    }
    changes = {}
    for name, found in rows.items():
        table = schema.table(name)
        missing = {field.name: "" for field in table.arrow if not field.nullable and field.type == "string"}
        complete = [missing | row for row in found]
        changes[name] = Change(table, [write_rows(lake.path(name, "made"), table.arrow, complete)])
    lake.commit(changes)
    return lake


def test_only_what_all_members_held_out_counts(lake):
    with query.connect(lake) as connection:
        common = common_clips(connection, ["knn", "svm"])
    # t3 was validation to the SVM, t4 unknown to k-NN, t5 has two labels.
    assert common.track_ids == ("t0", "t1", "t2")
    assert common.classes == ("blues", "jazz", "rock")
    assert common.n_each == (4, 5)
    assert common.y.tolist() == [0, 1, 2]
    expected = [
        [[0.6, 0.2, 0.2], [0.5, 0.3, 0.2], [0.4, 0.3, 0.3]],
        [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.0, 0.1, 0.9]],
    ]
    np.testing.assert_allclose(common.probabilities, expected, atol=1e-6)


def test_each_member_and_the_ensemble_are_measured_on_the_same_clips(lake):
    with query.connect(lake) as connection:
        common = common_clips(connection, ["knn", "svm"])
    knn, svm, mean = compare(common, "mean")
    assert [m.member for m in (knn, svm, mean)] == ["knn", "svm", "mean"]
    assert (knn.accuracy, svm.accuracy, mean.accuracy) == (pytest.approx(1 / 3), 1, 1)
    assert {m.n_tracks for m in (knn, svm, mean)} == {3}
    assert compare(common, "vote")[-1].accuracy == 1
    with pytest.raises(UsageError, match="Known: mean, vote"):
        compare(common, "median")


@pytest.mark.parametrize(
    ("members", "error", "says"),
    [
        (["knn"], UsageError, "two members or more"),
        (["knn", "knn"], UsageError, "named once"),
        (["knn", "svn"], UsageError, "Did you mean 'svm'?"),
        (["knn-one", "knn-two"], PhonolakeError, "knn-one 2, knn-two 2"),
    ],
)
def test_members_that_cannot_be_joined(lake, members, error, says):
    with query.connect(lake) as connection, pytest.raises(error, match=says.replace("?", r"\?")):
        common_clips(connection, members)


def test_labels_that_annotators_corrected_are_found(lake):
    table = schema.table("annotations")
    answers = [
        {"track_id": "t0", "label": label, "value": value, "rater": "anna", "annotated_at": datetime.now(UTC)}
        for label, value in (("blues", 0), ("rock", 1))
    ]
    missing = {field.name: "" for field in table.arrow if not field.nullable and field.type == "string"}
    shard = write_rows(lake.path("annotations", "made"), table.arrow, [missing | answer for answer in answers])
    lake.commit({"annotations": Change(table, [shard])})
    with query.connect(lake) as connection:
        common = common_clips(connection, ["knn", "svm"], source="resolved")
        held = read_held_out(connection, source="resolved", model="svm")
    assert common.track_ids == ("t0", "t1", "t2")
    assert common.y.tolist() == [2, 1, 2]
    assert [held.labels[k] for k in held.Y_NL[held.track_ids.index("t0")].nonzero()[0]] == ["rock"]


@pytest.mark.parametrize("source", ["datset", "resolved:datset"])
def test_a_source_of_labels_that_nobody_is_says_who_there_are(lake, source, capsys):
    for words in (["ensemble", "knn", "svm", "--labels", source], ["labels", "noise", "--source", source]):
        assert main([*words, "--lake", str(lake.root)]) == 2
        assert f"unknown label source '{source}'" in (said := capsys.readouterr().err)
        assert "Known: dataset, resolved." in said


def test_members_of_other_classes_cannot_be_joined(lake):
    table = schema.table("models")
    row = dict.fromkeys(table.arrow.names, "") | {"run_id": "other", "labels": ["blues", "folk"], "test_fold": None}
    lake.commit({"models": Change(table, [write_rows(lake.path("models", "other"), table.arrow, [row])])})
    with query.connect(lake) as connection, pytest.raises(UsageError, match="other knows 2 classes, svm 3"):
        common_clips(connection, ["svm", "other"])


def test_the_command_prints_members_and_ensemble_and_counts_on_the_side(lake, capsys):
    assert main(["ensemble", "knn", "svm-all", "--method", "vote", "--lake", str(lake.root), "--format", "json"]) == 0
    captured = capsys.readouterr()
    assert [row["member"] for row in json.loads(captured.out)] == ["knn", "svm-all", "vote"]
    assert "3 tracks were held out by all: 4 by knn, 5 by svm-all." in captured.err


def test_the_command_offers_every_method():
    (offered,) = (parameter.type.choices for parameter in command.params if parameter.name == "method")
    assert set(offered) == set(ensembles.METHODS)
