"""Import an ONNX file with a card that describes its input into the model home and a lake."""

from dataclasses import dataclass

from phonolake.errors import PhonolakeError, UsageError
from phonolake.features import contract
from phonolake.inference import inputs
from phonolake.inference.predictor import Predictor
from phonolake.inference.series_inputs import Audio, ComputedSpectrogram
from phonolake.models import home
from phonolake.models.importers import onnx_card
from phonolake.models.importers.onnx_card import OnnxCard
from phonolake.models.loaded import wrap
from phonolake.models.onnx_network import OnnxNetwork
from phonolake.stages import foreign_models
from phonolake.store import mirror
from phonolake.store.lake import Lake
from phonolake.store.outcomes import Outcome, now


@dataclass(frozen=True, slots=True)
class Config:
    """Which file to import.

    Parameters
    ----------
    file, card : str
        The ONNX file, and the JSON that describes its input.
    name : str, optional
        Its name instead of that on its card.
    lake : str, optional
        A lake that gets the model as a run.
    """

    file: str
    card: str
    name: str | None = None
    lake: str | None = None


def run(config: Config) -> list[Outcome]:
    """Import the network, if its output for a probe clip matches its card.

    Raises
    ------
    UsageError
        If a file is missing, the card is incomplete, or ONNX Runtime is not installed.
    PhonolakeError
        If the graph cannot be run, or does not match the card.
    """
    started = now()
    lake = None if config.lake is None else Lake.open(config.lake)
    home.check_writable()
    with mirror.brought(config.file) as file, mirror.brought(config.card) as card_file:
        network, stated, card = onnx_card.read(file, card_file, config.name)
    foreign_models.check_name(stated.name)
    _check_front_end(network, stated)
    answered = Predictor.of(wrap(network.eval(), card)).score_recording(foreign_models.probe())
    assert answered.embedding is not None
    onnx_card.check_answer(stated, answered.probabilities, answered.embedding)
    return [foreign_models.keep(network, card, config, lake, started)]


def _check_front_end(network: OnnxNetwork, card: OnnxCard) -> None:
    """Compare the card's input with the shape of the graph's input."""
    read = inputs.parse(card.input)
    if isinstance(read, Audio) == ("F" in card.axes) or not isinstance(read, Audio | ComputedSpectrogram):
        raise UsageError(f"the card says that {card.input} is read in the axes {card.axes}: these do not go together")
    if isinstance(read, ComputedSpectrogram):
        has, wants = contract.spectrogram(read.name).n_bands, onnx_card.bands(network)
        if has != wants:
            raise PhonolakeError(
                f"the network reads {wants} bands, and the front end of its card, {read.name}, has {has}"
            )
