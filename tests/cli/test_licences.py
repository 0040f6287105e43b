"""Every command leaves out what a non-commercial model made, when only permissive licences are wanted."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.cli.every_command import WORDS
from tests.cli.test_labels import COMMANDS
from tests.stages import small_lake
from tests.stages.small_lake import CLASSES

import phonolake
from phonolake.cli.main import main
from phonolake.errors import PhonolakeError
from phonolake.lookup import held_out, licensed
from phonolake.lookup.licences import PERMISSIVE
from phonolake.models import storage
from phonolake.serve.answers import LakeAnswers, ServiceConfig
from phonolake.stages import import_embeddings, import_predictions, neighbour_graph
from phonolake.store import catalog, query, schema
from phonolake.store.lake import Change, Lake
from phonolake.store.place import Place
from phonolake.store.shards import SEPARATOR, write_rows
from phonolake.studies import ablation
from phonolake.studies.grid import Config as StudyConfig
from phonolake.studies.grid import Session

N = 30
# What these print and write comes of recordings, of labels and answers of people, of what was done, and of models
# that they train themselves; `status` says itself which licences there are.
OF_NO_MODEL = {
    "annotations agreement", "annotations export", "annotations import", "annotations progress", "download",
    "duplicates", "embeddings import", "embeddings remove", "extract", "forget", "ingest", "jobs",
    "labels classes importance", "labels cooccurrence", "labels import", "labels remove", "labels validate",
    "ledger", "licences", "models fetch", "models import", "predictions import", "predictions remove",
    "rejects", "run", "split", "splits check",
    "splits import", "splits list", "splits remove", "status", "study ablate", "study fma-genres",
    "study random-networks", "study robustness", "study sample-level", "verify",
}  # fmt: skip
# What is asked of a lake with a non-commercial model, and what asks for that one by its name.
ANSWERED = {
    "runs": "",
    "neighbours graph": "-k 2",
    "neighbours duplicates": "--min-similarity 0.1",
    "neighbours path": "toy:000 toy:003",
    "similar": "toy:000",
    "labels noise": "--no-save",
    "labels classes confusion": "--no-save",
    "labels classes removal": "--no-save",
    "labels classes roc": "--no-save",
    "labels classes map": "--method pca --no-save",
    "annotations sample": "drawn --suspects 3",
    "sql": "FROM(predictions)",
    "index": "",
}
REFUSED = {
    "runs compare": "says-free says-bound",
    "runs heard": "--model bound",
    "annotations triplets": "near --near bound",
    "ensemble": "says-free says-bound",
    "neighbours graph": "--model bound",
    "neighbours path": "toy:000 toy:003 --model bound",
    "similar": "toy:000 --model bound",
    "embeddings export": "v.npz --model bound",
    "labels noise": "--model says-bound",
    "labels classes confusion": "--model says-bound",
    "labels classes removal": "--model says-bound",
    "labels classes roc": "--model says-bound",
    "labels classes map": "--of bound",
    "train": "logistic-regression --embeddings bound --dry-run",
    "score": "--run bound",
    "labels vectors": "--model bound",
    "labels networks": "bound bound",
    "models filters": "bound --out pictures",
}


def test_every_command_that_tells_of_models_can_leave_some_out() -> None:
    able = {" ".join(path[1:]): {opt for p in command.params for opt in p.opts} for path, command in COMMANDS.items()}
    about_lakes = {name for name, options in able.items() if name in WORDS and "--lake" in options}
    assert about_lakes - {name for name, options in able.items() if "--licence" in options} == OF_NO_MODEL - {
        "licences", "embeddings import", "models import", "predictions import"
    }  # fmt: skip
    assert {"tag", "serve", "dashboard"} <= {name for name, options in able.items() if "--licence" in options}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with vectors, predictions and a graph of two models, of which one is non-commercial and the newer one."""
    folder = tmp_path_factory.mktemp("licences")
    lake = small_lake.make(folder / "lake", n_tracks=N)
    ids = [f"toy:{n:03d}" for n in range(N)]
    for seed, (name, licence) in enumerate([("free", "MIT"), ("bound", "CC-BY-NC-4.0")]):
        rng = np.random.default_rng(seed)
        classes = np.eye(3)[np.arange(N) % 3]
        np.savez(folder / "v.npz", ids=np.array(ids), x=classes + rng.normal(0, 0.1, (N, 3)))
        import_embeddings.run(import_embeddings.Config(str(lake.root), name, str(folder / "v.npz"), licence=licence))
        # What looks wrong.
        classes[:6:2] = np.roll(classes[:6:2], 1, axis=1)
        p_NK = rng.dirichlet([1, 1, 1], size=N) * 0.6 + classes * 0.4
        lines = [f"{track_id},{','.join(map(str, p_K))}" for track_id, p_K in zip(ids, p_NK, strict=True)]
        (folder / f"says-{name}.csv").write_text("\n".join([f"track,{','.join(CLASSES)}", *lines]))
        config = import_predictions.Config(str(lake.root), str(folder / f"says-{name}.csv"), licence=licence)
        import_predictions.run(config)
        neighbour_graph.run(neighbour_graph.Config(str(lake.root), 2, name))
    return lake


