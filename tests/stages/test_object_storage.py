"""A lake on object storage: the whole way gives the tables of a lake in a folder, and writers never lose each other."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pytest
import soundfile as sf
from tests import google_store
from tests.object_store import using

from phonolake.analysis.collection import neighbours
from phonolake.annotation import journal, publication
from phonolake.annotation.journal import Answer
from phonolake.cli.main import main
from phonolake.errors import UsageError
from phonolake.stages import benchmark, benchmark_cells, extract, forget, index, ingest, score, split, train
from phonolake.store import query, schema, views
from phonolake.store.lake import Change, Lake, OvertakenError, Reads
from phonolake.store.place import Place
from phonolake.store.shards import Shard, write_rows
from phonolake.store.verify import kept, leftovers, mend, verify

from .in_process import work_here

# What differs between two runs of one command.
WHEN = {
    "runs": ("started_at", "finished_at", "snapshot", "config", "config_hash"),
    "forgotten": ("forgotten_at",),
    "benchmark_vectors": ("seconds",),
}
AT = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen recordings of two kinds of sound, and one file that is none."""
    root, rng = tmp_path_factory.mktemp("bucket-music"), np.random.default_rng(0)
    for kind, hertz in (("low", 110), ("high", 1760)):
        (root / kind).mkdir()
        for n in range(8):
            t = np.arange(22050) / 22050
            y = 0.3 * np.sin(2 * np.pi * hertz * (1 + n / 50) * t) + 0.01 * rng.standard_normal(len(t))
            sf.write(root / kind / f"{n}.wav", y, 22050)
    (root / "low" / "broken.wav").write_bytes(b"RIFF, and nothing behind it")
    return root


def walk(lake: str, music: Path) -> None:
    """The whole way of a collection."""
    ingest.run(ingest.Config(lake, str(music), dataset="toy", shard_bytes=400_000))
    extract.run(extract.Config(lake, features=("mfcc-120",)))
    train.run(train.Config(lake, "scaled-mfcc"))
    score.run(score.Config(lake))
    index.run(index.Config(lake))
    opened = Lake.open(lake)
    tracks = rows(opened, "SELECT track_id FROM tracks ORDER BY 1")
    answers = [Answer(t, "low", n % 2, "ann", AT) for n, (t,) in enumerate(tracks[:6])]
    journal.record(opened, answers)
    journal.record(opened, [Answer(tracks[0][0], "high", 1, "bea", AT)])
    assert journal.undo(opened, "ann") == answers[-1]
    publication.publish(opened)


@pytest.fixture(scope="module")
def walked(objects_server: str, music: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lake, Lake]]:
    """The same way in a folder and on object storage."""
    root = tmp_path_factory.mktemp("walked")
    with using(objects_server, root / "cache") as url, pytest.MonkeyPatch.context() as patch:
        # Workers of a Ray that other tests have started know nothing of the server.
        work_here(patch)
        walk(url, music)
        walk(str(root / "lake"), music)
        yield Lake.open(root / "lake"), Lake.open(url)


def rows(lake: Lake, sql: str) -> list[tuple]:
    with query.connect(lake) as connection:
        return connection.execute(sql).fetchall()


def table(lake: Lake, name: str) -> list[tuple]:
    without = ", ".join(WHEN.get(name, ()))
    return rows(lake, f"SELECT * {f'EXCLUDE ({without})' if without else ''} FROM {name} ORDER BY ALL")


@pytest.mark.long
def test_the_tables_are_those_of_a_lake_in_a_folder(walked: tuple[Lake, Lake]) -> None:
    here, there = walked
    assert here.versions().keys() == there.versions().keys() >= {"tracks", "audio", "embeddings", "annotations"}
    for name in here.versions():
        assert list(here.shards(name).values()) == list(there.shards(name).values()) or name in WHEN, name
        assert table(here, name) == table(there, name), name
    summary = "FROM lake_tables SELECT * EXCLUDE (version, n_bytes) ORDER BY ALL"
    assert rows(here, summary) == rows(there, summary)
    assert verify(there) == verify(here) == []


