"""The command line: all of it is documented, output goes where it belongs, errors are one line with the right code."""

import csv
import io
import json
import re
import shlex
from pathlib import Path

import click
import pytest

from phonolake.cli.group import phonolake
from phonolake.cli.main import main

DOCS = Path(__file__).resolve().parents[2] / "docs"


def leaves(group, path=("phonolake",)):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
            if not command.invoke_without_command:
                continue
        yield (*path, name), command


COMMANDS = dict(leaves(phonolake))


@pytest.fixture
def call(capsys):
    """Run the command line in this process; gives the exit code, standard output and standard error."""

    def run(*words):
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_is_documented(path):
    assert f"`{' '.join(path)}" in (DOCS / "commands.md").read_text()


def test_no_command_is_documented_that_does_not_exist():
    documented = re.findall(r"^\| `(phonolake[a-z -]*[a-z])", (DOCS / "commands.md").read_text(), re.MULTILINE)
    assert set(documented) == {" ".join(path) for path in COMMANDS}


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_has_a_summary_and_an_example_that_parses(path, call):
    code, out, _ = call(*path[1:], "--help")
    assert code == 0
    command = COMMANDS[path]
    assert command.get_short_help_str()
    if isinstance(command, click.Group):
        return
    example = shlex.split(command.epilog.splitlines()[-1])
    assert example[: len(path)] == list(path)
    assert f"Example:\n    {' '.join(path)}" in out
    command.make_context(path[-1], example[len(path) :], resilient_parsing=False)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("sql", "SELECT 1", "--lake", "nowhere"), 2, "no lake at nowhere"),
        (("sql", "SELECT 1"), 2, "--lake"),
        (("nonsense",), 2, "No such command"),
        (("ingest", "folder", "nowhere", "--lake", "new"), 2, "nowhere is no folder"),
        (("ingest", "fmaa", ".", "--lake", "new"), 2, "Did you mean 'fma'? Known: audioset, esc10"),
        (("ingest", "gtzan", "empty", "--lake", "new"), 2, "does not hold GTZAN; its layout is DIR/genres"),
        (
            ("ingest", "gtzan", "empty", "--labels", "blues", "--lake", "new"),
            2,
            "blues is no file: of gtzan a table of labels",
        ),
        (("ingest", "esc50", "empty", "--option", "a=1", "--lake", "new"), 2, "esc50 has no options; received 'a=1'"),
        (("ingest", "audioset", "empty", "--rule", "any", "--lake", "new"), 2, "unknown rule 'any'"),
        (("validate", "gtzan", "nowhere"), 2, "nowhere is no folder"),
        (("validate", "msd", "empty"), 2, "does not hold the Million Song Dataset"),
        (("synth", "gtzn", "corpus"), 2, "Did you mean 'gtzan'?"),
        (("synth", "gtzan", "corpus", "--corrupt", "2"), 2, "planted in the layout fma alone"),
        (("run", "empty", "--lake", "new"), 2, "no audio in empty"),
        (("run", "empty", "--lake", "a file"), 2, "a lake is a folder"),
        (("status", "--lake", "a file"), 2, "is a file"),
        (("synth", "fma", "corpus", "--tracks", "0"), 2, "0"),
        (("synth", "fma", "corpus", "--label-noise", "1.5"), 2, "1.5"),
        (("synth", "fma", "a file"), 2, "is a file"),
        (("features", "show", "mfcc-12"), 2, "Did you mean 'mfcc-120'?"),
        (("datasets", "show", "gtzn"), 2, "Did you mean 'gtzan'?"),
    ],
)
def test_a_wrong_request_is_one_line_that_says_what_to_do(words, code, says, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PHONOLAKE_LAKE", raising=False)
    (tmp_path / "empty").mkdir()
    (tmp_path / "a file").write_text("not a lake")
    found, out, err = call(*words)
    assert (found, out) == (code, "")
    assert says in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("sql", "SELECT nope FROM tracks"), "Candidate bindings"),
        (("sql", "SELEC 1"), "syntax error"),
        (("sql", "COPY tracks TO 'stolen.csv'"), "read-only"),
        (("sql", "SELECT 1; SELECT 2"), "one SQL statement"),
        (("sql", "SELECT title::INTEGER FROM tracks"), "Could not convert"),
        (("train", "k2c3"), "Did you mean 'k2c2'?"),
        (("train", "k2c2", "--split", "none-such"), "unknown split"),
        (("train", "random-forest", "--fold", "9", "--split", "random-5-seed-0"), "has folds [1, 2, 3, 4, 5]"),
        (("crossval", "random-forest", "--split", "official"), "has no folds"),
        (("extract", "--features", "chroma-9"), "Known: fma-518, mfcc-120"),
        (("extract",), "nothing to extract"),
        (("score", "--run", "k2c2-none"), "unknown run"),
        (("similar", "fma:999999"), "no track 'fma:999999'"),
        (("similar", "fma:000002", "--where", "no such column"), "SQL:"),
        (("similar", "fma:000002", "--model", "resnet"), "unknown model"),
        (("similar", "fma:000002", "-k", "0"), "at least 1"),
        (("split", "--folds", "1"), "2 folds or more"),
        (("labels", "vectors", "--similarity", "euclid"), "Known: cosine, dot"),
    ],
)
def test_a_request_that_the_lake_cannot_answer_is_one_line(words, says, call, demo):
    code, out, err = call(*words, "--lake", demo / "lake")
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.strip().splitlines()) == 1


