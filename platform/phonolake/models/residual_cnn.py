"""The residual CNN for FMA genres of a KTH course project: steps of one convolution beside a narrow side path.

References
----------
.. [1] "Music Genre Classification: Different Methods", KTH DT2119 final project, 2020, Sec. 3.2 and Fig. 1.
.. [2] The project's executed notebook and its repository: what the figure and the text leave out.

Shape suffixes: B batch, C maps, F mel bands, T frames, K classes, E embedding values.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from phonolake.errors import UsageError
from phonolake.models import initial
from phonolake.models.heads import LinearHead
from phonolake.models.padding import SameConv2d
from phonolake.models.registry import ModelCard, NetworkCard

SIDE = 128  # mel bands, and frames
STEM, LAST, N_HIDDEN = 32, 64, 128
NORM_EPS = 1e-3
# For each step: main maps, middle maps of the side path, stride. The sixth is left out in the executed network.
STEPS = ((64, 16, 2), (128, 16, 1), (256, 32, 2), (128, 32, 1), (64, 64, 2), (128, 64, 1))
EXECUTED, REPOSITORY = "residual-cnn", "residual-cnn-repository"

SIDE_PATHS = "The third and fifth side paths start at the sum before them; where is not published."

RECIPE = {
    "optimizer": "adam",
    "lr": 2e-4,
    "update_decay": 2e-4 / 30,
    "batch_size": 16,
    "max_epochs": 30,
    "patience": 7,
    "monitor": "accuracy",
    "schedule": "constant",
    "loss": "binary-cross-entropy-on-softmax",
}


def card(name: str, summary: str, recipe: Mapping[str, Any], *deviations: str) -> ModelCard:
    """The card of one of the project's networks."""
    return NetworkCard(
        name=name,
        input="spectrogram:mel-128x128",
        summary=summary,
        source="Music Genre Classification: Different Methods, KTH DT2119 final project, 2020",
        recipe=recipe,
        deviations=(
            *deviations,
            "Batch norm forgets as PyTorch's does (0.1 per batch); Keras forgets 0.01 per batch.",
        ),
        n_frames=SIDE,
    )


_AUGMENTED = "Training kept the authors' binary cross-entropy on softmax outputs; their augmentation is not part of it."

CARDS = (
    card(
        EXECUTED,
        "Residual CNN over a 128 x 128 log-mel spectrogram, as executed for the published 50.25 %.",
        RECIPE,
        "Five of six steps: the sixth was built but left unconnected. Patience was 7, the paper says 10.",
        _AUGMENTED,
        SIDE_PATHS,
    ),
    card(
        REPOSITORY,
        "Residual CNN with all six steps and one more convolution, as it stands in the authors' repository.",
        RECIPE,
        "Not the network of the published accuracy.",
        _AUGMENTED,
        SIDE_PATHS,
    ),
)


