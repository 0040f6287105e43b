"""A readable card of a model, with the number of its parameters."""

from phonolake.errors import PhonolakeError
from phonolake.models import registry
from phonolake.models.network import Network
from phonolake.models.registry import NetworkCard

# Classes that parameters are counted with where a paper does not fix them, and frames where any length will do.
N_CLASSES, N_FRAMES = 50, 1360


def rows(name: str) -> list[tuple[str, str]]:
    """Pairs of what is told and the text.

    Raises
    ------
    UsageError
        If there is no such model.
    """
    card = registry.get(name).CARD
    told = [
        ("name", card.name),
        ("kind", card.kind),
        ("input", card.input),
        ("summary", card.summary),
        ("source", card.source),
    ]
    if card.n_frames is not None:
        told.append(("length of input", str(card.n_frames)))
    if isinstance(card, NetworkCard):
        told.append((f"parameters ({N_CLASSES} classes)", f"{n_parameters(name):,}"))
    told += [(f"recipe: {key}", str(value)) for key, value in card.recipe.items()]
    told += [("deviation", text) for text in card.deviations]
    return told


def n_parameters(name: str, n_classes: int = N_CLASSES) -> int:
    """Number of parameters of a network, those of frozen layers included, statistics of batch norm not."""
    model = registry.get(name)
    network = model.blank(n_classes, n_frames=model.CARD.n_frames or N_FRAMES, seed=0)
    if not isinstance(network, Network):
        raise PhonolakeError(f"{name} is not a network, so its parameters cannot be counted")
    return sum(weight.numel() for weight in network.parameters())
