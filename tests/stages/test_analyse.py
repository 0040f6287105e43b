"""Answers are kept once, with their question, and a lake that holds them is in order."""

import shutil
from dataclasses import replace

import pytest

from phonolake.analysis.labels.cooccurrence import LabelPair
from phonolake.cli.main import main
from phonolake.stages import analyse
from phonolake.store import query, schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import keep_rows
from phonolake.store.verify import verify

PAIR = LabelPair("a", "b", 1, 2, 3, 0.5, 0.1, float("nan"), 1.5)


def rows(lake: Lake, sql: str) -> list[tuple]:
    with query.connect(lake) as connection:
        return connection.execute(sql).fetchall()


def test_the_same_question_over_the_same_data_is_one_run(tmp_path):
    lake = Lake.create(tmp_path / "lake")
    config = analyse.Config(str(lake.root), "label_similarities", {"model": None}, analyse.versions(lake, "models"))
    row = {"label_i": "a", "label_j": "b", "similarity": 0.5, "rank": 1, "cooccurrence": float("nan")}
    first = analyse.run(config, [row])
    before = lake.versions()
    again = analyse.run(config, [row])
    assert (again.run_id, again.outputs) == (first.run_id, 1)
    assert lake.versions() == before
    other = analyse.run(analyse.Config(config.lake, config.table, {"model": "k2c2"}, config.reads), [row])
    later = analyse.run(analyse.Config(config.lake, config.table, {"model": None}, {"models": 7}), [row])
    assert len({first.run_id, other.run_id, later.run_id}) == 3
    # What is not a number is NULL, and so is what was not asked.
    assert rows(lake, "SELECT DISTINCT label_i, similarity, cooccurrence, surplus FROM label_similarities") == [
        ("a", 0.5, None, None)
    ]
    assert rows(lake, f"SELECT stage, config->>'$.parameters.model' FROM runs WHERE run_id = '{other.run_id}'") == [
        ("analyse", "k2c2")
    ]
    assert verify(lake) == []


def test_an_empty_answer_is_an_answer(tmp_path):
    lake = Lake.create(tmp_path / "lake")
    outcome = analyse.run(analyse.Config(str(lake.root), "cooccurrences", {}, {}), [])
    assert (outcome.inputs, rows(lake, "SELECT count(*) FROM cooccurrences")) == (0, [(0,)])
    with pytest.raises(AssertionError, match="no columns"):
        analyse.run(analyse.Config(str(lake.root), "confusions", {}, {}), [PAIR])


def test_suspects_of_before_have_no_probability(tmp_path):
    """What was kept before a column was added has NULL there, also beside what is kept since, and is in order."""
    lake = Lake.create(tmp_path / "lake")
    table = schema.table("label_suspects")
    since = ("p_wrong", "n_wrong", "n_wrong_low", "n_wrong_high")
    before = replace(table, columns=tuple(column for column in table.columns if column.name not in since))
    row = {"rank": 1, "kind": "false-positive", "track_id": "a:1", "label": "x", "probability": 0.1, "doubt": 0.7}
    shard = keep_rows(lake.path(table.name, "analyse-0"), before.arrow, [row | {"run_id": "analyse-0"}])
    lake.commit({table.name: Change(before, [shard])})
    assert rows(lake, "SELECT doubt, p_wrong FROM label_suspects") == [(0.7, None)]
    analyse.run(analyse.Config(str(lake.root), table.name, {}, {}), [row | {"p_wrong": 0.25, "n_wrong_high": 1}])
    found = rows(lake, "SELECT p_wrong, n_wrong_high FROM label_suspects ORDER BY p_wrong NULLS FIRST")
    assert found == [(None, None), (0.25, 1)]


@pytest.fixture(scope="module")
def lake(demo, tmp_path_factory) -> Lake:
    """A copy of the demo's lake, to write to."""
    path = tmp_path_factory.mktemp("analyse") / "lake"
    shutil.copytree(demo / "lake", path)
    return Lake.open(path)


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "table"),
    [
        (("cooccurrence", "--labels", "tags"), "cooccurrences"),
        (("vectors",), "label_similarities"),
        (("noise", "--kind", "missing-positive", "--top", "5"), "label_suspects"),
        (("noise", "--rates"), "noise_rates"),
        (("classes", "confusion"), "confusions"),
        (("classes", "removal", "--without", "Pop,Rock"), "class_removals"),
        (("classes", "removal", "--without", "Pop", "--retrain", "--folds", "2"), "class_removals"),
        (("classes", "roc", "--points", "5"), "roc_points"),
        (("classes", "map", "--method", "pca"), "track_maps"),
        (("classes", "map", "--of", "mfcc-120", "--tracks", "30"), "track_maps"),
    ],
    ids=str,
)
def test_every_command_keeps_what_it_prints(words, table, lake, capsys):
    assert main(["labels", *words, "--lake", str(lake.root), "--format", "json", "--no-save"]) == 0
    printed = capsys.readouterr()
    assert "Kept" not in printed.err
    n = len(rows(lake, f"FROM {table}"))
    for _ in range(2):
        assert main(["labels", *words, "--lake", str(lake.root), "--format", "json"]) == 0
        kept = capsys.readouterr()
        assert kept.out == printed.out
        run_id = kept.err.split("run_id = '")[1].split("'")[0]
    found = rows(lake, f"FROM {table} WHERE run_id = '{run_id}'")
    assert len(rows(lake, f"FROM {table}")) == n + len(found)
    assert 0 < printed.out.count("{") <= len(found)
    assert rows(lake, f"SELECT outputs FROM runs WHERE run_id = '{run_id}'") == [(len(found),)]
    assert verify(lake) == []
