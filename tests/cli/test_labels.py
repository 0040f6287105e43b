"""`phonolake labels`, with files instead of a lake and with annotations; wrong requests are one line."""

import csv
import io
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from phonolake.cli.main import main
from phonolake.store import query, schema
from phonolake.store.lake import Change, Lake
from phonolake.store.outcomes import now
from phonolake.store.shards import write_rows

from .every_command import WORDS, places, words_of
from .test_commands import COMMANDS

MSD = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "msd"


@pytest.fixture
def call(capsys, monkeypatch):
    """Run ``phonolake labels``; gives the exit code, rows of CSV, and standard error."""
    monkeypatch.delenv("PHONOLAKE_LAKE", raising=False)

    def run(*words):
        code = main(["labels", *map(str, words), *(["--format", "csv"] if "--format" not in words else [])])
        captured = capsys.readouterr()
        return code, list(csv.DictReader(io.StringIO(captured.out))), captured.err

    return run


@pytest.mark.skipif(not MSD.is_dir(), reason="the shared labels are not here")
def test_pairs_of_a_matrix_without_a_lake(call):
    files = ("--matrix", MSD / "test_y.npy", "--names", MSD / "tags.txt")
    code, pairs, err = call("cooccurrence", *files, "--top", 3000)
    assert (code, err) == (0, "")
    found = {(p["label_i"], p["label_j"]): p for p in pairs}
    assert float(found["alternative rock", "alternative"]["c"]) == pytest.approx(0.359, abs=0.001)
    assert float(found["alternative", "alternative rock"]["c"]) == pytest.approx(0.167, abs=0.001)
    assert (pairs[0]["label_i"], pairs[0]["label_j"], len(found)) == ("indie rock", "indie", len(pairs))
    _, parts, _ = call("cooccurrence", *files, "--show", "hierarchy", "--top", 3)
    assert parts[1]["label_i"] == "alternative rock"
    _, common, _ = call("cooccurrence", *files, "--min-count", 3000)
    assert {p["label_i"] for p in common} == {"rock", "pop"}


def test_table_1_from_files(call, tmp_path):
    """Choi et al. 2018, Table I, male vocalists."""
    answers = ["male vocalists,1,0"] + 49 * ["male vocalists,1,1"] + 32 * ["male vocalists,0,1"]
    answers += 18 * ["male vocalists,0,0"]
    (tmp_path / "answers.csv").write_text("\n".join(["label,given,answer", *answers]))
    (tmp_path / "counts.csv").write_text("label,count\nmale vocalists,3026\n")
    second = 252 * ["male vocalists,1"] + 148 * ["male vocalists,0"]
    (tmp_path / "second.csv").write_text("\n".join(["label,answer", *second]))
    words = ("validate", "--answers", tmp_path / "answers.csv", "--counts", tmp_path / "counts.csv")
    code, (row,), err = call(*words, "--tracks", 242_842)
    assert (code, err) == (0, "")
    assert (row["error_positive"], row["error_negative"], row["n_given"]) == ("0.02", "0.64", "3026")
    assert round(float(row["n_estimated"])) == 156_448
    assert round(float(row["recall"]), 3) == 0.605
    _, (row,), _ = call(*words, "--tracks", 242_842, "--second-answers", tmp_path / "second.csv")
    assert (row["share"], row["closer"], row["compatible"]) == ("0.63", "True", "True")
    code, _, err = call(*words)
    assert code == 2
    assert "--tracks" in err


@pytest.fixture(scope="module")
def annotated(demo, tmp_path_factory) -> Lake:
    """The demo's lake with the answers of somebody who knows the truth about the test tracks."""
    path = tmp_path_factory.mktemp("annotated") / "lake"
    shutil.copytree(demo / "lake", path)
    lake = Lake.open(path)
    with (demo / "music" / "truth.csv").open() as file:
        truth = {f"fma:{int(row['track_id']):06d}": row["genre_true"] for row in csv.DictReader(file)}
    with query.connect(lake) as connection:
        tracks = [t for (t,) in connection.execute("SELECT track_id FROM tracks ORDER BY track_id").fetchall()]
    start, table = now(), schema.table("annotations")
    rows = [
        {"track_id": t, "label": label, "value": int(truth[t] == label), "rater": "ann", "annotated_at": start + step}
        for label in ("Rock", "Folk")
        for t, step in zip(tracks, (timedelta(seconds=n) for n in range(len(tracks))), strict=True)
    ]
    lake.commit({"annotations": Change(table, [write_rows(lake.path("annotations", "test"), table.arrow, rows)])})
    return lake


def test_given_labels_are_judged_by_annotations(annotated, demo, call):
    code, rows, err = call("validate", "--annotator", "ann", "--lake", annotated.root)
    assert code == 0
    assert "Kept in label_validations" in err
    with query.connect(annotated) as connection:
        given = dict(connection.execute("SELECT track_id, label FROM labels WHERE source = 'dataset'").fetchall())
        said = connection.execute("SELECT track_id, label, value FROM annotations").fetchall()
    for row in rows:
        mine = [(given[t] == row["label"], value) for t, label, value in said if label == row["label"]]
        wrong = sum(g and not v for g, v in mine), sum(not g and v for g, v in mine)
        assert float(row["error_positive"]) == pytest.approx(wrong[0] / sum(g for g, _ in mine))
        assert float(row["error_negative"]) == pytest.approx(wrong[1] / sum(not g for g, _ in mine))
        # Everybody was asked, so the estimate is the truth.
        assert float(row["n_estimated"]) == pytest.approx(sum(v for _, v in mine))
    code, _, err = call("validate", "--annotator", "zoe", "--lake", annotated.root)
    assert code == 2
    assert "unknown annotator 'zoe'" in err


