"""The only way to run a model: its input is cut, transformed, scored and pooled here, for every caller.

The prediction for a clip is the mean over its windows, or over its rows if a model reads segments.

Shape suffixes: W windows, X any axes, T steps in time, N tracks, D features, K classes, E embedding values.
"""

from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from phonolake.errors import AudioError, UsageError
from phonolake.inference import inputs, rows
from phonolake.inference.crops import window_starts, windows
from phonolake.inference.model_input import ModelInput
from phonolake.inference.outside import OutsideRecording
from phonolake.inference.prefetch import prefetched
from phonolake.inference.rows import LongRecording
from phonolake.inference.series_inputs import DecodedInput, SeriesInput
from phonolake.inference.transforms import Transforms
from phonolake.inference.vector_inputs import VectorInput
from phonolake.models import registry, storage
from phonolake.models.loaded import EMBEDDING, LoadedModel
from phonolake.models.registry import NetworkCard
from phonolake.records import Hertz

if TYPE_CHECKING:  # who asks an estimator need not wait for torch
    from phonolake.models.loaded_network import LoadedNetwork

# Windows per forward pass: short tracks are scored together, and an hour of music does not fill the
# memory.
TOGETHER, WINDOWS = 16, 64
# Limit of their bytes: a window of samples for a spectrogram has some megabytes.
AT_ONCE = 32 << 20

# Track id, windows_WXT, and the first step of each window.
Cut = tuple[str, np.ndarray, list[int]]


@dataclass(frozen=True, slots=True)
class Scored:
    """The output of a model for a track.

    Parameters
    ----------
    track_id : str
    probabilities : ndarray, shape (K,)
        In the order of the model's classes.
    embedding : ndarray, shape (E,), or None
        Where the model has one: mean over the windows.
    window_activations : ndarray, shape (W, channels), or None
        Activations of the requested layer for each window.
    starts : list of int
        First step of each window.
    window_probabilities : ndarray, shape (W, K), or None
        Of each window; None for rows of numbers.
    """

    track_id: str
    probabilities: np.ndarray
    embedding: np.ndarray | None
    window_activations: np.ndarray | None = None
    starts: list[int] = field(default_factory=list)
    window_probabilities: np.ndarray | None = None


