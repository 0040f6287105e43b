"""Duplicates: tracks with the same recording, within and across datasets.

Every audio shard is fingerprinted once, by a worker. The comparison looks up equal sub-fingerprints in an inverted
index (a join of DuckDB, which can use the disk), so that only pairs that share some at the same offset are compared,
never all pairs.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from tempfile import TemporaryDirectory

import duckdb
import numpy as np

from phonolake import execution, progress
from phonolake.audio import encoded, samples
from phonolake.audio.decode import decode
from phonolake.errors import AudioError
from phonolake.features import fingerprint
from phonolake.lineage import CODE_VERSION, digest, settings
from phonolake.stages import derive
from phonolake.store import catalog, jobs, pieces, schema
from phonolake.store.attempts import attempts
from phonolake.store.lake import Change, Lake, Reads
from phonolake.store.naming import TOMBSTONES
from phonolake.store.outcomes import Outcome, count_tracks, finish, now, versions
from phonolake.store.place import Place
from phonolake.store.product import Product
from phonolake.store.shards import SUFFIX, keep_rows, writing

EXACT, NEAR = "exact", "near"
# Columns of the table of fingerprints, by the speed.
COLUMNS = dict(zip((1.0, *fingerprint.SPEEDS), ("frames", "frames_slower", "frames_faster"), strict=True))
# A sub-fingerprint in more places than this has no information, and its pairs would grow quadratically.
MOST_PLACES = 64
# Offsets of one pair to compare, those with most votes first, each with its neighbours.
OFFSETS, AROUND = 3, 2
# Additional speeds to try between those of the index, if this share of bits is equal.
BETWEEN, PROMISING = 0.005, 0.56
# With this much common sound `min_similarity` is enough.
ENOUGH_SECONDS = 0.75
PAIRS_AT_ONCE = 2000
# Memory limit of the comparison's tables; beyond it they use the disk, below TMPDIR.
MEMORY = "4GB"
# Encoded audio per second of one core.
SECONDS_PER_BYTE = 3e-7


@dataclass(frozen=True, slots=True)
class Config:
    """Thresholds for duplicates.

    Parameters
    ----------
    min_similarity : float
        Least share of equal bits where both sound: the published bit error rate of 0.35. Unrelated recordings have
        about 0.5; clips of 5 s that were encoded as MP3 at 64 kbit/s, made quieter and shifted have 0.87 and more.
        Below `ENOUGH_SECONDS` of common sound more is required, because bits agree by chance more often.
    min_seconds : float
        Least time that both must sound together.
    min_votes : int
        Equal sub-fingerprints at one distance in time that make a pair worth comparing, at least.
    min_share : float
        Share of the frames that could sound together there which these must be, too. What chance gives grows with the
        collection (at most 4 of 2,551 among 6,000 made tracks of 30 s); copies of music have 0.19 and more.
    """

    lake: str
    min_similarity: float = 0.65
    min_seconds: float = 0.15
    min_votes: int = 2
    min_share: float = 0.005


@dataclass(frozen=True, slots=True)
class DuplicatePair:
    """Two tracks with the same recording; times in seconds, `overlap_seconds` is None for exact ones."""

    track_id: str
    other_id: str
    kind: str
    similarity: float
    offset_seconds: float
    overlap_seconds: float | None


@dataclass(frozen=True, slots=True)
class Task:
    """One audio shard."""

    lake: Place
    source: str


def run(config: Config) -> Outcome:
    """Fingerprint new tracks, compare all tracks, and rewrite the table `duplicates` if anything changed."""
    started = now()
    lake = Lake.open(config.lake)
    with jobs.working(lake.place, "duplicates"):
        for attempt in attempts(lake):
            with attempt as seen:
                _fingerprint(lake, seen)
                return _compare(lake, lake.pinned(), config, started)
    raise AssertionError("the last attempt raises")


def _fingerprint(lake: Lake, seen: Lake) -> None:
    """Fingerprint new tracks, and publish them."""
    tasks, sources = _plan(seen), seen.shards("audio")
    n = count_tracks(seen, "audio", sources)
    before = n - count_tracks(seen, "audio", [task.source for task in tasks])
    with progress.task("fingerprint", n, done=before) as advance:
        seconds = sum(sources[task.source].bytes for task in tasks) * SECONDS_PER_BYTE
        for _ in execution.imap(fingerprint_shard, tasks, seconds=seconds, forks=seen.forks, on_tick=advance):
            pass
    late = lake.pinned()
    todo = {task.source for task in _plan(late)}
    derive.discard(lake, [_product()], "audio", sources)
    changes = {"fingerprints": derive.collect(late, _product(), late.shards("audio"))}
    derive.check_replaced(late, "audio", changes, read=sources, todo=todo)
    done = [source for source in late.shards("audio") if source not in todo]
    lake.commit(changes, Reads(versions(late, TOMBSTONES), {"audio": done}))


def _compare(published: Lake, lake: Lake, config: Config, started: datetime) -> Outcome:
    """Write the pairs of all fingerprinted tracks."""
    stem = f"pairs-{digest([settings(config), list(lake.shards('fingerprints'))])}"
    table = schema.table("duplicates")
    if stem + SUFFIX in lake.shards("duplicates"):
        pairs = lake.shards("duplicates")[stem + SUFFIX].rows
        return Outcome("duplicates", None, 0, 0, 0, f"nothing new: {pairs} pairs")
    stamp = {"config_hash": digest([_product().version, stem]), "code_version": CODE_VERSION}
    with catalog.alone(lake) as connection:
        found = [asdict(pair) | stamp for pair in compare_all(connection, config)]
    shard = keep_rows(lake.path("duplicates", stem), table.arrow, found)
    n = count_tracks(lake, "fingerprints", lake.shards("fingerprints"))
    old = [file for file in lake.shards("duplicates") if file != shard.file]
    outcome = Outcome("duplicates", f"duplicates-{stem}", n, n, 0, f"{len(found)} pairs")
    published.commit(
        {"duplicates": Change(table, [shard], old), "runs": finish(lake, config, [outcome], started)},
        Reads(versions(lake, "fingerprints", "duplicates")),
    )
    return outcome


def plan(config: Config) -> list[Task]:
    """Audio shards without fingerprints."""
    return _plan(Lake.open(config.lake))


def _plan(lake: Lake) -> list[Task]:
    return [Task(lake.place, source) for source in derive.missing(lake, _product(), lake.shards("audio"))]


def _product() -> Product:
    recipe = [fingerprint.VERSION, fingerprint.SR, fingerprint.N_FFT, fingerprint.HOP, fingerprint.FLOOR_DB]
    recipe += [*fingerprint.SPEEDS, fingerprint.EVERY]
    return Product(schema.table("fingerprints"), "fingerprint", digest(recipe, length=8))


# -- one shard, on a worker --------------------------------------------------------------------------------------------


def fingerprint_shard(task: Task) -> None:
    """Hash and fingerprint the tracks of one audio shard."""
    lake, product = Lake(task.lake), _product()
    stamp = {"source_shard": task.source, "config_hash": product.version, "code_version": CODE_VERSION}
    with writing(lake.path("fingerprints", product.stem(task.source)), product.table.arrow) as append:
        for track_id, data, _ in pieces.stored(lake.local("audio", task.source)):
            try:
                sha256 = samples.digest(data)
                frames = fingerprint.at_speeds(decode(data, sr=fingerprint.SR))
            except AudioError:
                # Files of an older decoder are compared by their bytes only.
                sha256, frames = encoded.sha256(data), fingerprint.at_speeds(np.zeros(0, np.float32))
            words = {COLUMNS[speed]: found.view(np.int32).tolist() for speed, found in frames.items()}
            append({"track_id": track_id, "sample_sha256": sha256} | words | stamp)
            execution.tick()
    lake.send("fingerprints", product.stem(task.source) + SUFFIX)


# -- all tracks, in the driver -----------------------------------------------------------------------------------------


def compare_all(connection: duckdb.DuckDBPyConnection, config: Config) -> list[DuplicatePair]:
    """Pairs of the tracks in `fingerprints`, in order of their ids.

    Tracks with identical samples are each paired with the first, and only the first is compared with others.
    """
    with TemporaryDirectory() as spill:
        connection.execute("SET temp_directory = $1", [spill])
        connection.execute("SET memory_limit = $1", [MEMORY])
        rows = connection.execute(
            "SELECT min(track_id) OVER (PARTITION BY sample_sha256) AS first, track_id FROM fingerprints "
            "QUALIFY first <> track_id ORDER BY first, track_id"
        ).fetchall()
        pairs = [DuplicatePair(first, other, EXACT, 1.0, 0.0, None) for first, other in rows]
        pairs += _near(connection, config)
    return sorted(pairs, key=lambda p: (p.track_id, p.other_id))


def _near(connection: duckdb.DuckDBPyConnection, config: Config) -> Iterator[DuplicatePair]:
    _find_candidates(connection, config)
    done = 0
    # Only some at a time, however many there are.
    while chunk := connection.execute(
        "SELECT one, two, apart, speeds FROM candidates WHERE number > $1 AND number <= $2 ORDER BY number",
        [done, done + PAIRS_AT_ONCE],
    ).fetchall():
        done += len(chunk)
        prints = _prints(connection, sorted({n for one, two, *_ in chunk for n in (one, two)}))
        for one, two, apart, speeds in chunk:
            offsets = list(zip(apart, speeds, strict=True))
            if pair := _held_together(prints[one], prints[two], offsets, config):
                yield pair


def _find_candidates(connection: duckdb.DuckDBPyConnection, config: Config) -> None:
    """Make the tables `prints` and, for pairs worth comparing, `candidates` with their offsets."""
    connection.execute(
        "CREATE TEMP TABLE prints AS SELECT row_number() OVER (ORDER BY track_id)::INTEGER AS n, track_id, "
        f"{', '.join(COLUMNS.values())}, len(frames) AS n_frames, "
        f"len(list_filter(frames, lambda word: word <> {fingerprint.NOTHING})) AS n_sounding "
        "FROM (SELECT * FROM fingerprints "
        "QUALIFY row_number() OVER (PARTITION BY sample_sha256 ORDER BY track_id) = 1)"
    )
    _vote(connection, config)
    connection.execute(
        "CREATE TEMP TABLE offsets AS SELECT one, two, apart, speed FROM voted "
        "JOIN prints AS p ON p.n = one JOIN prints AS q ON q.n = two "
        f"WHERE votes * every >= {config.min_share} * least(p.n_sounding, q.n_sounding, "
        "least(p.n_frames, q.n_frames + apart) - greatest(0, apart)) "
        f"QUALIFY row_number() OVER (PARTITION BY one, two ORDER BY votes * every DESC, apart, speed) <= {OFFSETS}"
    )
    connection.execute(
        "CREATE TEMP TABLE candidates AS SELECT row_number() OVER (ORDER BY one, two) AS number, one, two, "
        "list(apart ORDER BY apart, speed) AS apart, list(speed ORDER BY apart, speed) AS speeds FROM offsets "
        "GROUP BY one, two"
    )


def _vote(connection: duckdb.DuckDBPyConnection, config: Config) -> None:
    """Make the table `voted`: how many sub-fingerprints two recordings share at an offset, at each speed."""
    _places(connection, "places", "frames", every=1)
    connection.execute(
        "CREATE TEMP TABLE telling AS SELECT word, min(n) < max(n) AS is_shared FROM places GROUP BY word "
        f"HAVING count(*) <= {MOST_PLACES}"
    )
    votes = "a.n AS one, b.n AS two, a.frame - b.frame AS apart, count(*) AS votes"
    on = f"ON a.word = b.word AND a.n < b.n GROUP BY ALL HAVING votes >= {int(config.min_votes)}"
    connection.execute(
        "CREATE TEMP TABLE voted AS WITH told AS (FROM places SEMI JOIN (FROM telling WHERE is_shared) USING (word)) "
        f"SELECT {votes}, 1::DOUBLE AS speed, 1 AS every FROM told AS a JOIN told AS b {on}"
    )
    for speed in fingerprint.SPEEDS:
        _places(connection, "turned", COLUMNS[speed], every=fingerprint.EVERY)
        connection.execute(
            f"INSERT INTO voted SELECT {votes}, {speed}, {fingerprint.EVERY} FROM places AS a "
            f"JOIN (FROM turned SEMI JOIN telling USING (word)) AS b {on}"
        )


def _places(connection: duckdb.DuckDBPyConnection, table: str, column: str, *, every: int) -> None:
    """Make a table of the sounding sub-fingerprints of a column, with the numbers of their frames."""
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT n, word, frame FROM (SELECT n, unnest({column}) AS word, "
        f"((generate_subscripts({column}, 1) - 1) * {every})::INTEGER AS frame FROM prints) "
        f"WHERE word <> {fingerprint.NOTHING}"
    )


def _prints(connection: duckdb.DuckDBPyConnection, numbers: list[int]) -> dict[int, tuple[str, np.ndarray]]:
    table = connection.sql(
        "SELECT n, track_id, frames FROM prints JOIN (SELECT unnest($1::INTEGER[]) AS n) USING (n)", params=[numbers]
    ).to_arrow_table()
    frames = table["frames"].combine_chunks()
    ends = frames.offsets.to_numpy()
    values = frames.values.to_numpy().view(np.uint32)
    ids = zip(table["n"].to_pylist(), table["track_id"].to_pylist(), strict=True)
    return {n: (track_id, values[ends[i] : ends[i + 1]]) for i, (n, track_id) in enumerate(ids)}


def _held_together(
    one: tuple[str, np.ndarray], two: tuple[str, np.ndarray], offsets: list[tuple[int, float]], config: Config
) -> DuplicatePair | None:
    """The pair at the offset of highest similarity, if it is a duplicate there."""
    tried = [(offset + d, speed) for offset, speed in offsets for d in range(-AROUND, AROUND + 1)]
    best = _most_alike(one[1], two[1], tried, config)
    if best is not None and best[0] >= PROMISING:
        offset, speed = best[2:]
        # The frames of two speeds differ by this many at the end: the match may move from one to the other.
        reach = AROUND + math.ceil(BETWEEN * len(two[1]))
        between = [(offset + d, speed + step) for step in (-BETWEEN, BETWEEN) for d in range(-reach, reach + 1)]
        best = max(best, _most_alike(one[1], two[1], between, config) or best, key=lambda found: found[0])
    if best is None or best[0] < _asked_for(best[1], config):
        return None
    similarity, overlap, offset, _ = best
    seconds = fingerprint.FRAMES_PER_SECOND
    return DuplicatePair(one[0], two[0], NEAR, similarity, offset / seconds, overlap / seconds)


def _most_alike(
    one: np.ndarray, two: np.ndarray, tried: list[tuple[int, float]], config: Config
) -> tuple[float, int, int, float] | None:
    """Similarity, overlap, offset and speed of the best match of two recordings with enough common sound."""
    best = None
    for offset, speed in sorted(set(tried), key=lambda t: (abs(t[1] - 1), abs(t[0]), t)):
        similarity, overlap = fingerprint.compare(one, two, offset, speed)
        if overlap >= config.min_seconds * fingerprint.FRAMES_PER_SECOND and (best is None or similarity > best[0]):
            best = similarity, overlap, offset, speed
    return best


def _asked_for(overlap: int, config: Config) -> float:
    """The required similarity over a number of frames: chance deviates from 0.5 with the root of their number."""
    seconds = overlap / fingerprint.FRAMES_PER_SECOND
    return 0.5 + (config.min_similarity - 0.5) * max(1.0, math.sqrt(ENOUGH_SECONDS / seconds))
