"""Commits: all tables at once or none, the same commit twice is one, killed ones heal, and two jobs lose nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonolake.errors import PhonolakeError, UsageError
from phonolake.files import TEMPORARY
from phonolake.store import catalog, delta, query, schema
from phonolake.store.lake import MARKER, Change, Lake, OvertakenError, Reads
from phonolake.store.publications import FORMAT
from phonolake.store.schema import Column, TableSchema
from phonolake.store.shards import Shard, write_rows
from phonolake.store.verify import verify

TRACKS, LABELS = schema.table("tracks"), schema.table("labels")
TRACKS_ARROW, LABELS_ARROW = TRACKS.arrow, LABELS.arrow


def track_row(track_id: str) -> dict[str, Any]:
    row = {"track_id": track_id, "dataset": "d", "source_id": track_id, "duration_seconds": 1.0}
    return row | {"config_hash": "c", "code_version": "0"}


def tracks(lake: Lake, stem: str, *track_ids: str) -> Shard:
    return write_rows(lake.path("tracks", stem), TRACKS_ARROW, [track_row(t) for t in track_ids])


def labels(lake: Lake, stem: str, *track_ids: str) -> Shard:
    rows = [{"track_id": t, "label": "rock", "value": 1, "source": "dataset"} for t in track_ids]
    return write_rows(lake.path("labels", stem), LABELS_ARROW, rows)


def commit(lake: Lake, stem: str, *, remove: tuple[str, ...] = ()) -> None:
    """Commit one track of the shard's name, with its label."""
    files = [f"{name}.parquet" for name in remove]
    lake.commit(
        {
            "tracks": Change(TRACKS, [tracks(lake, stem, f"d:{stem}")], files),
            "labels": Change(LABELS, [labels(lake, stem, f"d:{stem}")], files),
        }
    )


def seen(lake: Lake, table: str = "tracks") -> list[str]:
    """Track ids that a reader finds."""
    with query.connect(lake) as connection:
        rows = connection.execute(f"SELECT track_id FROM {table} ORDER BY ALL").fetchall()
    return [track_id for (track_id,) in rows]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.create(tmp_path / "lake")


# -- making and opening ------------------------------------------------------------------------------------------------


def test_a_new_lake_is_empty_and_can_be_asked(tmp_path: Path) -> None:
    made = Lake.create(tmp_path / "deep" / "down")
    assert json.loads((made.root / MARKER).read_text()) == {"format": FORMAT, "tables": {}}
    assert made.versions() == {}
    assert made.shards("tracks") == {}
    assert seen(made) == []


def test_creating_a_lake_where_one_is_opens_it(lake: Lake) -> None:
    commit(lake, "a")
    assert seen(Lake.create(lake.root)) == ["d:a"]
    assert seen(Lake.open(str(lake.root))) == ["d:a"]


def test_opening_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no lake at .*nowhere: `phonolake run MUSIC --lake .*nowhere` makes one"):
        Lake.open(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match=r"no lake at .*folder"):
        Lake.open(tmp_path / "folder")
    assert [p.name for p in tmp_path.rglob("*")] == ["folder"]


@pytest.mark.parametrize("make", [Lake.open, Lake.create])
def test_a_file_is_no_lake(tmp_path: Path, make: Any) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="file is a file, and a lake is a folder: name another path with --lake"):
        make(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "x"


def test_a_lake_cannot_lie_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="below a file"):
        Lake.create(tmp_path / "file" / "lake")


