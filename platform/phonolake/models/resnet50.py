"""ResNet50 transfer: fifty convolutions with shortcuts, trained on ImageNet, frozen, under a new head.

References
----------
.. [1] K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, Table 1.
.. [2] M. Korosteleva, J. Gerstner, "Music Role Classification Using AudioSet", KAIST term project, Sec. 4.3.

Shape suffixes: B batch, C channels, F rows, T columns, D features.
"""

from torch import Tensor, nn

from phonolake.models import transfer
from phonolake.models.transfer import Transfer

# Blocks of each stage, and the width of their middle convolution; blocks give four times as many maps.
STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))
EXPANSION = 4
N_FEATURES = EXPANSION * STAGES[-1][1]

CARDS = transfer.cards(
    "resnet50",
    "ResNet50",
    "He et al., 2016",
    "Batch norm stays in inference mode under the frozen base; in the original it did not, which may be why it failed.",
    "The stride lies in the 3x3 convolutions, as in torchvision; He et al. put it into the 1x1 ones.",
    "Settings are those of VGG16; the authors' for this network are lost.",
)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut, with torchvision's parameter names."""

    def __init__(self, n_maps: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(n_maps, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, EXPANSION * width, 1, bias=False), nn.BatchNorm2d(EXPANSION * width)
        self.downsample: nn.Module | None = None
        if stride != 1 or n_maps != EXPANSION * width:
            shortcut = nn.Conv2d(n_maps, EXPANSION * width, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(EXPANSION * width))

    def forward(self, x_BCFT: Tensor) -> Tensor:
        """Compute maps_BCFT of four times the width."""
        maps_BCFT = self.bn1(self.conv1(x_BCFT)).relu()
        maps_BCFT = self.bn2(self.conv2(maps_BCFT)).relu()
        maps_BCFT = self.bn3(self.conv3(maps_BCFT))
        shortcut_BCFT = x_BCFT if self.downsample is None else self.downsample(x_BCFT)
        sum_BCFT: Tensor = maps_BCFT + shortcut_BCFT
        return sum_BCFT.relu()


class ResNet50Base(nn.Module):
    """All of ResNet50 but its last layer, with torchvision's parameter names."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        n_maps = 64
        for number, (n_blocks, width) in enumerate(STAGES, start=1):
            blocks = []
            for block in range(n_blocks):
                blocks.append(Bottleneck(n_maps, width, 2 if block == 0 and number > 1 else 1))
                n_maps = EXPANSION * width
            self.add_module(f"layer{number}", nn.Sequential(*blocks))

    def forward(self, x_BCFT: Tensor) -> Tensor:
        """Compute features_BD: the mean of each of the last 2,048 maps."""
        maps_BCFT = self.maxpool(self.bn1(self.conv1(x_BCFT)).relu())
        for number in range(1, len(STAGES) + 1):
            maps_BCFT = self.get_submodule(f"layer{number}")(maps_BCFT)
        features_BD: Tensor = maps_BCFT.mean((2, 3))
        return features_BD


def blank(name: str, n_classes: int, *, n_frames: int, seed: int) -> Transfer:
    """Build the network with random weights; arguments and errors as those of `build`."""
    return transfer.with_random_base(name, ResNet50Base, N_FEATURES, n_classes, n_frames=n_frames, seed=seed)


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
