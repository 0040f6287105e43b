"""VGG16 transfer: thirteen 3x3 convolutions trained on ImageNet, frozen, under a new head.

References
----------
.. [1] K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015,
       configuration D.
.. [2] M. Korosteleva, J. Gerstner, "Music Role Classification Using AudioSet", KAIST term project, Sec. 4.3.

Shape suffixes: B batch, C channels, F rows, T columns, D features.
"""

from torch import Tensor, nn

from phonolake.errors import UsageError
from phonolake.models import imagenet, initial
from phonolake.models.registry import ModelCard
from phonolake.models.transfer import RECIPE, SIDE, Transfer

# Maps of each convolution; None is a max-pooling of 2 x 2.
LAYERS = (64, 64, None, 128, 128, None, 256, 256, 256, None, 512, 512, 512, None, 512, 512, 512, None)
N_FEATURES = 512 * 6 * 6  # of a 216 x 216 image

_DEVIATIONS = (
    "The notebooks of the reported run are lost: head and settings are those of an earlier one.",
    "Weights of torchvision, trained on RGB with ImageNet's mean and deviation; Keras ported those of Oxford (BGR).",
)


def _card(name: str, summary: str, *deviations: str) -> ModelCard:
    return ModelCard(
        name=name,
        kind="network",
        input="spectrogram:mel-96-picture",
        summary=summary,
        source="Korosteleva and Gerstner, Music Role Classification Using AudioSet; Simonyan and Zisserman, 2015",
        recipe=RECIPE,
        deviations=(*deviations, *_DEVIATIONS),
        n_frames=SIDE,
        frozen_base=True,
    )


CARDS = (
    _card("vgg16", "VGG16's convolutions from ImageNet, frozen, with a new head over spectrogram images."),
    _card(
        "vgg16-as-published",
        "VGG16 transfer with pixels scaled to [0, 1] only, as the authors did.",
        "The input is not standardised as in the training of the base: a mistake of the original.",
    ),
    _card(
        "vgg16-random",
        "VGG16's convolutions with random weights, frozen, with a new head: the control of the transfer.",
        "The base was never trained.",
    ),
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
    """Build the network with a random base (He-normal) and a random head."""
    if n_frames != SIDE:
        raise UsageError(f"{name} reads images of {SIDE} columns, received n_frames={n_frames}.")
    with initial.seeded(seed):
        base = Vgg16Base()
        for layer in base.features:
            if isinstance(layer, nn.Conv2d):
                initial.he_normal(layer)
        return Transfer(base, N_FEATURES, n_classes, scaling="unit" if name == "vgg16-as-published" else "imagenet")


def build(name: str, n_classes: int, *, n_frames: int, seed: int) -> Transfer:
    """Build the network with ImageNet's base, unless its name says random.

    Raises
    ------
    UsageError
        If `n_classes` is below 1 or `n_frames` is not 216.
    PhonolakeError
        If the published weights are not in the model home and cannot be downloaded.
    """
    network = blank(name, n_classes, n_frames=n_frames, seed=seed)
    if name != "vgg16-random":
        imagenet.load(network.base, "vgg16")
    return network
