"""Transfer from ImageNet: torchvision's names and sizes, a base that stays as it is, weights that are checked.

Shape suffixes: B batch, C channels, F rows, T columns.
"""

import hashlib
from pathlib import Path

import pytest
import torch
from torch import nn

from phonolake.errors import PhonolakeError, UsageError
from phonolake.models import registry
from phonolake.models.importers import imagenet
from phonolake.models.resnet50 import ResNet50Base
from phonolake.models.transfer import Transfer
from phonolake.models.vgg16 import Vgg16Base

BASES = {"vgg16": Vgg16Base, "resnet50": ResNet50Base}


def count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


@pytest.fixture(scope="module", params=["vgg16-random", "resnet50-random"])
def network(request: pytest.FixtureRequest) -> Transfer:
    built = registry.get(request.param).build(6, n_frames=216, seed=0)
    assert isinstance(built, Transfer)
    return built


def images(n: int = 1) -> torch.Tensor:
    return torch.rand(n, 3, 216, 216, generator=torch.Generator().manual_seed(0))


def test_published_sizes() -> None:
    with torch.device("meta"):
        vgg, resnet = Vgg16Base(), ResNet50Base()
    assert count(vgg) == 14_714_688
    # The layers that classify ImageNet's images, which are left out here.
    assert count(vgg) + (25_088 * 4_096 + 4_096) + (4_096 * 4_096 + 4_096) + (4_096 * 1_000 + 1_000) == 138_357_544
    assert count(resnet) + 2_048 * 1_000 + 1_000 == 25_557_032
    # The authors' notebook: VGG16 under a head for ten classes.
    assert count(registry.get("vgg16-random").build(10, n_frames=216, seed=0)) == 24_157_514