def test_a_folder_with_other_things_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "music.mp3").write_text("x")
    with pytest.raises(UsageError, match=r"holds other files \('music.mp3'\): give the lake a folder of its own"):
        Lake.create(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["music.mp3"]


def test_what_a_first_run_left_when_it_was_killed_is_no_obstacle(tmp_path: Path) -> None:
    for name in ("tables", "models", "indexes"):
        (tmp_path / name).mkdir()
    (tmp_path / f".lake.json.0123{TEMPORARY}").touch()
    (tmp_path / ".lock").touch()
    assert Lake.create(tmp_path).versions() == {}


@pytest.mark.parametrize(
    "name", ["50%", "a%20b", "new\nline", "tab\t", "back\\slash", "bell\a", b"\xff".decode("latin1")]
)
@pytest.mark.parametrize("make", [Lake.open, Lake.create])
def test_a_path_that_the_log_cannot_address_is_refused(tmp_path: Path, make: Any, name: str) -> None:
    if name.isprintable() and not set(name) & set("%\\"):
        # The odd one out shows that letters beyond ASCII are not what is refused.
        with pytest.raises(UsageError, match="no lake at"):
            Lake.open(tmp_path / name)
        return
    with pytest.raises(UsageError, match=r"a lake cannot lie at .*no '%', no backslash and no control characters"):
        make(tmp_path / name / "lake")
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("path", ["a\0b", "~nobody-of-that-name/lake", "n" * 300])
@pytest.mark.parametrize("make", [Lake.open, Lake.create])
def test_a_path_that_no_disk_has_is_refused(tmp_path: Path, make: Any, path: str) -> None:
    with pytest.raises(UsageError, match="a lake cannot lie at"):
        make(path if path.startswith("~") else tmp_path / path)


def test_a_lake_that_was_moved_to_such_a_path_is_refused(lake: Lake) -> None:
    commit(lake, "a")
    moved = shutil.move(lake.root, lake.root.with_name("100%20"))
    with pytest.raises(UsageError, match="a lake cannot lie at"):
        Lake.open(moved)


@pytest.mark.parametrize("number", [0, FORMAT + 1, "1", None, [1]])
def test_another_format_is_named_with_the_one_that_is_read(lake: Lake, number: Any) -> None:
    (lake.root / MARKER).write_text(json.dumps({"format": number, "tables": {}}))
    with pytest.raises(PhonolakeError, match=r"has lake format .*, and this Phonolake reads 1: use the version that"):
        Lake.open(lake.root)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"format": 1}',
        b'{"format": 1, "tables": []}',
        b'{"format": 1, "tables": {"tracks": "0"}}',
    ],
)
def test_a_broken_marker_is_named(lake: Lake, content: bytes) -> None:
    (lake.root / MARKER).write_bytes(content)
    with pytest.raises(PhonolakeError, match=r"lake\.json cannot be read \(.*\): restore it from a copy"):
        Lake.open(lake.root)
    # Nor is it taken for an empty lake and written over.
    with pytest.raises(PhonolakeError, match="cannot be read"):
        Lake.create(lake.root)
    assert (lake.root / MARKER).read_bytes() == content


@pytest.mark.parametrize("damage", ["version", "log"])
def test_a_lost_log_is_named_and_not_started_anew(lake: Lake, damage: str) -> None:
    commit(lake, "a")
    if damage == "version":
        lake.write_state(lake.versions() | {"tracks": 99})
    else:
        shutil.rmtree(lake.folder("tracks") / "_delta_log")
    with pytest.raises(PhonolakeError, match=r"the log of tracks cannot be read .*restore .*_delta_log from a copy"):
        Lake.open(lake.root).shards("tracks")
    with pytest.raises(PhonolakeError, match="the log of tracks cannot be read"):
        commit(lake, "b")


@pytest.mark.parametrize(
    "name",
    [
        'two words & it\'s "so"',
        "[a] *b",
        "what?",
        "x?access_mode=READ_WRITE",
        "#1;$(touch x)",
        "ünïcödé 音楽",
        "s3:{a,b}",
        "-rf ~",
        # DuckDB takes such folders for columns, and these are columns of the table.
        "dataset=other/track_id=7",
    ],
)
def test_a_lake_may_have_any_other_name(tmp_path: Path, name: str) -> None:
    made = Lake.create(tmp_path / name / "lake")
    commit(made, "a")
    again = Lake.open(made.root)
    with query.connect(again) as connection:
        rows = connection.execute("SELECT track_id, dataset FROM tracks ORDER BY ALL").fetchall()
        databases = connection.execute("SELECT count(*) FROM duckdb_databases() WHERE database_name = 'lake'")
        assert databases.fetchall() == [(1,)], "the views were made in memory, although the catalog is there"
    assert rows == [("d:a", "d")]


