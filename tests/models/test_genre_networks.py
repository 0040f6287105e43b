"""The networks of the FMA genre project and of the music role paper: published sizes, shapes, what is reused.

Shape suffixes: B batch, C channels, F bands, T frames, K classes.
"""

import pytest
import torch
from torch import nn

from phonolake.errors import UsageError
from phonolake.models import initial, registry
from phonolake.models.padding import SameConv2d, same
from phonolake.models.residual_cnn import STEPS, Skeleton


def keras_count(network: nn.Module) -> int:
    """Parameters as Keras counts them: the running statistics of batch norm are among them."""
    running = sum(b.numel() for name, b in network.named_buffers() if name.endswith(("running_mean", "running_var")))
    return running + sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize(
    ("name", "n_classes", "published"),
    [
        ("residual-cnn", 8, 1_331_336),
        ("residual-cnn-repository", 8, 1_099_784),
        ("crnn", 8, 463_801),
        ("cnn-rnn-parallel", 8, 7_148_136),
        ("shallow-cnn", 6, 4_838_598),
        ("shallow-cnn", 9, 4_840_137),
    ],
)
def test_published_parameter_counts(name: str, n_classes: int, published: int) -> None:
    model = registry.get(name)
    assert keras_count(model.build(n_classes, n_frames=model.CARD.n_frames, seed=0)) == published


@pytest.mark.long
@pytest.mark.parametrize("name", ["residual-cnn-repository", "crnn-as-described", "cnn-rnn-parallel-as-described"])
def test_variants_learn_in_every_weight(name: str) -> None:
    network = registry.get(name).build(3, n_frames=128, seed=0)
    logits_BK = network(torch.randn(2, 128, 128) * 20 - 40)
    nn.functional.cross_entropy(logits_BK, torch.tensor([0, 2])).backward()
    assert all(torch.isfinite(weight.grad).all() for weight in network.parameters())


@pytest.mark.parametrize("name", ["residual-cnn", "crnn", "cnn-rnn-parallel", "shallow-cnn"])
def test_other_lengths_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="n_frames=127"):
        registry.get(name).build(3, n_frames=127, seed=0)
    network = registry.get(name).build(3, n_frames=registry.get(name).CARD.n_frames, seed=0)
    with pytest.raises(UsageError, match=r"\(1, 128, 127\)"):
        network(torch.zeros(1, 128, 127))


def test_maps_shrink_as_published() -> None:
    with torch.no_grad():
        image_BCFT = torch.randn(1, 1, 128, 128)
        assert Skeleton(STEPS[:5], last=False).eval()(image_BCFT).shape == (1, 64, 8, 8)
        assert Skeleton(STEPS, last=True).eval()(image_BCFT).shape == (1, 64, 4, 4)


@pytest.mark.long
def test_the_executed_crnn_reads_one_map_band_by_band() -> None:
    """The published slip: what the other 136 maps of the last convolution say changes nothing."""
    network = registry.get("crnn").build(4, n_frames=128, seed=0).eval()
    x_BFT = torch.randn(1, 128, 128) * 20 - 40
    last = network.blocks[3][0]
    with torch.no_grad():
        last.weight[0].abs_()  # so that the first map is not zero behind its ReLU
        before = network(x_BFT)
        last.weight[1:].normal_()
        assert torch.equal(network(x_BFT), before)
        last.weight[0] *= 0.5
        assert not torch.equal(network(x_BFT), before)


def test_second_side_path_goes_on_from_the_first() -> None:
    """A step that added nothing on its main path would otherwise look the same: compare with the mathematics."""
    network = registry.get("residual-cnn").build(4, n_frames=128, seed=0).eval().skeleton
    image = torch.randn(1, 1, 128, 128)
    with torch.no_grad():
        stem = network.stem(image)
        one, two = network.steps[0], network.steps[1]
        side = one.side(nn.functional.max_pool2d(stem, 2))
        first = (one.main(stem) + side).relu()
        second = (two.main(first) + two.side(side)).relu()
        outputs = []
        hook = two.register_forward_hook(lambda module, arguments, output: outputs.append(output[0]))
        network(image)
        hook.remove()
    torch.testing.assert_close(outputs[0], second)


@pytest.mark.parametrize(("n", "length", "stride"), [(128, 5, 2), (64, 3, 2), (7, 3, 3), (10, 4, 1), (5, 512, 32)])
def test_same_padding_is_tensorflows(n: int, length: int, stride: int) -> None:
    """Values ceil(n / stride); an odd surplus of zeros goes to the end."""
    ramp = torch.arange(1.0, n + 1)[None, None]
    padded = same(ramp, (length,), stride)[0, 0]
    n_out = -(-n // stride)
    assert (len(padded) - length) // stride + 1 == n_out
    left = int((padded != 0).nonzero()[0])
    right = len(padded) - n - left
    assert right - left in (0, 1)


def test_same_convolution_with_stride_one_is_pytorchs() -> None:
    torch.manual_seed(0)
    conv, x = SameConv2d(2, 3, 3), torch.randn(1, 2, 9, 8)
    torch.testing.assert_close(conv(x), nn.functional.conv2d(x, conv.weight, conv.bias, padding="same"))


def test_l2_of_the_shallow_cnn_is_that_of_three_convolutions() -> None:
    network = registry.get("shallow-cnn").build(6, n_frames=216, seed=0)
    convs = [layer for layer in network.body if isinstance(layer, nn.Conv2d)]
    assert len(convs) == 4
    expected = 0.01 * sum(conv.weight.square().sum() for conv in convs[1:])
    torch.testing.assert_close(network.penalty(), expected)


def test_first_weights_have_the_variances_they_are_named_for() -> None:
    with initial.seeded(0):
        conv = nn.Conv2d(64, 256, 3)
        initial.he_uniform(conv)
        assert conv.weight.var().item() == pytest.approx(2 / (9 * 64), rel=0.02)
        assert not conv.bias.any()
        initial.glorot_uniform(conv)
        assert conv.weight.var().item() == pytest.approx(2 / (9 * (64 + 256)), rel=0.02)
        initial.variance_scaling(conv)
        # A normal cut off at two deviations keeps 0.774 of its variance.
        assert conv.weight.var().item() == pytest.approx(0.774 * 1.3 * 2 / (9 * 64), rel=0.02)
        assert conv.weight.abs().max() <= 2 * (1.3 * 2 / (9 * 64)) ** 0.5
        gru = nn.GRU(20, 30)
        initial.keras_gru(gru)
    gates = gru.weight_hh_l0.detach()
    torch.testing.assert_close(gates.T @ gates, torch.eye(30), rtol=0, atol=1e-5)