class ResidualStep(nn.Module):
    """One convolution beside a side path of two 1x1 convolutions; their sum goes through ReLU.

    Parameters
    ----------
    n_in, n_side : int
        Maps that the main path and the side path read.
    n_out, n_middle : int
        Maps of the result, and between the two convolutions of the side path.
    stride : int
        2 halves bands and frames: by the main convolution, and by max-pooling before the side path.
    """

    def __init__(self, n_in: int, n_side: int, n_out: int, n_middle: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(SameConv2d(n_in, n_out, 3, stride), nn.BatchNorm2d(n_out, NORM_EPS))
        self.pool = nn.MaxPool2d(2) if stride == 2 else nn.Identity()
        narrow = [nn.Conv2d(n_side, n_middle, 1), nn.BatchNorm2d(n_middle, NORM_EPS), nn.ReLU()]
        self.side = nn.Sequential(*narrow, nn.Conv2d(n_middle, n_out, 1), nn.BatchNorm2d(n_out, NORM_EPS))

    def forward(self, main_BCFT: Tensor, side_BCFT: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the sum_BCFT, and the side path's part of it."""
        side_BCFT = self.side(self.pool(side_BCFT))
        return (self.main(main_BCFT) + side_BCFT).relu(), side_BCFT


class Skeleton(nn.Module):
    """Stem and residual steps, from images of one channel to maps of an eighth of the size or less.

    Parameters
    ----------
    steps : sequence of (int, int, int)
        As `STEPS`.
    last : bool
        Whether a convolution of 64 maps with max-pooling comes at the end.
    """

    def __init__(self, steps: Sequence[tuple[int, int, int]], *, last: bool) -> None:
        super().__init__()
        self.stem = nn.Sequential(SameConv2d(1, STEM, 5, 2), nn.BatchNorm2d(STEM, NORM_EPS), nn.ReLU())
        self.steps = nn.ModuleList()
        n_in = STEM
        for n_out, n_middle, stride in steps:
            self.steps.append(ResidualStep(n_in, n_in, n_out, n_middle, stride))
            n_in = n_out
        self.last: nn.Module = nn.Identity()
        if last:
            norm = nn.BatchNorm2d(LAST, NORM_EPS)
            self.last = nn.Sequential(SameConv2d(n_in, LAST, 3), norm, nn.ReLU(), nn.MaxPool2d(2))
        self._initialise()

    def forward(self, image_BCFT: Tensor) -> Tensor:
        """Compute maps_BCFT."""
        maps_BCFT = self.stem(image_BCFT)
        side_BCFT = maps_BCFT
        for number, step in enumerate(self.steps, start=1):
            # The side paths of the second and fourth step go on from the side path before them, not from the sum.
            previous = side_BCFT if number in (2, 4) else maps_BCFT
            maps_BCFT, side_BCFT = step(maps_BCFT, previous)
        maps_BCFT = self.last(maps_BCFT)
        return maps_BCFT

    def _initialise(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                initial.he_uniform(layer)
        for step in list(self.steps)[2:]:
            assert isinstance(step, ResidualStep)
            initial.he_normal(step.main[0])


class ResidualCNN(LinearHead):
    """Skeleton, a dense layer of 128, and logits with a batch norm of their own.

    Parameters
    ----------
    n_classes : int
    connected : bool
        Whether the sixth step and the last convolution are part of it.
    """

    def __init__(self, n_classes: int, *, connected: bool) -> None:
        super().__init__(n_classes, EXECUTED)
        self.skeleton = Skeleton(STEPS if connected else STEPS[:5], last=connected)
        n_flat = LAST * (4 * 4 if connected else 8 * 8)
        self.hidden = nn.Sequential(nn.Linear(n_flat, N_HIDDEN), nn.BatchNorm1d(N_HIDDEN, NORM_EPS), nn.ReLU())
        self.head = nn.Linear(N_HIDDEN, n_classes)
        self.head_norm = nn.BatchNorm1d(n_classes, NORM_EPS)
        for layer in (self.hidden[0], self.head):
            initial.he_uniform(layer)

    def embed(self, x_BFT: Tensor) -> Tensor:
        """Compute the 128 values of the dense layer from log-mel spectrograms in dB."""
        check_square(x_BFT, EXECUTED)
        embedding_BE: Tensor = self.hidden(self.skeleton(x_BFT[:, None]).flatten(1))
        return embedding_BE

    def classify(self, embedding_BE: Tensor) -> Tensor:
        """Compute the logits_BK from what `embed` gave."""
        logits_BK: Tensor = self.head_norm(self.head(embedding_BE))
        return logits_BK

    def label_vectors(self) -> np.ndarray:
        """The weights_KE of `head` as its batch norm scales them, E = 128."""
        variance_K = self.head_norm.running_var
        assert variance_K is not None
        scale_K1 = (self.head_norm.weight / torch.sqrt(variance_K + NORM_EPS))[:, None]
        vectors: np.ndarray = (self.head.weight * scale_K1).detach().cpu().numpy()
        return vectors


def check_square(x_BFT: Tensor, name: str) -> None:
    """Raise a `UsageError` for anything but spectrograms of 128 bands and 128 frames."""
    if x_BFT.ndim != 3 or x_BFT.shape[1:] != (SIDE, SIDE):
        raise UsageError(f"{name} reads (batch, {SIDE} bands, {SIDE} frames), received {tuple(x_BFT.shape)}.")


def check_length(n_frames: int, name: str) -> None:
    """Raise a `UsageError` for a length that the network cannot be built for."""
    if n_frames != SIDE:
        raise UsageError(f"{name} is built for {SIDE} frames, received n_frames={n_frames}.")


def build(name: str, n_classes: int, *, n_frames: int, seed: int) -> ResidualCNN:
    """Build the network: He-uniform, and He-normal in the main paths from the third step on.

    Raises
    ------
    UsageError
        If `n_classes` is below 1 or `n_frames` is not 128.
    """
    check_length(n_frames, name)
    with initial.seeded(seed):
        return ResidualCNN(n_classes, connected=name == REPOSITORY)
