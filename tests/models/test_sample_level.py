"""The family of sample-level DCNNs, their baselines, and what their filters listen for.

Shape suffixes: B batch, S samples, C maps, T frames.
"""

import numpy as np
import pytest
import torch
from torch import nn

from phonolake.errors import UsageError
from phonolake.models import filters, registry
from phonolake.models.sample_level import SHAPES, SR, SampleCNN, build


def test_the_family_is_that_of_the_tables() -> None:
    """Every row of Table 2 (16 + 12 + 8 + 6) and the two rows of Table 3 whose windows overlap."""
    table_2 = [shape for shape in SHAPES.values() if shape.window == shape.hop]
    assert [sum(shape.m == m for shape in table_2) for m in (2, 3, 4, 5)] == [16, 12, 8, 6]
    assert {shape.n_samples for shape in table_2} == {16384, 32768, 19683, 59049, 65536, 15625, 78125}
    assert SHAPES["sample-3-9"].hop == 3
    assert SHAPES["sample-3-8"].n_samples == 19683
    assert SHAPES["sample-3-8-by-9"].n_samples == 59049
    assert [SHAPES[name].n_samples for name in ("frame-raw-729-243", "frame-raw-243-81")] == [59049, 59049]


def test_published_parameter_count_of_table_1() -> None:
    network = build("sample-3-9", 50, n_frames=59049, seed=0)
    counted = [layer for layer in network.modules() if isinstance(layer, nn.Conv1d | nn.Linear)]
    counts = [sum(weight.numel() for weight in layer.parameters()) for layer in counted]
    assert counts == [512, 49280, 49280, 98560, *[196864] * 5, 393728, 262656, 25650]
    assert sum(counts) == 1_863_986


@pytest.mark.parametrize("name", [name for name, shape in SHAPES.items() if shape.hop >= 16])
def test_every_frame_level_network_reduces_its_input_to_one_step(name: str) -> None:
    network = build(name, 4, n_frames=SHAPES[name].n_samples, seed=0).eval()
    with torch.no_grad():
        assert network.embed(0.1 * torch.randn(1, SHAPES[name].n_samples)).shape == (1, 512)


@pytest.mark.parametrize("name", [name for name, shape in SHAPES.items() if shape.hop < 16])
def test_every_sample_level_network_reduces_its_input_to_one_step(name: str) -> None:
    """By shapes alone: PyTorch's device "meta" computes nothing."""
    with torch.device("meta"):
        network = SampleCNN(4, SHAPES[name]).eval()
        assert network.embed(torch.empty(2, SHAPES[name].n_samples)).shape == (2, 512)


def test_it_is_the_published_network() -> None:
    """Table 1, layer by layer: convolution, batch norm, ReLU, pooling; ours pools before the ReLU."""
    network = build("sample-3-9", 5, n_frames=59049, seed=1).eval()
    with torch.no_grad():
        for norm in network.modules():
            if isinstance(norm, nn.BatchNorm1d):
                norm.weight.normal_()
                norm.bias.normal_()
        x_BS = 0.1 * torch.randn(1, 59049)
        conv, norm = network.first
        maps = norm(nn.functional.conv1d(x_BS[:, None], conv.weight, conv.bias, stride=3)).relu()
        assert maps.shape == (1, 128, 19683)
        for module in network.modules_.convs:
            conv, norm = module
            maps = norm(nn.functional.conv1d(maps, conv.weight, conv.bias, padding=1)).relu()
            maps = nn.functional.max_pool1d(maps, 3)
        conv, norm = network.modules_.last
        maps = norm(nn.functional.conv1d(maps, conv.weight, conv.bias)).relu()
        torch.testing.assert_close(network(x_BS), network.head(maps[:, :, 0]), rtol=1e-3, atol=1e-4)


def test_other_lengths_are_refused() -> None:
    with pytest.raises(UsageError, match="59049 samples, received n_frames=59048"):
        build("sample-3-9", 5, n_frames=59048, seed=0)
    with pytest.raises(UsageError, match=r"received \(1, 2000\)"):
        build("sample-5-3-by-125", 5, n_frames=15625, seed=0)(torch.zeros(1, 2000))
    with pytest.raises(UsageError, match="n_frames=82"):
        registry.get("frame-mel-729").build(5, n_frames=82, seed=0)


def test_the_mel_baseline_learns_mean_and_deviation_of_its_input() -> None:
    """As published, one of each for the whole training data: loudness then plays no part."""
    network = registry.get("frame-mel-729").build(3, n_frames=81, seed=0)
    x_BFT = torch.rand(8, 128, 81) * 3 + 1
    for batch in x_BFT.split(2):
        network(batch)
    assert network.norm.running_mean.item() == pytest.approx(x_BFT.mean().item(), rel=1e-3)
    assert network.norm.running_var.item() == pytest.approx(x_BFT.var().item(), rel=1e-2)


# -- filters -----------------------------------------------------------------------------------------------------------


def listening_for(frequencies: list[float]) -> SampleCNN:
    """A network whose first filters are sines of given frequencies."""
    network = build("frame-raw-729-243", 3, n_frames=59049, seed=0).eval()
    conv = network.first[0]
    time = torch.arange(729) / SR
    with torch.no_grad():
        for c, frequency in enumerate(frequencies):
            conv.weight[c, 0] = torch.sin(2 * torch.pi * frequency * time)
    return network


def test_gradient_ascent_finds_what_a_filter_listens_for() -> None:
    frequencies = [3000.0, 500.0, 8000.0]
    first = next(filters.listen(listening_for(frequencies), steps=10, seed=0))
    peaks = first.magnitude.argmax(axis=1) * SR / 729
    np.testing.assert_allclose(peaks[:3], frequencies, atol=SR / 729)
    assert (np.diff(first.magnitude.argmax(axis=1)[first.order()]) >= 0).all()
    assert first.magnitude.max(axis=1) == pytest.approx(1)


def test_activations_grow_with_the_steps_and_depend_on_the_seed_alone() -> None:
    network = build("sample-3-4-by-729", 3, n_frames=59049, seed=0)
    few, many, again = (list(filters.listen(network, steps=n, seed=0)) for n in (1, 8, 8))
    assert [layer.number for layer in many] == [1]  # 729 samples are one frame here, which the pools cannot halve
    assert (many[0].activation > few[0].activation).mean() > 0.95
    np.testing.assert_array_equal(many[0].magnitude, again[0].magnitude)
    assert all(weight.requires_grad for weight in network.parameters())


def test_layers_reach_as_far_as_the_pools_allow() -> None:
    """729 samples at a stride of 3 are 243 frames, which five pools reduce to one."""
    network = build("sample-3-9", 3, n_frames=59049, seed=0).eval()
    with torch.no_grad():
        maps = network.layers(torch.zeros(1, 729))
    assert [layer.shape[1:] for layer in maps] == [(128, 243), (128, 81), (128, 27), (256, 9), (256, 3), (256, 1)]
