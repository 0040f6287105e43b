"""Random CNNs: published lengths, what the back end gives, and invariances that follow from their shapes."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from phonolake.errors import UsageError
from phonolake.models import registry
from phonolake.models.random_cnn import N_FRAMES, N_SAMPLES, RandomCNN

SPECTROGRAM = np.random.default_rng(0).normal(-40, 15, (96, N_FRAMES)).astype(np.float32)
AUDIO = np.random.default_rng(0).normal(0, 0.1, N_SAMPLES).astype(np.float32)
LENGTHS = {
    "random-vgg": (160, 3585),
    "random-7x96": (160, 3585),
    "random-7x86": (160, 3585),
    "random-timbral": (112, 3584),
    "random-temporal": (112, 3584),
    "random-timbral-temporal": (112, 3584),
    "random-timbral-time": (112, 3584),
    "random-sample-level": (161, 3584),
    "random-frame-level": (160, 3584),
    "random-frame-level-many": (160, 3584),
    "random-frame-level-as-published": (160, 3584),
    "random-frame-level-many-as-published": (160, 3584),
}


def build(name: str, seed: int = 0) -> RandomCNN:
    built = registry.get(name).build(seed=seed)
    assert isinstance(built, RandomCNN)
    return built


def audio_or_spectrogram(name: str) -> np.ndarray:
    return AUDIO if registry.get(name).CARD.input == "audio:12000" else SPECTROGRAM


def test_all_front_ends_in_both_sizes_are_there() -> None:
    names = {card.name for card in registry.cards() if card.kind == "extractor"}
    assert names == {f"{name}-{size}" for name in LENGTHS for size in ("small", "large")}


@pytest.mark.parametrize("name", LENGTHS)
def test_published_lengths_named_apart(name: str) -> None:
    extractor = build(f"{name}-small")
    values = extractor.transform(audio_or_spectrogram(f"{name}-small"))
    assert len(extractor.columns) == len({column for column, _ in extractor.columns}) == LENGTHS[name][0]
    assert values.shape == (LENGTHS[name][0],)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()


@pytest.mark.parametrize("name", ["random-7x96", "random-temporal", "random-timbral"])
def test_published_lengths_of_the_large_ones(name: str) -> None:
    assert len(build(f"{name}-large").columns) == LENGTHS[name][1]


@pytest.mark.parametrize("name", ["random-temporal-small", "random-frame-level-small"])
def test_the_seed_decides(name: str) -> None:
    x = audio_or_spectrogram(name)
    state = torch.get_rng_state()
    first, again, other = (build(name, seed).transform(x) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("kind", "layers", "n"), [("frame-level", 1, 40), ("frame-level-many", 5, 20)])
def test_the_published_back_end_gives_one_number_per_layer(kind: str, layers: int, n: int) -> None:
    """N + 3 or 5 N + 3 features say something; each of the three is the mean over its layer's maps."""
    right, published = (build(f"random-{kind}{which}-small").transform(AUDIO) for which in ("", "-as-published"))
    front, back = published[: layers * n], published[layers * n :].reshape(3, n)
    np.testing.assert_array_equal(front, right[: layers * n])
    np.testing.assert_allclose(back[:, 0], right[layers * n :].reshape(3, n).mean(axis=1), rtol=1e-4)
    assert not back[:, 1:].any()


def test_short_clips_are_repeated_and_long_ones_cut() -> None:
    extractor = build("random-temporal-small")
    short = SPECTROGRAM[:, :100]
    np.testing.assert_array_equal(extractor.transform(short), extractor.transform(np.tile(short, (1, 14))))
    longer = np.concatenate([SPECTROGRAM, SPECTROGRAM[:, :50]], axis=1)
    np.testing.assert_array_equal(extractor.transform(longer), extractor.transform(SPECTROGRAM))


def test_temporal_filters_do_not_see_which_band_sounds() -> None:
    extractor = build("random-temporal-small")
    np.testing.assert_allclose(
        extractor.transform(SPECTROGRAM), extractor.transform(SPECTROGRAM[::-1]), rtol=1e-3, atol=1e-3
    )


def test_shapes_of_the_timbral_filters() -> None:
    shapes = {tuple(conv.weight.shape) for conv in build("random-timbral-small").front.convs}
    high, low = {(8, 1, 86, 7), (16, 1, 86, 3), (32, 1, 86, 1)}, {(8, 1, 38, 7), (16, 1, 38, 3), (32, 1, 38, 1)}
    assert shapes == high | low


def test_first_layer_is_the_mean_of_its_maps() -> None:
    """Against plain numpy: one filter of 7 x 96, slid over the frames, ReLU, mean."""
    extractor = build("random-7x96-small")
    conv = extractor.front.conv
    weight, bias = conv.weight[5, 0].detach().numpy().astype(float), conv.bias[5].item()
    spec = SPECTROGRAM[:, :N_FRAMES].astype(float)
    slid = [max(0.0, (spec[:, t : t + 7] * weight).sum() + bias) for t in range(N_FRAMES - 6)]
    assert extractor.transform(SPECTROGRAM)[5] == pytest.approx(np.mean(slid), rel=1e-4)


@pytest.mark.parametrize("shape", [(96,), (95, 100), (96, 0), (1, 96, 100)])
def test_wrong_inputs_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="96 bands"):
        build("random-vgg-small").transform(np.zeros(shape, np.float32))
    with pytest.raises(UsageError, match=r"\(samples,\)"):
        build("random-sample-level-small").transform(np.zeros((2, 30), np.float32))


PEAK = """
import sys
import numpy as np
from phonolake.models import registry
from phonolake.models.random_cnn import N_FRAMES, N_SAMPLES
network = registry.get(sys.argv[1]).build(seed=0)
rng = np.random.default_rng(0)
network.transform(rng.normal(0, 1, (96, N_FRAMES) if network.length == N_FRAMES else N_SAMPLES).astype(np.float32))
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM:")).split()[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", [f"{name}-large" for name in LENGTHS])
def test_a_clip_takes_less_than_a_gibibyte(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", PEAK, name], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1 << 20
