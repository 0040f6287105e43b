"""Sample-level deep CNNs for raw waveforms, the family m^n of Lee et al., and their frame-level baseline.

A strided convolution gives frames of one stride each; n modules of a convolution of length m and max-pooling by m
reduce m^n frames to one; a convolution of length one, dropout and the logits follow. Short first filters make a network
"sample-level", long ones "frame-level".

References
----------
.. [1] J. Lee, J. Park, K. L. Kim, J. Nam, "Sample-level Deep Convolutional Neural Networks for Music Auto-tagging Using
       Raw Waveforms", SMC 2017, Tables 1, 2 and 3.
.. [2] The authors' code: what the paper leaves out of the training.

Shape suffixes: B batch, C maps, S samples, T frames, K classes, E embedding values.
"""

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from phonolake.errors import UsageError
from phonolake.models import initial
from phonolake.models.heads import LinearHead
from phonolake.models.padding import same
from phonolake.models.registry import ModelCard, NetworkCard

SR = 22_050
N_MAPS, N_EMBEDDING, DROPOUT = 128, 512, 0.5
# Maps of the nine modules of 3^9; shallower networks have the last of them, deeper ones more of the first.
WIDTHS = (128, 128, 256, 256, 256, 256, 256, 256, 512)

# By m: input lengths in samples and the range of n (Table 2).
TABLE_2 = {
    2: ((16_384, range(6, 14)), (32_768, range(7, 15))),
    3: ((19_683, range(3, 9)), (59_049, range(4, 10))),
    4: ((16_384, range(3, 7)), (65_536, range(4, 8))),
    5: ((15_625, range(3, 6)), (78_125, range(4, 7))),
}
# Window and hop of the frame-level networks over waveforms whose windows overlap (Table 3), with their n.
TABLE_3 = ((729, 243, 5), (243, 81, 6))

RECIPE = {
    "optimizer": "sgd-nesterov",
    "lr": 1e-2,
    "momentum": 0.9,
    "update_decay": 1e-6,
    "batch_size": 23,
    "crops_per_track": 10,
    "schedule": "staged",
    "lr_factor": 0.2,
    "n_stages": 5,
    "patience": 3,
    "max_epochs": 500,
}
DEVIATIONS = (
    "Widths are published for 3^9 only; other depths take the last of them, or more modules of 128 in front.",
    "The declared L2 of 1e-7 is not applied, as in the authors' code. The greatest number of epochs is ours.",
    "Random crops stand for the authors' ten fixed segments of a song in training.",
)


@dataclass(frozen=True, slots=True)
class NetworkShape:
    """What tells the networks of the family apart.

    Parameters
    ----------
    m : int
        Length of the filters and pools of the modules.
    n : int
        Number of modules.
    window, hop : int
        Length and stride of the first convolution in samples.
    """

    m: int
    n: int
    window: int
    hop: int

    @property
    def n_samples(self) -> int:
        """Length of the input: the modules reduce its m^n frames to one."""
        return self.hop * self.m**self.n

    @property
    def name(self) -> str:
        """Name in the registry; the stride is told where it is not the shortest, m."""
        if self.window != self.hop:
            return f"frame-raw-{self.window}-{self.hop}"
        stride = "" if self.hop == self.m else f"-by-{self.hop}"
        return f"sample-{self.m}-{self.n}{stride}"