def test_an_empty_lake_answers_every_question_with_what_to_run(call, tmp_path):
    from phonolake.store.lake import Lake

    lake = Lake.create(tmp_path / "lake").root
    assert call("status", "--lake", lake)[0] == 0
    assert call("verify", "--lake", lake)[0] == 0
    for words, command in [
        (("similar", "fma:000002"), "phonolake run"),
        (("labels", "vectors"), "phonolake train"),
        (("labels", "noise"), "phonolake crossval"),
        (("index",), "phonolake score"),
        (("score",), "phonolake train"),
        (("train", "k2c2"), "phonolake split"),
    ]:
        code, out, err = call(*words, "--lake", lake)
        assert code in (1, 2)
        assert out == ""
        assert command in err


@pytest.mark.parametrize("words", [("synth", "gtzan"), ("synth", "fma"), ("download", "fma")], ids=" ".join)
@pytest.mark.parametrize("place", ["file", "file/below", "file/far/below"])
def test_a_folder_that_cannot_be_is_a_wrong_request(words, place, call, tmp_path):
    (tmp_path / "file").write_text("mine")
    code, out, err = call(*words, tmp_path / place)
    assert (code, out) == (2, "")
    assert err == f"phonolake: {tmp_path / place} is a file, or lies below one: name another folder\n"
    assert (tmp_path / "file").read_text() == "mine"


def test_a_ledger_without_clips_says_how_to_ask_for_some(call, tmp_path):
    from phonolake.store.lake import Lake

    lake = Lake.create(tmp_path / "lake").root
    for by in ("label", "state"):
        code, _, err = call("ledger", "--by", by, "--lake", lake)
        assert (code, err) == (
            0,
            "No clips were requested yet: run `phonolake download audioset DIR --clips --lake L`.\n",
        )


def test_a_check_that_finds_something_fails(call, tmp_path):
    from phonolake.store.lake import Lake

    lake = Lake.create(tmp_path / "lake")
    (lake.folder("tracks")).mkdir(parents=True)
    (lake.folder("tracks") / "left.parquet").touch()
    code, out, err = call("verify", "--lake", lake.root)
    assert (code, "left.parquet" in out, "1 problems found" in err) == (1, True, True)


def test_shards_that_are_kept_for_readers_are_told_and_no_failure(call, tmp_path):
    from datetime import UTC, datetime

    from phonolake.store import schema
    from phonolake.store.lake import Change, Lake
    from phonolake.store.shards import write_rows

    lake, table = Lake.create(tmp_path / "lake"), schema.table("forgotten")
    for new, old in (("a", []), ("b", ["a.parquet"])):
        row = {"track_id": f"d:{new}", "forgotten_at": datetime(2026, 1, 1, tzinfo=UTC), "why": "asked"}
        lake.commit({table.name: Change(table, [write_rows(lake.path(table.name, new), table.arrow, [row])], old)})
    code, out, err = call("verify", "--lake", lake.root)
    assert (code, out) == (0, "")
    version = lake.versions()[table.name] - 1
    assert f"forgotten: 1 shards kept for readers of version {version} and before" in err
    assert "Everything is in order." in err
    code, _, err = call("verify", "--mend", "--lake", lake.root)
    assert (code, "Removed 1 files" in err, "kept" in err) == (0, True, False)