def test_names_and_shapes_are_torchvisions() -> None:
    with torch.device("meta"):
        vgg = {name: tuple(w.shape) for name, w in Vgg16Base().state_dict().items()}
        resnet = {name: tuple(w.shape) for name, w in ResNet50Base().state_dict().items()}
    layers = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    assert set(vgg) == {f"features.{n}.{part}" for n in layers for part in ("weight", "bias")}
    assert vgg["features.0.weight"] == (64, 3, 3, 3)
    assert vgg["features.28.weight"] == (512, 512, 3, 3)
    assert len(resnet) == 318  # the published file has 320 entries, two of them the layer that is left out
    assert resnet["conv1.weight"] == (64, 3, 7, 7)
    assert resnet["layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert resnet["layer2.0.conv2.weight"] == (128, 128, 3, 3)
    assert resnet["layer3.5.bn3.running_var"] == (1024,)
    assert resnet["layer4.2.conv3.weight"] == (2048, 512, 1, 1)
    assert not any(name.startswith(("layer1.1.downsample", "fc")) for name in resnet)


def test_only_the_head_learns(network: Transfer) -> None:
    network.train()
    before = {name: value.clone() for name, value in network.base.state_dict().items()}
    logits_BK = network(images())
    assert logits_BK.shape == (1, 6)
    nn.functional.cross_entropy(logits_BK, torch.tensor([2])).backward()
    assert all(weight.grad is None for weight in network.base.parameters())
    assert all(weight.grad is not None and torch.isfinite(weight.grad).all() for weight in network.head.parameters())
    # Not even the statistics of batch norm have moved.
    assert all(torch.equal(value, before[name]) for name, value in network.base.state_dict().items())
    assert not any(module.training for module in network.base.modules())
    network.zero_grad()


@pytest.mark.long
def test_features_that_were_kept_give_the_same_logits(network: Transfer) -> None:
    network.eval()
    with torch.no_grad():
        x_BCFT = images()
        features_BD, logits_BK = network.frozen(x_BCFT), network(x_BCFT)
        assert torch.equal(network.head(features_BD), logits_BK)
        assert torch.equal(network.classify(network.embed(x_BCFT)), logits_BK)
    assert network.label_vectors().shape == (6, 512)


def test_l2_is_that_of_the_hidden_layer(network: Transfer) -> None:
    torch.testing.assert_close(network.penalty(), 1e-3 * network.head[0].weight.square().sum())


def test_scaling_as_published_leaves_the_colours_as_they_are() -> None:
    proper = registry.get("resnet50-random").build(2, n_frames=216, seed=0).eval()
    published = registry.get("resnet50-as-published").blank(2, n_frames=216, seed=0).eval()
    standardised = (images() - torch.tensor(imagenet.MEAN).view(3, 1, 1)) / torch.tensor(imagenet.STD).view(3, 1, 1)
    torch.testing.assert_close(proper.frozen(images()), published.frozen(standardised))


def test_other_sizes_are_refused(network: Transfer) -> None:
    with pytest.raises(UsageError, match="216"):
        network(torch.zeros(1, 3, 224, 224))
    with pytest.raises(UsageError, match="n_frames=224"):
        registry.get("vgg16-random").build(6, n_frames=224, seed=0)


# -- published weights -------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PHONOLAKE_MODELS", str(tmp_path / "home"))
    return tmp_path / "home"


def published(folder: Path, base: str) -> tuple[Path, dict[str, torch.Tensor]]:
    """Weights in torchvision's form, with a layer for ImageNet's classes, in a file named after its hash."""
    torch.manual_seed(0)
    own = BASES[base]().state_dict()
    weights = {name: torch.randn_like(w) if w.is_floating_point() else w for name, w in own.items()}
    weights |= {"classifier.6.bias" if base == "vgg16" else "fc.bias": torch.zeros(1000)}
    scratch = folder / "weights.pth"
    torch.save(weights, scratch)
    path = folder / f"{base}-{hashlib.sha256(scratch.read_bytes()).hexdigest()[:8]}.pth"
    scratch.rename(path)
    return path, weights


@pytest.mark.long
def test_published_weights_are_downloaded_once_and_checked(
    tmp_path: Path, home: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, weights = published(tmp_path / "served", "resnet50")
    monkeypatch.setitem(imagenet.FILES, "resnet50", f"{server}/{path.name}")
    network = registry.get("resnet50").build(4, n_frames=216, seed=0)
    for name, value in network.base.state_dict().items():
        assert torch.equal(value, weights[name]), name
    path.unlink()
    assert imagenet.fetch("resnet50") == home / "imagenet" / path.name
    # The file in the home is checked each time.
    damaged = bytearray((home / "imagenet" / path.name).read_bytes())
    damaged[1000] ^= 1
    (home / "imagenet" / path.name).write_bytes(damaged)
    with pytest.raises(PhonolakeError, match="is not the published file"):
        registry.get("resnet50").build(4, n_frames=216, seed=0)


def test_another_file_than_the_published_one_is_not_kept(
    tmp_path: Path, home: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "served" / "vgg16-397923af.pth").write_bytes(b"something else")
    monkeypatch.setitem(imagenet.FILES, "vgg16", f"{server}/vgg16-397923af.pth")
    with pytest.raises(PhonolakeError, match="invalid hash value"):
        imagenet.fetch("vgg16")
    assert not list((home / "imagenet").iterdir())


@pytest.mark.parametrize("base", ["vgg16", "resnet50"])
def test_without_the_weights_the_error_says_what_to_do(base: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(imagenet.FILES, base, f"http://127.0.0.1:9/{base}-01234567.pth")
    with pytest.raises(PhonolakeError, match=f"put {base}-01234567.pth there, or train {base}-random"):
        registry.get(base).build(4, n_frames=216, seed=0)


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(PhonolakeError, match=r"weights of vgg16 lack features\.0\.weight and 25 more"):
        imagenet.fill(Vgg16Base(), {"conv1.weight": torch.zeros(1)}, "vgg16")
