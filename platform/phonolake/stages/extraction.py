"""One shard of audio becomes one shard of each product: the requested recipes, and how to write their rows.

`extract` does this with the audio of a lake, `ingest` with files while they are decoded for the first time.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from phonolake.errors import AudioError, UsageError
from phonolake.features import contract
from phonolake.features.contract import Segments, Spectrogram
from phonolake.inference.extractors import feature_set
from phonolake.inference.products import product, rejects
from phonolake.inference.recordings import Description, Descriptions, Recipe
from phonolake.lineage import CODE_VERSION, canonical
from phonolake.store.lake import Lake
from phonolake.store.shards import SUFFIX, write_rows, writing

# Encoded audio per second of one core, for each recipe.
SECONDS_PER_BYTE = 1e-6


class Request(Protocol):
    """A request for recipes: the configuration of a stage, or a worker's task."""

    @property
    def features(self) -> tuple[str, ...]: ...

    @property
    def spectrograms(self) -> tuple[str, ...]: ...

    @property
    def configurations(self) -> tuple[str, ...]: ...

    @property
    def segments(self) -> Segments | None: ...


@dataclass(frozen=True, slots=True)
class RecipeNames:
    """Recipes by their names.

    Parameters
    ----------
    features, spectrograms : tuple of str
        Names in the registry.
    configurations : tuple of str
        Spectrograms of the user's own, as `features.configuration.from_text` reads them.
    segments : Segments, optional
        Compute all of it for each segment of a recording.
    """

    features: tuple[str, ...] = ()
    spectrograms: tuple[str, ...] = ()
    configurations: tuple[str, ...] = ()
    segments: Segments | None = None


NONE = RecipeNames()


def asked_for(request: Request) -> list[tuple[str, str, Recipe]]:
    """Every recipe, with its field in the request and its name there."""
    found: list[tuple[str, str, Recipe]] = [
        *(("features", name, feature_set(name)) for name in request.features),
        *(("spectrograms", name, contract.spectrogram(name)) for name in request.spectrograms),
        *(("configurations", text, contract.given(text)) for text in request.configurations),
    ]
    if request.segments is None:
        return found
    return [(field, how, contract.per_segment(recipe, request.segments)) for field, how, recipe in found]


def recipes(request: Request) -> list[Recipe]:
    """The requested recipes, each once.

    Raises
    ------
    UsageError
        For an unknown name, or two spectrograms of the same name.
    """
    asked = {(field, how): recipe for field, how, recipe in asked_for(request)}
    found = {recipe.name: recipe for recipe in asked.values()}
    if len(found) < len(asked):
        raise UsageError("two of the spectrograms have the same name")
    return list(found.values())


def seconds(request: Request, n_bytes: int) -> float:
    """Rough time of one core for the recipes of a number of bytes of encoded audio."""
    return n_bytes * SECONDS_PER_BYTE * len(recipes(request))


Describe = Callable[[str, dict[str, Descriptions]], None]


@contextmanager
def products_of(lake: Lake, recipes: Sequence[Recipe], source: str) -> Iterator[Describe]:
    """Write the products of a shard of audio, the file `source`; all appear when the block ends.

    Then call `send`. The block gets a function that takes a track and the result of `inference.recordings.describe`;
    without any track nothing is written.
    """
    append: dict[str, Callable[[dict[str, Any]], None]] = {}
    left_out: dict[str, list[dict[str, Any]]] = {r.name: [] for r in recipes}
    with ExitStack() as stack:

        def add(track_id: str, found: dict[str, Descriptions]) -> None:
            for recipe in recipes:
                if recipe.name not in append:
                    made = product(recipe)
                    path = lake.path(made.table.name, made.stem(source))
                    append[recipe.name] = stack.enter_context(writing(path, made.table.arrow))
                rows = found.pop(recipe.name)
                if isinstance(rows, AudioError):
                    left_out[recipe.name].append(_reject_row(track_id, recipe, rows))
                    continue
                # The spectrogram of hours has a hundred megabytes: free it once it is a row.
                rows.reverse()
                while rows:
                    append[recipe.name](row_of(track_id, recipe, rows.pop(), source))

        yield add
        # Rejects appear before the outputs, which mark the shard as finished.
        for recipe in recipes:
            if left_out[recipe.name]:
                target = rejects(recipe)
                write_rows(lake.path("rejects", target.stem(source)), target.table.arrow, left_out[recipe.name])
                lake.send("rejects", target.stem(source) + SUFFIX)


def send(lake: Lake, recipes: Sequence[Recipe], source: str) -> None:
    """Upload the products of a shard that were written here."""
    for recipe in recipes:
        path = lake.path(product(recipe).table.name, product(recipe).stem(source))
        if path.exists():
            lake.send(product(recipe).table.name, path.name)


def row_of(track_id: str, recipe: Recipe, answer: Description, source: str) -> dict[str, Any]:
    """The row of a product for one result of a track."""
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
