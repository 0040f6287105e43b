"""The compact ConvNet of Choi et al. for 257-bin decibel spectrograms: the pooling of their Table II as it is printed.

References
----------
.. [1] K. Choi, G. Fazekas, K. Cho, M. Sandler, "On the Robustness of Deep Convolutional Neural Networks for Music
       Classification", arXiv:1706.02361, 2017, Table II.
"""

from phonolake.models import initial, k2c2
from phonolake.models.k2c2 import K2C2
from phonolake.models.registry import NetworkCard

N_BINS = 257
FREQUENCY_POOLS = (2, 4, 4, 2, 4)

CARD = NetworkCard(
    name="k2c2-stft",
    input="spectrogram:stft-257-12k",
    summary="Compact ConvNet: five 3x3 convolutions of 32 maps over a 257-bin decibel spectrogram.",
    source=k2c2.CARD.source,
    recipe=k2c2.CARD.recipe,
    deviations=(
        "Pooling (2,4)(4,4)(4,5)(2,4)(4,4) as in Table II: its product of 256 leaves out the highest of the 257 bins.",
        *k2c2.CARD.deviations[1:],
    ),
)


def build(n_classes: int, *, n_frames: int, seed: int) -> K2C2:
    """Build the network; arguments, weights and errors as those of `phonolake.models.k2c2.build`."""
    with initial.seeded(seed):
        return k2c2.initialise(K2C2(n_classes, n_frames, n_bands=N_BINS, frequency_pools=FREQUENCY_POOLS[:-1]))