@pytest.mark.parametrize(("name", "match"), [("[ab]", "a"), ("a*", "ab"), ("a?", "ab")])
def test_a_lake_with_a_pattern_for_a_name_reads_its_own_files(tmp_path: Path, name: str, match: str) -> None:
    odd, other = Lake.create(tmp_path / name), Lake.create(tmp_path / match)
    odd.commit({"tracks": Change(TRACKS, [tracks(odd, "s", "d:odd")])})
    other.commit({"tracks": Change(TRACKS, [tracks(other, "s", "d:other")])})
    assert (seen(odd), seen(other)) == (["d:odd"], ["d:other"])


# -- commits -----------------------------------------------------------------------------------------------------------


def test_the_same_commit_twice_is_one(lake: Lake) -> None:
    commit(lake, "a")
    before = lake.versions()
    commit(lake, "a")
    assert seen(lake) == ["d:a"]
    assert lake.versions() == before
    assert list(lake.shards("tracks")) == ["a.parquet"]


def test_shards_are_listed_by_name_with_their_facts(lake: Lake) -> None:
    shards = [tracks(lake, stem, *ids) for stem, ids in {"b": ("d:1", "d:2"), "a": ("d:3",), "c": ()}.items()]
    lake.commit({"tracks": Change(TRACKS, shards)})
    assert list(lake.shards("tracks").values()) == sorted(shards, key=lambda shard: shard.file)
    assert [s.rows for s in lake.shards("tracks").values()] == [1, 2, 0]


