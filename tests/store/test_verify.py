"""Verify finds each kind of damage and says nothing about a whole lake; mend takes away only what no reader sees."""

import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from phonolake.errors import PhonolakeError
from phonolake.files import TEMPORARY
from phonolake.store import query, schema
from phonolake.store.catalog import FILE
from phonolake.store.delta import SETTINGS
from phonolake.store.lake import Change, Lake
from phonolake.store.schema import Column
from phonolake.store.shards import write_rows
from phonolake.store.verify import Finding, Kept, kept, mend, verify

STAMP = {"config_hash": "c", "code_version": "0"}
FEATURES = schema.table("features").extended("features_x", "A set", (Column("loudness", "DOUBLE", True, "dB"),))
IDS = ["d:1", "d:2", "d:3"]


def audio(track_id: str, data: bytes = b"encoded audio") -> dict[str, Any]:
    row = {"track_id": track_id, "bytes": data, "container": "WAV", "codec": "PCM_16", "sr": 8000, "channels": 1}
    facts = {"n_samples": 1, "peak_dbfs": -1.0, "rms_dbfs": -9.0, "sha256": "0", "source_path": "p"}
    return row | facts | {"source_bytes": len(data), "source_mtime": 0}


def track(track_id: str) -> dict[str, Any]:
    return {"track_id": track_id, "dataset": "d", "source_id": track_id[2:], "duration_seconds": 1.0} | STAMP


def label(track_id: str) -> dict[str, Any]:
    return {"track_id": track_id, "label": "rock", "value": 1, "source": "dataset"}


def features(track_id: str) -> dict[str, Any]:
    return {"track_id": track_id, "feature_set": "x", "source_shard": "s.parquet", "loudness": -9.0} | STAMP


def spectrogram(track_id: str) -> dict[str, Any]:
    row = {"track_id": track_id, "spectrogram": "mel", "n_bands": 1, "n_frames": 1, "data": b"\0\0"}
    return row | {"source_shard": "s.parquet"} | STAMP


def reject(track_id: str, stage: str, detail: str) -> dict[str, Any]:
    row = {"track_id": track_id, "dataset": "d", "stage": stage, "reason": "silent", "detail": detail}
    return row | {"retryable": False} | STAMP


def about(track_id: str) -> dict[str, dict[str, Any]]:
    """A row about a track in each of the other tables."""
    model = {"track_id": track_id, "model": "m", "run_id": "r", "source_shard": "s", "code_version": "0"}
    return {
        "splits": {"track_id": track_id, "split": "official", "part": "train"},
        "embeddings": model | {"embedding": [1.0, 0.0]},
        "predictions": model | {"label": "rock", "probability": 0.5},
    }


def commit(lake: Lake, stem: str, rows: dict[str, list[dict[str, Any]]]) -> None:
    changes = {}
    for name, content in rows.items():
        table = FEATURES if name == FEATURES.name else schema.table(name)
        changes[name] = Change(table, [write_rows(lake.path(name, stem), table.arrow, content)])
    lake.commit(changes)


def content() -> dict[str, list[dict[str, Any]]]:
    """Three tracks; the third has no spectrogram, and a reject says why; a fourth input never became a track."""
    rows: dict[str, list[dict[str, Any]]] = {
        "tracks": [track(t) for t in IDS],
        "audio": [audio(t) for t in IDS],
        "labels": [label(t) for t in IDS],
        FEATURES.name: [features(t) for t in IDS],
        "spectrograms": [spectrogram(t) for t in IDS[:2]],
        "rejects": [reject("d:3", "extract", "mel: too quiet"), reject("d:4", "ingest", "silence")],
    }
    for t in IDS:
        for name, row in about(t).items():
            rows.setdefault(name, []).append(row)
    return rows


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake.create(tmp_path_factory.mktemp("verify") / "lake")
    commit(lake, "s", content())
    return lake


@pytest.fixture
def lake(whole: Lake, tmp_path: Path) -> Lake:
    """A copy of one's own to break."""
    return Lake.open(shutil.copytree(whole.root, tmp_path / "lake"))


def problems(lake: Lake) -> dict[tuple[str, str], str]:
    return {(f.table, f.where): f.problem for f in verify(lake)}


def state(lake: Lake) -> dict[str, bytes]:
    """Every file of the lake but the catalog, which may be built again at any time."""
    files = (path for path in lake.root.rglob("*") if path.is_file() and path.name != FILE)
    return {str(path.relative_to(lake.root)): path.read_bytes() for path in files}