@dataclass(frozen=True)
class Predictor:
    """A stored model with its input and the transforms that its card names."""

    model: LoadedModel
    input: ModelInput
    transforms: Transforms

    @classmethod
    def of(cls, model: LoadedModel) -> "Predictor":
        """The predictor of a model; the input of an imported network without one on its card is fixed."""
        read = inputs.parse(model.card.get("input", registry.get(model.card["model"]).CARD.input))
        return cls(model, read, read.transforms(model.card.get("preprocessing")))

    @classmethod
    def load(cls, weights: Path, *, device: str = "cpu") -> "Predictor":
        """The predictor of a stored model; the errors are those of `phonolake.models.storage.load`."""
        return cls.of(storage.load(weights, device=device))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.model.classes

    @property
    def window(self) -> int:
        """Length of a window in steps of the input, which the network was built for."""
        return int(self.model.card["build"]["n_frames"])

    # -- tracks of a lake ----------------------------------------------------------------------------------------------

    def score_shard(self, path: Path, wanted: Set[str] | None = None, layer: str | None = None) -> Iterator[Scored]:
        """Score the tracks of a shard of what the model reads.

        Parameters
        ----------
        path : Path
        wanted : set of str, optional
            Ids of the tracks to score; all of them by default.
        layer : str, optional
            Layer of a network whose activations to return, too; see `LoadedNetwork.listening`.

        Raises
        ------
        UsageError
            For a layer of a model that is not a network, or an unknown layer.
        """
        name = self.model.card["model"]
        if layer is not None and not isinstance(registry.get(name).CARD, NetworkCard):
            raise UsageError(f"{name} has no layers: leave --layer out")
        if isinstance(self.input, VectorInput):
            return self._score_vectors(*self.input.read(path), wanted)
        assert isinstance(self.input, SeriesInput)
        return self._score_series(path, self.input, wanted, layer)

    def _score_vectors(self, track_ids: list[str], x_ND: np.ndarray, wanted: Set[str] | None) -> Iterator[Scored]:
        """If a track has several rows, one for each segment, its prediction is their mean."""
        if wanted is not None:
            held = [n for n, track_id in enumerate(track_ids) if track_id in wanted]
            track_ids, x_ND = [track_ids[n] for n in held], x_ND[held]
        if not track_ids:
            return
        p_NK, e_NE = self.model.predict_and_embed(x_ND)
        of_track: dict[str, list[int]] = {}
        for n, track_id in enumerate(track_ids):
            of_track.setdefault(track_id, []).append(n)
        for track_id, own in of_track.items():
            yield Scored(track_id, p_NK[own].mean(axis=0), None if e_NE is None else e_NE[own].mean(axis=0))

    def _score_series(
        self, path: Path, read: SeriesInput, wanted: Set[str] | None, layer: str | None
    ) -> Iterator[Scored]:
        groups = range(pq.ParquetFile(path).num_row_groups)
        tracks = (track for group in groups for track in rows.tracks(path, group, read, wanted))
        for together in _gathered(prefetched(tracks, lambda track: self._cut(read, *track))):
            if isinstance(together, list):
                yield from self._score_together(together, layer)
                continue
            assert isinstance(read, DecodedInput)
            yield self._score_blocks(read, together.track_id, together.recording.blocks, layer)

    # -- one track -----------------------------------------------------------------------------------------------------

    def score(self, x: np.ndarray) -> Scored:
        """Score one track of any length: its array_XT, or its numbers_D, as they come from the input."""
        if isinstance(self.input, VectorInput):
            (scored,) = self._score_vectors([""], x[None], None)
            return scored
        assert isinstance(self.input, SeriesInput)
        (scored,) = self._score_together([self._cut_whole(self.input, "", x)], None)
        return scored

    def score_recording(self, recording: OutsideRecording) -> Scored:
        """Score a recording outside the lake, as `score_shard` would after ingest and extract.

        Raises
        ------
        AudioError
            When it cannot be decoded, or the model cannot read it.
        UsageError
            When the model's input cannot be computed from one recording.
        """
        if not isinstance(self.input, DecodedInput):
            return self.score(self.input.of(recording))
        return self._score_blocks(self.input, "", recording.blocks(Hertz(self.input.sr)), None)

    def _score_blocks(
        self, read: DecodedInput, track_id: str, blocks: Iterable[np.ndarray], layer: str | None
    ) -> Scored:
        """Score audio of any length, some windows at a time."""
        at_once = _at_once(read.width * self.window)
        cut = read.windows(_checked(blocks), self.window, whole=self._is_whole(read))
        answers, starts = [], []
        with self._listening(layer) as heard:
            while part := list(islice(cut, at_once)):
                starts += [start for start, _ in part]
                answers.append(self._answers(np.stack([x_XT for _, x_XT in part])))
        p_WK, e_WE = _joined(answers)
        kept = e_WE if layer == EMBEDDING else np.concatenate(heard) if heard else None
        return _pooled(track_id, p_WK, e_WE, kept, starts)

    def score_windows(self, x_WXT: np.ndarray) -> np.ndarray:
        """Probabilities_WK of windows of the input, each as long as the network was built for."""
        return self._answers(x_WXT)[0]

    # -- windows -------------------------------------------------------------------------------------------------------

    def _is_whole(self, read: SeriesInput) -> bool:
        """Whether the rest after the last whole window is discarded."""
        return read.whole_windows or self.model.card.get("windows") == "whole"

    def _cut(self, read: SeriesInput, track_id: str, x_XT: np.ndarray | LongRecording) -> "Cut | _Long":
        if isinstance(x_XT, LongRecording):
            return _Long(track_id, x_XT)
        return self._cut_whole(read, track_id, x_XT)

    def _cut_whole(self, read: SeriesInput, track_id: str, x_XT: np.ndarray) -> Cut:
        whole = self._is_whole(read)
        hop = self.model.card.get("hop")
        starts = window_starts(x_XT.shape[-1], self.window, whole=whole, hop=hop)
        return track_id, windows(x_XT, self.window, whole=whole, hop=hop), starts

    def _score_together(self, tracks: Sequence[Cut], layer: str | None) -> Iterator[Scored]:
        with self._listening(layer) as heard:
            p_WK, e_WE = self._answers(np.concatenate([x for _, x, _ in tracks]))
        activations = e_WE if layer == EMBEDDING else np.concatenate(heard) if heard else None
        first = 0
        for track_id, _, starts in tracks:
            own = slice(first, first + len(starts))
            first += len(starts)
            kept = None if activations is None else activations[own]
            yield _pooled(track_id, p_WK[own], None if e_WE is None else e_WE[own], kept, starts)

    def _answers(self, x_WXT: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Probabilities_WK and embeddings_WE of windows, some of them at a time."""
        at_once = _at_once(x_WXT[0].size)
        parts = (x_WXT[n : n + at_once].astype(np.float32, copy=False) for n in range(0, len(x_WXT), at_once))
        return _joined([self.model.predict_and_embed(self._transformed(x)) for x in parts])

    def _transformed(self, x: np.ndarray) -> np.ndarray:
        """The network's input, computed on its device."""
        if self.transforms == Transforms():
            return x
        import torch

        with torch.inference_mode():
            ready: np.ndarray = self.transforms(torch.from_numpy(x).to(self._network.device)).cpu().numpy()
        return ready

    def _listening(self, layer: str | None) -> AbstractContextManager[list[np.ndarray]]:
        if layer in (None, EMBEDDING):
            return nullcontext([])
        return self._network.listening(layer)

    @property
    def _network(self) -> "LoadedNetwork":
        from phonolake.models.loaded_network import LoadedNetwork

        assert isinstance(self.model, LoadedNetwork)
        return self.model


@dataclass(frozen=True, slots=True)
class _Long:
    """A track that is scored by itself."""

    track_id: str
    recording: LongRecording


def _at_once(size: int) -> int:
    """How many windows of this size to pass through the network at once."""
    return max(1, min(WINDOWS, AT_ONCE // (4 * size)))


def _checked(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The same blocks; raises if there are no samples."""
    n = 0
    for y in blocks:
        n += len(y)
        yield y
    if not n:
        raise AudioError("empty", "it holds no audio")


def _gathered(tracks: Iterable[Cut | _Long]) -> Iterator[list[Cut] | _Long]:
    """Tracks in groups of `TOGETHER` windows or a little more; long ones by themselves, in their place."""
    waiting: list[Cut] = []
    for track in tracks:
        if isinstance(track, _Long):
            if waiting:
                yield waiting
            yield track
            waiting = []
            continue
        waiting.append(track)
        if sum(len(starts) for *_, starts in waiting) >= TOGETHER:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _joined(answers: Sequence[tuple[np.ndarray, np.ndarray | None]]) -> tuple[np.ndarray, np.ndarray | None]:
    embeddings = [e_WE for _, e_WE in answers if e_WE is not None]
    return np.concatenate([p_WK for p_WK, _ in answers]), np.concatenate(embeddings) if embeddings else None


def _pooled(
    track_id: str,
    p_WK: np.ndarray,
    e_WE: np.ndarray | None,
    activations: np.ndarray | None = None,
    starts: Sequence[int] = (),
) -> Scored:
    embedding = None if e_WE is None else e_WE.mean(axis=0)
    return Scored(track_id, p_WK.mean(axis=0), embedding, activations, list(starts), p_WK)
