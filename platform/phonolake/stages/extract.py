"""Extract: feature sets and spectrograms from the audio in the lake, several in one pass over it."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from phonolake import execution, progress
from phonolake.audio.decode import decode
from phonolake.errors import AudioError, UsageError
from phonolake.features import contract
from phonolake.features.contract import FeatureSet, Spectrogram
from phonolake.lineage import CODE_VERSION, digest
from phonolake.stages import derive
from phonolake.stages.common import Outcome, finish, now
from phonolake.stages.products import product, rejects
from phonolake.store.lake import Lake
from phonolake.store.shards import write_rows, writing


@dataclass(frozen=True, slots=True)
class Config:
    """Which feature sets and spectrograms to compute, by name."""

    lake: str
    features: tuple[str, ...] = ()
    spectrograms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # A name given twice is one wish: two writers of one shard would undo each other.
        object.__setattr__(self, "features", tuple(dict.fromkeys(self.features)))
        object.__setattr__(self, "spectrograms", tuple(dict.fromkeys(self.spectrograms)))


@dataclass(frozen=True, slots=True)
class Task:
    """One audio shard, and what to compute from it."""

    lake: Path
    source: str
    features: tuple[str, ...]
    spectrograms: tuple[str, ...]


def run(config: Config) -> list[Outcome]:
    """Compute what is missing; one outcome for each feature set and spectrogram.

    Raises
    ------
    UsageError
        For an unknown name, or when nothing is asked for.
    """
    started = now()
    lake = Lake.open(config.lake)
    tasks, recipes = plan(config), _recipes(config)
    sources = lake.shards("audio")
    rows = {source: shard.rows for source, shard in sources.items()}
    with progress.task("extract", sum(rows.values())) as advance:
        advance(sum(rows.values()) - sum(rows[task.source] for task in tasks))
        for _ in execution.imap(extract_shard, tasks, on_tick=advance):
            pass
    products = [p for r in recipes for p in (product(r), rejects(r))]
    changes = derive.collect_all(lake, ((p, sources) for p in products))
    outcomes = [_outcome(lake, r, sources, sum(rows.values())) for r in recipes]
    changes["runs"] = finish(lake, config, outcomes, started)
    lake.commit(changes)
    return outcomes


def plan(config: Config) -> list[Task]:
    """What would be computed, without computing it; the errors are those of `run`."""
    lake = Lake.open(config.lake)
    sources = lake.shards("audio")
    missing = {r.name: set(derive.missing(lake, product(r), sources)) for r in _recipes(config)}
    if not missing:
        raise UsageError("nothing to extract: name a feature set or a spectrogram (`phonolake features` lists them)")
    return [task for source in sources if (task := _task(lake, source, config, missing))]


def _recipes(wanted: Config | Task) -> list[FeatureSet | Spectrogram]:
    return [*map(contract.feature_set, wanted.features), *map(contract.spectrogram, wanted.spectrograms)]


def _task(lake: Lake, source: str, config: Config, missing: dict[str, set[str]]) -> Task | None:
    features = tuple(n for n in config.features if source in missing[n])
    spectrograms = tuple(n for n in config.spectrograms if source in missing[n])
    return Task(lake.root, source, features, spectrograms) if features or spectrograms else None


def _outcome(lake: Lake, recipe: FeatureSet | Spectrogram, sources: Any, inputs: int) -> Outcome:
    outputs = sum(s.rows for s in derive.collect(lake, product(recipe), sources).add)
    left_out = sum(s.rows for s in derive.collect(lake, rejects(recipe), sources).add)
    run_id = f"extract-{recipe.name}-{digest([product(recipe).version, list(sources)])}"
    return Outcome("extract", run_id, inputs, outputs, left_out, recipe.name)


# -- one shard, on a worker --------------------------------------------------------------------------------------------


def extract_shard(task: Task) -> None:
    """Decode each track once per sampling rate and compute everything from it; memory holds one track at a time."""
    lake = Lake(task.lake)
    recipes = _recipes(task)
    left_out: dict[str, list[dict[str, Any]]] = {r.name: [] for r in recipes}
    with ExitStack() as stack:
        append = {
            r.name: stack.enter_context(
                writing(lake.path(product(r).table.name, product(r).stem(task.source)), product(r).table.arrow)
            )
            for r in recipes
        }
        for track_id, data in stored_audio(lake.folder("audio") / task.source):
            decoded: dict[int, np.ndarray] = {}
            for recipe in recipes:
                try:
                    if recipe.sr not in decoded:
                        decoded[recipe.sr] = decode(data, sr=recipe.sr)
                    values = _compute(recipe, decoded[recipe.sr])
                except AudioError as error:
                    left_out[recipe.name].append(_reject_row(track_id, recipe, error))
                else:
                    append[recipe.name](_row(track_id, recipe, values, task.source))
            execution.tick()
        # Rejects are in place before the outputs appear, which mark the shard as finished.
        for recipe in recipes:
            if left_out[recipe.name]:
                target = rejects(recipe)
                path = lake.path("rejects", target.stem(task.source))
                write_rows(path, target.table.arrow, left_out[recipe.name])


def stored_audio(path: Path) -> Iterator[tuple[str, bytes]]:
    """Track ids and encoded bytes of an audio shard, one at a time."""
    file = pq.ParquetFile(path)
    for group in range(file.num_row_groups):
        # Group by group: a reader over several of them keeps what it has read until its end.
        for batch in file.iter_batches(batch_size=1, row_groups=[group], columns=["track_id", "bytes"]):
            yield batch["track_id"][0].as_py(), batch["bytes"][0].as_py()


def _compute(recipe: FeatureSet | Spectrogram, y: np.ndarray) -> np.ndarray:
    values = recipe.compute(y)
    if not np.isfinite(values).all():
        raise AudioError("not-finite", f"{recipe.name} gives NaN or infinite values")
    return values


def _row(track_id: str, recipe: FeatureSet | Spectrogram, values: np.ndarray, source: str) -> dict[str, Any]:
    row = {
        "track_id": track_id,
        "source_shard": source,
        "config_hash": product(recipe).version,
        "code_version": CODE_VERSION,
    }
    if isinstance(recipe, Spectrogram):
        n_bands, n_frames = values.shape
        data = np.ascontiguousarray(values, dtype="<f2").tobytes()
        return row | {"spectrogram": recipe.name, "n_bands": n_bands, "n_frames": n_frames, "data": data}
    named = {name: float(value) for (name, _), value in zip(recipe.columns, values, strict=True)}
    return row | {"feature_set": recipe.name} | named


def _reject_row(track_id: str, recipe: FeatureSet | Spectrogram, error: AudioError) -> dict[str, Any]:
    return {
        "track_id": track_id,
        "dataset": track_id.partition(":")[0],
        "stage": "extract",
        "reason": error.reason,
        "detail": f"{recipe.name}: {error.detail}",
        "retryable": False,
        "config_hash": product(recipe).version,
        "code_version": CODE_VERSION,
    }
