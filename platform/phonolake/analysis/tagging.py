"""Which words fit a recording: tags by a stored tagger, for files that no lake has to know.

Shape suffixes: S samples, K tags.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phonolake.audio.decode import decode, probe
from phonolake.errors import AudioError, PhonolakeError, UsageError
from phonolake.models import home, registry
from phonolake.records import Hertz
from phonolake.training.inputs import Waveforms
from phonolake.training.predict import score_track

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
    tagger, waveforms = home.load(model), Waveforms(int(sr))
    for file in files:
        probabilities_K = score_track(tagger, file, _read(file, Hertz(int(sr))), waveforms).probabilities
        for rank, k in enumerate(np.argsort(-probabilities_K, kind="stable")[:top], start=1):
            yield Tag(file, rank, tagger.classes[k], float(probabilities_K[k]))


def _read(file: str, sr: Hertz) -> np.ndarray:
    path = Path(file).expanduser()
    if not path.is_file():
        raise UsageError(f"there is no file {file}")
    data = path.read_bytes()
    try:
        probe(data, extension=path.suffix[1:])
        x_S = decode(data, sr=sr)
    except AudioError as error:
        raise PhonolakeError(f"{file} cannot be used ({error})") from error
    if not x_S.size:
        raise PhonolakeError(f"{file} holds no audio")
    return x_S
