"""Ingest: recordings of a source become rows of `tracks`, `audio`, `labels` and `splits`, or of `rejects`.

Inputs = tracks + rejects, always. What the lake already has is left alone; a changed file takes its old rows' place.
"""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from phonolake import execution, progress
from phonolake.audio.decode import AudioFacts, probe
from phonolake.audio.encoded import Encoded, OnDisk, sha256
from phonolake.audio.tags import read_tags, split_genres
from phonolake.errors import AudioError, UsageError
from phonolake.files import locked
from phonolake.lineage import CODE_VERSION, canonical, digest
from phonolake.records import Recording
from phonolake.sources import contract
from phonolake.stages import absent, imported, prune
from phonolake.stages import ingest_passed_over as passing
from phonolake.stages import ingest_plan as planning
from phonolake.stages import ingest_vocabulary as vocabulary
from phonolake.store import jobs, pieces, schema
from phonolake.store.attempts import attempts
from phonolake.store.lake import Change, Lake, Reads
from phonolake.store.naming import TOMBSTONES
from phonolake.store.outcomes import Outcome, finish, merge, now, versions
from phonolake.store.shards import SUFFIX, describe, write_rows, writing

# In the order they are written: when `tracks` is there, all of a shard is there.
TABLES = ("rejects", "official_splits", "labels", "splits", "metadata", "audio", "tracks")

# Held while the shards of some files take their places.
PLACING = ".placing"

MAX_CLIPPED = 0.1
MAX_BYTES = 4 << 30
SECONDS_PER_FILE, SECONDS_PER_BYTE = 0.02, 2e-7
# The mean of the channels of a recording is at most some dB weaker than they are, unless one is the other's negative.
CANCELS_DB = 40.0


@dataclass(frozen=True, slots=True)
class Config:
    """What to ingest, and what counts as usable.

    Parameters
    ----------
    lake, root : str
        The lake, and the folder that holds the source's layout.
    source : str
        Name of a module in `sources`.
    dataset : str, optional
        First half of the track ids; the source's name, or for ``folder`` the name of the folder, by default.
    shard_bytes : int
        Encoded audio in one shard, at most (a single larger file has a shard of its own).
    min_seconds : float
        Shorter recordings are rejected as ``too-short``.
    silence_dbfs : float
        Recordings whose loudest sample lies below are rejected as ``silent``.
    max_clipped : float
        Recordings with a larger share of samples at full scale, in tops of at most 1.5 ms, are rejected as
        ``clipped``. The worst of 408 real recordings (ESC-10 and others) has 0.008.
    max_bytes : int
        Larger files are rejected as ``too-large``: no WAV file can be larger than the default.
    options : tuple of str
        What is chosen of the dataset, as ``key=value`` (`sources.options`).
    follow_links : bool
        Take files that a link out of the root leads to; they are rejected as ``outside`` else.
    split_genres : bool
        Whether a genre such as ``"Rock; Pop / Indie"`` in a file's own tags is three labels; it is one else.
    join : bool
        Whether files of another folder are added to a dataset that the lake has; that is refused else.
    prune : bool
        Whether tracks and rejects are taken down whose files are no longer there.
    """

    lake: str
    root: str
    source: str = "folder"
    dataset: str | None = None
    shard_bytes: int = 128 << 20
    min_seconds: float = 0.5
    silence_dbfs: float = -70.0
    max_clipped: float = MAX_CLIPPED
    max_bytes: int = MAX_BYTES
    options: tuple[str, ...] = ()
    follow_links: bool = False
    split_genres: bool = False
    join: bool = False
    prune: bool = False

    @property
    def dataset_name(self) -> str:
        if self.dataset:
            return self.dataset
        return Path(self.root).expanduser().resolve().name if self.source == "folder" else self.source

    @property
    def fingerprint(self) -> str:
        """Hash of what decides about a row; where the files lie and how they are grouped does not."""
        usable = [self.source, self.dataset_name, self.min_seconds, self.silence_dbfs, self.max_bytes]
        chosen = [sorted(self.options), self.follow_links]
        # Hashes of lakes from before there was such a threshold stay as they are.
        chosen += [self.max_clipped] if self.max_clipped != MAX_CLIPPED else []
        chosen += ["split-genres"] if self.split_genres else []
        return digest(usable + chosen if any(chosen) else usable)


@dataclass(frozen=True, slots=True)
class Task:
    """One shard of work."""

    lake: Path
    config: Config
    stem: str
    files: tuple[planning.File, ...]


