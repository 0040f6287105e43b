"""One cell of a benchmark, on a worker: probes are chosen on validation tracks, fitted, and evaluated on the test part.

Shape suffixes: N tracks, D numbers, K labels.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from phonolake import execution
from phonolake.errors import PhonolakeError
from phonolake.inference import inputs
from phonolake.lineage import CODE_VERSION, canonical, digest
from phonolake.metrics import classification
from phonolake.models.probes import PROBES, Ask
from phonolake.records import TEST, TRAIN, VALID
from phonolake.stages.benchmark_rows import CHANCE, WITHOUT_VECTORS, Representation
from phonolake.stages.benchmark_vectors import CLEAN
from phonolake.stages.benchmark_vectors import TABLE as VECTORS
from phonolake.stages.examples import Examples
from phonolake.store import schema
from phonolake.store.lake import Lake
from phonolake.store.place import Place
from phonolake.store.product import Product
from phonolake.store.shards import SUFFIX, writing

TABLE = "benchmark_answers"
# Seeds of what draws.
SEEDS = (0, 1, 2)
# If a split has no validation part, every n-th training track is one.
SHARE_OF_VALID = 5
NO_PROBE = "none"

Vectors = dict[str, np.ndarray]


@dataclass(frozen=True)
class Cell:
    """Some vectors, a probe, and the tracks of one fold.

    Parameters
    ----------
    files : tuple of str
        Published shards of the vectors, or shards that the benchmark made.
    training : str
        See the table `benchmark_answers`.
    clusters : mapping of str
        The cluster of each test track.
    deformed : mapping of str to tuple of str
        Shards with the vectors of deformed test tracks, by the deformation.
    fold : int or None
        Fold that is tested.
    place : tuple of str
        The part of the request that identifies earlier answers to replace.
    """

    lake: Place
    row: Representation
    files: tuple[str, ...]
    probe: str
    training: str
    examples: Examples
    clusters: Mapping[str, str]
    deformed: Mapping[str, tuple[str, ...]]
    fold: int | None
    place: tuple[str, ...]

    @cached_property
    def product(self) -> Product:
        """The product with its answers."""
        place = [*self.place, self.row.text, self.probe, self.training, str(self.fold)]
        clusters = sorted(self.clusters.items())
        grid = PROBES[self.probe].grid if self.probe in PROBES else ()
        said = [self.files, self.row.card, self.examples, clusters, dict(self.deformed), grid, SEEDS]
        return Product(schema.table(TABLE), digest(place), digest(said))

    @property
    def name(self) -> str:
        """Its name in tables."""
        return f"{self.product.family}-{self.product.version}"

    @property
    def file(self) -> str:
        return self.product.stem("cell") + SUFFIX


@dataclass(frozen=True, slots=True)
class FittedProbes:
    """A probe for each seed, with its hyper-parameters and number of training tracks."""

    asks: Mapping[int, Ask]
    chosen: Mapping[str, Any]
    n_train: int


def answer(cell: Cell) -> None:
    """Write the answers of a cell."""
    if cell.row.kind in WITHOUT_VECTORS:
        _write(cell, _guessed(cell))
    else:
        _write(cell, _probed(cell))
    execution.tick()


def _probed(cell: Cell) -> Iterator[dict[str, Any]]:
    vectors = _read(cell, cell.files)
    fitted = _fit(cell, vectors)
    tests = {CLEAN: vectors} | {condition: _read(cell, files) for condition, files in cell.deformed.items()}
    track_ids = tuple(cell.examples.of(TEST))
    for condition, heard in tests.items():
        known = [track_id for track_id in track_ids if track_id in heard]
        for seed, ask in fitted.asks.items():
            scores = dict(zip(known, ask(_stacked(heard, known)), strict=True)) if known else {}
            for track_id in track_ids:
                found = scores.get(track_id)
                yield {
                    "condition": condition,
                    "seed": seed,
                    "track_id": track_id,
                    "scores": None if found is None else found.tolist(),
                    "chosen": canonical(fitted.chosen),
                    "n_train": fitted.n_train,
                }


def _guessed(cell: Cell) -> Iterator[dict[str, Any]]:
    """Predictions without input: by the labels' shares in the training part, or at random."""
    Y_NK = _targets(cell.examples, list(cell.examples.of(TRAIN)))
    track_ids = list(cell.examples.of(TEST))
    for seed in SEEDS if cell.row.kind == CHANCE else SEEDS[:1]:
        drawn_NK = np.random.default_rng(seed).random((len(track_ids), Y_NK.shape[1]))
        for track_id, drawn_K in zip(track_ids, drawn_NK, strict=True):
            scores_K = drawn_K if cell.row.kind == CHANCE else Y_NK.mean(axis=0)
            said = {"track_id": track_id, "seed": seed, "scores": scores_K.tolist(), "condition": CLEAN}
            yield said | {"chosen": "{}", "n_train": len(Y_NK)}


