"""Check the guarantees of a lake: every shard readable, every row accounted for, no orphan, no duplicate."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np

from phonolake.errors import PhonolakeError
from phonolake.files import TEMPORARY, is_spare, remove
from phonolake.store import (
    catalog,
    compaction,
    delta,
    folders,
    history,
    inspection,
    jobs,
    mending,
    remote_errors,
    unfinished,
    views,
)
from phonolake.store.lake import Lake
from phonolake.store.shards import SUFFIX

# Key columns of the tables.
KEYS = {
    "tracks": "track_id",
    "audio": "track_id, coalesce(piece, 0)",
    "labels": "track_id, label, source",
    "splits": "track_id, split",
    "rejects": "track_id, stage, config_hash",
    "features": "track_id, feature_set, start_seconds",
    "spectrograms": "track_id, spectrogram, start_seconds",
    "embeddings": "track_id, run_id",
    "predictions": "track_id, run_id, label",
    "activations": "track_id, run_id, layer, segment",
    "annotations": "track_id, label, rater",
    "samples": "sample, position",
    "triplets": "sample, position",
    "comparisons": "track_id, first_id, second_id, rater",
    "models": "run_id",
    "runs": "run_id",
    "wanted": "track_id",
    "availability": "track_id, seen_at",
    "forgotten": "track_id",
    "official_splits": "track_id, split",
    "fingerprints": "track_id",
    "duplicates": "track_id, other_id",
    "neighbours": "run_id, track_id, other_id",
    "cooccurrences": "run_id, label_i, label_j",
    "label_similarities": "run_id, label_i, label_j",
    "label_validations": "run_id, label",
    "evaluation_checks": "run_id, scored_run, label",
    "noise_rates": "run_id, label",
    "label_suspects": "run_id, rank",
    "confusions": "run_id, label_true, label_predicted",
    "class_removals": "run_id, removed, method",
    "track_maps": "run_id, track_id",
    "feature_importances": "run_id, feature",
    "benchmark_vectors": "representation, condition, track_id, source_shard",
    "benchmark_answers": "cell, condition, seed, track_id",
    "study_cells": "cell_id",
    "study_claims": "study_run, position",
    "study_rows": "study_run, position",
    "study_predictions": "track_id, cell_id, protocol",
}
MEND = "`phonolake verify --mend` puts it right; then run the stages again"
RESTORE = "restore the file from a copy, or ingest into a new lake"
ABOUT_TRACKS = (
    "audio",
    "labels",
    "splits",
    "features",
    "spectrograms",
    "embeddings",
    "activations",
    "predictions",
    "fingerprints",
    "study_predictions",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: where, what, and how to repair it."""

    table: str
    where: str
    problem: str
    mend: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A shard that the published version of a table no longer names: readers of `version` may still need it."""

    table: str
    path: Path
    version: int


def verify(
    lake: Lake,
    *,
    since: datetime | None = None,
    sample: float | None = None,
    over: inspection.Mapper = inspection.by_threads,
) -> list[Finding]:
    """Check a lake from its files up to its rows; an empty list means no faults.

    Shards that an interrupted verify read within the last day are not read again (`store.inspection`).

    Parameters
    ----------
    since : datetime, optional
        Read only shards published since then.
    sample : float, optional
        Read only this share of the shards, in (0, 1], drawn anew each time. The rows of all shards are counted.
    over : callable
        Distributes the shards, such as `execution.imap`; by default threads of this process read them.
    """
    delta.forget(lake.place)
    broken = _shards(lake, since, sample, over)
    # Rows can only be counted when they can be read.
    if not broken:
        try:
            broken = [*_doubles(lake), *_accounts(lake), *_dropped(lake)]
        except duckdb.Error as error:
            # A header that Arrow accepts and DuckDB does not: checksums cover neither headers nor footers.
            said = remote_errors.said(error) or str(error).splitlines()[0]
            broken = [Finding("tables", lake.root.name, f"unreadable ({said})", RESTORE)]
    return [*broken, *_leftovers(lake)]


def mend(lake: Lake) -> list[Path]:
    """Restore dropped shards, remove duplicate tracks, merge small shards (`store.compaction`), and delete files that
    the published version does not use.

    Uncommitted shards of a running job look like leftovers, and a job that started before the last publication reads
    shards of earlier versions.

    Raises
    ------
    PhonolakeError
        While a job is running.
    """
    put_right(lake)
    with jobs.working(lake.place, "mend"):
        compaction.compact(lake, at_once=None)
    removed = [*leftovers(lake), *(shard.path for shard in kept(lake))]
    if lake.place.is_remote:
        lake.place.delete(path.relative_to(lake.root).as_posix() for path in removed)
    for path in removed:
        remove(path)
    if not any(mending.dropped(lake)):
        # Without their shards, earlier versions are useless.
        for table, version in lake.versions().items():
            delta.shorten(lake.place, table, version)
    lake.build_catalog()
    return removed


def put_right(lake: Lake) -> list[str]:
    """Restore dropped shards and remove duplicate tracks; returns their names. The errors are those of `mend`."""
    if alive := jobs.living(lake.place):
        raise PhonolakeError(f"the {alive[0]}, is running: wait until it has ended, and then repeat")
    with jobs.working(lake.place, "mend"):
        back = [f"{shard.table}/{shard.file}" for shard in mending.bring_back(lake)]
        # Rows can only be told apart when they can be read.
        with suppress(duckdb.Error):
            back += mending.take_out_doubles(lake).track_ids
        return back


def leftovers(lake: Lake) -> Iterator[Path]:
    """Shards that no version up to the published one names, and unfinished files of killed writers.

    For a lake on object storage, these are the paths of local copies, which identify objects. Files of running
    trainings, and of those killed within the last day, are not among them.
    """
    versions = lake.versions()
    for table, ready in lake.ready_shards().items():
        folder, named = lake.folder(table), lake.shards(table).keys() | _earlier(lake, table, versions).keys()
        unfinished_ones = {path.name for path in folder.glob(f".*{TEMPORARY}")}
        for name in sorted((ready - named) | unfinished_ones):
            if not jobs.is_at_work(lake.root, jobs.owner_of(folder / name)):
                yield folder / name
    yield from (lake.root / name for name in folders.leftovers(lake.place))
    for pattern in (".*", "models/*/.*", "indexes/.*", "indexes/*/.*", "indexes/*/*/.*"):
        for path in sorted(lake.root.glob(pattern)):
            finished = (path.parent / "weights").is_dir()
            if not is_spare(path) or jobs.is_at_work(lake.root, jobs.owner_of(path)):
                continue
            if path.name == unfinished.TRAINING and unfinished.is_needed(path, finished=finished):
                continue
            # Models and indexes are written as a folder under a hidden name; in the root such a folder is not ours.
            if path.name.endswith(TEMPORARY) or (path.is_dir() and path.parent != lake.root):
                yield path


def kept(lake: Lake) -> Iterator[Kept]:
    """Existing shards of earlier versions."""
    versions, ready = lake.versions(), lake.ready_shards()
    for table in versions:
        for file, version in sorted(_earlier(lake, table, versions).items()):
            if file in ready[table]:
                yield Kept(table, lake.folder(table) / file, version)


def _earlier(lake: Lake, table: str, versions: dict[str, int]) -> dict[str, int]:
    return history.earlier(lake.place, delta.folder(table), versions[table]) if table in versions else {}


def _shards(lake: Lake, since: datetime | None, sample: float | None, over: inspection.Mapper) -> list[Finding]:
    """Check the bytes of shards."""
    draw = np.random.default_rng()
    least = 0.0 if since is None else since.timestamp() * 1000
    # Another sample has other shards, so there is nothing to resume.
    notes = inspection.Notes(lake) if sample is None else None
    checks = inspection.checks(
        lake, lambda shard: (shard.published or 0) >= least and (sample is None or draw.random() < sample)
    )
    found = [
        Finding(check.table, check.shard.file, problem, RESTORE)
        for check, problem in inspection.inspect(checks, notes, over)
    ]
    if notes is not None:
        notes.remove()
    return found


def _doubles(lake: Lake) -> Iterator[Finding]:
    twice = mending.doubled(lake).losing
    with catalog.connect(lake) as connection:
        for table, key in KEYS.items():
            # As a rule no two hashes are equal, and to group them takes half the memory of the keys themselves.
            if not _n_twice(connection, table, f"hash({key})"):
                continue
            grouped = f"FROM {table} GROUP BY {key} HAVING count(*) > 1"
            if n := _n_twice(connection, table, key):
                # Asked only now, since the names of all rows together are large.
                ((name,),) = connection.execute(
                    f"SELECT min(name) FROM (SELECT ({key})::VARCHAR AS name {grouped})"
                ).fetchall()
                mend = MEND if twice else "report it: this is a bug"
                yield Finding(table, name, f"{n} duplicate rows", mend)


def _n_twice(connection: duckdb.DuckDBPyConnection, table: str, key: str) -> int:
    grouped = f"SELECT 1 FROM {table} GROUP BY {key} HAVING count(*) > 1"
    ((n,),) = connection.execute(f"SELECT count(*) FROM ({grouped})").fetchall()
    return int(n)


def _dropped(lake: Lake) -> Iterator[Finding]:
    for shard in mending.dropped(lake):
        mend = MEND if shard.is_there else "run the stage again"
        yield Finding(shard.table, shard.file, "dropped by a job that did not know it", mend)


def _accounts(lake: Lake) -> Iterator[Finding]:
    """Rows about unknown tracks, tracks without audio, and inputs that are neither track nor reject."""
    with catalog.connect(lake) as connection:
        for table in ABOUT_TRACKS:
            rows = connection.execute(
                f"SELECT count(*), min(track_id) FROM {table} WHERE track_id NOT IN (SELECT track_id FROM tracks)"
            ).fetchall()
            if rows[0][0]:
                yield Finding(table, rows[0][1], f"{rows[0][0]} rows of unknown tracks", "run the stage again")
        checks = {
            "tracks without audio": "SELECT track_id FROM tracks WHERE duration_seconds > 0 AND track_id NOT IN "
            "(SELECT track_id FROM audio)",
            "tracks with a piece of their audio missing": "SELECT track_id FROM audio WHERE piece IS NOT NULL "
            "GROUP BY track_id HAVING count(*) <= max(piece)",
            "inputs both ingested and rejected": "SELECT track_id FROM tracks WHERE track_id IN "
            "(SELECT track_id FROM rejects WHERE stage = 'ingest')",
            "tracks with audio that extraction neither answered nor rejected": _unanswered(lake),
        }
        for problem, sql in checks.items():
            count, example = connection.execute(f"SELECT count(*), min(track_id) FROM ({sql})").fetchall()[0]
            if count:
                yield Finding("tracks", example, f"{count} {problem}", "run the stage again")


def _unanswered(lake: Lake) -> str:
    """Extracted tracks with neither a row nor a reject for one of the recipes; once for each of these."""
    return (
        # Read once: footers of wide tables take most of the time.
        "WITH computed AS MATERIALIZED (SELECT track_id, feature_set AS name, source_shard FROM features UNION ALL "
        "SELECT track_id, spectrogram, source_shard FROM spectrograms), "
        "done AS (SELECT DISTINCT name, source_shard FROM computed), "
        "answered AS (SELECT track_id, name FROM computed UNION ALL "
        "SELECT track_id, split_part(detail, ':', 1) FROM rejects WHERE stage = 'extract'), "
        f"stored AS (SELECT track_id, parse_filename(filename) AS source_shard FROM {_audio_with_names(lake)}) "
        # The pieces of a track are one.
        "SELECT DISTINCT s.track_id, d.name FROM stored s JOIN done d USING (source_shard) "
        "ANTI JOIN answered a ON a.track_id = s.track_id AND a.name = d.name"
    )


def _audio_with_names(lake: Lake) -> str:
    files = list(lake.shards("audio"))
    if not files:
        return "(SELECT NULL::VARCHAR AS track_id, '' AS filename WHERE false)"
    # Every one of them has these columns: to compare what else they have takes twice the memory.
    return f"(SELECT track_id, filename FROM {views.reading(lake, 'audio', files, names=True, alike=True)})"


def _leftovers(lake: Lake) -> Iterator[Finding]:
    for path in leftovers(lake):
        what = "a shard of no published version" if path.suffix == SUFFIX else "an unfinished file"
        yield Finding(path.parent.name, path.name, what, "`phonolake verify --mend` removes it")
