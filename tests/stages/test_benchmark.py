"""The benchmark of vectors: good ones win, floors are floors, intervals hold the truth, and nothing is done twice."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from phonolake import execution
from phonolake.analysis.results import benchmark as results
from phonolake.analysis.results.benchmark import Comparison, RowFacts
from phonolake.annotation import journal, publication
from phonolake.annotation.journal import Answer
from phonolake.cli.main import main
from phonolake.errors import UsageError
from phonolake.lookup import protocols
from phonolake.lookup.protocols import Protocol
from phonolake.sources import contract as sources
from phonolake.stages import benchmark, benchmark_cells, extract, import_embeddings, score, train
from phonolake.stages.benchmark import Benchmark, Config
from phonolake.store import query, schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows
from phonolake.store.verify import verify

from . import small_lake
from .in_process import rows, work_here

N = 60
IDS = [f"toy:{n:03d}" for n in range(N)]


def bring(lake: Lake, folder: Path, name: str, ids: list[str], x: np.ndarray, licence: str | None = None) -> None:
    np.savez(folder / f"{name}.npz", names=np.array(ids), x=x)
    import_embeddings.run(import_embeddings.Config(str(lake.root), name, str(folder / f"{name}.npz"), licence=licence))


@pytest.fixture(scope="module")
def here() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        work_here(patch)
        yield patch


@pytest.fixture(scope="module")
def lake(here: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Vectors that tell all, that tell nothing, and that not all tracks have; features; a network."""
    folder = tmp_path_factory.mktemp("benchmark")
    lake = small_lake.make(folder / "lake", n_tracks=N)
    rng = np.random.default_rng(0)
    told = 3 * np.eye(6)[np.arange(N) % 3] + rng.normal(size=(N, 6))
    bring(lake, folder, "told", IDS, told, "CC-BY-NC-4.0")
    bring(lake, folder, "half", IDS[::2], told[::2], "MIT")
    bring(lake, folder, "noise", IDS, rng.normal(size=(N, 6)))
    extract.run(extract.Config(str(lake.root), ("mfcc-120",)))
    (trained,) = train.run(train.Config(str(lake.root), "k2c2", max_epochs=1))
    score.run(score.Config(str(lake.root), (str(trained.run_id),)))
    return lake


@pytest.fixture(scope="module")
def done(lake: Lake) -> Benchmark:
    return benchmark.run(Config(str(lake.root), probes=("logistic-regression", "knn")))


def lines(lake: Lake, done: Benchmark) -> dict[tuple[str, str], results.BenchmarkLine]:
    facts = {row.text: RowFacts(row.name, row.licence, done.bytes_per_track.get(row.text)) for row in done.rows}
    with query.connect(lake) as connection:
        found = Comparison(connection, done.cells, facts, classes=done.classes, many=done.many).lines()
    return {(line.vectors, line.probe): line for line in found}


@pytest.mark.long
def test_every_set_of_vectors_is_compared_and_the_better_ones_are_found(lake: Lake, done: Benchmark) -> None:
    found = lines(lake, done)
    names = {name for name, _ in found}
    assert names == {"told", "half", "noise", "mfcc-120", "k2c2", "k2c2, untrained", "label prior", "chance"}
    told, noise = found["told", "knn"], found["noise", "knn"]
    n_test = sum(part == "test" for _, part in rows(lake, "SELECT track_id, part FROM splits"))
    assert told.n == noise.n == n_test
    assert told.value > 0.9
    assert told.low <= told.value <= told.high
    assert noise.to_best is not None
    assert noise.to_best_high is not None
    assert noise.to_best_high < 0
    # Spectra of a drone, noise and clicks are told apart by anything that hears.
    assert found["mfcc-120", "logistic-regression"].value == 1
    assert found["label prior", "none"].value == pytest.approx(1 / 3, abs=0.1)
    assert found["chance", "none"].value == pytest.approx(1 / 3, abs=0.25)
    assert found["chance", "none"].seed_std is not None
    assert verify(lake) == []


def test_what_was_not_judged_is_told_and_compared_on_what_both_judged(lake: Lake, done: Benchmark) -> None:
    half = lines(lake, done)["half", "knn"]
    with query.connect(lake) as connection:
        ((n,),) = connection.execute(
            "SELECT count(*) FROM splits JOIN embeddings USING (track_id) WHERE part = 'test' AND model = 'half'"
        ).fetchall()
    assert half.n == n
    assert half.coverage == pytest.approx(n / lines(lake, done)["told", "knn"].n)


