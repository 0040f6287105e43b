"""The models that Phonolake knows, found by listing this package.

A module is a model when it defines `CARD`, a `ModelCard`, and `build`:

- networks: ``build(n_classes, *, n_frames, seed) -> Network``, with `n_frames` the length it will be trained on;
- estimators: ``build(*, seed)`` gives an unfitted scikit-learn classifier with `fit`, `predict_proba` and
  `classes_`, to be fitted on the column numbers of the classes (0 ... K-1) rather than on their names.

The packages that only some models need are imported inside functions, so that listing the models needs nothing but
numpy and torch.

Shape suffixes: B batch, F mel bands, T frames, K classes, E embedding values.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast

import numpy as np
from torch import Tensor, nn

from phonolake import registry

_PACKAGE = "phonolake.models"


@dataclass(frozen=True)
class ModelCard:
    """What a model is, before anything was learned.

    Parameters
    ----------
    name : str
        Name in the registry, by convention that of the module.
    kind : {"network", "estimator", "embedder"}
        Networks are trained by `phonolake.training.loop`, estimators by their own `fit`; embedders are fitted without
        labels, and give a vector but no probabilities.
    input : str
        What it reads: ``"spectrogram:NAME"`` or ``"features:NAME"``.
    summary : str
        One sentence.
    source : str
        The paper it comes from.
    recipe : mapping
        Published or chosen training settings. For networks the fields of `phonolake.training.loop.Recipe`, for
        estimators the arguments that `build` gives to scikit-learn.
    deviations : tuple of str
        Where it knowingly differs from its source, or where the source is silent.
    trusted_types : tuple of str
        For estimators: the types beyond skops' own list that a stored model may hold.
    """

    name: str
    kind: Literal["network", "estimator", "embedder"]
    input: str
    summary: str
    source: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    deviations: tuple[str, ...] = ()
    trusted_types: tuple[str, ...] = ()


class Network(nn.Module):
    """What every network offers besides `forward(x_BFT) -> logits_BK`."""

    def embed(self, x_BFT: Tensor) -> Tensor:
        """Compute the embedding_BE of each input."""
        raise NotImplementedError

    def classify(self, embedding_BE: Tensor) -> Tensor:
        """Compute the logits_BK from what `embed` gave, equal to those of `forward`."""
        raise NotImplementedError

    def label_vectors(self) -> np.ndarray:
        """The output weights_KD: one row per class."""
        raise NotImplementedError


class ModelModule(Protocol):
    """The two names that a module defines to be a model."""

    CARD: ModelCard
    build: Callable[..., Any]


def names() -> list[str]:
    """List the names of all models, sorted."""
    return list(registry.modules(_PACKAGE, "CARD"))


def get(name: str) -> ModelModule:
    """Find a model by name.

    Returns
    -------
    module
        Has the attributes `CARD` and `build`.

    Raises
    ------
    UsageError
        If there is no such model; the message lists those that there are.
    """
    return cast(ModelModule, registry.module(_PACKAGE, "CARD", "model", name))


def cards() -> list[ModelCard]:
    """List the cards of all models, sorted by name."""
    return [get(name).CARD for name in names()]