def _table_2() -> list[NetworkShape]:
    return [
        NetworkShape(m, n, n_samples // m**n, n_samples // m**n)
        for m, halves in TABLE_2.items()
        for n_samples, depths in halves
        for n in depths
    ]


SHAPES = {
    shape.name: shape for shape in (*_table_2(), *(NetworkShape(3, n, window, hop) for window, hop, n in TABLE_3))
}


def _card(shape: NetworkShape) -> ModelCard:
    first = f"filters of {shape.window} samples every {shape.hop}"
    return NetworkCard(
        name=shape.name,
        input=f"audio:{SR}",
        summary=f"{shape.m}^{shape.n} DCNN over {shape.n_samples:,} samples at 22,050 Hz, first {first}.",
        source="Lee, Park, Kim and Nam, Sample-level Deep Convolutional Neural Networks for Music Auto-tagging, 2017",
        recipe=RECIPE,
        deviations=DEVIATIONS,
        n_frames=shape.n_samples,
    )


CARDS = tuple(_card(shape) for shape in SHAPES.values())


class Modules(nn.Module):
    """Convolutions with max-pooling that reduce m^n frames to an embedding.

    Parameters
    ----------
    n_in : int
        Maps of the input.
    m, n : int
        Length of filters and pools, and number of modules.
    """

    def __init__(self, n_in: int, m: int, n: int) -> None:
        super().__init__()
        self.m = m
        widths = (n_in, *(WIDTHS[:1] * (n - len(WIDTHS)) + WIDTHS)[-n:])
        self.convs = nn.ModuleList(conv_norm(a, b, m) for a, b in pairwise(widths))
        self.last = conv_norm(widths[-1], N_EMBEDDING, 1)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, maps_BCT: Tensor) -> Tensor:
        """Compute the embedding_BE, E = 512."""
        for conv in self.convs:
            maps_BCT = self.module(conv, maps_BCT).relu()
        embedding_BE: Tensor = self.dropout(self.last(maps_BCT).relu()).flatten(1)
        return embedding_BE

    def module(self, conv: nn.Module, maps_BCT: Tensor) -> Tensor:
        """One convolution with its max-pooling, before the ReLU: it never decreases, so the maximum may come first."""
        return nn.functional.max_pool1d(conv(same(maps_BCT, (self.m,), 1)), self.m)


def conv_norm(n_in: int, n_out: int, length: int, stride: int = 1) -> nn.Sequential:
    """A convolution, He-uniform, with batch norm."""
    conv = nn.Conv1d(n_in, n_out, length, stride=stride)
    initial.he_uniform(conv)
    return nn.Sequential(conv, nn.BatchNorm1d(n_out, eps=1e-3))


class SampleCNN(LinearHead):
    """One network of the family.

    Parameters
    ----------
    n_classes : int
    shape : Shape
    """

    def __init__(self, n_classes: int, shape: NetworkShape) -> None:
        super().__init__(n_classes, shape.name)
        self.shape = shape
        self.first = conv_norm(1, N_MAPS, shape.window, shape.hop)
        self.modules_ = Modules(N_MAPS, shape.m, shape.n)
        self.head = nn.Linear(N_EMBEDDING, n_classes)
        initial.he_uniform(self.head)

    def embed(self, x_BS: Tensor) -> Tensor:
        """Compute the 512 values of the last convolution from waveforms of just the length that it is built for."""
        if x_BS.ndim != 2 or x_BS.shape[1] != self.shape.n_samples:
            raise UsageError(
                f"{self.shape.name} reads (batch, {self.shape.n_samples} samples), received {tuple(x_BS.shape)}."
            )
        embedding_BE: Tensor = self.modules_(self._frames(x_BS).relu())
        return embedding_BE

    def layers(self, x_BS: Tensor) -> list[Tensor]:
        """Compute the maps_BCT of each layer before its ReLU, for audio of any length, as far as the pools allow."""
        maps = [self._frames(x_BS)]
        for conv in self.modules_.convs:
            if maps[-1].shape[2] < self.shape.m:
                break
            maps.append(self.modules_.module(conv, maps[-1].relu()))
        return maps

    def _frames(self, x_BS: Tensor) -> Tensor:
        frames_BCT: Tensor = self.first(same(x_BS[:, None], (self.shape.window,), self.shape.hop))
        return frames_BCT


def build(name: str, n_classes: int, *, n_frames: int, seed: int) -> SampleCNN:
    """Build a network of the family with He-uniform weights and zero biases.

    Raises
    ------
    UsageError
        If `n_classes` is below 1, or `n_frames` is not the number of samples of this network.
    """
    shape = SHAPES[name]
    if n_frames != shape.n_samples:
        raise UsageError(f"{name} is built for {shape.n_samples} samples, received n_frames={n_frames}.")
    with initial.seeded(seed):
        return SampleCNN(n_classes, shape)
