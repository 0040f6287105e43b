"""What a model is to read: its card's input, or what the user chose.

Apart from `phonolake.stages.products`, since the models bring PyTorch, and workers that compute features do without.
"""

import json

from phonolake.errors import PhonolakeError, UsageError, unknown
from phonolake.features import contract
from phonolake.features.configuration import Configuration, as_text
from phonolake.features.contract import Spectrogram
from phonolake.models import registry
from phonolake.models.registry import ModelCard
from phonolake.store import catalog
from phonolake.store.lake import Lake
from phonolake.training.extractors import feature_set


def chosen(lake: Lake, card: ModelCard, wanted: str | None) -> str:
    """What a model is to read: its card's input, or what the user chose.

    That is the ``features:NAME`` or ``embeddings:MODEL_OR_RUN`` of an estimator, or the ``spectrogram:NAME`` of a
    network. A model's name stands for its newest run that has embeddings, and the answer names that run; a spectrogram
    of the user's own is answered with its parameters.

    Raises
    ------
    UsageError
        For an unknown feature set, spectrogram or run, what the kind of model does not read, a spectrogram of another
        shape than the network was made for, or vectors that no network made.
    PhonolakeError
        When the lake has no embeddings.
    """
    if wanted is None:
        return card.input
    kind, _, name = wanted.partition(":")
    if kind == "spectrogram":
        return f"spectrogram:{_spectrogram(lake, card, name)}"
    if card.kind not in ("estimator", "embedder"):
        raise UsageError(f"{card.name} reads {card.input} only: --features and --embeddings are for estimators")
    if kind == "features":
        return f"features:{feature_set(name).name}"
    with catalog.connect(lake) as connection:
        rows = connection.execute("SELECT run_id, model FROM embedding_models").fetchall()
    if not rows:
        raise PhonolakeError("the lake has no embeddings yet: run `phonolake score` first")
    for run_id, model in rows:
        if name in (run_id, model):
            if registry.get(model).CARD.kind != "network":
                raise UsageError(f"{name} is no network: --embeddings takes the vectors of one")
            return f"embeddings:{run_id}"
    raise unknown("model with embeddings", name, {text for row in rows for text in row})


def _spectrogram(lake: Lake, card: ModelCard, name: str) -> str:
    """The spectrogram called `name` as `contract.spectrogram` knows it, if the network can read it."""
    kind, _, own_name = card.input.partition(":")
    if card.kind != "network" or kind != "spectrogram":
        raise UsageError(f"{card.name} reads {card.input}: --spectrogram is for networks that read spectrograms")
    text = _with_parameters(lake, name)
    found, own = contract.spectrogram(text), contract.spectrogram(own_name)
    if found.segments:
        raise UsageError(f"{name} has several spectrograms of each track, and {card.name} reads one")
    if _shape(found) != _shape(own):
        raise UsageError(f"{card.name} is made for the {_shape(own)} of {own.name}, and {name} has {_shape(found)}")
    return text


def _shape(recipe: Spectrogram) -> str:
    """What a network must know of a spectrogram; frames where it has always the same."""
    channels = f"{recipe.n_channels} channels of " if recipe.n_channels > 1 else ""
    frames = f" in {recipe.n_frames} frames" if recipe.n_frames else ""
    return f"{channels}{recipe.n_bands} bands{frames}"


def _with_parameters(lake: Lake, name: str) -> str:
    """A name of the registry as it is; of another spectrogram that was extracted, the text of its configuration."""
    if name in contract.spectrograms() or "-per-" in name:
        return name
    with catalog.connect(lake) as connection:
        rows = connection.execute("SELECT DISTINCT spectrogram, config FROM spectrograms").fetchall()
    for stored, config in rows:
        if stored == name:
            return as_text(name, Configuration(**json.loads(config)))
    raise unknown("spectrogram", name, {*contract.spectrograms(), *(stored for stored, _ in rows)})