def test_tables_are_published_together(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the commits of its tables a reader sees none of them."""
    commit(lake, "a")
    during = []
    original = Lake.commit_table

    def watched(self: Lake, table: str, change: Change) -> int:
        version = original(self, table, change)
        during.append((table, seen(lake), seen(lake, "labels")))
        return version

    # A reader in the middle takes the lock for itself only when it has to build the catalog, which it need not.
    monkeypatch.setattr(Lake, "commit_table", watched)
    commit(lake, "b")
    assert during == [("tracks", ["d:a"], ["d:a"]), ("labels", ["d:a"], ["d:a"])]
    assert seen(lake) == seen(lake, "labels") == ["d:a", "d:b"]


def test_tables_that_a_commit_does_not_name_stay(lake: Lake) -> None:
    commit(lake, "a")
    before = lake.versions()["labels"]
    lake.commit({"tracks": Change(TRACKS, [tracks(lake, "b", "d:b")])})
    assert lake.versions()["labels"] == before
    assert (seen(lake), seen(lake, "labels")) == (["d:a", "d:b"], ["d:a"])


def test_removed_shards_are_gone_for_readers_but_not_from_the_disk(lake: Lake) -> None:
    commit(lake, "a")
    commit(lake, "b", remove=("a",))
    assert seen(lake) == seen(lake, "labels") == ["d:b"]
    # Readers of the version before still need it.
    assert lake.path("tracks", "a").is_file()


def test_removing_what_is_not_there_changes_nothing(lake: Lake) -> None:
    commit(lake, "a")
    before = lake.versions()
    lake.commit({"tracks": Change(TRACKS, [], ["never.parquet"])})
    assert lake.versions() == before
    assert seen(lake) == ["d:a"]


def test_a_shard_that_is_both_added_and_removed_stays(lake: Lake) -> None:
    commit(lake, "a")
    commit(lake, "a", remove=("a",))
    assert seen(lake) == ["d:a"]


def test_a_shard_that_comes_back_is_there_once(lake: Lake) -> None:
    commit(lake, "a")
    commit(lake, "b", remove=("a",))
    commit(lake, "a")
    assert seen(lake) == ["d:a", "d:b"]


def test_a_shard_that_was_written_again_has_its_new_facts(lake: Lake) -> None:
    commit(lake, "a")
    lake.commit({"tracks": Change(TRACKS, [tracks(lake, "a", "d:1", "d:2")])})
    assert lake.shards("tracks")["a.parquet"].rows == 2
    assert seen(lake) == ["d:1", "d:2"]


def test_a_feature_set_with_other_columns_takes_the_place_of_the_old_one(lake: Lake) -> None:
    def features(version: int, *names: str) -> tuple[TableSchema, Shard]:
        columns = tuple(Column(name, "DOUBLE", True, f"value {name}") for name in names)
        table = schema.table("features").extended("features_x", "A set", columns)
        row = {"track_id": "d:1", "feature_set": "x", "source_shard": "s", "config_hash": "c", "code_version": "0"}
        rows = [row | {name: float(version) for name in names}]
        return table, write_rows(lake.path("features_x", f"v{version}"), table.arrow, rows)

    table, shard = features(1, "a", "b")
    lake.commit({"features_x": Change(table, [shard])})
    table, shard = features(2, "b", "c")
    for _ in range(2):
        lake.commit({"features_x": Change(table, [shard], ["v1.parquet"])})
    assert [f.name for f in lake.published_schema("features_x")][-2:] == ["b", "c"]
    assert lake.published_schema("features_x").field("c").metadata == {b"comment": b"value c"}
    with query.connect(lake) as connection:
        assert connection.execute("SELECT b, c FROM features_x").fetchall() == [(2.0, 2.0)]
        assert connection.execute("SELECT b, c FROM features").fetchall() == [(2.0, 2.0)]
        assert "a" not in [name for name, *_ in connection.execute("DESCRIBE features_x").fetchall()]


# -- killed commits ----------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """What no handler of the code under test catches."""


def kill(*_: Any) -> None:
    raise Killed


@pytest.fixture
def killed(lake: Lake) -> Lake:
    """A lake of track a, on which a job died that takes a away and brings b: its logs have it, its lake has not."""
    commit(lake, "a")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lake, "write_state", kill)
        with pytest.raises(Killed):
            commit(lake, "b", remove=("a",))
    return lake


def test_a_commit_that_was_killed_before_publication_is_invisible(killed: Lake) -> None:
    assert seen(killed) == seen(killed, "labels") == ["d:a"]
    assert list(Lake.open(killed.root).shards("tracks")) == ["a.parquet"]
    assert {f.problem for f in verify(killed)} == {"1 tracks without audio", "a shard of no published version"}


def test_a_killed_commit_heals_when_it_is_made_again(killed: Lake) -> None:
    commit(killed, "b", remove=("a",))
    assert seen(killed) == seen(killed, "labels") == ["d:b"]


def test_another_commit_does_not_publish_what_a_killed_one_left(killed: Lake) -> None:
    """Else a track would be seen without its audio: the job died between the two."""
    killed.commit({"tracks": Change(TRACKS, [tracks(killed, "c", "d:c")])})
    assert seen(killed) == ["d:a", "d:c"]
    commit(killed, "b", remove=("a",))
    assert seen(killed) == ["d:b", "d:c"]
    assert seen(killed, "labels") == ["d:b"]


def test_a_commit_that_was_killed_between_two_tables_is_invisible_and_heals(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Lake.commit_table
    with monkeypatch.context() as patch:
        patch.setattr(Lake, "commit_table", lambda self, t, c: kill() if t == "labels" else original(self, t, c))
        with pytest.raises(Killed):
            commit(lake, "a")
    assert (seen(lake), seen(lake, "labels"), lake.versions()) == ([], [], {})
    commit(lake, "b")
    assert seen(lake) == seen(lake, "labels") == ["d:b"]
    commit(lake, "a")
    assert seen(lake) == seen(lake, "labels") == ["d:a", "d:b"]


def test_a_commit_that_was_killed_before_the_catalog_is_published(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(catalog, "build", kill)
        with pytest.raises(Killed):
            commit(lake, "a")
    assert seen(lake) == ["d:a"]


# -- two jobs ----------------------------------------------------------------------------------------------------------


JOB = """
import sys
from phonolake.store import schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows
root, name = sys.argv[1:]
tables = {name: schema.table(name) for name in ("tracks", "labels")}
print("ready", flush=True)
sys.stdin.readline()
lake = Lake.create(root)
for stem in (f"{name}0", f"{name}1", "both", f"{name}2"):
    track_id = f"d:{stem}"
    row = {"track_id": track_id, "dataset": "d", "source_id": stem, "duration_seconds": 1.0, "config_hash": "c"}
    row |= {"code_version": "0", "label": "rock", "value": 1, "source": "dataset"}
    lake.commit({n: Change(t, [write_rows(lake.path(n, stem), t.arrow, [row])]) for n, t in tables.items()})
"""


@pytest.mark.long
def test_two_jobs_commit_to_the_same_tables_and_nothing_is_lost_or_twice(tmp_path: Path) -> None:
    """Both start the lake, both commit shards of their own and one that the other commits too."""
    root = tmp_path / "lake"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    jobs = [subprocess.Popen([sys.executable, "-c", JOB, root, name], **pipes) for name in "ab"]
    assert [process.stdout.readline() for process in jobs] == ["ready\n", "ready\n"]
    for process in jobs:
        process.stdin.write("go\n")
        process.stdin.flush()
    halves = 0
    while any(process.poll() is None for process in jobs):
        if (root / MARKER).is_file():
            with query.connect(Lake.open(root)) as connection:
                ((n_tracks, n_labels),) = connection.execute(
                    "SELECT (SELECT count(*) FROM tracks), (SELECT count(*) FROM labels)"
                ).fetchall()
            halves += n_tracks != n_labels
    for process in jobs:
        process.communicate()
    assert [process.returncode for process in jobs] == [0, 0]
    assert halves == 0
    lake = Lake.open(root)
    expected = sorted(f"d:{stem}" for stem in ["a0", "a1", "a2", "b0", "b1", "b2", "both"])
    assert seen(lake) == seen(lake, "labels") == expected


# -- any sequence ------------------------------------------------------------------------------------------------------

stems = st.sampled_from("abcd")
commits = st.tuples(st.sets(stems, max_size=3), st.sets(stems, max_size=3), st.booleans())


@settings(max_examples=15)
@given(st.lists(commits, max_size=5))
def test_any_sequence_of_commits_gives_what_a_set_gives(sequence: list[tuple[set[str], set[str], bool]]) -> None:
    model: set[str] = set()
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        # Only the logs are looked at here, and views take longest.
        patch.setattr(catalog, "build", lambda _: None)
        lake = Lake.create(Path(folder) / "lake")
        shards = {stem: tracks(lake, stem, f"d:{stem}") for stem in "abcd"}
        for add, remove, dies in sequence:
            change = Change(TRACKS, [shards[stem] for stem in sorted(add)], [shards[stem].file for stem in remove])
            if dies:
                with pytest.MonkeyPatch.context() as killing:
                    killing.setattr(Lake, "write_state", kill)
                    with pytest.raises(Killed):
                        lake.commit({"tracks": change})
            else:
                lake.commit({"tracks": change})
                model = (model - remove) | add
            expected = {shards[stem].file: shards[stem] for stem in model}
            assert Lake.open(lake.root).shards("tracks") == expected


@pytest.mark.parametrize("torn", [b"", b'{"commitInfo":{"timest', b"\0" * 300])
def test_a_log_entry_that_a_loss_of_power_tore_is_passed_over(torn: bytes, tmp_path: Path) -> None:
    """The entry behind the published one was never promised to anybody: readers and the next commit do without it."""
    lake = Lake.create(tmp_path / "lake")
    lake.commit({"tracks": Change(TRACKS, [tracks(lake, "a", "d:1")])})
    entries = lake.folder("tracks") / "_delta_log"
    (entries / f"{lake.versions()['tracks'] + 1:020d}.json").write_bytes(torn)
    assert list(lake.shards("tracks")) == ["a.parquet"]
    lake.commit({"tracks": Change(TRACKS, [tracks(lake, "b", "d:2")])})
    assert list(lake.shards("tracks")) == ["a.parquet", "b.parquet"]
    assert seen(lake) == ["d:1", "d:2"]


def test_what_is_published_is_on_the_disk_before_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards, checksums and log entries are forced to the disk, with their names, before `lake.json` names them."""
    lake = Lake.create(tmp_path / "lake")
    forced: set[int] = set()
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(handle: int) -> None:
        forced.add(os.fstat(handle).st_ino)
        real_fsync(handle)

    def replace(source: Any, target: Any) -> None:
        if Path(target).name == "lake.json":
            loose = [p for p in (lake.root / "tables").rglob("*") if p.stat().st_ino not in forced]
            assert loose == []
            assert (lake.root / "tables").stat().st_ino in forced
            published.append(Path(target))
        real_replace(source, target)

    published: list[Path] = []
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    for n in range(3):
        lake.commit({"tracks": Change(TRACKS, [tracks(lake, f"s{n}", f"d:{n}")])})
    assert len(published) == 3


@pytest.mark.parametrize("url", ["http://bucket/lake", "hdfs://bucket/lake", "file://host/lake"])
def test_other_addresses_are_refused(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They were written into a local folder called `s3:`."""
    monkeypatch.chdir(tmp_path)
    for way in (Lake.open, Lake.create, Lake.find):
        with pytest.raises(UsageError, match="in a folder, or at an address of s3://, gs:// or az://"):
            way(url)
    assert list(tmp_path.iterdir()) == []


def test_a_file_url_is_its_path(tmp_path: Path) -> None:
    made = Lake.create(f"file://{tmp_path}/lake")
    assert made.root == tmp_path / "lake"
    assert Lake.open(f"file://localhost{tmp_path}/lake").root == made.root
    assert Lake.find(tmp_path / "none") is None


def test_a_lake_that_older_versions_wrote_to_names_no_writers(lake: Lake) -> None:
    state = json.loads((lake.root / MARKER).read_text())
    state.pop("writers", None)
    (lake.root / MARKER).write_text(json.dumps(state))
    commit(lake, "a")
    assert json.loads((lake.root / MARKER).read_text())["writers"].keys() == {"tracks", "labels"}
    with pytest.raises(OvertakenError, match=r"the command of \S+@\S+ \(.*\), since .*, changed tracks"):
        lake.commit({"tracks": Change(TRACKS, [tracks(lake, "b", "d:b")])}, Reads({"tracks": -1}))
    assert seen(lake) == ["d:a"]


def test_a_log_is_opened_once_for_each_version_and_another_lake_in_its_place_is_seen(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(lake, "a")
    other = Lake.create(tmp_path / "other")
    commit(other, "b")
    opened, table = [], delta.DeltaTable
    monkeypatch.setattr(delta, "DeltaTable", lambda *a, **k: (opened.append(a), table(*a, **k))[1])
    for _ in range(2):
        assert seen(Lake.open(lake.root)) == ["d:a"]
    assert opened == []
    lake.root.rename(tmp_path / "away")
    other.root.rename(lake.root)
    # Its tables have the same versions.
    assert Lake.open(lake.root).versions() == Lake.open(tmp_path / "away").versions()
    assert seen(Lake.open(lake.root)) == ["d:b"]
    assert list(Lake.open(lake.root).shards("tracks")) == ["b.parquet"]
    n = len(opened)
    assert n > 0
    # Whoever looks for damage looks at the disk.
    verify(Lake.open(lake.root))
    assert len(opened) > n
