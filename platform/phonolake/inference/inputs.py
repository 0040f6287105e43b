"""The inputs of models: a closed set, each named by a text such as ``spectrogram:mel-96-12k``.

Two kinds are rows of numbers (a feature set, the embeddings of another run), three have a time axis (a stored
spectrogram, a spectrogram computed from the stored audio, the audio itself). Only the input itself knows its table and
columns, how to decode a row, how to compute the same from a recording outside the lake, and the message when it is
missing.
"""

from collections.abc import Callable

from phonolake.errors import UsageError, unknown
from phonolake.inference.extractors import feature_set
from phonolake.inference.model_input import ModelInput
from phonolake.inference.series_inputs import Audio, ComputedSpectrogram, SeriesInput, StoredSpectrogram
from phonolake.inference.vector_inputs import Embeddings, Features, VectorInput
from phonolake.records import Hertz

_KINDS: dict[str, Callable[[str], ModelInput]] = {
    Features.kind: lambda name: Features(feature_set(name)),
    Embeddings.kind: Embeddings,
    StoredSpectrogram.kind: StoredSpectrogram,
    ComputedSpectrogram.kind: ComputedSpectrogram,
    Audio.kind: lambda name: Audio(Hertz(int(name))),
}


def parse(text: str) -> ModelInput:
    """An input from a text ``KIND:NAME``, as in cards and the table `models`.

    Raises
    ------
    UsageError
        For an unknown kind, feature set or spectrogram, and for a spectrogram that no device can compute.
    """
    kind, _, name = text.partition(":")
    if kind not in _KINDS:
        raise unknown("kind of input", kind, _KINDS)
    return _KINDS[kind](name)


def series(text: str) -> SeriesInput:
    """As `parse`, for inputs with a time axis; a `UsageError` for others."""
    found = parse(text)
    if not isinstance(found, SeriesInput):
        raise UsageError(f"{text} are single vectors, but this needs an input with a time axis")
    return found


def vectors(text: str) -> VectorInput:
    """As `parse`, for rows of numbers; a `UsageError` for inputs with a time axis."""
    found = parse(text)
    if not isinstance(found, VectorInput):
        raise UsageError(f"{text} has a time axis, but this needs single vectors")
    return found
