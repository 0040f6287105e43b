"""Feature sets by name: the hand-crafted ones, and what networks that learn nothing make of a recording."""

import re
from functools import lru_cache, partial
from typing import Any

import numpy as np

from phonolake.errors import UsageError
from phonolake.features import contract
from phonolake.features.clip import Clip
from phonolake.features.contract import FeatureSet, Segments
from phonolake.records import Hertz

SEED = 0


def feature_set(name: str) -> FeatureSet:
    """The feature set called `name`, which may end in segments.

    An extractor of the models' registry, such as ``random-vgg-small``, is one as well, with the weights of seed 0.

    Raises
    ------
    UsageError
        For an unknown name.
    """
    try:
        return contract.feature_set(name)
    except UsageError:
        # Looked for in second place, since the models bring PyTorch.
        found = re.fullmatch(r"(.+?)(?:-per-(\d+)ms(?:-by-(\d+)ms)?)?", name)
        plain = _extractor(found[1]) if found else None
        if not found or plain is None:
            raise
    return contract.per_segment(plain, Segments(int(found[2]), int(found[3] or found[2]))) if found[2] else plain


@lru_cache(maxsize=8)
def _extractor(name: str) -> FeatureSet | None:
    """The feature set of an extractor, whose network a worker makes once; None where there is none of the name."""
    from phonolake.models import registry

    if name not in registry.names() or registry.get(name).CARD.learns:
        return None
    model = registry.get(name)
    network = model.build(seed=SEED)
    kind, _, read = model.CARD.input.partition(":")
    sr = Hertz(int(read)) if kind == "audio" else contract.spectrogram(read).sr
    compute = partial(_compute, network, read if kind == "spectrogram" else None)
    return FeatureSet(name, 1, sr, network.columns, model.CARD.source, compute)


def _compute(network: Any, spectrogram: str | None, clip: Clip) -> np.ndarray:
    if spectrogram is None:
        x = clip.y
    else:
        x = clip.once(("spectrogram", spectrogram), partial(contract.spectrogram(spectrogram).compute, clip))
    return np.asarray(network.transform(x), np.float64)