def test_a_lake_that_is_whole_has_no_findings(lake: Lake) -> None:
    before = state(lake)
    assert verify(lake) == []
    assert state(lake) == before, "looking changes nothing"


def test_an_empty_lake_has_no_findings(tmp_path: Path) -> None:
    assert verify(Lake.create(tmp_path / "lake")) == []


# -- damaged files -----------------------------------------------------------------------------------------------------


def delete(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def cut_off_in_the_middle(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path, needle: bytes) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(needle) + 3] ^= 0x04
    path.write_bytes(damaged)


@pytest.mark.parametrize(
    ("table", "damage"),
    [
        ("tracks", delete),
        ("audio", delete),
        ("audio", truncate),
        ("labels", cut_off_in_the_middle),
        ("features_x", truncate),
        ("embeddings", empty),
    ],
)
def test_a_shard_that_is_gone_or_cut_is_found(lake: Lake, table: str, damage: Callable[[Path], None]) -> None:
    damage(lake.path(table, "s"))
    (finding,) = verify(lake)
    assert (finding.table, finding.where) == (table, "s.parquet")
    assert finding.problem == "missing" if damage is delete else finding.problem.startswith("unreadable (")
    assert "restore the file from a copy" in finding.mend
    assert "\n" not in finding.problem


def test_a_flipped_byte_in_the_audio_is_found(lake: Lake) -> None:
    flip(lake.path("audio", "s"), b"encoded audio")
    ((where, problem),) = problems(lake).items()
    assert where == ("audio", "s.parquet")
    assert "crc" in problem.lower()


def test_a_flipped_byte_in_the_name_of_a_column_is_found(lake: Lake) -> None:
    """No checksum guards the footer."""
    flip(lake.path("tracks", "s"), b"source_id")
    ((where, problem),) = problems(lake).items()
    assert where == ("tracks", "s.parquet")
    assert "and the log says track_id, dataset, source_id" in problem