def test_rows_come_as_table_csv_or_json(call, demo):
    query = "SELECT track_id, duration_seconds, artist FROM tracks ORDER BY track_id LIMIT 3"
    _, table, _ = call("sql", query, "--lake", demo / "lake")
    _, text, _ = call("sql", query, "--lake", demo / "lake", "--format", "csv")
    _, objects, _ = call("sql", query, "--lake", demo / "lake", "--format", "json")
    parsed = json.loads(objects)
    assert [row["track_id"] for row in parsed] == [row["track_id"] for row in csv.DictReader(io.StringIO(text))]
    assert list(parsed[0]) == ["track_id", "duration_seconds", "artist"]
    assert all(row["track_id"] in table for row in parsed)


def test_values_of_every_kind_survive_csv_and_json(call, demo):
    query = """SELECT 'a "b", c' || chr(10) || 'd' AS text, NULL AS nothing, 'nan'::DOUBLE AS nan, [1, 2] AS list,
        '\\x00ff'::BLOB AS blob, TIMESTAMPTZ '2026-01-01 00:00:00+00' AS moment"""
    _, objects, _ = call("sql", query, "--lake", demo / "lake", "--format", "json")
    (row,) = json.loads(objects)
    assert row["text"] == 'a "b", c\nd'
    assert row["nothing"] is row["nan"] is None
    assert row["list"] == [1, 2]
    assert row["moment"].startswith("2026-01-01")
    _, text, _ = call("sql", query, "--lake", demo / "lake", "--format", "csv")
    assert next(csv.DictReader(io.StringIO(text)))["text"] == 'a "b", c\nd'


def test_top_limits_the_rows(call, demo):
    _, out, _ = call("sql", "FROM labels", "--top", 4, "--lake", demo / "lake", "--format", "json")
    assert len(json.loads(out)) == 4


def test_the_lake_may_come_from_the_environment(call, demo, monkeypatch):
    monkeypatch.setenv("PHONOLAKE_LAKE", str(demo / "lake"))
    assert call("status", "--format", "json")[0] == 0


def test_dry_runs_change_nothing(call, demo, tmp_path):
    new = tmp_path / "new"
    assert call("ingest", "fma", demo / "music", "--lake", new, "--dry-run")[0] == 0
    assert call("run", demo / "music", "--source", "fma", "--lake", new, "--dry-run")[0] == 0
    assert not new.exists()
    before = sorted((demo / "lake").rglob("*"))
    _, out, _ = call("train", "svm-rbf", "--lake", demo / "lake", "--dry-run", "--format", "json")
    assert json.loads(out)[0]["run_id"].startswith("svm-rbf-")
    _, out, _ = call("crossval", "svm-rbf", "--lake", demo / "lake", "--dry-run", "--format", "json")
    assert [row["test_fold"] for row in json.loads(out)] == [1, 2, 3, 4, 5]
    _, out, _ = call("extract", "--features", "mfcc-120", "--lake", demo / "lake", "--dry-run", "--format", "json")
    assert json.loads(out) == []
    _, out, _ = call("score", "--lake", demo / "lake", "--dry-run", "--format", "json")
    assert json.loads(out) == []
    assert sorted((demo / "lake").rglob("*")) == before


def test_datasets_are_listed_with_licence_and_size(call):
    _, out, _ = call("datasets", "--format", "json")
    assert (out, 0) == call("datasets", "list", "--format", "json")[1::-1]
    listed = {row["dataset"]: row for row in json.loads(out)}
    assert (listed["fma"]["tracks"], listed["fma"]["size"]) == (106_574, "879 GiB")
    assert listed["urbansound8k"]["licence"] == "CC BY-NC 3.0"
    assert all(row["licence"] and row["summary"] for row in listed.values())


@pytest.mark.parametrize("name", ["audioset", "fma", "gtzan", "folder"])
def test_a_card_is_shown_whole(name, call):
    from phonolake.sources import contract

    _, out, _ = call("datasets", "show", name, "--format", "json")
    rows = [(row["about"], row["text"]) for row in json.loads(out)]
    card = contract.get(name).CARD
    assert ("layout", card.layout) in rows
    assert [about for about, _ in rows].count("download") == len(card.downloads)
    assert [about for about, _ in rows].count("erratum") == len(card.errata)
    for file in card.downloads:
        assert any(file.url in str(text) and (file.checksum or "") in str(text) for _, text in rows)
    assert name != "audioset" or any("per-class" in str(text) for about, text in rows if about == "option")


