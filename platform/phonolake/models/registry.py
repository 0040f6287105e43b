"""The models that Phonolake knows, found by listing this package.

A module is a model when it defines `CARD`, a card of its kind, and `build`:

- networks: ``build(n_classes, *, n_frames, seed) -> Network``, with `n_frames` the length it will be trained on, in
  steps of its input (frames, or samples of audio);
- estimators: ``build(*, seed)`` gives an unfitted scikit-learn classifier with `fit`, `predict_proba` and
  `classes_`, to be fitted on the column numbers of the classes (0 ... K-1) rather than on their names;
  One that cannot be fitted on few tracks defines `NEEDS`, so that this is reported before the training;
- extractors: ``build(*, seed) -> Extractor``, which learns nothing.

A family of models in one module defines `CARDS`, a tuple, and a `build` that takes the name of the card first.
A module whose `build` loads foreign weights also defines `blank`, the same without them, for weights read from disk. A
wrapper of imported networks of any shape defines its card as `FOREIGN`: `get` finds it, but lists of trainable models
do not contain it.

The packages that only some models need are imported inside functions, so that listing the models needs nothing but
numpy and torch. To find one that is called like its module nothing but that module is imported.

Shape suffixes: F mel bands, T frames, S samples, D columns.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache, partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from phonolake import registry
from phonolake.errors import unknown

if TYPE_CHECKING:
    from phonolake.models.network import Network

_PACKAGE = "phonolake.models"


@dataclass(frozen=True)
class ModelCard:
    """The description of an untrained model: the card of its kind, one of those below.

    Parameters
    ----------
    name : str
        Name in the registry, by convention that of the module.
    input : str
        What it reads: ``"spectrogram:NAME"``, ``"features:NAME"`` or ``"audio:SR"``, mono at SR hertz.
    summary : str
        One sentence.
    source : str
        Its paper.
    recipe : mapping
        Published or chosen training settings. For networks the fields of `phonolake.training.loop.Recipe`, for
        estimators the arguments that `build` gives to scikit-learn.
    deviations : tuple of str
        Known differences from its source, and choices that the source leaves open.
    trusted_types : tuple of str
        For estimators: additional trusted types of skops that a stored model may contain.
    n_frames : int, optional
        For networks that are built for one length of input: that length. Others take any.
    frozen_base : bool
        For networks: whether only the head learns. Such a network has `frozen` and `head`, see
        `phonolake.training.frozen`.
    """

    name: str
    kind: str = field(init=False)
    input: str
    summary: str
    source: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    deviations: tuple[str, ...] = ()
    trusted_types: tuple[str, ...] = ()
    n_frames: int | None = None
    frozen_base: bool = False

    # Whether `train` has anything to do, and whether it needs labels for it.
    learns: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True
    # Whether it can be told to read other rows of numbers than its own input.
    reads_any_vectors: ClassVar[bool] = False
    # Whether it gives a vector of a track beside its probabilities.
    embeds: ClassVar[bool] = False


@dataclass(frozen=True)
class NetworkCard(ModelCard):
    """A network, which `phonolake.training.loop` trains; it may learn several labels of a track."""

    kind: str = field(init=False, default="network")
    embeds: ClassVar[bool] = True


@dataclass(frozen=True)
class EstimatorCard(ModelCard):
    """A scikit-learn classifier, with a `fit` of its own; it learns one label of a track."""

    kind: str = field(init=False, default="estimator")
    reads_any_vectors: ClassVar[bool] = True


@dataclass(frozen=True)
class EmbedderCard(ModelCard):
    """A scikit-learn transformer, fitted without labels: it gives a vector but no probabilities."""

    kind: str = field(init=False, default="embedder")
    needs_labels: ClassVar[bool] = False
    reads_any_vectors: ClassVar[bool] = True
    embeds: ClassVar[bool] = True


@dataclass(frozen=True)
class ExtractorCard(ModelCard):
    """A fixed map that computes features, and is never fitted."""

    kind: str = field(init=False, default="extractor")
    learns: ClassVar[bool] = False


class Extractor(Protocol):
    """A fixed map from an input to named features."""

    columns: tuple[tuple[str, str], ...]  # name and description of each value, in the order of `transform`

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Compute the features (D,) of one spectrogram x_FT or waveform x_S of any length."""


@dataclass(frozen=True)
class Needs:
    """The fewest training tracks that an estimator can be fitted on: in all, and of each class.

    It is not part of the card, so that it does not change the names of runs.
    """

    tracks: int = 0
    per_class: int = 0


@dataclass(frozen=True)
class Model:
    """A model of the registry.

    Parameters
    ----------
    CARD : ModelCard
    build : callable
        Makes it, as this module says for each kind.
    blank : callable
        Takes the same arguments; its weights are arbitrary, because they are about to be read.
    NEEDS : Needs
    """

    CARD: ModelCard
    build: Callable[..., Any]
    blank: Callable[..., Any]
    NEEDS: Needs = Needs()


def names() -> list[str]:
    """List the names of all models, sorted."""
    return list(models())


def get(name: str) -> Model:
    """Find a model by name.

    Raises
    ------
    UsageError
        If there is no such model; the message lists those that there are.
    """
    if module := registry.own(_PACKAGE, "CARD", name):
        return _model(module.CARD, module)
    if name in foreign():
        return foreign()[name]
    if name not in models():
        raise unknown("model", name, _like(name))
    return models()[name]


def cards() -> list[ModelCard]:
    """List the cards of all models, sorted by name."""
    return [get(name).CARD for name in names()]


def _like(name: str) -> set[str]:
    """Names to choose from, of a family in one module only the one that is most like `name`."""
    families: dict[str, list[str]] = {}
    for known, model in models().items():
        families.setdefault(getattr(model.build, "func", model.build).__module__, []).append(known)
    return {get_close_matches(name, family, n=1, cutoff=0)[0] for family in families.values()}


@cache
def foreign() -> dict[str, Model]:
    """Wrappers of imported networks, by name."""
    found = registry.modules(_PACKAGE, "FOREIGN").values()
    return {module.FOREIGN.name: Model(module.FOREIGN, module.build, module.blank) for module in found}


@cache
def models() -> dict[str, Model]:
    """Every model by its name."""
    found = {name: _model(module.CARD, module) for name, module in registry.modules(_PACKAGE, "CARD").items()}
    for name, module in registry.modules(_PACKAGE, "CARDS").items():
        (card,) = (card for card in module.CARDS if card.name == name)
        model = _model(card, module)
        found[name] = replace(model, build=partial(model.build, name), blank=partial(model.blank, name))
    return dict(sorted(found.items()))


def _model(card: ModelCard, module: ModuleType) -> Model:
    return Model(card, module.build, getattr(module, "blank", module.build), getattr(module, "NEEDS", Needs()))


def __getattr__(name: str) -> "type[Network]":
    """`Network`, which stood here: other packages import it from this module."""
    if name != "Network":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from phonolake.models.network import Network  # late: it brings torch

    return Network