def test_prices_and_licences_stand_beside_the_figures(lake: Lake, done: Benchmark) -> None:
    found = lines(lake, done)
    for name in ("mfcc-120", "k2c2", "k2c2, untrained"):
        line = found[name, "knn"]
        assert line.seconds_per_hour is not None
        assert 0 < line.seconds_per_hour < 3600 * 20
        assert line.licence == "own"
    assert found["told", "knn"].seconds_per_hour is None
    assert found["told", "knn"].licence == "CC-BY-NC-4.0"
    sizes = {name: line.bytes_per_track for (name, _), line in found.items()}
    assert {name for name, size in sizes.items() if not size} == {"label prior", "chance"}
    permissive = benchmark.run(Config(str(lake.root), probes=("knn",), licence="permissive"))
    assert {row.name for row in permissive.rows} == {
        "half", "mfcc-120", "k2c2", "k2c2, untrained", "label prior", "chance",
    }  # fmt: skip


def test_what_was_answered_is_not_asked_again_and_what_changed_is(
    lake: Lake, done: Benchmark, here: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[str, str]] = []
    plain = execution.imap

    def watched(function, payloads, **rest):  # type: ignore[no-untyped-def]
        if function is benchmark_cells.answer:
            asked.extend((cell.row.name, cell.probe) for cell in payloads)
        return plain(function, payloads, **rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execution, "imap", watched)
        versions = lake.versions()
        again = benchmark.run(Config(str(lake.root), probes=("logistic-regression", "knn")))
        assert again.cells == done.cells
        assert asked == []
        assert lake.versions() == versions
        # One shard of a killed run is done again, and nothing else.
        first = lake.folder(benchmark_cells.TABLE) / next(iter(lake.shards(benchmark_cells.TABLE)))
        kept = first.read_bytes()
        first.unlink()
        benchmark.run(Config(str(lake.root), probes=("logistic-regression", "knn")))
        assert len(asked) == 1
        assert first.read_bytes() == kept
        asked.clear()
        benchmark.run(Config(str(lake.root), rows=("noise",), probes=("mlp",)))
        assert asked == [("noise", "mlp")]