@pytest.mark.timeout(300)
@pytest.mark.long
def test_so_are_those_of_a_lake_at_google(
    walked: tuple[Lake, Lake], music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From ingest to forget, where fake-gcs-server is installed."""
    work_here(monkeypatch)
    with google_store.using(tmp_path):
        walk("gs://music/lake", music)
        here, there = walked[0], Lake.open("gs://music/lake")
        for name in there.versions():
            assert list(here.shards(name).values()) == list(there.shards(name).values()) or name in WHEN, name
            assert table(here, name) == table(there, name), name
        assert verify(there) == []
        gone = rows(there, "SELECT min(track_id) FROM annotations")[0][0]
        forget.run(forget.Config("gs://music/lake", (gone,)))
        assert forget.verify(there, (gone,)) == []
        assert rows(there, "SELECT count(*) FROM annotations WHERE track_id = $$" + gone + "$$") == [(0,)]
        assert journal.everyone(there)["ann"]
        assert len(rows(there, "SELECT track_id FROM embeddings")) == 15
        assert neighbours.similar(there, rows(there, "SELECT min(track_id) FROM tracks")[0][0], k=5)
        assert verify(there) == []


def test_another_machine_finds_all_of_it(
    walked: tuple[Lake, Lake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """It has no copies, and reads what it needs: the audio stays where it is when labels are asked for."""
    here, there = walked
    monkeypatch.setenv("PHONOLAKE_CACHE", str(tmp_path))
    first = rows(there, "SELECT min(track_id) FROM tracks")[0][0]
    assert list(there.folder("audio").glob("*")) == []
    assert neighbours.similar(there, first, k=5) == neighbours.similar(here, first, k=5)
    assert main(["sql", "SELECT count(*) AS n FROM audio", "--lake", str(there.place), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"n": 16}]


@pytest.mark.long
def test_a_benchmark_is_that_of_a_lake_in_a_folder(walked: tuple[Lake, Lake], monkeypatch: pytest.MonkeyPatch) -> None:
    work_here(monkeypatch)
    found = []
    for lake in walked:
        split.run(split.Config(str(lake.place)))
        said = benchmark.run(benchmark.Config(str(lake.place), quick=True))
        assert benchmark.run(benchmark.Config(str(lake.place), quick=True)).cells == said.cells
        assert said.bytes_per_track
        answers = f"SELECT * EXCLUDE code_version FROM {benchmark_cells.TABLE} ORDER BY ALL"
        found.append((said.rows, said.bytes_per_track, said.cells, rows(lake, answers)))
    assert found[0] == found[1]
    assert {row.name for row in found[0][0]} >= {"mfcc-120", "scaled-mfcc", "chance"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_study_is_that_of_a_lake_in_a_folder(walked: tuple[Lake, Lake], capsys: pytest.CaptureFixture) -> None:
    printed = []
    for lake in walked:
        split.run(split.Config(str(lake.place)))
        extract.run(extract.Config(str(lake.place), spectrograms=("mel-96-12k", "stft-257-12k")))
        words = ["study", "robustness", "--lake", str(lake.place), "--size", "tiny", "--format", "json"]
        assert main(words) == 0
        first = capsys.readouterr().out
        assert main(words) == 0
        assert capsys.readouterr().out == first
        printed.append(first)
    assert printed[0] == printed[1]


def test_nothing_is_done_twice(walked: tuple[Lake, Lake], music: Path) -> None:
    _, there = walked
    before = there.versions()
    assert "nothing new" in ingest.run(ingest.Config(str(there.place), str(music), dataset="toy")).note
    assert train.plan(train.Config(str(there.place), "scaled-mfcc"))[0].finished
    assert extract.plan(extract.Config(str(there.place), features=("mfcc-120",))) == []
    assert there.versions() == before


@pytest.fixture
def lake(objects_server: str, tmp_path: Path) -> Iterator[Lake]:
    with using(objects_server, tmp_path / "cache") as url:
        yield Lake.create(url)


TERMS = schema.table("vocabulary")


def term(lake: Lake, name: str) -> Shard:
    """A shard of one row, which rests on nothing else in the lake."""
    row = {"dataset": "d", "label": name, "source_id": name, "parents": [], "n_rated": None, "n_true": None}
    return write_rows(lake.path("vocabulary", name), TERMS.arrow, [row])


def terms(lake: Lake) -> list[str]:
    return [label for (label,) in rows(lake, "SELECT label FROM vocabulary ORDER BY 1")]


@pytest.mark.parametrize("writers", [3, pytest.param(8, marks=pytest.mark.slow)])
@pytest.mark.long
def test_no_commit_of_many_is_lost(writers: int, lake: Lake) -> None:
    """Each commits several times to the same table; all is published, whoever came first."""
    n = writers - 1

    def commit(writer: int) -> None:
        for k in range(n):
            lake.commit({"vocabulary": Change(TERMS, [term(lake, f"{writer}-{k}")])})

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(commit, range(writers)))
    assert terms(lake) == sorted(f"{writer}-{k}" for writer in range(writers) for k in range(n))
    assert len(list(lake.place.list("published/"))) == 1 + writers * n
    assert verify(lake) == []


def test_a_question_for_one_track_brings_few_shards(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log knows of them what one in a folder knows, also of tracks with long names."""
    monkeypatch.setattr(views, "LEAST_IN_PART", 2)
    table, here = schema.table("tracks"), Lake.create(tmp_path / "here")
    own = {"dataset": "d", "config_hash": "", "code_version": "", "duration_seconds": 1.0}
    names = [f"{n:02d}" for n in range(39)] + ["é" * 180]
    for one in (here, lake):
        added = [
            write_rows(one.path("tracks", f"{n:02d}"), table.arrow, [own | {"track_id": f"d:{i}", "source_id": i}])
            for n, i in enumerate(names)
        ]
        one.commit({"tracks": Change(table, added)})
    known = [[(s, s.first, s.last, s.nulls) for s in one.shards("tracks").values()] for one in (here, lake)]
    assert known[0] == known[1]
    assert all(first is not None for _, first, _, _ in known[1])
    for path in lake.folder("tracks").glob("*.parquet"):
        path.unlink()
    assert rows(lake, "SELECT source_id FROM tracks WHERE track_id = 'd:05'") == [("05",)]
    # Those of the part that it lies in, and the first of the other parts, which tells their columns.
    assert len(list(lake.folder("tracks").glob("*.parquet"))) <= 16


def test_of_two_who_read_the_same_one_looks_again(lake: Lake) -> None:
    lake.commit({"vocabulary": Change(TERMS, [term(lake, "a")])})
    seen = Reads({"vocabulary": lake.versions()["vocabulary"]})
    lake.commit({"vocabulary": Change(TERMS, [term(lake, "b")])}, seen)
    with pytest.raises(OvertakenError, match=r"the command of \S+@\S+ \(.*\), since .*, changed vocabulary meanwhile"):
        lake.commit({"vocabulary": Change(TERMS, [term(lake, "c")])}, seen)
    assert terms(lake) == ["a", "b"]
    assert [path.name for path in leftovers(lake)] == ["c.parquet"]
    mend(lake)
    assert verify(lake) == list(kept(lake)) == []


def test_a_reader_sees_one_moment(lake: Lake) -> None:
    lake.commit({"vocabulary": Change(TERMS, [term(lake, "a")])})
    with query.connect(lake) as connection:
        pinned = lake.pinned()
        lake.commit({"vocabulary": Change(TERMS, [term(lake, "b")], ["a.parquet"])})
        assert connection.execute("SELECT label FROM vocabulary").fetchall() == [("a",)]
        assert (terms(pinned), terms(lake)) == (["a"], ["b"])


def test_damage_is_found(lake: Lake) -> None:
    lake.commit({"vocabulary": Change(TERMS, [term(lake, name) for name in "abc"])})
    data = lake.place.read("tables/vocabulary/a.parquet")
    # A byte of the name of whoever wrote it, which nobody reads.
    lake.place.put("tables/vocabulary/a.parquet", data.replace(b"parquet-cpp", b"parquet-cpq"))
    lake.place.put("tables/vocabulary/b.parquet", data[:-9])
    lake.place.delete(["tables/vocabulary/c.parquet"])
    assert [(f.where, f.problem.split(" (")[0]) for f in verify(lake)] == [
        ("a.parquet", "its bytes changed since it was written"),
        ("b.parquet", "unreadable"),
        ("c.parquet", "missing"),
    ]


def test_queries_read_their_lake_and_nothing_else(lake: Lake, tmp_path: Path) -> None:
    with query.connect(lake) as connection:
        for path in ("s3://music/other/x.parquet", str(tmp_path / "x.parquet"), "/etc/passwd"):
            with pytest.raises(duckdb.Error, match="disabled by configuration"):
                connection.execute(f"SELECT * FROM read_text('{path}')").fetchall()


@pytest.mark.long
def test_a_track_is_forgotten(walked: tuple[Lake, Lake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place, as the last of these tests on what was walked."""
    here, there = walked
    gone, other = (t for (t,) in rows(there, "SELECT track_id FROM tracks ORDER BY 1 LIMIT 2"))
    said = [sorted((r.where, r.rows) for r in forget.run(forget.Config(str(lake.place), (gone,)))) for lake in walked]
    assert said[0] == said[1]
    assert forget.verify(there, (gone,)) == []
    for name in here.versions():
        assert table(here, name) == table(there, name), name
    mend(there)
    assert verify(there) == []
    for entry in there.place.list(""):
        if not entry.name.startswith("tables/forgotten/"):
            assert gone.encode() not in there.place.read(entry.name), entry.name
    assert gone not in {n.track_id for n in neighbours.similar(there, other, k=20)}


def test_what_lies_there_already_is_not_overwritten(objects_server: str, tmp_path: Path) -> None:
    with using(objects_server, tmp_path / "cache") as url:
        with pytest.raises(UsageError, match=f"no lake at {url}"):
            Lake.open(url)
        assert Lake.create(url).versions() == Lake.create(url).versions() == {}
        other = f"{url}-other"
        Place.at(other).put("thesis.doc", b"mine")
        with pytest.raises(UsageError, match="holds other files"):
            Lake.create(other)


def test_a_plain_client_reads_it_as_the_page_says(walked: tuple[Lake, Lake], tmp_path: Path) -> None:
    here, there = walked
    page = (Path(__file__).resolve().parents[2] / "docs" / "storage.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    code = snippet.replace("s3://music/lake", str(there.place))
    assert code != snippet
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ast.literal_eval(done.stdout) == rows(
        here, "SELECT label, count(*) FROM labels GROUP BY label ORDER BY label"
    )
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{tmp_path / 'catalog.duckdb'}' AS plain (READ_ONLY)")
        said = connection.execute("SELECT tags FROM duckdb_databases() WHERE database_name = 'plain'").fetchall()
    assert said == [({"storage_version": "v1.2.0+"},)]


@pytest.mark.slow
def test_two_ingests_at_once_take_each_file_in_once(lake: Lake, music: Path) -> None:
    """Of the same files, which they group differently."""
    words = [sys.executable, "-m", "phonolake.cli.main", "ingest", "folder", str(music), "--name", "toy"]
    words += ["--lake", str(lake.place), "--shard-bytes"]
    jobs = [subprocess.Popen([*words, str(size)], stderr=subprocess.PIPE, text=True) for size in (100_000, 200_000)]
    for job in jobs:
        _, said = job.communicate()
        assert job.returncode == 0, said
    assert rows(lake, "SELECT count(*), count(DISTINCT track_id) FROM tracks") == [(16, 16)]
    assert rows(lake, "SELECT count(*) FROM rejects") == [(1,)]
    mend(lake)
    assert verify(lake) == []