def _fit(cell: Cell, vectors: Vectors) -> FittedProbes:
    """Choose on the validation tracks, then train on them, too."""
    train, valid = ([i for i in cell.examples.of(part) if i in vectors] for part in (TRAIN, VALID))
    if not valid:
        valid = train[::SHARE_OF_VALID]
        train = [track_id for track_id in train if track_id not in set(valid)]
    if not train or not valid:
        raise PhonolakeError(f"{cell.row.name} has vectors of {len(train) + len(valid)} training tracks: too few")
    probe, many = PROBES[cell.probe], cell.examples.many
    x_ND, Y_NK = _stacked(vectors, train), _targets(cell.examples, train)
    x_valid_ND, Y_valid_NK = _stacked(vectors, valid), _targets(cell.examples, valid)
    figures = []
    for chosen in probe.grid:
        ask = probe.fit(x_ND, Y_NK, many=many, chosen=chosen, seed=SEEDS[0])
        figures.append(_figure(Y_valid_NK, ask(x_valid_ND), many))
    # Of ties the first, which is the simplest.
    best = probe.grid[int(np.nanargmax(figures))] if not np.isnan(figures).all() else probe.grid[0]
    x_ND, Y_NK = np.concatenate([x_ND, x_valid_ND]), np.concatenate([Y_NK, Y_valid_NK])
    seeds = SEEDS if probe.draws else SEEDS[:1]
    asks = {seed: probe.fit(x_ND, Y_NK, many=many, chosen=best, seed=seed) for seed in seeds}
    return FittedProbes(asks, best, len(x_ND))


def _figure(Y_NK: np.ndarray, P_NK: np.ndarray, many: bool) -> float:
    if many:
        return classification.macro(classification.roc_auc(y_true=Y_NK, scores=P_NK))
    return classification.accuracy(y_true=Y_NK.argmax(axis=1), y_pred=P_NK.argmax(axis=1))


def _targets(examples: Examples, track_ids: list[str]) -> np.ndarray:
    number = {track_id: n for n, track_id in enumerate(examples.track_ids)}
    Y_NK = np.zeros((len(track_ids), len(examples.classes)), np.int8)
    for n, track_id in enumerate(track_ids):
        Y_NK[n, list(examples.labels[number[track_id]])] = 1
    return Y_NK


def _stacked(vectors: Vectors, track_ids: list[str]) -> np.ndarray:
    return np.stack([vectors[track_id] for track_id in track_ids]).astype(np.float64)


def _read(cell: Cell, files: tuple[str, ...]) -> Vectors:
    """One vector for each track of the cell that has any: the mean, if it has several."""
    lake, wanted = Lake(cell.lake), set(cell.examples.track_ids)
    own = files == cell.files and cell.row.is_stored
    found: dict[str, list[np.ndarray]] = {}
    for file in files:
        if own:
            read = inputs.vectors(cell.row.text)
            (path,) = read.paths(lake, (file,))
            track_ids, x_ND = read.read(path)
        else:
            table = pq.read_table(lake.local(VECTORS, file), columns=["track_id", "vector"])
            rows = [row for row in table.to_pylist() if row["vector"] is not None]
            track_ids, x_ND = [row["track_id"] for row in rows], [np.array(row["vector"]) for row in rows]  # type: ignore[assignment]
        for track_id, x_D in zip(track_ids, x_ND, strict=True):
            if track_id in wanted and np.isfinite(x_D).all():
                found.setdefault(track_id, []).append(x_D)
    return {track_id: np.mean(several, axis=0) for track_id, several in found.items()}


def _write(cell: Cell, rows: Iterator[dict[str, Any]]) -> None:
    number = {track_id: n for n, track_id in enumerate(cell.examples.track_ids)}
    stamp = {
        "cell": cell.name,
        "representation": cell.row.text,
        "probe": cell.probe,
        "training": cell.training,
        "code_version": CODE_VERSION,
    }
    lake = Lake(cell.lake)
    with writing(lake.path(TABLE, cell.product.stem("cell")), cell.product.table.arrow) as append:
        for row in rows:
            track_id = row["track_id"]
            truth = list(cell.examples.labels[number[track_id]])
            append(stamp | row | {"truth": truth, "cluster": cell.clusters[track_id]})
    lake.send(TABLE, cell.file)