def run(config: Config) -> Outcome:
    """Ingest everything that is new or changed under the root."""
    started = now()
    there = _there(config)
    plan, planned = _plan(config, there), there.versions() if there else {}
    pruned = prune.take_down(config, plan, started) if config.prune else ""
    if not plan.shards:
        return _nothing_new(config, plan, pruned)
    # Read before any work is done: a table of labels that is none ends it with nothing written.
    terms = contract.vocabulary(contract.get(config.source), Path(config.root).expanduser().resolve(), config.options)
    lake = Lake.create(config.lake)
    with jobs.working(lake.root, "ingest"):
        for attempt in attempts(lake):
            with attempt as seen:
                # What another job has taken in since is known, and what it has removed is not.
                if seen.versions() != planned:
                    before, plan, planned = plan, _plan(config, seen), seen.versions()
                    useless = [stem + SUFFIX for stem in before.shards.keys() - plan.shards.keys()]
                    lake.discard(dict.fromkeys(TABLES, useless))
                if not plan.shards:
                    return _nothing_new(config, plan, pruned)
                _write(lake, config, plan)
                return _publish(lake, seen, config, plan, terms, pruned, started)
    raise AssertionError("the last attempt raises")


def _nothing_new(config: Config, plan: planning.IngestPlan, pruned: str) -> Outcome:
    _commit_passed_over(config, plan)
    note = [f"nothing new: {plan.said}{plan.lost}{pruned}", passing.said(plan.passed_over)]
    return Outcome("ingest", None, 0, 0, 0, "; ".join(filter(None, note)))


def _write(lake: Lake, config: Config, plan: planning.IngestPlan) -> None:
    """Write the shards that do not lie ready."""
    tasks = [Task(lake.root, config, stem, files) for stem, files in plan.shards.items()]
    missing = [task for task in tasks if not lake.path("tracks", task.stem).exists()]
    total = sum(len(task.files) for task in tasks)
    with progress.task("ingest", total, done=total - sum(len(task.files) for task in missing)) as advance:
        for _ in execution.imap(ingest_shard, missing, seconds=_seconds(missing), on_tick=advance):
            pass


def _publish(
    lake: Lake,
    seen: Lake,
    config: Config,
    plan: planning.IngestPlan,
    terms: list[contract.Term],
    pruned: str,
    started: datetime,
) -> Outcome:
    """Commit the shards of a plan, which rests on the tracks and rejects that were seen."""
    changes = {name: _collect(seen, name, plan) for name in TABLES}
    changes["vocabulary"] = vocabulary.replacing(seen, config.dataset_name, terms)
    changes["passed_over"] = passing.replacing(seen, config.dataset_name, plan.passed_over)
    total = sum(map(len, plan.shards.values()))
    outputs = sum(s.rows for s in changes["tracks"].add if s.file.removesuffix(".parquet") in plan.shards)
    run_id = f"ingest-{digest([config.fingerprint, list(plan.shards)])}"
    note = "; ".join(filter(None, [f"{plan.said} before{plan.lost}{pruned}", passing.said(plan.passed_over)]))
    outcome = Outcome("ingest", run_id, total, outputs, total - outputs, note)
    said = replace(config, root=planning.readable(config.root))
    changes["runs"] = finish(seen, said, [outcome], started)
    lake.commit(changes, Reads(versions(seen, "tracks", "rejects", "passed_over", TOMBSTONES)))
    return outcome


def make_plan(config: Config) -> planning.IngestPlan:
    """Find out what there is to do, without doing it.

    Raises
    ------
    UsageError
        For an unknown source, a root that is no folder or lacks the layout, or one without any recording; when none of
        the files that the source names is there, or the lake has another dataset of this name.
    """
    return _plan(config, _there(config))


def _there(config: Config) -> Lake | None:
    """The lake as it is now, if there is one."""
    lake = Lake.find(config.lake)
    return lake.pinned() if lake else None


