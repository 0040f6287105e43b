"""Standardised clip-level features as an embedding: neighbours by timbre, without labels."""

from typing import TYPE_CHECKING

from phonolake.models.registry import EmbedderCard

if TYPE_CHECKING:
    from sklearn.preprocessing import StandardScaler

CARD = EmbedderCard(
    name="scaled-mfcc",
    input="features:mfcc-120",
    summary="MFCC statistics scaled to zero mean and unit deviation over the collection; needs no labels.",
    source="Logan and Salomon, A music similarity function based on signal analysis, ICME 2001 (MFCC as timbre)",
    deviations=(
        "Euclidean statistics of whole clips stand in for the clusters and earth mover's distance of the paper.",
    ),
)


def build(*, seed: int) -> "StandardScaler":
    """Build the unfitted scaler; it has nothing random, so `seed` changes nothing."""
    from sklearn.preprocessing import StandardScaler

    return StandardScaler()
