"""What a model is to read: its card's input, or what the user chose.

Apart from `phonolake.inference.inputs`, since only a lake knows which runs and which spectrograms of users there are.
"""

import json
from pathlib import Path

from phonolake.errors import PhonolakeError, UsageError, unknown
from phonolake.features import contract
from phonolake.features.configuration import Configuration, as_text
from phonolake.features.contract import Spectrogram
from phonolake.inference import inputs
from phonolake.inference.model_input import ModelInput
from phonolake.inference.series_inputs import StoredSpectrogram
from phonolake.inference.vector_inputs import Embeddings, Features
from phonolake.lookup import licensed, runs
from phonolake.lookup.runs import ModelRun
from phonolake.models import registry
from phonolake.models.registry import ModelCard, NetworkCard
from phonolake.store import catalog
from phonolake.store.lake import Lake
from phonolake.store.place import Place


def chosen(lake: Lake, card: ModelCard, wanted: str | None) -> ModelInput:
    """What a model is to read: its card's input, or what the user chose.

    That is the ``features:NAME`` or ``embeddings:MODEL_OR_RUN`` of an estimator, or the ``spectrogram:NAME`` of a
    network. A model's name stands for its newest run that has embeddings; a spectrogram of the user's own is answered
    with its parameters.

    Raises
    ------
    UsageError
        For an unknown feature set, spectrogram or run, what the kind of model does not read, a spectrogram of another
        shape than the network was made for, or vectors that no network made.
    PhonolakeError
        When the lake has no embeddings.
    """
    if wanted is None:
        return inputs.parse(card.input)
    kind, _, name = wanted.partition(":")
    if kind == StoredSpectrogram.kind:
        return _spectrogram(lake, card, name)
    if not card.reads_any_vectors:
        raise UsageError(f"{card.name} reads {card.input} only: --features and --embeddings are for estimators")
    if kind == Features.kind:
        return inputs.parse(wanted)
    run = _with_embeddings(lake, name)
    if run.has_weights and not isinstance(registry.get(run.architecture).CARD, NetworkCard):
        raise UsageError(f"{name} is not a network: --embeddings takes the vectors of one")
    return Embeddings(run.run_id)


def restricted(path: str | Path | Place, wanted: str | None, licence: str | None) -> str | None:
    """The same choice, with the run in the place of a model's name, found among those under licences of a kind.

    Raises
    ------
    UsageError
        For an unknown kind, or a run that does not stand under such a licence.
    PhonolakeError
        When no embeddings do.
    """
    if licence is None or wanted is None or not wanted.startswith(f"{Embeddings.kind}:"):
        return wanted
    return Embeddings(_with_embeddings(licensed.opened(path, licence), wanted.partition(":")[2]).run_id).text


def _with_embeddings(lake: Lake, model_or_run: str) -> ModelRun:
    with catalog.connect(lake) as connection:
        run = runs.find(runs.with_embeddings(connection), model_or_run, what="model with embeddings")
    if run is None:
        raise PhonolakeError("the lake has no embeddings yet: run `phonolake score` first")
    return run


def _spectrogram(lake: Lake, card: ModelCard, name: str) -> StoredSpectrogram:
    """The spectrogram called `name` as `contract.spectrogram` knows it, if the network can read it."""
    own = inputs.parse(card.input)
    if not (isinstance(card, NetworkCard) and isinstance(own, StoredSpectrogram)):
        raise UsageError(f"{card.name} reads {card.input}: --spectrogram is for networks that read spectrograms")
    wanted = StoredSpectrogram(_with_parameters(lake, name))
    if wanted.recipe.segments:
        raise UsageError(f"{name} has several spectrograms of each track, and {card.name} reads one")
    if _shape(wanted.recipe) != _shape(own.recipe):
        raise UsageError(
            f"{card.name} is made for the {_shape(own.recipe)} of {own.name}, and {name} has {_shape(wanted.recipe)}"
        )
    return wanted


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
