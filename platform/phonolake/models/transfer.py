"""A frozen convolution base behind a trained head: transfer learning from ImageNet to spectrogram images.

References
----------
.. [1] M. Korosteleva, J. Gerstner, "Music Role Classification Using AudioSet", KAIST term project, Sec. 4.3.

Shape suffixes: B batch, C channels (red, green, blue), F rows, T columns, D features, K classes, E embedding values.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from phonolake.errors import UsageError
from phonolake.models import initial
from phonolake.models.heads import check_classes
from phonolake.models.importers import imagenet
from phonolake.models.network import Network
from phonolake.models.registry import ModelCard, NetworkCard

SIDE = 216  # pixels
N_HIDDEN, DROPOUT, L2 = 512, 0.3, 1e-3

RECIPE = {
    "optimizer": "adam",
    "lr": 1e-5,
    "batch_size": 32,
    "max_epochs": 10,
    "patience": 10,
    "schedule": "constant",
    "loss": "cross-entropy",
}

Scaling = Literal["imagenet", "unit"]
AS_PUBLISHED, RANDOM = "-as-published", "-random"  # how the names of the other two of a family end


def cards(name: str, title: str, source: str, *deviations: str) -> tuple[ModelCard, ...]:
    """Cards of the transfer from one base: as it should be, as published, and with a base that was never trained."""

    def card(suffix: str, summary: str, *own: str) -> ModelCard:
        return NetworkCard(
            name=name + suffix,
            input="spectrogram:mel-96-picture",
            summary=summary,
            source=f"Korosteleva and Gerstner, Music Role Classification Using AudioSet; {source}",
            recipe=RECIPE,
            deviations=(*own, *deviations),
            n_frames=SIDE,
            frozen_base=True,
        )

    return (
        card("", f"{title}'s convolutions from ImageNet, frozen, with a new head over spectrogram images."),
        card(
            AS_PUBLISHED,
            f"{title} transfer with pixels scaled to [0, 1] only, as the authors did.",
            "The input is not standardised as in the training of the base: a mistake of the original.",
        ),
        card(
            RANDOM,
            f"{title}'s convolutions with random weights, frozen, with a new head: the control of the transfer.",
            "The base was never trained.",
        ),
    )


class Transfer(Network):
    """A base whose weights and batch-norm statistics stay as they are, and a head of two layers [1]_.

    Parameters
    ----------
    base : nn.Module
        From images_BCFT, scaled, to features_BD.
    n_features : int
        D.
    n_classes : int
    scaling : {"imagenet", "unit"}
        Colours from 0 to 1 become the values that the base was trained on, or, as published, stay as they are.

    Attributes
    ----------
    head : nn.Sequential
        From what `frozen` gives to logits_BK: the only part with gradients. `frozen` gives the same for an image in
        every epoch, so training may compute it once.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, base: nn.Module, n_features: int, n_classes: int, *, scaling: Scaling) -> None:
        super().__init__()
        check_classes(n_classes, "a network")
        mean, std = (imagenet.MEAN, imagenet.STD) if scaling == "imagenet" else ((0.0,) * 3, (1.0,) * 3)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        self.base = base.requires_grad_(False)
        hidden, output = nn.Linear(n_features, N_HIDDEN), nn.Linear(N_HIDDEN, n_classes)
        self.head = nn.Sequential(hidden, nn.Dropout(DROPOUT), nn.ReLU(), output)
        for layer in (hidden, output):
            initial.glorot_uniform(layer)

    def train(self, mode: bool = True) -> "Transfer":
        """Switch the head; the base stays in inference mode, or its batch norms would drift under frozen weights."""
        super().train(mode)
        self.base.eval()
        return self

    @torch.no_grad()
    def frozen(self, x_BCFT: Tensor) -> Tensor:
        """Compute the features_BD of images with values from 0 to 1."""
        check_images(x_BCFT, type(self.base).__name__)
        features_BD: Tensor = self.base((x_BCFT - self.mean) / self.std)
        return features_BD

    def forward(self, x_BCFT: Tensor) -> Tensor:
        """Compute logits_BK."""
        logits_BK: Tensor = self.head(self.frozen(x_BCFT))
        return logits_BK

    def embed(self, x_BCFT: Tensor) -> Tensor:
        """Compute the 512 values of the hidden layer."""
        embedding_BE: Tensor = self.head[:-1](self.frozen(x_BCFT))
        return embedding_BE

    def classify(self, embedding_BE: Tensor) -> Tensor:
        """Compute the logits_BK from what `embed` gave."""
        logits_BK: Tensor = self.head[-1](embedding_BE)
        return logits_BK

    def label_vectors(self) -> np.ndarray:
        """The weights_KE of the output layer, E = 512."""
        return np.asarray(self.head[-1].get_parameter("weight").detach().cpu())

    def penalty(self) -> Tensor:
        """L2 of the hidden layer's weights, times 0.001."""
        return L2 * self.head[0].get_parameter("weight").square().sum()


def with_random_base(
    name: str, base: Callable[[], nn.Module], n_features: int, n_classes: int, *, n_frames: int, seed: int
) -> Transfer:
    """Build the network called `name` with a random base (He-normal) and a random head.

    Raises
    ------
    UsageError
        If `n_classes` is below 1 or `n_frames` is not 216.
    """
    if n_frames != SIDE:
        raise UsageError(f"{name} reads images of {SIDE} columns, received n_frames={n_frames}.")
    with initial.seeded(seed):
        convolutions = base()
        for layer in convolutions.modules():
            if isinstance(layer, nn.Conv2d):
                initial.he_normal(layer)
        scaling: Scaling = "unit" if name.endswith(AS_PUBLISHED) else "imagenet"
        return Transfer(convolutions, n_features, n_classes, scaling=scaling)


def with_imagenet(network: Transfer, name: str) -> Transfer:
    """Give the network called `name` ImageNet's base, unless its name says random.

    Raises
    ------
    PhonolakeError
        If the published weights are not in the model home and cannot be downloaded.
    """
    if not name.endswith(RANDOM):
        imagenet.load(network.base, name.removesuffix(AS_PUBLISHED))
    return network


def check_images(x_BCFT: Tensor, name: str) -> None:
    """Raise a `UsageError` for anything but images of 216 x 216 pixels in three colours."""
    if x_BCFT.ndim != 4 or x_BCFT.shape[1:] != (3, SIDE, SIDE):
        raise UsageError(f"{name} reads (batch, 3, {SIDE}, {SIDE}), received {tuple(x_BCFT.shape)}.")