def test_validate_says_by_its_exit_code_whether_a_dataset_is_whole(call, tmp_path):
    (tmp_path / "rock").mkdir()
    (tmp_path / "rock" / "a.mp3").write_bytes(b"x")
    code, out, err = call("validate", "folder", tmp_path, "--format", "json")
    assert (code, "Everything is as published." in err) == (0, True)
    assert {row["verdict"] for row in json.loads(out)} == {"ok"}
    (tmp_path / "rock" / "b.mp3").touch()
    code, out, err = call("validate", "folder", tmp_path, "--format", "json")
    assert (code, "1 checks failed" in err) == (1, True)
    assert [row["subject"] for row in json.loads(out) if row["check"] == "empty"] == [str(tmp_path / "rock" / "b.mp3")]


def test_debug_shows_the_traceback_of_an_error(demo):
    from phonolake.errors import UsageError

    with pytest.raises(UsageError, match="unknown model"):
        main(["train", "k2c3", "--lake", str(demo / "lake"), "--debug"])


def test_no_summary_is_cut(call):
    def groups(group, path=()):
        yield path
        for name, command in group.commands.items():
            if isinstance(command, click.Group):
                yield from groups(command, (*path, name))

    for path in groups(phonolake):
        listed = call(*path, "--help")[1].partition("\nCommands:\n")[2]
        assert listed
        assert "..." not in listed


def test_status_shows_empty_tables_when_asked(call, demo):
    rows = {
        words: {row["name"]: row["n_rows"] for row in json.loads(call("status", *words, "--format", "json")[1])}
        for words in (("--lake", demo / "lake"), ("--all", "--lake", demo / "lake"))
    }
    some, every = rows.values()
    assert all(some.values())
    assert some.keys() < every.keys()
    assert every["annotations"] == 0


def test_a_file_that_the_lake_holds_is_not_its_own_neighbour(call, demo):
    file = next(path for path in sorted((demo / "music").rglob("*.mp3")) if path.stat().st_size > 9000)
    code, out, err = call("similar", file, "-k", "3", "--lake", demo / "lake", "--format", "json")
    assert code == 0, err
    assert "The lake holds this very file" in err
    held = re.search(r"left out: (\S+)\.", err)[1]
    assert held not in {row["track_id"] for row in json.loads(out)}
    assert len(json.loads(out)) == 3


def test_silence_and_files_that_are_not_there_have_no_neighbours(call, demo, tmp_path):
    import numpy as np
    import soundfile as sf

    sf.write(tmp_path / "silent.wav", np.zeros(22_050), 22_050)
    code, _, err = call("similar", tmp_path / "silent.wav", "--lake", demo / "lake")
    assert (code, "silent" in err, len(err.splitlines())) == (1, True, 1)
    code, _, err = call("similar", "nope.wav", "--lake", demo / "lake")
    assert (code, "no track 'nope.wav'" in err, "no file" in err) == (2, True, True)


def test_a_run_tells_what_came_of_it(call, demo, tmp_path):
    """A folder with one label: little work, and nothing to learn."""
    import shutil

    (tmp_path / "music" / "a").mkdir(parents=True)
    for file in [path for path in sorted((demo / "music").rglob("*.mp3")) if path.stat().st_size > 9000][:4]:
        shutil.copy(file, tmp_path / "music" / "a")
    (tmp_path / "music" / "a" / "broken.mp3").write_bytes(b"nothing")
    lake = tmp_path / "lake"
    code, out, err = call("run", tmp_path / "music", "--lake", lake, "--workers", "0", "--format", "csv")
    assert code == 0, err
    assert [row["stage"] for row in csv.DictReader(io.StringIO(out))] == [
        "ingest",
        "extract",
        "extract",
        "train",
        "score",
        "index",
    ]
    assert "ingest: 5 to do" in err
    assert re.search(r"^ingest .*: 5 in, 4 out, 1 left out$", err, re.MULTILINE)
    assert "Taken in: 4 recordings now, 4 are in the lake." in err
    assert "Left out at ingest: 1 not-audio, such as music:a/broken.mp3" in err
    assert "Learned: no labels" in err
    suggested = [line.strip() for line in err.splitlines() if line.startswith("  phonolake ")]
    assert len(suggested) == 3
    for line in suggested[:2]:
        assert call(*shlex.split(line)[1:])[0] == 0


def test_a_cross_validation_over_some_of_the_folds_says_so(demo):
    from phonolake.stages import crossval
    from phonolake.store import query
    from phonolake.store.lake import Lake

    with query.connect(Lake.open(demo / "lake")) as connection:
        assert crossval.missing_folds(connection, "random-5-seed-0", 5) == ""
        assert "over 4 of the 5 folds" in crossval.missing_folds(connection, "random-5-seed-0", 4)