def test_runs_are_measured_by_annotations(annotated, call):
    code, rows, err = call("evaluation", "--annotator", "ann", "--lake", annotated.root, "--no-save")
    assert code == 0
    assert "rho_1" in err
    means = [row for row in rows if not row["label"]]
    # A forest and a network on the official split, and the folds of one cross-validation.
    assert len(means) == 3
    assert sum("and 4 other folds" in row["scored_run"] for row in means) == 1
    assert {row["label"] for row in rows} == {"", "Rock", "Folk"}
    forest = next(row["scored_run"] for row in means if row["scored_run"].startswith("random-forest-"))
    code, rows, _ = call("evaluation", "--run", forest.split(" ")[0], "--lake", annotated.root, "--no-save")
    assert code == 0
    code, _, err = call("evaluation", "--run", "nobody", "--lake", annotated.root)
    assert code == 2
    assert "unknown run" in err


def test_noise_is_graded_by_the_truth_of_the_corpus(demo, call):
    code, rows, err = call("noise", "--truth", demo / "music" / "truth.csv", "--lake", demo / "lake")
    assert (code, err) == (0, "")
    at_ten = next(r for r in rows if r["measure"] == "precision at k" and r["about"] == "false-positive")
    assert at_ten["k"] == "10" or int(at_ten["k"]) < 10
    assert float(at_ten["value"]) > 2 * float(at_ten["reference"])
    rates = {r["about"]: r for r in rows if r["measure"] == "false rate"}
    assert 0 < float(rates["all labels"]["reference"]) < 0.2
    assert len(rates) == 9


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("cooccurrence",), "give either --lake or --matrix"),
        (("cooccurrence", "--matrix", "none.npy"), "no file at none.npy"),
        (("cooccurrence", "--matrix", "y.npy", "--names", "y.npy"), "cannot be read as a list of names"),
        (("cooccurrence", "--matrix", "y.npy", "--show", "antonyms"), "Known: hierarchy, pairs, synonyms"),
        (("validate",), "give either --lake or --answers"),
        (("validate", "--answers", "a.csv", "--counts", "b.csv", "--tracks", "5"), "a.csv cannot be read"),
    ],
    ids=" ".join,
)
def test_a_wrong_request_is_one_line(words, says, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("y.npy", np.full((2, 2), 1, np.uint8))
    code, rows, err = call(*words)
    assert (code, rows) == (2, [])
    assert says in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("noise", "--kind", "both"), "Known: false-positive, missing-positive"),
        (("noise", "--label", "Polka"), "unknown label 'Polka'"),
        (("noise", "--model", "resnet"), "no held-out predictions by 'resnet'"),
        (("noise", "--truth", "none.csv"), "none.csv cannot be read"),
        (("cooccurrence", "--labels", "nobody"), "unknown label source 'nobody'"),
        (("cooccurrence", "--names", "tags.txt"), "a lake knows its labels"),
        (("classes", "removal", "--without", "Polka"), "unknown class 'Polka'"),
        (("classes", "map", "--of", "vggish"), "unknown feature set or model"),
        (("classes", "map", "--method", "mds"), "unknown projection"),
        (("classes", "importance", "--features", "mfcc-9"), "unknown feature set"),
        (("classes", "confusion", "--source", "tags"), "phonolake crossval"),
        (("validate",), "phonolake dashboard"),
        (("evaluation",), "phonolake dashboard"),
    ],
    ids=" ".join,
)
def test_a_request_that_the_lake_cannot_answer_is_one_line(words, says, demo, call):
    before = Lake.open(demo / "lake").versions()
    code, rows, err = call(*words, "--lake", demo / "lake")
    assert (code in (1, 2), rows) == (True, [])
    assert says in err
    assert len(err.strip().splitlines()) == 1
    assert Lake.open(demo / "lake").versions() == before


def takes_labels() -> Iterator[tuple[str, str]]:
    """Every command that asks a lake about labels of a source, with the option that names it."""
    for path, command in COMMANDS.items():
        for option in command.params:
            if option.metavar == "SOURCE" and any("--lake" in other.opts for other in command.params):
                yield " ".join(path[1:]), option.opts[0]


# What they say besides, to come as far as the labels.
SAID = {"ensemble": "random-forest k2c2 --lake {lake}", "labels vectors": "--show beside --no-save --lake {lake}"}
STUDIES = ("fma-genres", "random-networks", "robustness", "sample-level")
SAID |= {f"study {paper}": "--size tiny --dry-run --lake {lake}" for paper in STUDIES}


@pytest.mark.parametrize(("name", "option"), list(takes_labels()), ids=lambda value: value)
def test_a_source_of_labels_that_is_none_is_refused_at_once(name, option, demo, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(WORDS, name, SAID.get(name, WORDS[name]))
    before = Lake.open(demo / "lake").versions()
    code = main([*words_of(name, **places(demo, tmp_path)), option, "datset"])
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    (line,) = captured.err.splitlines()
    assert line.startswith("phonolake: unknown label source 'datset'. Did you mean 'dataset'?")
    assert Lake.open(demo / "lake").versions() == before


def test_every_kind_of_command_takes_a_source():
    commands = {name.split()[0] for name, _ in takes_labels()}
    assert commands == {
        *("annotations", "benchmark", "crossval", "ensemble", "labels", "predictions", "split", "study", "train")
    }