def _plan(config: Config, lake: Lake | None) -> planning.IngestPlan:
    source = contract.get(config.source)
    root = Path(config.root).expanduser()
    if not root.is_dir():
        raise UsageError(f"{config.root} is no folder: name the folder that holds the {config.source} files")
    if ":" in config.dataset_name or not config.dataset_name.isprintable():
        raise UsageError(
            f"dataset name {config.dataset_name!r} may hold no colon and no control characters: use --name"
        )
    root = root.resolve()
    looker = planning.Looker(None if config.follow_links or contract.follows_links(source) else root)
    try:
        files = [looker.look(recording) for recording in contract.recordings(source, root, config.options)]
    except UsageError as error:
        hint = absent.elsewhere(source, root, config.options)
        raise UsageError(f"{error}; {hint}" if hint else str(error)) from error
    left = contract.passed_over(source, root)
    if not files:
        none = f"no audio in {config.root}: {source.CARD.layout}"
        raise UsageError("; ".join(filter(None, [none, passing.said(left)])))
    plan = planning.make(
        files,
        lake,
        config.dataset_name,
        config.fingerprint,
        config.shard_bytes,
        within=None if config.join else root,
    )
    plan.passed_over = left
    if not plan.known and all(file.size is None and not file.outside for file in files):
        raise UsageError(absent.explain(source, root, files, config.options))
    return plan


def _commit_passed_over(config: Config, plan: planning.IngestPlan) -> None:
    """Keep what is passed over now where no recording is new."""
    lake = Lake.open(config.lake)
    for attempt in attempts(lake):
        with attempt as seen:
            change = passing.replacing(seen, config.dataset_name, plan.passed_over)
            if {shard.file for shard in change.add} != set(change.remove):
                lake.commit({"passed_over": change}, Reads(versions(seen, "passed_over")))
            return


def _seconds(tasks: list[Task]) -> float:
    """How long one core takes, roughly: compressed audio is decoded some 300 times as fast as it plays."""
    files = [file for task in tasks for file in task.files]
    return sum(SECONDS_PER_FILE + (file.size or 0) * SECONDS_PER_BYTE for file in files)


def _collect(lake: Lake, name: str, plan: planning.IngestPlan) -> Change:
    """What a table gains by the finished shards, and loses where files changed."""
    table = schema.table(name)
    paths = (lake.path(name, stem) for stem in plan.shards)
    tracks = [lake.path("tracks", stem) for stem in plan.shards]
    gone = imported.without_replaced(lake, table, plan.replaced, tracks)
    return merge(Change(table, [describe(p) for p in paths if p.exists()], reusable=True), gone)


# -- one shard, on a worker --------------------------------------------------------------------------------------------


def ingest_shard(task: Task) -> None:
    """Read, decode and store the files of one shard; only `audio` is ever larger than its rows."""
    lake = Lake(task.lake)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    audio = lake.path("audio", task.stem)
    n_audio = 0
    tracks = lake.path("tracks", task.stem)
    # The lock is let go last: nobody else puts shards of these files in their places until all are there.
    with suppress(_FinishedError), ExitStack() as places:
        with writing(audio, schema.table("audio").arrow) as append:
            for file in task.files:
                for name, row in _ingest_file(file, task.config):
                    if name == "audio":
                        append(row)
                        n_audio += 1
                    else:
                        rows[name].append(row)
                execution.tick()
            places.enter_context(locked(lake.root / "tables" / PLACING))
            if tracks.exists():
                # Another job has, and may have published them: they stay as they are.
                raise _FinishedError
        if not n_audio:
            audio.unlink()
        for name in TABLES:
            if name == "audio":
                continue
            path = lake.path(name, task.stem)
            if rows[name] or name == "tracks":
                write_rows(path, schema.table(name).arrow, rows[name])
            else:
                # An attempt that was cut short may have seen a file in another state.
                path.unlink(missing_ok=True)


class _FinishedError(Exception):
    """The shards of these files are there already."""


