"""The shallow CNN of Korosteleva and Gerstner over spectrogram images.

References
----------
.. [1] M. Korosteleva, J. Gerstner, "Music Role Classification Using AudioSet", KAIST term project, Sec. 4.3.

Shape suffixes: B batch, C channels (red, green, blue), F rows, T columns, K classes, E embedding values.
"""

from torch import Tensor, nn

from phonolake.errors import UsageError
from phonolake.models import initial
from phonolake.models.heads import LinearHead
from phonolake.models.padding import SameConv2d
from phonolake.models.registry import NetworkCard
from phonolake.models.transfer import SIDE, check_images

N_HIDDEN, DROPOUT, L2 = 512, 0.5, 1e-2
N_FLAT = 64 * 12 * 12  # values of the last maps of a 216 x 216 image

CARD = NetworkCard(
    name="shallow-cnn",
    input="spectrogram:mel-96-picture",
    summary="Four 4x4 convolutions and two dense layers over a 216 x 216 spectrogram image.",
    source="Korosteleva and Gerstner, Music Role Classification Using AudioSet, KAIST term project",
    recipe={
        "optimizer": "adam",
        "lr": 1e-4,
        "batch_size": 32,
        "max_epochs": 30,
        "patience": 30,
        "lr_factor": 0.2,
        "lr_patience": 2,
        "lr_min": 1e-5,
        "monitor": "accuracy",
        "loss": "cross-entropy",
    },
    deviations=(
        "Softmax, as for the nine classes of the paper; for six the authors used sigmoids under the same loss.",
        "The authors trained 30 epochs for six classes, 20 for nine, and kept the best on validation accuracy.",
        "Their class weights were passed in a form that had most likely no effect; there are none here.",
    ),
    n_frames=SIDE,
)


class ShallowCNN(LinearHead):
    """Two pairs of convolutions, each with pooling and dropout, then 512 units and the logits.

    Parameters
    ----------
    n_classes : int
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__(n_classes, CARD.name)
        layers: list[nn.Module] = []
        for n_in, n_out in ((3, 32), (32, 64)):
            layers += [SameConv2d(n_in, n_out, 4), nn.ReLU(), nn.Conv2d(n_out, n_out, 4), nn.ReLU()]
            layers += [nn.MaxPool2d(4), nn.Dropout(DROPOUT)]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(N_FLAT, N_HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT))
        self.head = nn.Linear(N_HIDDEN, n_classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                initial.glorot_uniform(layer)

    def embed(self, x_BCFT: Tensor) -> Tensor:
        """Compute the 512 values of the hidden layer from images with values from 0 to 1."""
        check_images(x_BCFT, CARD.name)
        embedding_BE: Tensor = self.body(x_BCFT)
        return embedding_BE

    def penalty(self) -> Tensor:
        """L2 of the second, third and fourth convolution, times 0.01."""
        _, *regularised = (layer for layer in self.body if isinstance(layer, nn.Conv2d))
        return L2 * sum((layer.weight.square().sum() for layer in regularised), self.head.weight.new_zeros(()))


def build(n_classes: int, *, n_frames: int, seed: int) -> ShallowCNN:
    """Build the network with Glorot-uniform weights and zero biases.

    Raises
    ------
    UsageError
        If `n_classes` is below 1 or `n_frames` is not 216.
    """
    if n_frames != SIDE:
        raise UsageError(f"{CARD.name} reads images of {SIDE} columns, received n_frames={n_frames}.")
    with initial.seeded(seed):
        return ShallowCNN(n_classes)
