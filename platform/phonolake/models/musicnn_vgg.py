"""The VGG-like baselines that were published with musicnn: five convolutions of 128 maps over log-mel spectrograms.

References
----------
.. [1] J. Pons, X. Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging", ISMIR 2019,
       late-breaking demo.
.. [2] K. Choi, G. Fazekas, M. Sandler, "Automatic tagging using deep convolutional neural networks", ISMIR 2016: the
       network that it follows.

Shape suffixes: B batch, C maps, T frames, F mel bands, K classes, E embedding values.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from phonolake.errors import UsageError
from phonolake.models import initial, musicnn
from phonolake.models.heads import LinearHead
from phonolake.models.musicnn import EPS, INPUT, MOMENTUM, N_FRAMES, N_MELS
from phonolake.models.registry import NetworkCard

N_MAPS = 128
DROPOUT_MAPS, DROPOUT = 0.25, 0.5
Sides = tuple[int, int]
_HALVED: tuple[Sides, Sides] = ((2, 2), (2, 2))

# By network: size and stride of each pooling, over frames and bands, as the graph beside the weights has them.
POOLS: dict[str, tuple[tuple[Sides, Sides], ...]] = {
    "vgg-msd": (((4, 1), (4, 1)), ((1, 4), (1, 4)), _HALVED, _HALVED, ((4, 4), (4, 4))),
    "vgg-mtt": (((4, 1), (2, 2)), _HALVED, _HALVED, _HALVED, ((4, 4), (4, 4))),
}
_POOLING = "Pools over frames x bands (stride where it differs): "


def _card(name: str, collection: str, *deviations: str) -> NetworkCard:
    shapes = [
        f"{size[0]}x{size[1]}" + ("" if size == stride else f" ({stride[0]}x{stride[1]})")
        for size, stride in POOLS[name]
    ]
    return NetworkCard(
        name=name,
        input=INPUT,
        summary=f"Five 3x3 convolutions of 128 maps; `models fetch {name}` brings weights for 50 {collection} tags.",
        source="Pons & Serra, musicnn: pre-trained convolutional neural networks for music audio tagging, 2019",
        recipe=musicnn.RECIPE,
        deviations=(_POOLING + ", ".join(shapes) + ".", *deviations, *musicnn.DEVIATIONS),
        n_frames=N_FRAMES,
    )


CARDS = (
    _card(
        "vgg-msd",
        "Million Song Dataset",
        "Pooling is that of the trained graph: the Python code of the authors' package pools in other shapes, so its "
        "answers are not those of the trained network.",
    ),
    _card("vgg-mtt", "MagnaTagATune"),
)


class VGG(LinearHead):
    """The network.

    Parameters
    ----------
    name : str
        Which `POOLS`.
    n_classes : int
        Number of logits, >= 1.
    n_frames : int
        Length that it is built for, and the only one that it reads.

    Attributes
    ----------
    head : nn.Linear
        Its weight (n_classes, E) holds one label vector per class; E is 256 for 187 frames.
    """

    def __init__(self, name: str, n_classes: int, n_frames: int) -> None:
        super().__init__(n_classes, name)
        self.name, self.n_frames = name, n_frames
        channels = list(pairwise((1, *(N_MAPS for _ in POOLS[name]))))
        self.input_norm = nn.BatchNorm2d(1, EPS, MOMENTUM)
        self.convs = nn.ModuleList(nn.Conv2d(c_in, c_out, 3, padding="same") for c_in, c_out in channels)
        self.norms = nn.ModuleList(nn.BatchNorm2d(c_out, EPS, MOMENTUM) for _, c_out in channels)
        self.map_dropout = nn.Dropout(DROPOUT_MAPS)
        self.dropout = nn.Dropout(DROPOUT)
        frames, bands = pooled(name, n_frames)
        self.head = nn.Linear(N_MAPS * frames * bands, n_classes)
        # About a third less time on CPU than the default layout; the mathematics is the same.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def embed(self, x_BFT: Tensor) -> Tensor:
        """Compute the values before the linear output layer: the last maps, flattened.

        Parameters
        ----------
        x_BFT : Tensor
            Spectrograms of 96 bands, log10(1 + 10,000 x power), of the number of frames that it was built for.

        Returns
        -------
        embedding_BE : Tensor

        Raises
        ------
        UsageError
            If the input has another shape.
        """
        if x_BFT.shape[1:] != (N_MELS, self.n_frames):
            raise UsageError(
                f"{self.name} reads (batch, {N_MELS} bands, {self.n_frames} frames), received {tuple(x_BFT.shape)}."
            )
        maps_BCTF = self.input_norm(x_BFT.transpose(1, 2)[:, None])
        for number, (conv, norm, pool) in enumerate(zip(self.convs, self.norms, POOLS[self.name], strict=True)):
            maps_BCTF = self.map_dropout(maps_BCTF) if number else maps_BCTF
            maps_BCTF = nn.functional.max_pool2d(norm(conv(maps_BCTF).relu()), *pool)
        return maps_BCTF.permute(0, 2, 3, 1).flatten(1)

    def classify(self, embedding_BE: Tensor) -> Tensor:
        """Compute the logits_BK from what `embed` gave."""
        return super().classify(self.dropout(embedding_BE))


def pooled(name: str, n_frames: int) -> Sides:
    """Frames and bands that are left behind the last pooling.

    Raises
    ------
    UsageError
        If none are left.
    """
    frames, bands = n_frames, N_MELS
    for size, stride in POOLS[name]:
        frames, bands = ((n - s) // step + 1 for n, s, step in zip((frames, bands), size, stride, strict=True))
        if frames < 1:
            raise UsageError(
                f"{name} needs more frames, received n_frames={n_frames}; it was published for {N_FRAMES}."
            )
    return frames, bands


def build(name: str, n_classes: int, *, n_frames: int, seed: int) -> VGG:
    """Build the network with random weights: Glorot-uniform, zero biases.

    Parameters
    ----------
    name : str
        Of the card.
    n_classes : int
        Number of logits.
    n_frames : int
        Frames of its input.
    seed : int
        Decides the weights; PyTorch's own random state is left as it was.

    Raises
    ------
    UsageError
        If `n_classes` is below 1, or `n_frames` too few to be pooled.
    """
    with initial.seeded(seed):
        network = VGG(name, n_classes, n_frames)
        for layer in (*network.convs, network.head):
            initial.glorot_uniform(layer)
        return network