def call(lake: Lake, name: str, words: str, *licence: str) -> int:
    return main([*name.split(), *words.split(), "--lake", str(lake.root), *licence])


@pytest.mark.parametrize("name", ANSWERED)
def test_what_is_bound_is_not_printed(
    name: str, lake: Lake, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(lake, name, ANSWERED[name], "--licence", "permissive") == 0
    printed = capsys.readouterr()
    assert printed.out.strip() or printed.err.startswith("no rows")
    assert "bound" not in printed.out + printed.err


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_bound_is_not_to_be_had_by_name(
    name: str, lake: Lake, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = lake.versions()
    assert call(lake, name, REFUSED[name], "--licence", "permissive") in (1, 2)
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.endswith("(only with licences of the kind 'permissive')")
    assert (lake.versions(), list(tmp_path.iterdir())) == (before, [])


def test_the_same_is_there_without(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("runs", "neighbours duplicates", "sql"):
        assert call(lake, name, ANSWERED[name]) == 0
        assert "bound" in capsys.readouterr().out
    assert call(lake, "ensemble", REFUSED["ensemble"]) == 0
    assert "says-bound" in capsys.readouterr().out


def test_figures_are_those_of_the_model_that_is_left(lake: Lake) -> None:
    shown = licensed.opened(lake.root, PERMISSIVE)
    with query.connect(shown) as connection, query.connect(lake) as whole:
        free = held_out.read_held_out(connection, source="dataset")
        named = held_out.read_held_out(whole, source="dataset", model="says-free")
        both = held_out.read_held_out(whole, source="dataset")
    np.testing.assert_array_equal(free.P_NL, named.P_NL)
    assert not np.array_equal(free.P_NL, both.P_NL)


def test_kept_answers_are_shown_that_were_asked_under_the_same_restriction(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    for licence in ((), ("--licence", "permissive")):
        assert call(lake, "labels classes confusion", "", *licence) == 0
    capsys.readouterr()
    asked = "SELECT count(DISTINCT run_id) FROM confusions"
    with query.connect(lake) as connection, query.connect(licensed.opened(lake.root, PERMISSIVE)) as shown:
        assert connection.execute(asked).fetchall() == [(2,)]
        assert shown.execute(asked).fetchall() == [(1,)]


def test_where_nothing_is_bound_all_kept_answers_are_shown(tmp_path: Path) -> None:
    lake = small_lake.make(tmp_path / "lake", n_tracks=N)
    table = schema.table("confusions")
    row = {column.name: 1 if column.type in ("BIGINT", "INTEGER", "DOUBLE") else "a" for column in table.columns}
    lake.commit({table.name: Change(table, [write_rows(lake.path(table.name, "analyse-1"), table.arrow, [row])])})
    assert list(lake.shards("confusions")) == ["analyse-1.parquet"]
    assert licensed.opened(lake.root, PERMISSIVE).shards("confusions") == lake.shards("confusions")


def test_cells_of_a_benchmark_are_left_out(lake: Lake) -> None:
    with catalog.connect(lake) as connection:
        runs = dict(connection.execute("SELECT model, run_id FROM models").fetchall())
    table, written = schema.table("benchmark_vectors"), []
    texts = ("features:mfcc-120", f"embeddings:{runs['free']}", f"embeddings:{runs['bound']}", "home:elsewhere")
    for n, text in enumerate(texts):
        row = {"representation": text, "condition": "gain", "track_id": "toy:000", "vector": [0.0], "seconds": 0.1,
               "audio_seconds": 1.0, "source_shard": "toy-0", "code_version": ""}  # fmt: skip
        written.append(write_rows(lake.path(table.name, f"gain-{n}{SEPARATOR}toy"), table.arrow, [row]))
    lake.commit({table.name: Change(table, written)})
    with query.connect(licensed.opened(lake.root, PERMISSIVE)) as connection:
        found = connection.execute("SELECT representation FROM benchmark_vectors ORDER BY 1").fetchall()
    assert found == [(texts[1],), (texts[0],)]


STUDY_TABLES = ("study_cells", "study_predictions", "study_rows", "study_claims")
ABLATION = """
name = "vectors"
[grid]
model = ["logistic-regression", "random-forest"]
input = ["embeddings:{}"]
"""


@pytest.mark.long
@pytest.mark.timeout(120)
def test_what_a_study_found_of_bound_vectors_is_left_out(lake: Lake, tmp_path: Path) -> None:
    studied = Lake.open(shutil.copytree(lake.root, tmp_path / "lake"))
    texts: dict[str, list[str]] = {}
    for name in ("free", "bound"):
        (path := tmp_path / f"{name}.toml").write_text(ABLATION.format(name))
        session = Session(ablation.read(path), StudyConfig(str(studied.root), size="tiny", repeats=1, seed=7))
        assert list(session.tables())
        with query.connect(studied) as connection:
            texts[name] = connection.execute("SELECT models_read FROM study_rows ORDER BY ALL").fetchall()
    shown = licensed.opened(studied.root, PERMISSIVE)
    with query.connect(studied) as connection, query.connect(shown) as permitted:
        (run,) = connection.execute("SELECT run_id FROM models WHERE model = 'free'").fetchone() or ("",)
        assert texts["free"] == [([f"embeddings:{run}"],)] * 2
        for table in STUDY_TABLES:
            count = f"SELECT count(*) FROM {table}"
            assert len(studied.shards(table)) == 2 * len(shown.shards(table)) > 0
            (whole,), (part,) = connection.execute(count).fetchone(), permitted.execute(count).fetchone()
            assert part * 2 == whole
        cells = permitted.execute("SELECT cell->>'$.input' FROM study_cells").fetchall()
    assert cells == [("embeddings:free",)] * 2


def test_rows_of_studies_from_before_it_was_noted_are_left_out_where_a_model_is(lake: Lake, tmp_path: Path) -> None:
    table = schema.table("study_rows")
    row = {column.name: 1 if column.type in ("BIGINT", "INTEGER", "DOUBLE") else "a" for column in table.columns}
    for root, seen in ((lake.root, 0), (small_lake.make(tmp_path / "free", n_tracks=N).root, 1)):
        studied = Lake.open(shutil.copytree(root, tmp_path / f"lake-{seen}"))
        del row["models_read"]
        old = pa.schema([field for field in table.arrow if field.name != "models_read"])
        written = [write_rows(studied.path(table.name, "robustness-1"), old, [row])]
        studied.commit({table.name: Change(table, written)})
        with query.connect(licensed.opened(studied.root, PERMISSIVE)) as connection:
            assert connection.execute("SELECT count(*) FROM study_rows").fetchone() == (seen,)
        row["models_read"] = None


@pytest.mark.long
def test_python_and_the_service_leave_it_out(lake: Lake) -> None:
    opened = phonolake.open(lake.root, licence="permissive")
    assert len(opened.similar("toy:000", k=1)) == 1
    assert not opened.predictions().empty
    for ask in (
        lambda: opened.predictions("says-bound"),
        lambda: opened.label_noise(model="says-bound"),
        lambda: opened.label_suspects(model="says-bound"),
        lambda: opened.train("logistic-regression", input="embeddings:bound"),
        lambda: opened.crossval("logistic-regression", input="embeddings:bound"),
        lambda: opened.dataset("fixed", "embeddings:bound"),
        lambda: opened.neighbour_graph(2, model="bound"),
        lambda: opened.neighbour_path("toy:000", "toy:003", model="bound"),
    ):
        with pytest.raises(PhonolakeError, match="bound"):
            ask()
    with pytest.raises(PhonolakeError, match="no model"):
        opened.score("bound")
    answers = LakeAnswers(ServiceConfig(Place.at(lake.root), sql=True, licence="permissive"))
    found = answers.answer("sql", {"text": "SELECT DISTINCT model FROM embeddings", "rows": 9}).body
    assert found["rows"] == [["free"]]
    refused = answers.answer("similar", {"like": ("toy:000",), "model_or_run": "bound"})
    assert (refused.status, "bound" in refused.body["detail"]) == (400, True)


def test_a_bound_network_of_the_model_home_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PHONOLAKE_MODELS", str(tmp_path))
    (tmp_path / "theirs").mkdir()
    card = {"model": "k2c2", "weights": {"licence": "CC-BY-NC-4.0"}}
    (tmp_path / "theirs" / storage.CARD_FILE).write_text(json.dumps(card))
    for words in (["tag", "a.mp3", "--model", "theirs"], ["serve", "--tagger", "theirs", "--lake", str(tmp_path)]):
        assert main([*words, "--licence", "permissive"]) == 2
        assert "theirs has a licence of the kind 'non-commercial' (CC-BY-NC-4.0)" in capsys.readouterr().err
