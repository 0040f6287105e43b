"""The compact ConvNet against its published mathematics.

Shape suffixes: B batch, F mel bands, T frames, K classes.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from phonolake.errors import UsageError
from phonolake.models import registry
from phonolake.models.k2c2 import FREQUENCY_POOLS, N_MELS, TIME_POOLS, build, time_pools


def spectrograms(n: int, n_frames: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(-40, 15, (n, 96, n_frames)).astype(np.float32))


@pytest.mark.parametrize("n_classes", [1, 8, 50])
def test_parameter_count(n_classes: int) -> None:
    convolutions = sum(32 * 9 * c_in + 32 for c_in in (1, 32, 32, 32, 32))
    norms = 5 * 64
    head = 32 * n_classes + n_classes
    model = build(n_classes, n_frames=1360, seed=0)
    assert sum(weight.numel() for weight in model.parameters()) == convolutions + norms + head
    assert model.head.weight.shape == (n_classes, 32)


def test_published_pools_at_29_seconds() -> None:
    assert time_pools(1360) == TIME_POOLS == (4, 4, 5, 4, 4)
    assert time_pools(1280) == TIME_POOLS
    assert time_pools(1279) != TIME_POOLS
    assert math.prod(FREQUENCY_POOLS) == N_MELS == 96
    assert math.prod(TIME_POOLS) == 1280
    assert build(50, n_frames=1360, seed=0).pools == ((2, 4), (3, 4), (2, 5), (2, 4))


def test_shorter_inputs_shorten_the_longest_and_latest_pool_first() -> None:
    assert time_pools(1024) == (4, 4, 4, 4, 4)
    assert time_pools(1023) == (4, 4, 4, 4, 3)
    assert time_pools(243) == (3, 3, 3, 3, 3)
    assert time_pools(234) == (3, 3, 3, 3, 2)
    assert time_pools(1) == (1, 1, 1, 1, 1)


@given(st.integers(1, 5000))
def test_pools_fit_and_could_not_be_the_next_longer(n_frames: int) -> None:
    pools = time_pools(n_frames)
    assert math.prod(pools) <= n_frames
    assert all(1 <= pool <= published for pool, published in zip(pools, TIME_POOLS, strict=True))
    assert time_pools(n_frames + 1) >= pools
    assert pools == TIME_POOLS or max(pools) - min(pools) <= 1


@settings(max_examples=12)
@given(n_frames=st.integers(1, 200), surplus=st.integers(0, 60))
def test_any_length_from_the_shortest_on_is_taken(n_frames: int, surplus: int) -> None:
    model = build(3, n_frames=n_frames, seed=0).eval()
    x_BFT = spectrograms(2, model.min_frames + surplus)
    with torch.no_grad():
        assert model(x_BFT).shape == (2, 3)
        assert model.embed(x_BFT).shape == (2, 160)
    assert model.min_frames <= n_frames


def test_it_is_the_published_network() -> None:
    """Convolution, norm, ELU, pool in the order of Table II, which the module reorders for speed."""
    model = build(5, n_frames=1280, seed=3)
    layers: list[nn.Module] = []
    for block in range(5):
        pool = nn.MaxPool2d((FREQUENCY_POOLS[block], TIME_POOLS[block]))
        layers += [model.convs[block], model.norms[block], nn.ELU(), pool]
    published = nn.Sequential(*layers, nn.Flatten(), model.head)
    x_BFT = spectrograms(2, 1280)
    with torch.no_grad():
        for norm in model.norms:  # trained norms may turn the order of values around
            assert isinstance(norm, nn.BatchNorm2d)
            norm.weight.normal_()
            norm.bias.normal_()
        standardised = (x_BFT - x_BFT.mean((1, 2), keepdim=True)) / x_BFT.std((1, 2), keepdim=True, correction=0)
        for mode in (True, False):
            model.train(mode)
            published.train(mode)
            torch.testing.assert_close(model(x_BFT), published(standardised[:, None]), rtol=1e-4, atol=1e-4)


def test_loudness_and_contrast_of_a_clip_do_not_matter() -> None:
    model = build(4, n_frames=60, seed=0).eval()
    x_BFT = spectrograms(3, 60)
    with torch.no_grad():
        torch.testing.assert_close(model(x_BFT), model(0.5 * x_BFT - 17), rtol=1e-3, atol=1e-4)


def test_a_clip_is_scored_alike_alone_and_among_others() -> None:
    model = build(4, n_frames=60, seed=0).eval()
    x_BFT = spectrograms(3, 60)
    with torch.no_grad():
        torch.testing.assert_close(model(x_BFT)[1:2], model(x_BFT[1:2]), rtol=1e-4, atol=1e-5)


def test_shifting_by_the_time_pools_shifts_the_maps() -> None:
    """Away from the edges: the first block's maps of a shifted clip are the shifted maps."""
    model = build(2, n_frames=1280, seed=0).eval()
    wide_BFT = spectrograms(1, 1300)
    # The same frames at another place, with the same mean and spread, so that standardisation does the same.
    shifted_BFT = torch.roll(wide_BFT, 8, dims=2)
    with torch.no_grad():
        maps = next(model.maps_of_blocks(wide_BFT))
        moved = next(model.maps_of_blocks(shifted_BFT))
    torch.testing.assert_close(moved[..., 3:320], maps[..., 1:318], rtol=1e-4, atol=1e-4)


def test_silence_is_finite() -> None:
    model = build(2, n_frames=60, seed=0).eval()
    with torch.no_grad():
        assert torch.isfinite(model(torch.full((1, 96, 60), -80.0))).all()


def test_he_normal_weights() -> None:
    model = build(2, n_frames=60, seed=0)
    for conv in list(model.convs)[1:]:
        assert isinstance(conv, nn.Conv2d)
        assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 32)), rel=0.05)
        assert conv.bias is not None
        assert not conv.bias.any()


@pytest.mark.parametrize("shape", [(2, 128, 60), (2, 96, 3), (96, 60), (2, 1, 96, 60)])
def test_wrong_shapes_are_named(shape: tuple[int, ...]) -> None:
    model = build(2, n_frames=60, seed=0)
    with pytest.raises(UsageError, match="k2c2 reads"):
        model(torch.zeros(shape))


def test_wrong_sizes_are_named() -> None:
    with pytest.raises(UsageError, match="n_frames=0"):
        build(2, n_frames=0, seed=0)
    with pytest.raises(UsageError, match="n_classes=0"):
        build(0, n_frames=60, seed=0)


def test_for_fourier_bins_the_pools_are_those_of_table_2_as_printed() -> None:
    """(2,4)(4,4)(4,5)(2,4)(4,4): 256 of the 257 bins; the network differs from k2c2 in nothing else."""
    module = registry.get("k2c2-stft")
    model = module.build(50, n_frames=1360, seed=0).eval()
    assert (*(pool for pool, _ in model.pools), 4) == (2, 4, 4, 2, 4)
    assert tuple(pool for _, pool in model.pools) == TIME_POOLS[:4]
    maps_BCFT = torch.zeros(1, 1, 257, 1360)
    for pool in model.pools:
        maps_BCFT = nn.functional.max_pool2d(maps_BCFT, pool)
    assert maps_BCFT.shape[2:] == (4, 4)  # what the last block pools to one value
    assert sum(w.numel() for w in model.parameters()) == sum(
        w.numel() for w in build(50, n_frames=1360, seed=0).parameters()
    )
    with pytest.raises(UsageError, match="257 bands"):
        model(torch.zeros(1, 96, 1360))
