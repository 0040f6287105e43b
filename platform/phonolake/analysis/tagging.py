"""Which words fit a recording: tags by a stored tagger, for files that no lake has to know.

Shape suffixes: S samples, K tags.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from phonolake.audio.decode import probe, stream
from phonolake.audio.encoded import OnDisk
from phonolake.errors import AudioError, PhonolakeError, UsageError
from phonolake.models import home, registry
from phonolake.models.loaded import LoadedModel
from phonolake.records import Hertz
from phonolake.training.inputs import Waveforms
from phonolake.training.predict import WINDOWS, score_track
from phonolake.training.recordings import Samples

TAGGER = "choi-msd"


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag of a file, with its probability and its rank from 1."""

    file: str
    rank: int
    tag: str
    probability: float


def tag(files: Sequence[str], *, model: str = TAGGER, top: int = 5) -> Iterator[Tag]:
    """The most probable tags of audio files, file by file, just as `phonolake score` would give them.

    Parameters
    ----------
    files : sequence of str
        Paths.
    model : str
        Network in the model home that reads audio.
    top : int
        Tags per file.

    Raises
    ------
    UsageError
        When the model is not there, reads something else than audio, or cannot tag yet.
    PhonolakeError
        For a file that is not there or cannot be decoded, after the files before it.
    """
    kind, _, sr = registry.get(model).CARD.input.partition(":")
    if kind != "audio":
        raise UsageError(f"{model} reads {kind}s of a lake; `tag` needs a model that reads audio, such as {TAGGER!r}")
    tagger = home.load(model)
    for file in files:
        probabilities_K = _probabilities(tagger, file, Hertz(int(sr)))
        for rank, k in enumerate(np.argsort(-probabilities_K, kind="stable")[:top], start=1):
            yield Tag(file, rank, tagger.classes[k], float(probabilities_K[k]))


def _probabilities(tagger: LoadedModel, file: str, sr: Hertz) -> np.ndarray:
    """Mean over the windows of a file, some of them at a time, so that it may be of any length."""
    path = Path(file).expanduser()
    if not path.is_file():
        raise UsageError(f"there is no file {file}")
    n_samples = tagger.card["build"]["n_frames"]
    answers: list[np.ndarray] = []
    weights: list[int] = []
    try:
        with OnDisk(path) as data:
            probe(data, extension=path.suffix[1:])
            samples = Samples(stream(data, sr=sr))
            for first in count(step=WINDOWS):
                x_S = samples.read(first * n_samples, (first + WINDOWS) * n_samples)
                # Less than a window counts where it is all that there is.
                if len(x_S) < (n_samples if answers else 1):
                    break
                answers.append(score_track(tagger, file, x_S, Waveforms(sr)).probabilities)
                weights.append(max(1, len(x_S) // n_samples))
    except AudioError as error:
        raise PhonolakeError(f"{file} cannot be used ({error})") from error
    if not answers:
        raise PhonolakeError(f"{file} holds no audio")
    return np.average(answers, axis=0, weights=weights)
