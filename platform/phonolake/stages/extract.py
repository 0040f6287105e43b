"""Extract: feature sets and spectrograms from the audio in the lake, several in one pass over it."""

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from phonolake import execution, progress
from phonolake.errors import AudioError, UsageError
from phonolake.features import contract
from phonolake.features.contract import Segments, Spectrogram
from phonolake.inference.extractors import feature_set
from phonolake.inference.products import product, rejects
from phonolake.inference.recordings import Description, Recipe, describe
from phonolake.lineage import CODE_VERSION, canonical, digest
from phonolake.stages import derive
from phonolake.store import jobs, pieces
from phonolake.store.attempts import attempts
from phonolake.store.lake import Lake, Reads
from phonolake.store.naming import TOMBSTONES
from phonolake.store.outcomes import Outcome, count_tracks, finish, now, versions
from phonolake.store.shards import Shard, write_rows, writing

# Of encoded audio and for each recipe, on one core.
SECONDS_PER_BYTE = 1e-6


@dataclass(frozen=True, slots=True)
class Config:
    """What to compute.

    Parameters
    ----------
    features, spectrograms : tuple of str
        Names in the registry.
    configurations : tuple of str
        Spectrograms of the user's own, as `features.configuration.from_text` reads them.
    segments : Segments, optional
        Compute all of it for each segment of a recording.
    """

    lake: str
    features: tuple[str, ...] = ()
    spectrograms: tuple[str, ...] = ()
    configurations: tuple[str, ...] = ()
    segments: Segments | None = None

    def __post_init__(self) -> None:
        # A name given twice is one wish: two writers of one shard would undo each other.
        for name in ("features", "spectrograms", "configurations"):
            object.__setattr__(self, name, tuple(dict.fromkeys(getattr(self, name))))


@dataclass(frozen=True, slots=True)
class Task:
    """One audio shard, and what to compute from it: the fields of `Config`."""

    lake: Path
    source: str
    features: tuple[str, ...]
    spectrograms: tuple[str, ...]
    configurations: tuple[str, ...] = ()
    segments: Segments | None = None


def run(config: Config) -> list[Outcome]:
    """Compute what is missing; one outcome for each feature set and spectrogram.

    Raises
    ------
    UsageError
        For an unknown name, or when nothing is asked for.
    """
    started = now()
    lake = Lake.open(config.lake)
    plan(config)
    with jobs.working(lake.root, "extract"):
        for attempt in attempts(lake):
            with attempt as seen:
                _compute(seen, _plan(seen, config))
                return _publish(lake, config, seen.shards("audio"), started)
    raise AssertionError("the last attempt raises")


def _compute(lake: Lake, tasks: list[Task]) -> None:
    sources = lake.shards("audio")
    n = count_tracks(lake, "audio", sources)
    done = n - count_tracks(lake, "audio", [task.source for task in tasks])
    with progress.task("extract", n, done=done) as advance:
        for _ in execution.imap(extract_shard, tasks, seconds=_seconds(tasks, sources), on_tick=advance):
            pass


def _publish(lake: Lake, config: Config, read: Collection[str], started: datetime) -> list[Outcome]:
    """Commit what lies ready for the audio that is published by now; others may have added some, with its features."""
    seen, recipes = lake.pinned(), _recipes(config)
    todo = {task.source for task in _plan(seen, config)}
    products = [p for r in recipes for p in (product(r), rejects(r))]
    derive.discard(lake, products, "audio", read)
    changes = derive.collect_all(seen, ((p, seen.shards("audio")) for p in products))
    derive.check_replaced(seen, "audio", changes, read=read, todo=todo)
    done = [source for source in seen.shards("audio") if source not in todo]
    n = count_tracks(seen, "audio", done)
    outcomes = [_outcome(seen, r, done, n) for r in recipes]
    changes["runs"] = finish(seen, config, outcomes, started)
    lake.commit(changes, Reads(versions(seen, TOMBSTONES), {"audio": done}))
    return outcomes


def plan(config: Config) -> list[Task]:
    """What would be computed, without computing it; the errors are those of `run`."""
    return _plan(Lake.open(config.lake), config)


