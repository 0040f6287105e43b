"""The compact ConvNet ("k2c2") of Choi et al., for 96-band log-mel spectrograms.

Five blocks of convolution (3x3, same, 32 maps) -> batch normalisation -> ELU -> max-pooling reduce the spectrogram to
32 values, which one linear layer turns into logits. Softmax (one label) or sigmoid (many) is applied outside.

References
----------
.. [1] K. Choi, G. Fazekas, K. Cho, M. Sandler, "On the Robustness of Deep Convolutional Neural Networks for Music
       Classification", arXiv:1706.02361, 2017, Table II and Fig. 3.
.. [2] K. Choi, G. Fazekas, M. Sandler, K. Cho, "Transfer learning for music classification and regression tasks",
       ISMIR 2017, Sec. 3.1.

Shape suffixes: B batch, C maps, F mel bands, T frames, K classes, E embedding values.
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn

from phonolake.errors import UsageError
from phonolake.models import initial
from phonolake.models.heads import LinearHead
from phonolake.models.registry import NetworkCard

N_MELS = 96
N_MAPS = 32
FREQUENCY_POOLS = (2, 3, 2, 2, 4)
TIME_POOLS = (4, 4, 5, 4, 4)
# Of a clip's decibels. A silent clip has no spread to divide by; this keeps its rounding errors small.
_SMALLEST_STD_DB = 1e-2

CARD = NetworkCard(
    name="k2c2",
    input="spectrogram:mel-96-12k",
    summary="Compact ConvNet: five 3x3 convolutions of 32 maps over a 96-band log-mel spectrogram.",
    source="Choi et al., On the Robustness of Deep Convolutional Neural Networks for Music Classification, 2017",
    recipe={
        "optimizer": "adam",
        "lr": 5e-3,
        "weight_decay": 0.0,
        "batch_size": 16,
        "max_epochs": 40,
        "patience": 8,
        "lr_factor": 0.5,
        "lr_patience": 3,
    },
    deviations=(
        "Pooling (2,4)(3,4)(2,5)(2,4)(4,4) as in the authors' code: Table II's frequency pools fit 256 bins, not 96.",
        "Inputs under 1,280 frames get shorter time pools; the last block always pools over all frames that remain.",
        "Batch normalisation uses running statistics at test time; the authors' released weights use the batch's.",
        "Batch size, number of epochs, stopping rule and learning-rate drops are not published; those here are ours.",
        "Normal initialisation is not truncated, as in the Keras of the time.",
    ),
)


def time_pools(n_frames: int) -> tuple[int, ...]:
    """Choose the five time pools for a training length.

    The published (4, 4, 5, 4, 4) are kept where their product, 1,280, fits. Otherwise the largest pool is made shorter
    by one until the product fits; among equals the latest block gives way first, since the early ones save the most
    work.

    Parameters
    ----------
    n_frames : int
        Number of frames, >= 1.

    Returns
    -------
    pools : tuple of int
        One per block, product <= `n_frames`. The network uses the first four as they are and pools over all remaining
        frames in the last block, so the fifth is the least that remains.

    Raises
    ------
    UsageError
        If `n_frames` is below 1.
    """
    if n_frames < 1:
        raise UsageError(f"k2c2 needs at least 1 frame, received n_frames={n_frames}.")
    pools = list(TIME_POOLS)
    while math.prod(pools) > n_frames:
        latest_largest = max(range(len(pools)), key=lambda block: (pools[block], block))
        pools[latest_largest] -= 1
    return tuple(pools)


class K2C2(LinearHead):
    """Compact ConvNet.

    Parameters
    ----------
    n_classes : int
        Number of logits, >= 1.
    n_frames : int
        Length in frames it is built for; it accepts any length from `min_frames` on.
    n_bands : int
        Frequency bands of its input.
    frequency_pools : tuple of int
        Of the first four blocks; the last pools over what remains.

    Attributes
    ----------
    head : nn.Linear
        Its weight (n_classes, 32) holds one label vector per class [1]_.
    min_frames : int
        Shortest input: the product of the first four time pools.
    """

    def __init__(
        self,
        n_classes: int,
        n_frames: int,
        *,
        n_bands: int = N_MELS,
        frequency_pools: tuple[int, ...] = FREQUENCY_POOLS[:-1],
        standardise: bool = True,
    ) -> None:
        super().__init__(n_classes, "k2c2")
        self.standardise = standardise
        self.n_bands = n_bands
        self.pools = tuple(zip(frequency_pools, time_pools(n_frames)[:-1], strict=True))
        self.min_frames = math.prod(time for _, time in self.pools)
        channels = pairwise((1, *(N_MAPS for _ in TIME_POOLS)))
        self.convs = nn.ModuleList(nn.Conv2d(c_in, c_out, 3, padding="same") for c_in, c_out in channels)
        self.norms = nn.ModuleList(nn.BatchNorm2d(N_MAPS, eps=1e-3) for _ in TIME_POOLS)
        self.head = nn.Linear(N_MAPS, n_classes)
        # About a third less time per step on CPU than the default layout; the mathematics is the same.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x_BFT: Tensor) -> Tensor:
        """Compute logits.

        Parameters
        ----------
        x_BFT : Tensor
            Spectrograms in dB, `n_bands` bands, at least `min_frames` frames. Each is standardised to zero mean and
            unit deviation over all of its bands and frames [1]_ (Sec. IV-D, "per-sample stdd"), unless the network was
            built to leave that to the preprocessing.

        Returns
        -------
        logits_BK : Tensor

        Raises
        ------
        UsageError
            If the input has another number of bands, or too few frames.
        """
        *_, maps_BCFT = self.maps_of_blocks(x_BFT)
        logits_BK: Tensor = self.head(maps_BCFT.flatten(1))
        return logits_BK

    def embed(self, x_BFT: Tensor) -> Tensor:
        """Compute the 160 transfer-learning features: the mean of each block's 32 maps after pooling [2]_.

        The last block has one value per map, so the last 32 features are what `head` sees.
        """
        return torch.cat([maps_BCFT.mean((2, 3)) for maps_BCFT in self.maps_of_blocks(x_BFT)], dim=1)

    def classify(self, embedding_BE: Tensor) -> Tensor:
        """Compute the logits_BK from the features of `embed`."""
        logits_BK: Tensor = self.head(embedding_BE[:, -N_MAPS:])
        return logits_BK

    def _image(self, x_BFT: Tensor) -> Tensor:
        """What the first convolution reads, of one channel: image_BCFT."""
        if x_BFT.ndim != 3 or x_BFT.shape[1] != self.n_bands or x_BFT.shape[2] < self.min_frames:
            raise UsageError(
                f"k2c2 reads (batch, {self.n_bands} bands, {self.min_frames} frames or more), received "
                f"{tuple(x_BFT.shape)}; build it with a smaller n_frames for shorter input."
            )
        return (_standardise(x_BFT) if self.standardise else x_BFT).unsqueeze(1)

    def maps_of_blocks(self, x_BFT: Tensor) -> Iterator[Tensor]:
        """What each block gives, one after the other."""
        maps_BCFT = self._image(x_BFT)
        for block in range(len(self.convs)):
            maps_BCFT = self._activate(block, self.norms[block](self.convs[block](maps_BCFT)))
            yield maps_BCFT

    def _activate(self, block: int, maps_BCFT: Tensor) -> Tensor:
        # ELU increases everywhere, so taking the maximum first gives the same values for a fraction of the work.
        size = self.pools[block] if block < len(self.pools) else tuple(maps_BCFT.shape[2:])
        return nn.functional.elu(nn.functional.max_pool2d(maps_BCFT, size))


def _standardise(x_BFT: Tensor) -> Tensor:
    std_B11, mean_B11 = torch.std_mean(x_BFT, dim=(1, 2), correction=0, keepdim=True)
    return (x_BFT - mean_B11) / std_B11.clamp_min(_SMALLEST_STD_DB)


Model = TypeVar("Model", bound=K2C2)


def build(n_classes: int, *, n_frames: int, seed: int, standardise: bool = True) -> K2C2:
    """Build the network with random weights: He-normal convolutions, Glorot-uniform head, zero biases.

    Parameters
    ----------
    n_classes : int
        Number of logits.
    n_frames : int
        Frames of the inputs it will be trained on; decides the time pools, see `time_pools`.
    seed : int
        Decides the weights; PyTorch's own random state is left as it was.
    standardise : bool
        Whether the network standardises its inputs.

    Raises
    ------
    UsageError
        If `n_classes` or `n_frames` is below 1.
    """
    with initial.seeded(seed):
        return initialise(K2C2(n_classes, n_frames, standardise=standardise))


def initialise(model: Model) -> Model:
    """Draw the weights as published, from PyTorch's random state."""
    for conv in model.convs:
        initial.he_normal(conv)
    initial.glorot_uniform(model.head)
    return model