@pytest.mark.slow
def test_a_benchmark_that_was_killed_goes_on(here: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lake = small_lake.make(tmp_path / "lake", n_tracks=N)
    for name in ("one", "two"):
        bring(lake, tmp_path, name, IDS, np.random.default_rng(len(name)).normal(size=(N, 6)))
    answers = lake.folder(benchmark_cells.TABLE)
    words = [sys.executable, "-m", "phonolake.cli.main", "benchmark", "--workers", "0", "--lake", str(lake.root)]
    killed = subprocess.Popen(words, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while len(lake.ready(benchmark_cells.TABLE)) < 2:
            assert killed.poll() is None
            time.sleep(0.005)
    finally:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    assert not lake.shards(benchmark_cells.TABLE)
    before = {name: (answers / name).stat().st_mtime_ns for name in lake.ready(benchmark_cells.TABLE)}
    asked: list[str] = []
    plain = execution.imap

    def watched(function, payloads, **rest):  # type: ignore[no-untyped-def]
        asked.extend(cell.file for cell in payloads if function is benchmark_cells.answer)
        return plain(function, payloads, **rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execution, "imap", watched)
        done = benchmark.run(Config(str(lake.root)))
    # Two rows under three probes, the label prior and chance: those that were there are not done again.
    assert len(done.cells) == 8
    assert {name: (answers / name).stat().st_mtime_ns for name in before} == before
    assert (len(asked), set(asked) & set(before)) == (8 - len(before), set())
    assert set(lake.shards(benchmark_cells.TABLE)) == {*asked, *before}
    assert verify(lake) == []


@pytest.mark.long
def test_doubt_takes_away_relatives_and_deforms_what_is_heard(
    here: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("doubt")
    lake = small_lake.make(folder / "lake", n_tracks=30)
    # Every test track has a twin of its own class in the training part, which alone is like it.
    ids, x = IDS[:30], np.random.default_rng(1).normal(size=(30, 8))
    tested = [n for n in range(30) if dict(rows(lake, "SELECT track_id, part FROM splits"))[ids[n]] == "test"]
    pairs = []
    for n in tested:
        x[n] = x[n - 12]
        pair = {"track_id": ids[n - 12], "other_id": ids[n], "kind": "near", "similarity": 1.0}
        pairs.append(pair | {"offset_seconds": 0.0, "config_hash": "", "code_version": ""})
    table = schema.table("duplicates")
    lake.commit({"duplicates": Change(table, [write_rows(lake.path("duplicates", "d"), table.arrow, pairs)])})
    # Somebody heard that a drone of the test part is noise.
    now = datetime.now(UTC)
    journal.record(lake, [Answer(ids[12], "drone", 0, "anna", now), Answer(ids[12], "noise", 1, "anna", now)])
    publication.publish(lake)
    bring(lake, folder, "twins", ids, x)
    extract.run(extract.Config(str(lake.root), ("mfcc-120",)))
    done = benchmark.run(Config(str(lake.root), probes=("knn",), doubt=True))
    facts = {row.text: RowFacts(row.name, row.licence, None) for row in done.rows}
    with query.connect(lake) as connection:
        found = Comparison(connection, done.cells, facts, classes=done.classes, many=done.many).doubts()
    said = {(line.vectors, line.doubt): line for line in found}
    assert said["twins", "unrelated"].value == 1
    assert said["twins", "unrelated"].change < -0.3
    assert said["twins", "unrelated"].doubted == pytest.approx(1 + said["twins", "unrelated"].change)
    assert said["twins", "corrected"].change == pytest.approx(-1 / len(tested))
    deformed = {doubt for name, doubt in said if name == "mfcc-120"} - {"unrelated", "corrected"}
    assert deformed == {"gain", "mp3", "noise", "low-pass", "pitch", "trim"}
    # Nobody can hear vectors that were brought.
    assert {doubt for name, doubt in said if name == "twins"} == {"unrelated", "corrected"}
    heard = "SELECT condition, count(vector) FROM benchmark_vectors WHERE condition <> 'clean' GROUP BY ALL"
    assert {n for _, n in rows(lake, heard)} == {len(tested)}
    assert verify(lake) == []


def test_tags_are_compared_by_their_areas(here: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lake = small_lake.make(tmp_path / "lake", n_tracks=N, many=True)
    rng = np.random.default_rng(0)
    told = 3 * np.eye(6)[np.arange(N) % 3] + 2 * np.eye(6)[3 + np.arange(N) % 2] + rng.normal(size=(N, 6))
    bring(lake, tmp_path, "told", IDS, told)
    done = benchmark.run(Config(str(lake.root), probes=("logistic-regression", "knn")))
    assert done.many
    facts = {row.text: RowFacts(row.name, row.licence, None) for row in done.rows}
    with query.connect(lake) as connection:
        comparison = Comparison(connection, done.cells, facts, classes=done.classes, many=done.many)
        found, of_labels = comparison.lines(), comparison.per_class()
    by = {(line.vectors, line.probe, line.metric): line for line in found}
    for probe in ("logistic-regression", "knn"):
        assert by["told", probe, "roc-auc"].value > 0.8
        assert by["told", probe, "pr-auc"].value > by["label prior", "none", "pr-auc"].value
    assert by["label prior", "none", "roc-auc"].value == 0.5
    # What draws nothing has no seeds that could differ.
    assert by["told", "knn", "roc-auc"].seed_std is None
    assert by["chance", "none", "roc-auc"].seed_std is not None
    assert {line.metric for line in of_labels} == {"roc-auc"}
    assert {line.label for line in of_labels} == set(small_lake.CLASSES)


@pytest.mark.parametrize("protocol", protocols.PROTOCOLS, ids=lambda protocol: protocol.name)
def test_protocols_name_splits_that_their_datasets_have(protocol: Protocol) -> None:
    named = {name for name, _ in sources.get(protocol.dataset).CARD.splits}
    assert protocol.split in named or protocol.split.startswith("random-")
    assert protocol.published
    assert all(0 < figure.value < 1 and figure.source for figure in protocol.published)
    stated = {(figure.system, figure.metric) for figure in protocol.published}
    assert len(stated) == len(protocol.published)


def test_a_row_that_learned_the_test_tracks_is_not_tested_on_them(lake: Lake, done: Benchmark) -> None:
    learned = lines(lake, done)["k2c2", "knn"]
    assert learned.coverage == 1
    flipped = schema.table("splits")
    parts = [
        {"track_id": track_id, "split": "flipped", "part": {"train": "test", "test": "train"}.get(part, part)}
        for track_id, part in rows(lake, "SELECT track_id, part FROM splits WHERE split = 'fixed'")
    ]
    lake.commit({"splits": Change(flipped, [write_rows(lake.path("splits", "flipped"), flipped.arrow, parts)])})
    other = benchmark.run(Config(str(lake.root), rows=("k2c2", "noise"), probes=("knn",), split="flipped"))
    assert ("k2c2", "knn") not in lines(lake, other)
    assert lines(lake, other)["noise", "knn"].coverage == 1


def test_the_command_prints_the_table_and_refuses_what_it_does_not_know(
    lake: Lake, done: Benchmark, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["benchmark", "--lake", str(lake.root), "--split", "fixed", "--format", "csv"]
    assert main([*words, "--row", "told", "--probe", "knn", "--per-class"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("vectors,probe,label,metric,value")
    assert {line.split(",")[2] for line in printed if line.startswith("told,")} == set(small_lake.CLASSES)
    for wrong in (["--row", "tolt"], ["--probe", "svm"], ["--licence", "free"], ["--labels", "nobody"]):
        assert main([*words, *wrong]) == 2
    assert "Did you mean 'told'" in capsys.readouterr().err
    with pytest.raises(UsageError, match="unknown split"):
        benchmark.run(replace(Config(str(lake.root)), split="nothing"))
