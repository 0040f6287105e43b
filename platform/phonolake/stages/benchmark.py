"""Benchmark: every set of frozen vectors with every probe, on one split, compared in one table.

A cell is one set of vectors, one probe and one fold. Each is one task, writes its own shard, and is computed once: a
stopped benchmark continues where it was, and a new row costs only that row.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from phonolake import execution, progress
from phonolake.audio.deform import DEFORMATIONS
from phonolake.errors import PhonolakeError, UsageError, unknown
from phonolake.inference import inputs
from phonolake.lineage import digest
from phonolake.lookup import kinship
from phonolake.models.probes import PROBES
from phonolake.progress import say
from phonolake.records import TEST, TRAIN
from phonolake.stages import benchmark_cells, benchmark_rows, benchmark_vectors, derive
from phonolake.stages import examples as labelled
from phonolake.stages.benchmark_cells import NO_PROBE, Cell
from phonolake.stages.benchmark_rows import WITHOUT_VECTORS, Representation
from phonolake.stages.benchmark_vectors import CLEAN, Want
from phonolake.stages.examples import Examples
from phonolake.store import catalog, jobs, schema
from phonolake.store.lake import Change, Lake, Reads
from phonolake.store.naming import TOMBSTONES
from phonolake.store.outcomes import Outcome, finish, merge, now, versions
from phonolake.store.shards import SEPARATOR, SUFFIX

AS_GIVEN, UNRELATED, CORRECTED = "as-given", "unrelated", "corrected"
# What `quick` looks at.
QUICK_TRACKS, QUICK_PROBES = 400, ("logistic-regression",)
# Tracks on which to measure the cost of vectors that are in the lake already.
PRICED = 4
# Rough time of a core for a cell, and for a track's vector.
SECONDS_PER_CELL, SECONDS_PER_VECTOR = 5.0, 0.5


@dataclass(frozen=True, slots=True)
class Config:
    """What to compare.

    Parameters
    ----------
    rows, probes : tuple of str
        Names of the rows and probes; all by default.
    models : tuple of str
        Networks of the model home to compare, too.
    labels, dataset, split, top_labels
        As for `train`. A split of folds tests all of them, one after the other.
    doubt : bool
        Also measure without relatives between training and test, with corrected labels, and on deformed recordings.
    quick : bool
        At most `QUICK_TRACKS` tracks, one fold, `QUICK_PROBES`, and one untrained network.
    licence : str, optional
        Only rows under licences of this kind.
    """

    lake: str
    rows: tuple[str, ...] = ()
    probes: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    labels: str = "dataset"
    dataset: str | None = None
    split: str | None = None
    top_labels: int | None = None
    doubt: bool = False
    quick: bool = False
    licence: str | None = None


@dataclass(frozen=True, slots=True)
class Benchmark:
    """The comparison: cells with stored answers, and their meaning.

    Parameters
    ----------
    rows : tuple of Representation
    bytes_per_track : mapping of str to float
        Disk space of the vectors of a row, by its text.
    cells : tuple of str
        Their names in `benchmark_answers`.
    classes : tuple of str
    many : bool
        Whether a track may have several labels.
    """

    outcome: Outcome
    rows: tuple[Representation, ...]
    bytes_per_track: Mapping[str, float]
    cells: tuple[str, ...]
    classes: tuple[str, ...]
    many: bool
    split: str


@dataclass(frozen=True, slots=True)
class _Fold:
    """Labelled tracks with their parts, as given and for `doubt`, by the kind of training."""

    number: int | None
    variants: Mapping[str, Examples]


def run(config: Config) -> Benchmark:
    """Compute the missing cells.

    Raises
    ------
    UsageError
        For an unknown row, probe, split or label source.
    PhonolakeError
        When there is nothing to compare, or a network cannot be run.
    """
    started, lake = now(), Lake.open(config.lake)
    _check(config)
    with jobs.working(lake.place, "benchmark"):
        seen = lake.pinned()
        rows = benchmark_rows.find(seen, wanted=config.rows, models=config.models, licence=config.licence)
        rows = _few(rows) if config.quick else rows
        split = config.split or labelled.choose_split(seen, config.dataset)
        folds = _folds(seen, config, split)
        clusters = _clusters(seen)
        wants = [want for row in rows for want in _wants(seen, config, row, folds)]
        _make_vectors(seen, wants)
        cells = list(_cells(seen, config, split, rows, folds, clusters))
        _answer(lake, cells)
        classes = folds[0].variants[AS_GIVEN].classes
        names = tuple(cell.name for cell in cells)
        n = len(cells)
        outcome = Outcome("benchmark", f"benchmark-{digest(names)}", n, n, 0, f"{len(rows)} rows on {split}")
        _publish(lake, config, wants, cells, outcome, started)
        sizes = _sizes(lake, rows, wants)
    return Benchmark(outcome, tuple(rows), sizes, names, classes, folds[0].variants[AS_GIVEN].many, split)


def _check(config: Config) -> None:
    for name in config.probes:
        if name not in PROBES:
            raise unknown("probe", name, PROBES)


def _few(rows: Sequence[Representation]) -> list[Representation]:
    """Only the first of the untrained networks."""
    untrained = [row for row in rows if row.kind == benchmark_rows.UNTRAINED]
    return [row for row in rows if row not in untrained[1:]]


# -- what is learned and tested ----------------------------------------------------------------------------------------


def _folds(lake: Lake, config: Config, split: str) -> list[_Fold]:
    numbers: Sequence[int | None] = labelled.fold_numbers(lake, split) or [None]
    with catalog.connect(lake) as connection:
        annotated = bool(connection.execute("SELECT 1 FROM annotations LIMIT 1").fetchall())
        groups = kinship.groups(connection)
    folds = []
    for number in numbers[: 1 if config.quick else None]:
        variants = {AS_GIVEN: _examples(lake, config, split, number, config.labels)}
        if config.doubt:
            variants[UNRELATED] = _unrelated(variants[AS_GIVEN], groups)
        if config.doubt and annotated:
            source = "resolved" if config.labels == "dataset" else f"resolved:{config.labels}"
            corrected = _examples(lake, config, split, number, source)
            if corrected.classes == variants[AS_GIVEN].classes and corrected.many == variants[AS_GIVEN].many:
                variants[CORRECTED] = corrected
        if not variants[AS_GIVEN].of(TEST):
            raise UsageError(f"split {split!r} tests no track: name another with --split")
        folds.append(_Fold(number, variants))
    return folds


def _examples(lake: Lake, config: Config, split: str, fold: int | None, labels: str) -> Examples:
    found = labelled.collect(
        lake,
        labels=labels,
        split=split,
        test_fold=fold,
        dataset=config.dataset,
        many=None,
        top=config.top_labels,
    )
    return _sampled(found, QUICK_TRACKS) if config.quick else found


def _sampled(given: Examples, most: int) -> Examples:
    """A fixed sample of the tracks, and their classes."""
    chosen = set(sorted(given.track_ids, key=lambda track_id: digest(track_id))[:most])
    taught = Counter(
        k
        for track_id, of_track, part in zip(given.track_ids, given.labels, given.parts, strict=True)
        if track_id in chosen and part == TRAIN
        for k in of_track
    )
    number = {k: n for n, k in enumerate(sorted(taught))}
    kept = [
        (track_id, tuple(number[k] for k in of_track if k in number), part)
        for track_id, of_track, part in zip(given.track_ids, given.labels, given.parts, strict=True)
        if track_id in chosen and (given.many or any(k in number for k in of_track))
    ]
    if len(number) < 2:
        raise PhonolakeError(f"{len(kept)} tracks have {len(number)} classes to learn: leave --quick out")
    track_ids, labels, parts = zip(*kept, strict=True)
    return Examples(tuple(given.classes[k] for k in sorted(taught)), track_ids, labels, parts, given.many)


def _unrelated(given: Examples, groups: Mapping[str, str]) -> Examples:
    """Without training tracks that share an artist or a recording with a test track."""
    tested = {groups.get(track_id, track_id) for track_id in given.of(TEST)}
    kept = [
        n
        for n, (track_id, part) in enumerate(zip(given.track_ids, given.parts, strict=True))
        if part == TEST or groups.get(track_id, track_id) not in tested
    ]
    return _only(given, kept)


def _only(given: Examples, kept: Sequence[int]) -> Examples:
    return replace(
        given,
        track_ids=tuple(given.track_ids[n] for n in kept),
        labels=tuple(given.labels[n] for n in kept),
        parts=tuple(given.parts[n] for n in kept),
    )


def _clusters(lake: Lake) -> dict[str, str]:
    with catalog.connect(lake) as connection:
        return kinship.groups(connection)


# -- vectors that are not in the lake ----------------------------------------------------------------------------------


def _wants(lake: Lake, config: Config, row: Representation, folds: Iterable[_Fold]) -> list[Want]:
    """Vectors that a benchmark computes for a row: all, or those of deformed test tracks and a few for timing."""
    if row.kind in WITHOUT_VECTORS or row.is_brought or not lake.shards("audio"):
        return []
    given = [fold.variants[AS_GIVEN] for fold in folds]
    everything = {track_id for examples in given for track_id in examples.track_ids}
    tested = {track_id for examples in given for track_id in examples.of(TEST)}
    some = set(sorted(tested, key=lambda track_id: digest(track_id))[:PRICED])
    wants = [Want(row, CLEAN, frozenset(some if row.is_stored else everything))]
    if config.doubt:
        wants += [Want(row, condition, frozenset(tested)) for condition in DEFORMATIONS]
    return wants


def _make_vectors(lake: Lake, wants: Sequence[Want]) -> None:
    """One task for each shard of audio."""
    sources = list(lake.shards("audio"))
    missing = {want: set(derive.missing(lake, want.product, sources)) for want in wants}
    tasks = []
    for source in sources:
        todo = tuple(want for want in wants if source in missing[want])
        if todo:
            tasks.append(benchmark_vectors.Task(lake.place, source, todo))
    if not tasks:
        return
    n = sum(len(want.track_ids) for want in wants)
    with progress.task("benchmark: vectors", len(tasks)) as advance:
        for _ in execution.imap(benchmark_vectors.make, tasks, seconds=n * SECONDS_PER_VECTOR, forks=lake.forks):
            advance(1)


def _made(lake: Lake, wants: Iterable[Want]) -> tuple[str, ...]:
    """Finished shards of vectors."""
    ready = lake.ready(benchmark_vectors.TABLE)
    files = [want.product.stem(source) + SUFFIX for want in wants for source in lake.shards("audio")]
    return tuple(file for file in files if file in ready)


def _sizes(lake: Lake, rows: Sequence[Representation], wants: Sequence[Want]) -> dict[str, float]:
    """Bytes on the disk for a track with a vector, by the text of the row."""
    found = {}
    for row in rows:
        table = inputs.vectors(row.text).table if row.is_stored else benchmark_vectors.TABLE
        clean = [want for want in wants if want.row == row and want.condition == CLEAN]
        files = row.files(lake) or _made(lake, clean)
        shards = lake.describe(table, files)
        n = sum(shard.rows for shard in shards)
        if n:
            found[row.text] = sum(shard.bytes for shard in shards) / n
    return found


# -- cells -------------------------------------------------------------------------------------------------------------


def _cells(
    lake: Lake,
    config: Config,
    split: str,
    rows: Sequence[Representation],
    folds: Sequence[_Fold],
    clusters: Mapping[str, str],
) -> Iterable[Cell]:
    place = (config.labels, str(config.dataset), split, str(config.top_labels), str(config.quick), str(config.doubt))
    chosen = config.probes or (QUICK_PROBES if config.quick else tuple(PROBES))
    for row in rows:
        wants = _wants(lake, config, row, folds)
        files = row.files(lake) or _made(lake, [want for want in wants if want.condition == CLEAN])
        if row.kind not in WITHOUT_VECTORS and not files:
            say(f"{row.name} is left out: it has no vectors.")
            continue
        learned = benchmark_rows.learned_from(lake, row)
        for probe in (NO_PROBE,) if row.kind in WITHOUT_VECTORS else chosen:
            for fold in folds:
                for training, examples in fold.variants.items():
                    held = _held_out(examples, learned)
                    if not held.of(TEST):
                        say(f"{row.name} is left out of fold {fold.number}: it was trained on all of the test tracks.")
                        continue
                    deformed = {
                        want.condition: _made(lake, [want])
                        for want in wants
                        if want.condition != CLEAN and training == AS_GIVEN
                    }
                    near = {track_id: clusters[track_id] for track_id in held.of(TEST)}
                    yield Cell(
                        lake.place, row, files, probe, training, held, near, deformed, fold.number, place
                    )  # fmt: skip


def _held_out(given: Examples, learned: set[str]) -> Examples:
    """Without the test tracks on which the model of the vectors was trained."""
    pairs = enumerate(zip(given.track_ids, given.parts, strict=True))
    return _only(given, [n for n, (track_id, part) in pairs if part != TEST or track_id not in learned])


def _answer(lake: Lake, cells: Sequence[Cell]) -> None:
    ready = lake.ready(benchmark_cells.TABLE)
    todo = [cell for cell in cells if cell.file not in ready]
    with progress.task("benchmark: cells", len(cells)) as advance:
        advance(len(cells) - len(todo))
        for _ in execution.imap(benchmark_cells.answer, todo, seconds=len(todo) * SECONDS_PER_CELL, forks=lake.forks):
            advance(1)


def _publish(
    lake: Lake, config: Config, wants: Sequence[Want], cells: Sequence[Cell], outcome: Outcome, started: Any
) -> None:
    """Commit finished cells in place of their earlier answers."""
    sources = list(lake.shards("audio"))
    changes = derive.collect_all(lake, ((want.product, sources) for want in wants))
    answers = Change(schema.table(benchmark_cells.TABLE), reusable=True)
    families = {cell.product.family for cell in cells}
    fresh = {cell.file for cell in cells}
    answers.add = lake.describe(benchmark_cells.TABLE, [cell.file for cell in cells])
    answers.remove = [
        file
        for file in lake.shards(benchmark_cells.TABLE)
        if file.split(SEPARATOR)[0] in families and file not in fresh
    ]
    changes[benchmark_cells.TABLE] = merge(answers)
    changes["runs"] = finish(lake, config, [outcome], started)
    lake.commit(changes, Reads(versions(lake, TOMBSTONES)))
