"""Compute recipes for one recording: decoded once, cut into windows or segments if requested or needed.

A recording longer than `LONGEST` is never in memory as a whole. Features are pooled over windows of equal length;
spectrograms are joined from windows with context, so that every frame equals that of the whole; a spectrogram that
needs the whole recording at once is refused. Memory then depends on the window and on the result.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from phonolake.audio import decode
from phonolake.audio.encoded import Encoded
from phonolake.errors import AudioError
from phonolake.features.clip import Clip
from phonolake.features.contract import FeatureSet, Segments, Spectrogram
from phonolake.records import Hertz, Seconds

Recipe = FeatureSet | Spectrogram
LONGEST, WINDOW = Seconds(600.0), Seconds(300.0)


@dataclass(frozen=True, slots=True)
class Description:
    """The result of a recipe for a recording or a segment of it; start and end are None for the whole.

    Spectrograms are float16, as they are stored, and the features float64.
    """

    values: np.ndarray
    start: Seconds | None = None
    end: Seconds | None = None


Descriptions = list[Description] | AudioError


def rates(recipes: Iterable[Recipe]) -> set[Hertz]:
    """Sampling rates of the recipes' audio."""
    return {recipe.sr for recipe in recipes}


def describe(
    recipes: Iterable[Recipe], data: Encoded, duration: Seconds, decoded: Mapping[Hertz, np.ndarray] | None = None
) -> dict[str, Descriptions]:
    """Compute recipes from one encoded recording, by their names; an `AudioError` if there is no result.

    Parameters
    ----------
    recipes : iterable of FeatureSet or Spectrogram
    data : Encoded
        The file as received, in memory or not.
    duration : Seconds
        Its length, as ingest found it.
    decoded : mapping, optional
        Its samples at all `rates` of the recipes, if they exist already; those of a long recording are not used.
    """
    groups: dict[tuple[Hertz, Segments | None], list[Recipe]] = {}
    for recipe in recipes:
        groups.setdefault((recipe.sr, recipe.segments), []).append(recipe)
    found: dict[str, Descriptions] = {}
    try:
        fits = duration <= LONGEST
        if decoded is None or not fits:
            decoded = decode.decode_rates(data, {sr for sr, _ in groups}) if fits else {}
        for (sr, segments), group in groups.items():
            if segments:
                samples = Samples([decoded[sr]] if fits else decode.stream(data, sr=sr))
                found |= _segmented(group, samples, segments)
            elif fits:
                found |= _whole(group, decoded[sr])
            else:
                found |= {r.name: _attempt(_long, r, decode.stream(data, sr=sr), duration) for r in group}
    except AudioError as error:
        found |= {r.name: error for group in groups.values() for r in group if r.name not in found}
    return found


def of_samples(recipe: Recipe, y: np.ndarray) -> np.ndarray:
    """Compute a recipe from decoded samples of shape (T,), in windows if `describe` would use windows.

    Raises
    ------
    AudioError
        If there is no result.
    """
    duration = Seconds(len(y) / recipe.sr)
    description = _described(recipe, Clip(y, recipe.sr)) if duration <= LONGEST else _long(recipe, [y], duration)
    return description.values


class Samples:
    """Samples of a recording by their position, read forwards only: earlier ones are dropped."""

    def __init__(self, blocks: Iterable[np.ndarray]) -> None:
        self._blocks = iter(blocks)
        self._held: list[np.ndarray] = []
        self._first = self._stop = 0

    def read(self, start: int, stop: int) -> np.ndarray:
        """Samples from `start`, which must not lie before that of the last call, up to `stop` or to the end."""
        while self._stop < stop and (block := next(self._blocks, None)) is not None:
            self._held.append(block)
            self._stop += len(block)
        held = np.concatenate(self._held or [np.zeros(0, np.float32)])[max(0, start - self._first) :]
        self._held, self._first = [held], max(start, self._first)
        return held[: stop - start]


def _attempt(compute: Callable[..., Description], *arguments: Any) -> Descriptions:
    try:
        return [compute(*arguments)]
    except AudioError as error:
        return error