def _ingest_file(file: planning.File, config: Config) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows that one file becomes, each with the name of its table."""
    track_id = f"{config.dataset_name}:{file.recording.source_id}"
    stamp = {"config_hash": config.fingerprint, "code_version": CODE_VERSION}
    where = {
        "source_path": planning.readable(file.recording.path),
        "source_bytes": file.size,
        "source_mtime": file.mtime,
    }
    for split, part, fold in file.recording.splits:
        yield "official_splits", {"track_id": track_id, "split": split, "part": part, "fold": fold}
    with ExitStack() as stack:
        try:
            _check_there(file, config)
            data = _open(file, stack)
            digest_of_file = sha256(data)
            facts = probe(data, extension=file.recording.path.suffix[1:])
            _check_usable(facts, config)
            _check_unchanged(file, data)
        except AudioError as error:
            reject = {"track_id": track_id, "dataset": config.dataset_name, "stage": "ingest"}
            retryable = error.reason in {"unreadable", "missing"}
            why = {"reason": error.reason, "detail": error.detail, "retryable": retryable}
            yield "rejects", reject | why | where | stamp
            return
        tags = read_tags(data)
        row = _audio_row(track_id, facts) | {"sha256": digest_of_file} | where
        for number, piece in pieces.cut(len(data)):
            yield "audio", row | {"bytes": data[piece], "piece": number}
        _check_unchanged(file, data)
    yield "tracks", track_row(track_id, file.recording, config.dataset_name, facts, tags) | stamp
    yield "metadata", _metadata_row(track_id, file)
    genres = split_genres(tags.genres) if config.split_genres else tags.genres
    said = [(file.recording.labels, "dataset"), (file.recording.tags, "tags"), (genres, "file-tag")]
    for labels, source in said:
        for label in labels:
            if label:
                yield "labels", {"track_id": track_id, "label": label, "value": 1, "source": source}
    for split, part, fold in file.recording.splits:
        yield "splits", {"track_id": track_id, "split": split, "part": part, "fold": fold}


def _check_there(file: planning.File, config: Config) -> None:
    if file.recording.fault:
        raise AudioError("metadata", file.recording.fault)
    if file.outside:
        raise AudioError("outside", f"a link leads out of the dataset, to {planning.readable(file.outside)}")
    if file.size is None:
        raise AudioError("missing", f"no file at {planning.readable(file.recording.path)}")
    if file.size > config.max_bytes:
        raise AudioError("too-large", f"{file.size} bytes, and the limit is {config.max_bytes} (--max-bytes)")


def _open(file: planning.File, stack: ExitStack) -> Encoded:
    """The bytes of a file; a large one stays on the disk until the stack is closed."""
    opened = stack.enter_context(OnDisk(file.recording.path))
    return opened if len(opened) > pieces.PIECE else opened[:]


def _check_unchanged(file: planning.File, data: Encoded) -> None:
    """Refuse a large file that somebody wrote into while it was read, piece by piece and more than once."""
    if isinstance(data, OnDisk) and (len(data), data.modified) != (file.size, file.mtime):
        raise AudioError("unreadable", "the file changed while it was read")


def _check_usable(facts: AudioFacts, config: Config) -> None:
    if facts.duration < config.min_seconds:
        raise AudioError("too-short", f"{facts.duration:.3f} s, and the least is {config.min_seconds:g} s")
    if facts.peak_dbfs < config.silence_dbfs:
        raise AudioError("silent", f"peak {facts.peak_dbfs:.1f} dBFS, and the least is {config.silence_dbfs:g} dBFS")
    if facts.mix_dbfs < facts.rms_dbfs - CANCELS_DB:
        mix = f"their mean, which is what is used, {facts.mix_dbfs:.1f} dBFS"
        raise AudioError("silent", f"cancels: the channels have {facts.rms_dbfs:.1f} dBFS, and {mix}")
    if facts.clipped > config.max_clipped:
        most = f"the most is {config.max_clipped:.1%}"
        raise AudioError("clipped", f"{facts.clipped:.1%} of the samples are at full scale in short tops, and {most}")


def track_row(track_id: str, recording: Recording, dataset: str, facts: AudioFacts, tags: Any) -> dict[str, Any]:
    """The row of `tracks` of one recording."""
    return {
        "track_id": track_id,
        "dataset": dataset,
        "source_id": recording.source_id,
        "title": recording.title or tags.title,
        "artist": recording.artist or tags.artist,
        "album": recording.album or tags.album,
        "year": recording.year or tags.year,
        "licence": recording.licence,
        "duration_seconds": facts.duration,
    }


def _audio_row(track_id: str, facts: AudioFacts) -> dict[str, Any]:
    return {
        "track_id": track_id,
        "container": facts.container,
        "codec": facts.codec,
        "sr": facts.sr,
        "channels": facts.channels,
        "n_samples": facts.n_samples,
        "peak_dbfs": facts.peak_dbfs,
        "rms_dbfs": facts.rms_dbfs,
    }


def _metadata_row(track_id: str, file: planning.File) -> dict[str, Any]:
    return {
        "track_id": track_id,
        "artist_id": file.recording.artist_id,
        "album_id": file.recording.album_id,
        "attributes": canonical(dict(file.recording.attributes)),
        "metadata_hash": file.said,
    }