def test_no_flipped_byte_changes_the_rows_unseen(tmp_path: Path) -> None:
    """Wherever the byte lies: it is found, or Arrow and DuckDB read the same rows as before."""
    lake = Lake.create(tmp_path / "lake")
    commit(lake, "s", {"tracks": [track(t) for t in IDS], "audio": [audio(t) for t in IDS]})
    path = lake.path("tracks", "s")
    good, rows = path.read_bytes(), pq.read_table(path)
    found = 0
    positions = range(4, len(good), len(good) // 16)
    for position in positions:
        damaged = bytearray(good)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        if verify(lake):
            found += 1
            continue
        assert pq.read_table(path).equals(rows), position
        with query.connect(lake) as connection:
            assert connection.sql("FROM tracks").to_arrow_table().to_pylist() == rows.to_pylist(), position
    assert found > len(positions) / 3


def test_a_shard_with_other_rows_than_the_log_says_is_found(lake: Lake) -> None:
    write_rows(lake.path("labels", "s"), schema.table("labels").arrow, [label("d:1")])
    assert problems(lake) == {("labels", "s.parquet"): "1 rows, and the log says 3"}


def test_every_damaged_shard_is_named(lake: Lake) -> None:
    delete(lake.path("audio", "s"))
    truncate(lake.path("tracks", "s"))
    assert set(problems(lake)) == {("audio", "s.parquet"), ("tracks", "s.parquet")}


# -- rows that do not fit together -------------------------------------------------------------------------------------


def test_doubled_rows_are_found(lake: Lake) -> None:
    again = {table: rows[:2] for table, rows in content().items()}
    commit(lake, "again", again)
    found = problems(lake)
    assert sorted(table for table, _ in found) == sorted({*again, "features"} - {FEATURES.name})
    assert set(found.values()) == {"2 duplicate rows"}
    assert all("d:" in where for _, where in found)


def test_rows_that_share_a_part_of_their_key_are_no_doubles(lake: Lake) -> None:
    other = {"labels": {"source": "tags"}, "splits": {"split": "folds"}, "predictions": {"label": "pop"}}
    commit(lake, "more", {table: [content()[table][0] | change] for table, change in other.items()})
    assert verify(lake) == []


def test_rows_of_unknown_tracks_are_found(lake: Lake) -> None:
    rows = {"audio": audio("d:9"), "labels": label("d:9"), FEATURES.name: features("d:9")}
    rows |= {"spectrograms": spectrogram("d:9")} | about("d:9")
    commit(lake, "more", {table: [row] for table, row in rows.items()})
    found = {key: problem for key, problem in problems(lake).items() if key[0] != "tracks"}
    tables = {*rows, "features"} - {FEATURES.name}
    assert found == {(table, "d:9"): "1 rows of unknown tracks" for table in tables}


def test_a_track_without_audio_is_found(lake: Lake) -> None:
    commit(lake, "more", {"tracks": [track("d:5"), track("d:6")]})
    assert verify(lake) == [Finding("tracks", "d:5", "2 tracks without audio", "run the stage again")]


def test_an_input_that_is_track_and_reject_is_found(lake: Lake) -> None:
    commit(lake, "more", {"rejects": [reject("d:2", "ingest", "silence")]})
    assert problems(lake) == {("tracks", "d:2"): "1 inputs both ingested and rejected"}


def test_a_track_that_extraction_forgot_is_found(lake: Lake) -> None:
    """The third track has no spectrogram; without the reject nobody says why."""
    table = schema.table("rejects")
    rest = write_rows(lake.path("rejects", "rest"), table.arrow, [reject("d:4", "ingest", "silence")])
    lake.commit({"rejects": Change(table, [rest], ["s.parquet"])})
    expected = "1 tracks with audio that extraction neither answered nor rejected"
    assert problems(lake) == {("tracks", "d:3"): expected}


def test_audio_that_was_not_extracted_yet_is_no_damage(lake: Lake) -> None:
    commit(lake, "new", {"tracks": [track("d:5")], "audio": [audio("d:5")]})
    assert verify(lake) == []


# -- leftovers ---------------------------------------------------------------------------------------------------------


def leave(lake: Lake) -> dict[Path, str]:
    """What killed jobs leave, with what is said about it."""
    folder = lake.folder("audio")
    unfinished = [
        folder / f".s2.parquet.0123abcd{TEMPORARY}",
        lake.root / f".lake.json.0123abcd{TEMPORARY}",
        lake.root / f".{FILE}.0123abcd{TEMPORARY}",
        lake.root / "models" / "run" / f".tracks.parquet.0123abcd{TEMPORARY}",
        lake.root / "models" / "run" / ".weights.0123abcd",
        lake.root / "indexes" / f".run.0123abcd{TEMPORARY}",
    ]
    for path in unfinished:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.name.startswith((".weights", ".run")):
            path.mkdir()
            path = path / "card.json"
        path.write_bytes(b"half")
    uncommitted = lake.path("audio", "uncommitted")
    write_rows(uncommitted, schema.table("audio").arrow, [audio("d:9")])
    of_no_table = lake.path("annotations", "never-committed")
    write_rows(of_no_table, schema.table("annotations").arrow, [])
    shards = dict.fromkeys([uncommitted, of_no_table], "a shard of no published version")
    return dict.fromkeys(unfinished, "an unfinished file") | shards


def test_leftovers_are_found_and_the_way_out_is_named(lake: Lake) -> None:
    left = leave(lake)
    findings = verify(lake)
    assert {(f.where, f.problem) for f in findings} == {(path.name, what) for path, what in left.items()}
    assert {f.mend for f in findings} == {"`phonolake verify --mend` removes it"}


def replace(lake: Lake, old: str, new: str, value: int = 1) -> None:
    """Put a shard of labels in the place of another one."""
    table = schema.table("labels")
    shard = write_rows(lake.path("labels", new), table.arrow, [label(t) | {"value": value} for t in IDS])
    lake.commit({"labels": Change(table, [shard], [old + ".parquet"])})


def test_a_shard_that_was_replaced_is_kept_for_readers_of_its_version(lake: Lake) -> None:
    first = lake.versions()["labels"]
    before = lake.shards("labels")
    replace(lake, "s", "new")
    assert verify(lake) == []
    assert list(kept(lake)) == [Kept("labels", lake.path("labels", "s"), first)]
    assert lake.shards("labels", first) == before
    assert mend(lake) == [lake.path("labels", "s")]
    assert (verify(lake), list(kept(lake))) == ([], [])
    assert mend(lake) == []


def test_every_replaced_shard_has_the_last_version_that_named_it(lake: Lake) -> None:
    first = lake.versions()["labels"]
    for old, new in (("s", "t"), ("t", "u"), ("u", "s")):
        replace(lake, old, new)
    # The first one is published again, and nobody's past.
    assert {(k.path.name, k.version) for k in kept(lake)} == {("t.parquet", first + 1), ("u.parquet", first + 2)}
    assert verify(lake) == []


def test_shards_are_kept_through_a_change_of_columns(lake: Lake) -> None:
    """It empties the log and fills it again in two entries."""
    other = FEATURES.extended("features_x", "A set", (Column("pitch", "DOUBLE", True, "Hz"),))
    new = write_rows(lake.path("features_x", "new"), other.arrow, [features(t) | {"pitch": 440.0} for t in IDS])
    first = lake.versions()["features_x"]
    lake.commit({"features_x": Change(other, [new], ["s.parquet"])})
    assert lake.versions()["features_x"] > first + 1
    assert [(k.path.name, k.version) for k in kept(lake)] == [("s.parquet", first)]
    assert verify(lake) == []


def test_a_shard_that_only_a_killed_commit_named_is_a_leftover(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "write_state", kill)
        with pytest.raises(Killed):
            replace(lake, "s", "new")
    assert problems(lake) == {("labels", "new.parquet"): "a shard of no published version"}
    assert list(kept(lake)) == []


def test_a_damaged_entry_of_the_log_is_named(lake: Lake) -> None:
    replace(lake, "s", "new")
    entry = lake.folder("labels") / "_delta_log" / f"{0:020d}.json"
    entry.write_text("half of a li")
    with pytest.raises(PhonolakeError, match="labels"):
        list(kept(lake))


def test_entries_of_the_log_are_never_cleaned_up(lake: Lake) -> None:
    """Else a shard that was replaced a month and a hundred commits ago would look like one of nobody."""
    assert DeltaTable(lake.folder("labels").as_uri()).metadata().configuration == SETTINGS


def test_mend_removes_the_leftovers_and_nothing_else(lake: Lake) -> None:
    # What is published, and what people put beside it.
    others = [
        lake.root / "notes.txt",
        lake.root / ".git" / "HEAD",
        lake.root / "models" / "run" / "weights" / "card.json",
        lake.root / "indexes" / "run" / "index.faiss",
        lake.root / "tables" / "README",
        lake.folder("audio") / "notes.txt",
    ]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("keep me")
    before = state(lake)
    left = leave(lake)
    assert set(mend(lake)) == set(left)
    assert state(lake) == before
    assert verify(lake) == []
    assert mend(lake) == []


def test_mend_leaves_damaged_shards_where_they_are(lake: Lake) -> None:
    """They may be all that is left of the recording."""
    truncate(lake.path("audio", "s"))
    before = state(lake)
    assert mend(lake) == []
    assert state(lake) == before
    assert list(problems(lake)) == [("audio", "s.parquet")]


def test_mend_builds_the_catalog_again(lake: Lake) -> None:
    (lake.root / FILE).write_bytes(b"not a database")
    mend(lake)
    with query.connect(lake) as connection:
        assert connection.execute(
            "SELECT path IS NOT NULL FROM duckdb_databases() WHERE database_name = 'lake'"
        ).fetchall()
        assert connection.execute("SELECT count(*) FROM tracks").fetchall() == [(3,)]


def test_a_lake_in_a_folder_named_like_a_column_is_whole(whole: Lake, tmp_path: Path) -> None:
    lake = Lake.open(shutil.copytree(whole.root, tmp_path / "track_id=7" / "source_shard=x" / "lake"))
    assert verify(lake) == []


# -- parts of a lake ---------------------------------------------------------------------------------------------------


def test_only_what_was_published_since_is_read(lake: Lake) -> None:
    time.sleep(0.01)
    between = datetime.now(UTC)
    commit(lake, "new", {"tracks": [track("d:5")], "audio": [audio("d:5")]})
    # Damage that only a look at all bytes finds.
    flip(lake.path("audio", "s"), b"encoded audio")
    assert verify(lake, since=between) == []
    assert len(verify(lake)) == 1
    flip(lake.path("audio", "new"), b"encoded audio")
    assert [finding.where for finding in verify(lake, since=between)] == ["new.parquet"]


@pytest.mark.long
def test_a_sample_finds_all_damage_in_the_end(lake: Lake) -> None:
    flip(lake.path("audio", "s"), b"encoded audio")
    found = [len(verify(lake, sample=0.5)) for _ in range(24)]
    assert set(found) == {0, 1}
    assert len(verify(lake, sample=1.0)) == 1
