"""Randomly weighted CNNs as feature extractors: the front ends of Pons and Serra, whose weights are never trained.

A feature is the mean of one map over a whole clip. The frame-level networks end in a back end of three convolutions; as
published, each of them gives one number, the mean over all of its maps, and zeros for the rest. Beside those networks
stand corrected ones with a mean for every map.

References
----------
.. [1] J. Pons, X. Serra, "Randomly Weighted CNNs for (Music) Audio Classification", ICASSP 2019.
.. [2] The authors' code: paddings, numbers of filters, first weights, and what the back end gives.

Shape suffixes: B batch, C maps, F mel bands, T frames, S samples, D columns.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from phonolake.errors import UsageError
from phonolake.models import initial
from phonolake.models.padding import same
from phonolake.models.registry import ExtractorCard, ModelCard

SR, N_MELS = 12_000, 96
N_FRAMES, N_SAMPLES = 1_376, 350_000  # about 29 s
SPECTROGRAM, AUDIO = "spectrogram:mel-96-12k", f"audio:{SR}"

# Maps as the networks give them, each with what its means are called.
Maps = Iterator[tuple[str, Tensor]]


class FrontEnd(nn.Module):
    """A front end from x_BFT or x_BS to maps whose means are the features.

    Parameters
    ----------
    n_filters : int
        The paper's N.
    """

    def __init__(self, n_filters: int) -> None:
        super().__init__()
        self.n_filters = n_filters

    def maps(self, x: Tensor) -> Maps:
        """Name and maps_BC... of every layer whose maps are averaged."""
        raise NotImplementedError


def in_parts(conv: nn.Module, after: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """What `after` makes smaller of each map, for a quarter of the filters at a time.

    The maps of a clip under all the filters of a large network would be the largest thing in memory, by far.
    """
    assert isinstance(conv, nn.Conv1d | nn.Conv2d)
    assert conv.bias is not None
    convolve = functional.conv1d if isinstance(conv, nn.Conv1d) else functional.conv2d
    quarters = zip(conv.weight.chunk(4), conv.bias.chunk(4), strict=True)
    return torch.cat([after(convolve(x, weight, bias, padding=conv.padding)) for weight, bias in quarters], dim=1)


class VggFrontEnd(FrontEnd):
    """Five 3x3 convolutions with ELU and max-pooling."""

    POOLS = ((2, 4), (3, 4), (2, 5), (2, 4), (4, 4))

    def __init__(self, n_filters: int) -> None:
        super().__init__(n_filters)
        widths = (1, *(n_filters for _ in self.POOLS))
        self.convs = nn.ModuleList(nn.Conv2d(a, n_filters, 3, padding="same") for a in widths[:-1])

    def maps(self, x: Tensor) -> Maps:
        maps_BCFT = x[:, None]
        for layer, (conv, pool) in enumerate(zip(self.convs, self.POOLS, strict=True), start=1):
            maps_BCFT = in_parts(conv, partial(self._pooled, pool=pool), maps_BCFT)
            yield f"pool{layer}", maps_BCFT

    @staticmethod
    def _pooled(maps_BCFT: Tensor, pool: tuple[int, int]) -> Tensor:
        return functional.max_pool2d(functional.elu(maps_BCFT), pool)


class Vertical(FrontEnd):
    """One layer of filters 7 frames wide, and a maximum over where they fit in frequency.

    Parameters
    ----------
    n_filters : int
    height : int
        Mel bands of a filter.
    """

    def __init__(self, n_filters: int, height: int) -> None:
        super().__init__(n_filters)
        self.conv = nn.Conv2d(1, n_filters, (height, 7))

    def maps(self, x: Tensor) -> Maps:
        yield "conv", in_parts(self.conv, lambda maps_BCFT: maps_BCFT.relu().amax(2), x[:, None])


class Timbral(FrontEnd):
    """Vertical filters of six shapes, 14 N in all, and a maximum over where they fit in frequency."""

    # Bands, frames, multiple of N.
    SHAPES = ((86, 7, 1), (86, 3, 2), (86, 1, 4), (38, 7, 1), (38, 3, 2), (38, 1, 4))

    def __init__(self, n_filters: int) -> None:
        super().__init__(n_filters)
        self.convs = nn.ModuleList(
            nn.Conv2d(1, times * n_filters, (bands, frames), padding=(0, frames // 2))
            for bands, frames, times in self.SHAPES
        )

    def maps(self, x: Tensor) -> Maps:
        for conv, (bands, frames, _) in zip(self.convs, self.SHAPES, strict=True):
            strongest_BCT = in_parts(conv, lambda maps_BCFT: maps_BCFT.relu().amax(2), x[:, None])
            yield f"timbral_{frames}x{bands}", strongest_BCT


class Temporal(FrontEnd):
    """Filters of four lengths, 14 N in all, over the mean of the bands.

    Parameters
    ----------
    n_filters : int
    lengths : tuple of int
        In frames.
    """

    def __init__(self, n_filters: int, lengths: tuple[int, ...]) -> None:
        super().__init__(n_filters)
        self.lengths = lengths
        self.convs = nn.ModuleList(
            nn.Conv1d(1, 2**k * n_filters - n_filters // 4, length) for k, length in enumerate(lengths)
        )

    def maps(self, x: Tensor) -> Maps:
        envelope_B1T = x.mean(1, keepdim=True)
        for conv, length in zip(self.convs, self.lengths, strict=True):
            yield f"temporal_{length}", conv(same(envelope_B1T, (length,), 1)).relu()


class Both(FrontEnd):
    """Timbral and temporal filters side by side."""

    def __init__(self, n_filters: int, lengths: tuple[int, ...]) -> None:
        super().__init__(n_filters)
        self.parts = nn.ModuleList([Timbral(n_filters), Temporal(n_filters, lengths)])

    def maps(self, x: Tensor) -> Maps:
        for part in self.parts:
            assert isinstance(part, FrontEnd)
            yield from part.maps(x)


class SampleLevel(FrontEnd):
    """A convolution of 3 samples every 3, and six more of length 3 with max-pooling by 3."""

    def __init__(self, n_filters: int) -> None:
        super().__init__(n_filters)
        self.first = nn.Conv1d(1, n_filters, 3, stride=3)
        self.convs = nn.ModuleList(nn.Conv1d(n_filters, n_filters, 3, padding="same") for _ in range(6))

    def maps(self, x: Tensor) -> Maps:
        maps_BCT = self.first(x[:, None]).relu()
        yield "conv0", maps_BCT
        for layer, conv in enumerate(self.convs, start=1):
            maps_BCT = in_parts(conv, lambda maps: functional.max_pool1d(maps, 3), maps_BCT).relu()
            yield f"pool{layer}", maps_BCT


class FrameLevel(FrontEnd):
    """Filters every 32 samples, and a back end of three convolutions, two of them beside a shortcut.

    Parameters
    ----------
    n_filters : int
    lengths : tuple of int
        In samples; one length is not padded, several are.
    as_published : bool
        Whether each layer of the back end gives the mean over all its maps, followed by zeros.
    """

    def __init__(self, n_filters: int, lengths: tuple[int, ...], *, as_published: bool) -> None:
        super().__init__(n_filters)
        self.lengths, self.as_published = lengths, as_published
        self.first = nn.ModuleList(nn.Conv1d(1, n_filters, length, stride=32) for length in lengths)
        self.enter = nn.Conv1d(len(lengths) * n_filters, n_filters, 7)
        self.middle = nn.Conv1d(n_filters, n_filters, 7, padding=3)
        self.leave = nn.Conv1d(n_filters, n_filters, 7, padding=3)

    def maps(self, x: Tensor) -> Maps:
        frames = []
        for conv, length in zip(self.first, self.lengths, strict=True):
            audio_B1S = same(x[:, None], (length,), 32) if len(self.lengths) > 1 else x[:, None]
            frames.append(conv(audio_B1S).relu())
            yield f"conv_{length}", frames[-1]
        maps_BCT = self.enter(torch.cat(frames, dim=1)).relu()
        yield "end1", self._shown(maps_BCT)
        maps_BCT = self.middle(maps_BCT).relu() + maps_BCT
        yield "end2", self._shown(maps_BCT)
        maps_BCT = functional.max_pool1d(maps_BCT, 2)
        maps_BCT = self.leave(maps_BCT).relu() + maps_BCT
        yield "end3", self._shown(maps_BCT)

    def _shown(self, maps_BCT: Tensor) -> Tensor:
        if not self.as_published:
            return maps_BCT
        # In the authors' code maps and frames change places: one "map" has all the values, the others have none.
        all_B11 = maps_BCT.mean((1, 2))[:, None, None]
        return functional.pad(all_B11, (0, 0, 0, maps_BCT.shape[1] - 1))


@dataclass(frozen=True)
class RandomCNN:
    """An extractor: a front end with the weights of a seed.

    Parameters
    ----------
    front : FrontEnd
    columns : tuple of (name, description)
    length : int
        Frames or samples of a clip: longer ones are cut, shorter ones repeated [1]_.
    """

    front: FrontEnd
    columns: tuple[tuple[str, str], ...]
    length: int

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Compute the features (D,), float32, of a log-mel spectrogram x_FT or of audio x_S at 12 kHz.

        Raises
        ------
        UsageError
            If it has another number of dimensions or bands than the front end reads, or is empty.
        """
        wanted = 2 if self.length == N_FRAMES else 1
        if x.ndim != wanted or 0 in x.shape or (wanted == 2 and len(x) != N_MELS):
            what = f"({N_MELS} bands, frames)" if wanted == 2 else "(samples,)"
            raise UsageError(f"this random CNN reads {what}, received an array of shape {x.shape}.")
        clip = x[..., np.arange(self.length) % x.shape[-1]]
        with torch.inference_mode():
            batch = torch.from_numpy(np.require(clip, np.float32, ["C", "W"]))[None]
            means = [maps.flatten(2).mean(2)[0] for _, maps in self.front.maps(batch)]
            return torch.cat(means).numpy()