def _plan(lake: Lake, config: Config) -> list[Task]:
    sources = lake.shards("audio")
    missing = {r.name: set(derive.missing(lake, product(r), sources)) for r in _recipes(config)}
    if not missing:
        raise UsageError("nothing to extract: name a feature set or a spectrogram (`phonolake features` lists them)")
    return [task for source in sources if (task := _task(lake, source, config, missing))]


def _seconds(tasks: list[Task], sources: Mapping[str, Shard]) -> float:
    """How long one core takes, roughly."""
    return sum(sources[task.source].bytes * SECONDS_PER_BYTE * len(_recipes(task)) for task in tasks)


def names(wanted: Config | Task) -> list[str]:
    """Names of the recipes that are asked for."""
    return [recipe.name for recipe in _recipes(wanted)]


def _asked_for(wanted: Config | Task) -> list[tuple[str, str, Recipe]]:
    """Every recipe, with the field that asks for it and how it does."""
    found: list[tuple[str, str, Recipe]] = [
        *(("features", name, feature_set(name)) for name in wanted.features),
        *(("spectrograms", name, contract.spectrogram(name)) for name in wanted.spectrograms),
        *(("configurations", text, contract.given(text)) for text in wanted.configurations),
    ]
    if wanted.segments is None:
        return found
    return [(field, how, contract.per_segment(recipe, wanted.segments)) for field, how, recipe in found]


def _recipes(wanted: Config | Task) -> list[Recipe]:
    recipes = {recipe.name: recipe for *_, recipe in _asked_for(wanted)}
    if len(recipes) < len(_asked_for(wanted)):
        raise UsageError("two of the spectrograms have the same name")
    return list(recipes.values())


def _task(lake: Lake, source: str, config: Config, missing: dict[str, set[str]]) -> Task | None:
    wanted: dict[str, tuple[str, ...]] = {"features": (), "spectrograms": (), "configurations": ()}
    for field, how, recipe in _asked_for(config):
        if source in missing[recipe.name]:
            wanted[field] += (how,)
    return Task(lake.root, source, **wanted, segments=config.segments) if any(wanted.values()) else None


def _outcome(lake: Lake, recipe: Recipe, sources: Any, inputs: int) -> Outcome:
    published = [s.file for s in derive.collect(lake, product(recipe), sources).add]
    outputs = count_tracks(lake, product(recipe).table.name, published)
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
        for track_id, data, duration in pieces.stored(lake.folder("audio") / task.source):
            found = describe(recipes, data, duration)
            for recipe in recipes:
                rows = found.pop(recipe.name)
                if isinstance(rows, AudioError):
                    left_out[recipe.name].append(_reject_row(track_id, recipe, rows))
                    continue
                # The spectrogram of hours has a hundred megabytes: it goes when it has become a row.
                rows.reverse()
                while rows:
                    append[recipe.name](row_of(track_id, recipe, rows.pop(), task.source))
            execution.tick()
        # Rejects are in place before the outputs appear, which mark the shard as finished.
        for recipe in recipes:
            if left_out[recipe.name]:
                target = rejects(recipe)
                path = lake.path("rejects", target.stem(task.source))
                write_rows(path, target.table.arrow, left_out[recipe.name])


def row_of(track_id: str, recipe: Recipe, answer: Description, source: str) -> dict[str, Any]:
    """The row of a product for one answer about a track."""
    row = {
        "track_id": track_id,
        "start_seconds": answer.start,
        "end_seconds": answer.end,
        "source_shard": source,
        "config_hash": product(recipe).version,
        "code_version": CODE_VERSION,
    }
    if isinstance(recipe, Spectrogram):
        n_bands, n_frames = answer.values.shape[-2:]
        return row | {
            "spectrogram": recipe.name,
            "n_channels": recipe.n_channels,
            "n_bands": n_bands,
            "n_frames": n_frames,
            "data": answer.values.tobytes(),
            "config": canonical(recipe.parameters),
        }
    named = {name: float(value) for (name, _), value in zip(recipe.columns, answer.values, strict=True)}
    return row | {"feature_set": recipe.name} | named


def _reject_row(track_id: str, recipe: Recipe, error: AudioError) -> dict[str, Any]:
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
