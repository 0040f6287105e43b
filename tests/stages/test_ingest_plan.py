"""What an ingest has to read: its plan, made in batches in DuckDB, held against a plain rule, file by file."""

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonolake.audio.encoded import sha256
from phonolake.errors import UsageError
from phonolake.lineage import digest
from phonolake.records import Recording
from phonolake.stages import ingest_known, ingest_plan
from phonolake.stages.ingest_files import File, Looker
from phonolake.store import schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows

OLD, NOW = "an older configuration", "this configuration"
STATES = ("unknown", "taken in", "rejected", "retryable", "without audio", "forgotten")
# Batches of this size, so that a few files are several.
BATCH = 3


@dataclass(frozen=True)
class Case:
    """A file as it is, and what the lake has of it."""

    name: str
    state: str
    size: int | None
    mtime: int | None
    said: str | None
    size_then: int
    mtime_then: int
    said_then: str | None
    config_then: str
    same_bytes: bool
    is_named: bool

    @property
    def is_on_disk(self) -> bool:
        return self.size is not None


def cases() -> st.SearchStrategy[list[Case]]:
    number, text = st.integers(1, 2), st.sampled_from(["x", "y"])
    case = st.builds(
        Case,
        name=st.sampled_from([f"n{k}" for k in range(12)]),
        state=st.sampled_from(STATES),
        size=st.none() | number,
        mtime=number,
        said=text,
        size_then=number,
        mtime_then=number,
        said_then=st.none() | text,
        config_then=st.sampled_from([OLD, NOW]),
        same_bytes=st.booleans(),
        is_named=st.booleans(),
    )
    return st.lists(case, max_size=12, unique_by=lambda c: c.name)


def write(folder: Path, found: list[Case]) -> tuple[Lake, list[File]]:
    """A lake that knows of the cases, and the files of those that are still named."""
    lake = Lake.create(folder / "lake")
    rows: dict[str, list[dict]] = {t: [] for t in ("audio", "tracks", "metadata", "rejects", "forgotten")}
    files = []
    for c in found:
        path, track_id = folder / c.name, f"d:{c.name}"
        if c.is_on_disk:
            path.write_bytes(b"a" * (c.size or 0))
        if c.is_named:
            recording = Recording(c.name, path)
            files.append(File(recording, c.size, c.mtime if c.is_on_disk else None, c.said or ""))
        where = {"source_path": str(path), "source_bytes": c.size_then, "source_mtime": c.mtime_then}
        track = {"track_id": track_id, "dataset": "d", "source_id": c.name, "config_hash": "", "code_version": ""}
        if c.state == "taken in":
            facts = {
                "container": "",
                "codec": "",
                "sr": 1,
                "channels": 1,
                "n_samples": 1,
                "peak_dbfs": 0,
                "rms_dbfs": 0,
            }
            digest = sha256((b"a" if c.same_bytes else b"b") * c.size_then)
            rows["audio"].append({"track_id": track_id, "bytes": b"", "sha256": digest} | facts | where)
            rows["tracks"].append(track | {"duration_seconds": 1.0})
            if c.said_then is not None:
                rows["metadata"].append({"track_id": track_id, "attributes": "", "metadata_hash": c.said_then})
        elif c.state == "without audio":
            rows["tracks"].append(track | {"duration_seconds": 0.0})
        elif c.state in ("rejected", "retryable"):
            why = {"stage": "ingest", "reason": "", "detail": "", "retryable": c.state == "retryable"}
            own = {"track_id": track_id, "dataset": "d", "config_hash": c.config_then, "code_version": ""}
            rows["rejects"].append(own | why | where)
        elif c.state == "forgotten":
            rows["forgotten"].append({"track_id": track_id, "forgotten_at": datetime.now(UTC), "why": ""})
    changes = {}
    for name, listed in rows.items():
        table = schema.table(name)
        stem = "metadata-only-d-one" if name == "tracks" else "one"
        if listed:
            changes[name] = Change(table, [write_rows(lake.path(name, stem), table.arrow, listed)])
    lake.commit(changes)
    return lake, files


def is_unchanged(c: Case) -> bool:
    """The rule in words: what was taken in stays while its file is as it was, or gone; what was rejected, likewise."""
    if c.state == "taken in":
        if c.size is None:
            return True
        same = c.size == c.size_then and (c.mtime == c.mtime_then or c.same_bytes)
        return same and c.said_then in (None, c.said)
    if c.state == "rejected":
        mtime = c.mtime if c.is_on_disk else None
        return (c.size, mtime) == (c.size_then, c.mtime_then) and c.config_then == NOW
    return False


@pytest.mark.long
@settings(max_examples=25)
@given(cases())
def test_a_plan_follows_the_rule(tmp_path_factory: pytest.TempPathFactory, found: list[Case]) -> None:
    folder = tmp_path_factory.mktemp("plan")
    lake, files = write(folder, found)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest_known, "BATCH", BATCH)
        plan = ingest_plan.make(files, lake, "d", NOW, 1 << 20)
    named = [c for c in found if c.is_named]
    live = [c for c in named if c.state != "forgotten"]
    assert plan.forgotten == len(named) - len(live)
    assert plan.known == sum(map(is_unchanged, live))
    work = [c.name for c in live if not is_unchanged(c)]
    assert [f.recording.source_id for group in plan.shards.values() for f in group] == work
    before = {c.name for c in live if c.state != "unknown"}
    assert plan.replaced == {f"d:{name}" for name in work if name in before}
    gone = [c for c in found if c.state in ("taken in", "rejected", "retryable") and not c.is_on_disk]
    assert plan.gone == sorted(f"d:{c.name}" for c in gone)


@pytest.mark.parametrize("apart", [1, 2 * BATCH])
def test_two_files_of_one_id_are_refused_with_both_paths(monkeypatch: pytest.MonkeyPatch, apart: int) -> None:
    monkeypatch.setattr(ingest_known, "BATCH", BATCH)
    files = [File(Recording(f"n{k}", Path(f"{k}.mp3")), 1, 1, "") for k in range(apart)]
    files.append(File(Recording("n0", Path("other.mp3")), 1, 1, ""))
    with pytest.raises(UsageError, match=r"d:n0 is the id of two files, 0\.mp3 and other\.mp3: remove one"):
        ingest_plan.make(files, None, "d", NOW, 1)


WORDS = st.text(max_size=5)
RECORDINGS = st.builds(
    Recording,
    source_id=WORDS,
    path=st.just(Path("x")),
    title=st.none() | WORDS,
    year=st.none() | st.integers(0, 2),
    labels=st.lists(WORDS, max_size=2).map(tuple),
    splits=st.lists(st.tuples(WORDS, st.none() | WORDS, st.none() | st.integers(0, 1)), max_size=2).map(tuple),
    attributes=st.lists(st.tuples(WORDS, st.integers(0, 1) | st.sampled_from([0.0, 1.0, True, [1]])), max_size=1).map(
        tuple
    ),
    fault=st.none() | WORDS,
)


@given(st.lists(RECORDINGS, max_size=8))
def test_what_a_dataset_says_has_the_hash_that_lakes_hold(recordings: list[Recording]) -> None:
    """Of a list of all fields but the path, in their order; a fault counts where there is one."""
    looker = Looker(None)
    for recording in recordings:
        values = [getattr(recording, f.name) for f in fields(Recording) if f.name not in ("path", "fault")]
        values += [recording.fault] if recording.fault else []
        assert looker.look(recording).said == digest(values)
