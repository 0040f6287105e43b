"""Feature sets by name: the hand-crafted ones, and those of untrained networks."""

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

    An extractor of the models' registry, such as ``random-vgg-small``, is one as well, with the weights of seed 0;
    ``random-vgg-small-draw-2`` has those of seed 2.

    Raises
    ------
    UsageError
        For an unknown name.
    """
    try:
        return contract.feature_set(name)
    except UsageError:
        # Searched second, because the models import PyTorch.
        found = re.fullmatch(r"(.+?)(?:-draw-([1-9]\d*))?(?:-per-(\d+)ms(?:-by-(\d+)ms)?)?", name)
        plain = _extractor(found[1], int(found[2] or SEED)) if found else None
        if not found or plain is None:
            raise
    return contract.per_segment(plain, Segments(int(found[3]), int(found[4] or found[3]))) if found[3] else plain


@lru_cache(maxsize=8)
def _extractor(name: str, seed: int) -> FeatureSet | None:
    """The feature set of an extractor, whose network a worker builds once; None for an unknown name."""
    from phonolake.models import registry

    if name not in registry.names() or registry.get(name).CARD.learns:
        return None
    model = registry.get(name)
    network = model.build(seed=seed)
    kind, _, read = model.CARD.input.partition(":")
    sr = Hertz(int(read)) if kind == "audio" else contract.spectrogram(read).sr
    compute = partial(_compute, network, read if kind == "spectrogram" else None)
    drawn = name if seed == SEED else f"{name}-draw-{seed}"
    return FeatureSet(drawn, 1, sr, network.columns, model.CARD.source, compute)


def _compute(network: Any, spectrogram: str | None, clip: Clip) -> np.ndarray:
    if spectrogram is None:
        x = clip.y
    else:
        x = clip.once(("spectrogram", spectrogram), partial(contract.spectrogram(spectrogram).compute, clip))
    return np.asarray(network.transform(x), np.float64)