MUSIC_LENGTHS, TIME_LENGTHS, MANY_LENGTHS = (165, 128, 64, 32), (64, 32, 16, 8), (512, 256, 128, 64, 32)

# Front end, input, and the two sizes of N, by the name that follows "random-".
FRONT_ENDS: dict[str, tuple[Callable[[int], FrontEnd], str, int, int]] = {
    "vgg": (VggFrontEnd, SPECTROGRAM, 32, 717),
    "7x96": (lambda n: Vertical(n, 96), SPECTROGRAM, 160, 3_585),
    "7x86": (lambda n: Vertical(n, 86), SPECTROGRAM, 160, 3_585),
    "timbral": (Timbral, SPECTROGRAM, 8, 256),
    "temporal": (lambda n: Temporal(n, MUSIC_LENGTHS), SPECTROGRAM, 8, 256),
    "timbral-temporal": (lambda n: Both(n, MUSIC_LENGTHS), SPECTROGRAM, 4, 128),
    "timbral-time": (lambda n: Both(n, TIME_LENGTHS), SPECTROGRAM, 4, 128),
    "sample-level": (SampleLevel, AUDIO, 23, 512),
    "frame-level": (lambda n: FrameLevel(n, (512,), as_published=False), AUDIO, 40, 896),
    "frame-level-as-published": (lambda n: FrameLevel(n, (512,), as_published=True), AUDIO, 40, 896),
    "frame-level-many": (lambda n: FrameLevel(n, MANY_LENGTHS, as_published=False), AUDIO, 20, 448),
    "frame-level-many-as-published": (lambda n: FrameLevel(n, MANY_LENGTHS, as_published=True), AUDIO, 20, 448),
}
_DEVIATIONS = (
    "Lengths are about 120 by name only: 112, 160 or 161, and 3,584 or 3,585.",
    "Seeded; the authors drew new weights for each of three runs.",
)


