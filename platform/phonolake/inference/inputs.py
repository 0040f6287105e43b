"""What a model reads: a closed set, each told by a text such as ``spectrogram:mel-96-12k``.

Two kinds are rows of numbers (a feature set, the embeddings of another run), three go on in time (a stored spectrogram,
a spectrogram computed from the stored audio, the audio itself). Each alone knows its table and columns, how a row
becomes an array, how the same is made of a recording that no lake holds, and what to say when it is missing.
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
    """What a model reads, from a text ``KIND:NAME`` as cards and the table `models` hold it.

    Raises
    ------
    UsageError
        For an unknown kind, feature set or spectrogram, and for what is not computed on a device.
    """
    kind, _, name = text.partition(":")
    if kind not in _KINDS:
        raise unknown("kind of input", kind, _KINDS)
    return _KINDS[kind](name)


def series(text: str) -> SeriesInput:
    """As `parse`, of what goes on in time; a `UsageError` for what does not."""
    found = parse(text)
    if not isinstance(found, SeriesInput):
        raise UsageError(f"{text} are single vectors, and this needs something that goes on in time")
    return found


def vectors(text: str) -> VectorInput:
    """As `parse`, of rows of numbers; a `UsageError` for what goes on in time."""
    found = parse(text)
    if not isinstance(found, VectorInput):
        raise UsageError(f"{text} goes on in time, and this needs single vectors")
    return found
