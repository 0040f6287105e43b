"""VGG16 transfer: thirteen 3x3 convolutions trained on ImageNet, frozen, under a new head.

References
----------
.. [1] K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015,
       configuration D.
.. [2] M. Korosteleva, J. Gerstner, "Music Role Classification Using AudioSet", KAIST term project, Sec. 4.3.

Shape suffixes: B batch, C channels, F rows, T columns, D features.
"""

from torch import Tensor, nn

from phonolake.models import transfer
from phonolake.models.transfer import Transfer

# Maps of each convolution; None is a max-pooling of 2 x 2.
LAYERS = (64, 64, None, 128, 128, None, 256, 256, 256, None, 512, 512, 512, None, 512, 512, 512, None)
N_FEATURES = 512 * 6 * 6  # of a 216 x 216 image

CARDS = transfer.cards(
    "vgg16",
    "VGG16",
    "Simonyan and Zisserman, 2015",
    "The notebooks of the reported run are lost: head and settings are those of an earlier one.",
    "Weights of torchvision, trained on RGB with ImageNet's mean and deviation; Keras ported those of Oxford (BGR).",
)


class Vgg16Base(nn.Module):
    """The convolutions of VGG16 with torchvision's parameter names."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_maps = 3
        for width in LAYERS:
            if width is None:
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(n_maps, width, 3, padding=1), nn.ReLU()]
                n_maps = width
        self.features = nn.Sequential(*layers)

    def forward(self, x_BCFT: Tensor) -> Tensor:
        """Compute features_BD: the last maps, flattened."""
        features_BD: Tensor = self.features(x_BCFT).flatten(1)
        return features_BD


def blank(name: str, n_classes: int, *, n_frames: int, seed: int) -> Transfer:
    """Build the network with random weights; arguments and errors as those of `build`."""
    return transfer.with_random_base(name, Vgg16Base, N_FEATURES, n_classes, n_frames=n_frames, seed=seed)


def build(name: str, n_classes: int, *, n_frames: int, seed: int) -> Transfer:
    """Build the network with ImageNet's base, unless its name says random.

    Raises
    ------
    UsageError
        If `n_classes` is below 1 or `n_frames` is not 216.
    PhonolakeError
        If the published weights are not in the model home and cannot be downloaded.
    """
    return transfer.with_imagenet(blank(name, n_classes, n_frames=n_frames, seed=seed), name)
