"""Vectors that a benchmark computes for itself, shard by shard: of networks outside the lake, and of deformed audio."""

import io
import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import soundfile as sf

from phonolake import execution
from phonolake.audio import deform
from phonolake.audio.decode import decode, open_blocks
from phonolake.errors import AudioError
from phonolake.inference import embedding, recordings
from phonolake.inference.extractors import feature_set
from phonolake.inference.outside import OutsideRecording, RecordingFile
from phonolake.inference.predictor import Predictor
from phonolake.inference.vector_inputs import Embeddings, Features
from phonolake.lineage import CODE_VERSION, digest
from phonolake.models import home, registry
from phonolake.models.loaded import wrap
from phonolake.records import Seconds
from phonolake.seeds import track_rng
from phonolake.stages.benchmark_rows import HOME, Representation
from phonolake.store import pieces, schema
from phonolake.store.lake import Lake
from phonolake.store.place import Place
from phonolake.store.product import Product
from phonolake.store.shards import SUFFIX, writing

CLEAN = "clean"
TABLE = "benchmark_vectors"
# Longer recordings are cut here, because deformed samples are in memory as a whole.
LONGEST = recordings.LONGEST

# Computes the vector of a recording.
Embed = Callable[[OutsideRecording], np.ndarray]


@dataclass(frozen=True, slots=True)
class Want:
    """Vectors of some tracks by one row of the benchmark, under one condition."""

    row: Representation
    condition: str
    track_ids: frozenset[str]

    @property
    def product(self) -> Product:
        """Their product."""
        asked = [self.row.card, sorted(self.track_ids), 1]
        return Product(schema.table(TABLE), f"{self.condition}-{digest(self.row.text)}", digest(asked))


@dataclass(frozen=True, slots=True)
class Task:
    """One shard of audio, for several rows under several conditions."""

    lake: Place
    source: str
    wants: tuple[Want, ...]


def make(task: Task) -> None:
    """Write a shard of vectors for each `Want`; all appear together at the end."""
    lake = Lake(task.lake)
    wanted = frozenset().union(*(want.track_ids for want in task.wants))
    embeds = {want.row.text: _embed(lake, want.row) for want in task.wants}
    warm: set[str] = set()
    with ExitStack() as stack:
        append = {}
        for want in task.wants:
            path = lake.path(TABLE, want.product.stem(task.source))
            append[want] = stack.enter_context(writing(path, want.product.table.arrow))
        for track_id, data, duration in pieces.stored(lake.local("audio", task.source)):
            if track_id not in wanted:
                continue
            heard: dict[str, OutsideRecording | AudioError] = {}
            for want in task.wants:
                if track_id not in want.track_ids:
                    continue
                if want.condition not in heard:
                    heard[want.condition] = _heard(track_id, data, duration, want.condition)
                embed = embeds[want.row.text]
                if want.row.text not in warm:
                    # Compilation and loading in the first call do not count as cost of a track.
                    _vector(embed, heard[want.condition])
                    warm.add(want.row.text)
                begin = time.perf_counter()
                vector = _vector(embed, heard[want.condition])
                append[want](
                    {
                        "representation": want.row.text,
                        "condition": want.condition,
                        "track_id": track_id,
                        "vector": vector,
                        "seconds": time.perf_counter() - begin,
                        "audio_seconds": float(min(duration, LONGEST)),
                        "source_shard": task.source,
                        "code_version": CODE_VERSION,
                    }
                )
            execution.tick()
    for want in task.wants:
        lake.send(TABLE, want.product.stem(task.source) + SUFFIX)


def _vector(embed: Embed, recording: OutsideRecording | AudioError) -> list[float] | None:
    if isinstance(recording, AudioError):
        return None
    try:
        found: list[float] = np.asarray(embed(recording), np.float32).tolist()
    except AudioError:
        return None
    return found


def _heard(track_id: str, data: Any, duration: Seconds, condition: str) -> OutsideRecording | AudioError:
    """A recording of the lake as it is, or deformed at its own sampling rate."""
    if condition == CLEAN:
        return RecordingFile(data, duration)
    try:
        sr = open_blocks(data)[0].sr
        y = decode(data, sr=sr)[: int(LONGEST * sr)]
        y = deform.DEFORMATIONS[condition](y, sr, track_rng(0, 0, track_id, condition))
    except AudioError as error:
        return error
    file = io.BytesIO()
    # Float samples above full scale are not clipped.
    sf.write(file, y, sr, format="WAV", subtype="FLOAT")
    return RecordingFile(file.getvalue(), Seconds(len(y) / sr))


def _embed(lake: Lake, row: Representation) -> Embed:
    """A row's function from a recording to its vector."""
    if row.kind == Features.kind:
        recipe = feature_set(row.source)
        return lambda recording: recording.computed(recipe)
    if row.kind == Embeddings.kind:
        return partial(embedding.embed, lake, row.source)
    card = json.loads(row.card)
    if row.kind == HOME:
        predictor = Predictor.of(home.load(row.source))
    else:
        network = registry.get(card["model"]).build(**card["build"])
        predictor = Predictor.of(wrap(network, card))

    def embed(recording: OutsideRecording) -> np.ndarray:
        found = predictor.score_recording(recording).embedding
        assert found is not None
        return found

    return embed
