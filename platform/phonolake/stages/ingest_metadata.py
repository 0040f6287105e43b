"""Ingest metadata only: recordings of a dataset without audio.

Tracks without audio have a duration of 0. Labels, splits and SQL work with them; when their audio is ingested later, it
takes their rows' place. An earlier ingest of metadata is replaced as a whole.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import count, islice
from typing import Any

from phonolake.lineage import CODE_VERSION, canonical, digest
from phonolake.sources import contract
from phonolake.stages import ingest_vocabulary as vocabulary
from phonolake.stages import source_root
from phonolake.stages.ingest_files import METADATA_ONLY, File
from phonolake.stages.source_root import Root
from phonolake.store import catalog, jobs, schema
from phonolake.store.attempts import attempts
from phonolake.store.lake import Change, Lake, Reads
from phonolake.store.naming import TOMBSTONES
from phonolake.store.outcomes import Outcome, finish, now, versions
from phonolake.store.shards import SEPARATOR, write_rows

TABLES = ("rejects", "official_splits", "labels", "splits", "metadata", "tracks")
TRACKS_IN_SHARD = 50_000


def run(config: Any) -> Outcome:
    """Ingest all tracks in the dataset's files, except those with audio and forgotten ones.

    Parameters
    ----------
    config : ingest.Config

    Raises
    ------
    UsageError
        For an unknown source, one with its own audio, or a root without the layout.
    """
    started = now()
    source = contract.get(config.source)
    with source_root.opened(config.root, source) as root:
        return _run(config, source, root, started)


def _run(config: Any, source: contract.Source, root: Root, started: datetime) -> Outcome:
    recordings = contract.catalogue(source, root.path, config.options)
    next(recordings, None)  # report a wrong layout before creating a lake
    terms = contract.vocabulary(source, root.path, config.options)
    lake = Lake.create(config.lake)
    with jobs.working(lake.place, "ingest"):
        for attempt in attempts(lake):
            with attempt as seen:
                looker = root.looker(follows_links=True)
                files = map(looker.look, contract.catalogue(source, root.path, config.options))
                changes, outcome = _write(seen, config, files)
                changes["vocabulary"] = vocabulary.replacing(seen, config.dataset_name, terms)
                changes["runs"] = finish(seen, config, [outcome], started)
                lake.commit(changes, Reads(versions(seen, "tracks", "rejects", TOMBSTONES)))
                return outcome
    raise AssertionError("the last attempt raises")


def _write(lake: Lake, config: Any, files: Iterable[File]) -> tuple[dict[str, Change], Outcome]:
    """Write the shards, and return what they replace."""
    dataset = config.dataset_name
    prefix = f"{METADATA_ONLY}{re.sub(r'[^A-Za-z0-9_]+', '-', dataset)[:40]}-{digest(dataset, length=8)}{SEPARATOR}"
    passed_over = _with_audio(lake, dataset)
    changes = {name: Change(schema.table(name)) for name in TABLES}
    n_inputs = n_rejects = 0
    listed = (file for file in files if f"{dataset}:{file.recording.source_id}" not in passed_over)
    for number in count():
        batch = list(islice(listed, TRACKS_IN_SHARD))
        if not batch:
            break
        n_inputs += len(batch)
        n_rejects += sum(file.recording.fault is not None for file in batch)
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
        for file in batch:
            for name, row in _rows(file, config, dataset):
                rows[name].append(row)
        for name, found in rows.items():
            if found:
                path = lake.path(name, f"{prefix}{number:05d}-{digest(found)}")
                changes[name].add.append(write_rows(path, changes[name].schema.arrow, found))
    for name, change in changes.items():
        kept = {shard.file for shard in change.add}
        change.remove = [file for file in lake.shards(name) if file.startswith(prefix) and file not in kept]
    names = [shard.file for change in changes.values() for shard in change.add]
    outcome = Outcome(
        "ingest metadata", f"ingest-metadata-{digest(names)}", n_inputs, n_inputs - n_rejects, n_rejects,
        f"{len(passed_over)} with audio or forgotten before",
    )  # fmt: skip
    return changes, outcome


def _with_audio(lake: Lake, dataset: str) -> set[str]:
    """Tracks of a dataset that the lake has with audio, and those that were forgotten."""
    with catalog.connect(lake) as connection:
        rows = connection.execute(
            "SELECT track_id FROM tracks WHERE dataset = $1 AND duration_seconds > 0 "
            "UNION SELECT track_id FROM forgotten WHERE starts_with(track_id, $1 || ':')",
            [dataset],
        ).fetchall()
    return {track_id for (track_id,) in rows}


def _rows(file: File, config: Any, dataset: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows that a recording becomes, each with the name of its table."""
    recording = file.recording
    track_id = f"{dataset}:{recording.source_id}"
    stamp = {"config_hash": config.fingerprint, "code_version": CODE_VERSION}
    if recording.fault:
        where = {
            "source_path": file.where,
            "source_bytes": file.size,
            "source_mtime": file.mtime,
        }
        why = {"reason": "metadata", "detail": recording.fault, "retryable": False}
        yield "rejects", {"track_id": track_id, "dataset": dataset, "stage": "ingest"} | why | where | stamp
        return
    said = {name: getattr(recording, name) for name in ("title", "artist", "album", "year", "licence")}
    own = {"track_id": track_id, "dataset": dataset, "source_id": recording.source_id, "duration_seconds": 0.0}
    yield "tracks", own | said | stamp
    yield (
        "metadata",
        {
            "track_id": track_id,
            "artist_id": recording.artist_id,
            "album_id": recording.album_id,
            "attributes": canonical(dict(recording.attributes)),
            "metadata_hash": file.said,
        },
    )
    for labels, by in ((recording.labels, "dataset"), (recording.tags, "tags")):
        for label in labels:
            yield "labels", {"track_id": track_id, "label": label, "value": 1, "source": by}
    for split, part, fold in recording.splits:
        row = {"track_id": track_id, "split": split, "part": part, "fold": fold}
        yield "splits", row
        yield "official_splits", row