def _described(recipe: Recipe, clip: Clip) -> Description:
    return Description(_checked(recipe, recipe.compute(clip)))


def _checked(recipe: Recipe, values: np.ndarray) -> np.ndarray:
    """The values as they are stored; refuses NaN and infinite ones, also those too large for float16."""
    with np.errstate(over="ignore"):
        stored = values.astype("<f2", order="C") if isinstance(recipe, Spectrogram) else values
    if not np.isfinite(stored).all():
        raise AudioError("not-finite", f"{recipe.name} gives NaN, infinite or too large values")
    return stored


def _whole(group: list[Recipe], y: np.ndarray) -> dict[str, Descriptions]:
    clip = Clip(y, group[0].sr)
    return {recipe.name: _attempt(_described, recipe, clip) for recipe in group}


def _segmented(group: list[Recipe], samples: Samples, segments: Segments) -> dict[str, Descriptions]:
    """All recipes of a group compute each segment in turn and share its transforms."""
    sr = group[0].sr
    found: dict[str, list[Description]] = {recipe.name: [] for recipe in group}
    failed: dict[str, Descriptions] = {}
    for k, (start, stop) in enumerate(segments.spans(sr)):
        y = samples.read(start, stop)
        if len(y) < stop - start:
            break
        clip, begins = Clip(y, sr), k * segments.hop
        at = Seconds(begins / 1000), Seconds((begins + segments.milliseconds) / 1000)
        for recipe in group:
            if recipe.name in failed:
                continue
            try:
                values = _checked(recipe, recipe.compute(clip))
            except AudioError as error:
                failed[recipe.name] = AudioError(error.reason, f"{error.detail}, from {at[0]:.3f} s on")
            else:
                found[recipe.name].append(Description(values, *at))
    short = AudioError("too-short", f"not one segment of {segments.milliseconds} ms fits in")
    return {name: values or short for name, values in found.items()} | failed


# -- recordings that are too long to be in memory ---------------------------------------------------------------------


def _long(recipe: Recipe, blocks: Iterable[np.ndarray], duration: Seconds) -> Description:
    samples = Samples(blocks)
    if isinstance(recipe, FeatureSet):
        return Description(_checked(recipe, _pooled(recipe, samples, duration)))
    return Description(_joined(recipe, samples))


def _pooled(recipe: FeatureSet, samples: Samples, duration: Seconds) -> np.ndarray:
    """Pool over windows of equal length; a rest of less than half a window does not count."""
    n_windows = int(np.ceil(duration / WINDOW))
    size = int(np.ceil(duration * recipe.sr / n_windows))
    values, weights, start = [], [], 0
    while len(y := samples.read(start, start + size)) > size // 2:
        values.append(recipe.compute(Clip(y, recipe.sr)))
        weights.append(len(y))
        start += size
    names = tuple(name for name, _ in recipe.columns)
    return recipe.pooling.pool(names, np.array(values), np.array(weights))


def _joined(recipe: Spectrogram, samples: Samples) -> np.ndarray:
    """Join the frames of windows; rounded to float16 at once, because the floor can be applied afterwards."""
    config = recipe.config
    if config is None or not config.streams:
        raise AudioError("too-long", f"{recipe.name} needs all of a recording, at most {LONGEST:.0f} s: use segments")
    hop = config.hop_length
    size = int(WINDOW * recipe.sr) // hop * hop
    around = -(-config.n_fft // (2 * hop)) * hop
    parts, start, loudest, more = [], 0, -np.inf, True
    while more:
        before = min(start, around)
        y = samples.read(start - before, start + size + around)
        more = len(y) == before + size + around
        if len(y) < before:
            break
        values_TM = config.scaled(Clip(y, recipe.sr))[before // hop :][: size // hop if more else None]
        loudest = max(loudest, float(values_TM.max()))
        parts.append(_checked(recipe, values_TM.T))
        start += size
    return config.finish(np.concatenate(parts, axis=1), loudest)
