"""Import an encoder of the library transformers from a folder, with its text tower, into the model home and a lake."""

from dataclasses import dataclass

import numpy as np

from phonolake.errors import PhonolakeError
from phonolake.inference.predictor import Predictor
from phonolake.models import home
from phonolake.models.importers import transformers_folder
from phonolake.models.importers.transformers_folder import EncoderChoice
from phonolake.models.loaded import wrap
from phonolake.progress import say
from phonolake.stages import foreign_models, zero_shot
from phonolake.store import mirror
from phonolake.store.lake import Lake
from phonolake.store.outcomes import Outcome, now


@dataclass(frozen=True, slots=True)
class Config:
    """Which folder to import.

    Parameters
    ----------
    folder : str
        As `save_pretrained` writes it: configuration, feature extractor, safetensors, and a tokenizer for texts.
    choice : EncoderChoice
        What to import of it, and its name.
    lake : str, optional
        A lake that gets the model as a run, and whose labels test a text tower.
    """

    folder: str
    choice: EncoderChoice
    lake: str | None = None


def run(config: Config) -> list[Outcome]:
    """Import the encoder, if it can encode the probe clip and its text tower is better than chance.

    Raises
    ------
    UsageError
        As `transformers_folder.read`, and for a name that is taken.
    PhonolakeError
        If the files of the folder are inconsistent, or the text tower says nothing about the lake's labels.
    """
    started = now()
    lake = None if config.lake is None else Lake.open(config.lake)
    home.check_writable()
    with mirror.brought(config.folder, folder=True) as folder:
        network, card = transformers_folder.read(folder, config.choice)
    foreign_models.check_name(card["name"])
    predictor = Predictor.of(wrap(network, card))
    answered = predictor.score_recording(foreign_models.probe()).embedding
    if answered is None or not np.isfinite(answered).all() or not np.any(answered):
        raise PhonolakeError(f"{config.folder} answers the probe clip with a vector of no numbers, or of zeros alone")
    if card["text"]:
        card |= _measured(network.embed_text("music"), lake, predictor)
    return [foreign_models.keep(network, card, config, lake, started)]


def _measured(vector_E: np.ndarray, lake: Lake | None, predictor: Predictor) -> dict[str, dict[str, float]]:
    """The facts for the card about a text tower, given its vector of a word."""
    if not np.isfinite(vector_E).all() or not np.any(vector_E):
        raise PhonolakeError(
            "the text tower answers with a vector of no numbers, or of zeros alone: --no-text goes without"
        )
    found = None if lake is None else zero_shot.check(lake, predictor)
    if found is None:
        say(
            f"The text tower is not measured: that takes a --lake with {zero_shot.LEAST_LABELS} labels in words, each "
            f"on {zero_shot.LEAST_TRACKS} of its recordings and not on {zero_shot.LEAST_TRACKS} others."
        )
        return {}
    say(f"Text tower: {found.said()}.")
    return {"zero_shot": found.as_card()}
