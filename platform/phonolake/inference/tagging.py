"""Tags by a stored tagger, for files outside the lake.

Shape suffixes: S samples, K tags.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from phonolake.errors import UsageError
from phonolake.inference import outside
from phonolake.inference.predictor import Predictor
from phonolake.models import home, registry
from phonolake.models.registry import NetworkCard

TAGGER = "choi-msd"


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag of a file, with its probability and its rank from 1."""

    file: str
    rank: int
    tag: str
    probability: float


def tag(files: Sequence[str], *, model: str = TAGGER, top: int = 5) -> Iterator[Tag]:
    """The most probable tags of audio files, file by file, as `phonolake score` would give them.

    Parameters
    ----------
    files : sequence of str
        Paths, or addresses on object storage.
    model : str
        Network in the model home.
    top : int
        Tags per file.

    Raises
    ------
    UsageError
        When the model is not a network, is missing or cannot tag yet, or the file does not exist.
    PhonolakeError
        For a file that cannot be decoded, after the files before it.
    """
    if model in registry.names() and not isinstance(registry.get(model).CARD, NetworkCard):
        raise UsageError(f"{model} is no network: `tag` needs one of the model home, such as {TAGGER!r}")
    tagger = Predictor.of(home.load(model))
    if not tagger.classes:
        raise UsageError(f"{model} gives vectors and no tags: `tag` needs one with labels, such as {TAGGER!r}")
    for file in files:
        with outside.opened(file) as recording:
            found = most_probable(tagger, recording, top)
        for rank, (name, probability) in enumerate(found, start=1):
            yield Tag(file, rank, name, probability)


def most_probable(tagger: Predictor, recording: outside.OutsideRecording, top: int) -> list[tuple[str, float]]:
    """The most probable classes of one recording, with their probabilities; the errors are `score_recording`'s."""
    probabilities_K = tagger.score_recording(recording).probabilities
    best = np.argsort(-probabilities_K, kind="stable")[:top].tolist()
    return [(tagger.classes[k], float(probabilities_K[k])) for k in best]