def _cards() -> Iterator[ModelCard]:
    for front, (_, model_input, small, large) in FRONT_ENDS.items():
        for size, n_filters in (("small", small), ("large", large)):
            published = "the back end's one number per layer, " if front.endswith("as-published") else ""
            yield ExtractorCard(
                name=f"random-{front}-{size}",
                input=model_input,
                summary=f"Means of the maps of an untrained {front.removesuffix('-as-published')} CNN, {published}"
                f"N = {n_filters}.",
                source="Pons and Serra, Randomly Weighted CNNs for (Music) Audio Classification, 2019",
                deviations=_DEVIATIONS,
            )


CARDS = tuple(_cards())


def build(name: str, *, seed: int) -> RandomCNN:
    """Draw the weights: TensorFlow's variance scaling, zero biases."""
    front, _, size = name.removeprefix("random-").rpartition("-")
    make, model_input, small, large = FRONT_ENDS[front]
    with initial.seeded(seed):
        network = make(small if size == "small" else large).eval()
        for layer in network.modules():
            if isinstance(layer, nn.Conv1d | nn.Conv2d):
                initial.variance_scaling(layer)
    length = N_FRAMES if model_input == SPECTROGRAM else N_SAMPLES
    return RandomCNN(network, tuple(_columns(network, model_input)), length)


def _columns(network: FrontEnd, model_input: str) -> Iterator[tuple[str, str]]:
    """Names of the features, from the shapes of the maps alone: on PyTorch's device "meta" nothing is computed."""
    shape = (1, N_MELS, N_FRAMES) if model_input == SPECTROGRAM else (1, N_SAMPLES)
    shapes = copy.deepcopy(network).to("meta")
    for layer, maps in shapes.maps(torch.empty(shape, device="meta")):
        for number in range(maps.shape[1]):
            yield f"{layer}_{number}", f"mean of map {number} of {layer} over the clip"
