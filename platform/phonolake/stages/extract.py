"""Extract: feature sets and spectrograms from the audio in the lake, several in one pass."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from phonolake import execution, progress
from phonolake.errors import UsageError
from phonolake.features.contract import Segments
from phonolake.inference.products import product, rejects
from phonolake.inference.recordings import Recipe, describe
from phonolake.lineage import digest
from phonolake.stages import derive, extraction
from phonolake.stages.suspects import killed, watched
from phonolake.store import jobs, pieces
from phonolake.store.attempts import attempts
from phonolake.store.lake import Lake, Reads
from phonolake.store.naming import TOMBSTONES
from phonolake.store.outcomes import Outcome, count_tracks, finish, now, versions
from phonolake.store.place import Place
from phonolake.store.shards import Shard


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
        # Ignore repeated names: two writers of one shard would conflict.
        for name in ("features", "spectrograms", "configurations"):
            object.__setattr__(self, name, tuple(dict.fromkeys(getattr(self, name))))


@dataclass(frozen=True, slots=True)
class Task:
    """One audio shard, and what to compute from it: the fields of `Config`."""

    lake: Place
    source: str
    features: tuple[str, ...]
    spectrograms: tuple[str, ...]
    configurations: tuple[str, ...] = ()
    segments: Segments | None = None


def run(config: Config) -> list[Outcome]:
    """Compute missing products; one outcome for each feature set and spectrogram.

    Raises
    ------
    UsageError
        For an unknown name, or when nothing is requested.
    """
    started = now()
    lake = Lake.open(config.lake)
    plan(config)
    with jobs.working(lake.place, "extract"):
        for attempt in attempts(lake):
            with attempt as seen:
                _compute(seen, _plan(seen, config))
                return _publish(lake, config, seen.shards("audio"), started)
    raise AssertionError("the last attempt raises")


def _compute(lake: Lake, tasks: list[Task]) -> None:
    sources = lake.shards("audio")
    n = count_tracks(lake, "audio", sources)
    # The longest first, so that none of them starts last.
    tasks = sorted(tasks, key=lambda task: -sources[task.source].bytes)
    done = n - count_tracks(lake, "audio", [task.source for task in tasks])
    with progress.task("extract", n, done=done) as advance:
        seconds = _seconds(tasks, sources)
        for _ in execution.imap(extract_shard, tasks, seconds=seconds, forks=lake.forks, on_tick=advance):
            pass


def _publish(lake: Lake, config: Config, read: Collection[str], started: datetime) -> list[Outcome]:
    """Commit finished products for the currently published audio; other jobs may have added some with its features."""
    seen, recipes = lake.pinned(), extraction.recipes(config)
    todo = {task.source for task in _plan(seen, config)}
    sources = list(seen.shards("audio"))
    products = [p for r in recipes for p in (product(r), rejects(r))]
    derive.discard(lake, products, "audio", read)
    changes = derive.collect_all(seen, ((p, sources) for p in products))
    derive.check_replaced(seen, "audio", changes, read=read, todo=todo)
    done = [source for source in sources if source not in todo]
    n = count_tracks(seen, "audio", done)
    outcomes = [_outcome(seen, r, done, n) for r in recipes]
    changes["runs"] = finish(seen, config, outcomes, started)
    lake.commit(changes, Reads(versions(seen, TOMBSTONES), {"audio": done}))
    return outcomes


def plan(config: Config) -> list[Task]:
    """The planned work; the errors are those of `run`."""
    return _plan(Lake.open(config.lake), config)


def _plan(lake: Lake, config: Config) -> list[Task]:
    sources = lake.shards("audio")
    missing = {r.name: set(derive.missing(lake, product(r), sources)) for r in extraction.recipes(config)}
    if not missing:
        raise UsageError("nothing to extract: name a feature set or a spectrogram (`phonolake features` lists them)")
    todo = set().union(*missing.values())
    return [_task(lake, source, config, missing) for source in sources if source in todo]


def _seconds(tasks: list[Task], sources: Mapping[str, Shard]) -> float:
    """Rough time of one core."""
    return sum(extraction.seconds(task, sources[task.source].bytes) for task in tasks)


def names(wanted: Config | Task) -> list[str]:
    """Names of the requested recipes."""
    return [recipe.name for recipe in extraction.recipes(wanted)]


def _task(lake: Lake, source: str, config: Config, missing: dict[str, set[str]]) -> Task:
    wanted: dict[str, tuple[str, ...]] = {"features": (), "spectrograms": (), "configurations": ()}
    for field, how, recipe in extraction.asked_for(config):
        if source in missing[recipe.name]:
            wanted[field] += (how,)
    return Task(lake.place, source, **wanted, segments=config.segments)


def _outcome(lake: Lake, recipe: Recipe, sources: list[str], inputs: int) -> Outcome:
    found = [shard.file for shard in derive.outputs(lake, product(recipe), sources)]
    outputs = count_tracks(lake, product(recipe).table.name, found)
    left_out = sum(shard.rows for shard in derive.outputs(lake, rejects(recipe), sources))
    run_id = f"extract-{recipe.name}-{digest([product(recipe).version, sources])}"
    return Outcome("extract", run_id, inputs, outputs, left_out, recipe.name)


# -- one shard, on a worker --------------------------------------------------------------------------------------------


def extract_shard(task: Task) -> None:
    """Decode each track once per sampling rate and compute everything from it; memory holds one track at a time."""
    lake = Lake(task.lake)
    recipes = extraction.recipes(task)
    first = lake.path(product(recipes[0]).table.name, product(recipes[0]).stem(task.source))
    with watched(first) as suspects, extraction.products_of(lake, recipes, task.source) as add:
        for track_id, data, duration in pieces.stored(lake.local("audio", task.source)):
            if suspects.touch(track_id):
                add(track_id, describe(recipes, data, duration))
            else:
                add(track_id, {recipe.name: killed() for recipe in recipes})
            execution.tick()
    extraction.send(lake, recipes, task.source)
