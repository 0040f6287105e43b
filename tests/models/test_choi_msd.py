"""The published tagger: its arithmetic against that of the original, and its weights.

Shape suffixes: B batch, C maps, F bands, T frames, S samples.
"""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from scipy.signal import convolve2d

from phonolake.errors import PhonolakeError, UsageError
from phonolake.features import spectral
from phonolake.models import choi_msd
from phonolake.models.choi_msd import build
from phonolake.models.importers import choi_weights

from . import keras_files

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
WEIGHTS = SHARED / "choi_msd_tagger" / "compact_cnn_weights_theano.hdf5"
published = pytest.mark.skipif(not WEIGHTS.is_file(), reason="the published weights are not here")


def audio(n: int, n_samples: int, seed: int = 0) -> torch.Tensor:
    """Noise whose loudness changes, so that decibels have something to show."""
    rng = np.random.default_rng(seed)
    envelope = 10 ** np.interp(
        np.arange(n_samples), np.arange(0, n_samples, 997), rng.uniform(-3, 0, -(-n_samples // 997))
    )
    return torch.from_numpy((envelope * rng.normal(0, 0.1, (n, n_samples))).astype(np.float32))


def test_tags_are_those_of_the_published_order() -> None:
    tags = SHARED / "msd" / "tags.txt"
    if not tags.is_file():
        pytest.skip("the shared tags are not here")
    assert list(choi_msd.TAGS) == tags.read_text().split("\n")[:50]


def test_its_spectrogram_is_a_fourier_transform_in_mel_bands() -> None:
    """The same numbers as an independent Fourier transform and mel basis give, relative to the loudest."""
    x_BS = audio(2, 20 * 256)
    db_BFT = build(2, n_frames=20 * 256, seed=0).spectrogram(x_BS).numpy()
    assert db_BFT.shape == (2, 96, 20)
    for x_S, db_FT in zip(x_BS.numpy(), db_BFT, strict=True):
        power_FT = spectral.mel_power(x_S, sr=12_000, n_fft=512, hop_length=256, n_mels=96)[:, :20]
        expected_FT = spectral.decibels(power_FT)
        np.testing.assert_allclose(db_FT, expected_FT - expected_FT.max(), atol=0.02)


@pytest.mark.parametrize("n_samples", [1, 255, 256, 257, 5000])
def test_a_frame_begins_every_256_samples(n_samples: int) -> None:
    spectrogram_BFT = build(2, n_frames=n_samples, seed=0).spectrogram(audio(1, n_samples))
    assert spectrogram_BFT.shape == (1, 96, -(-n_samples // 256))
    assert spectrogram_BFT.max() == 0
    assert spectrogram_BFT.min() >= -80


def test_silence_is_finite() -> None:
    network = build(2, n_frames=2560, seed=0).eval()
    assert torch.isfinite(network(torch.zeros(1, 2560))).all()


def test_statistics_are_those_of_one_batch_of_all_clips() -> None:
    """Keras 1's mode 2 normalises by the batch: calibrated, every clip alone gives what the batch would."""
    network = build(3, n_frames=64 * 256, seed=0)
    with torch.no_grad():
        for norm in network.norms:
            norm.weight.normal_()
            norm.bias.normal_()
    clips_BS = audio(5, 64 * 256)
    network.calibrate(list(clips_BS.numpy()))
    network.train()
    with torch.no_grad():
        as_batch = network(clips_BS)
    network.calibrate(list(clips_BS.numpy()))  # the pass in training mode moved the statistics
    network.eval()
    with torch.no_grad():
        torch.testing.assert_close(network(clips_BS), as_batch, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(network(clips_BS[3:4]), network(clips_BS)[3:4], rtol=1e-4, atol=1e-4)


def test_there_must_be_music_to_calibrate_with() -> None:
    with pytest.raises(UsageError, match="no music"):
        build(3, n_frames=2560, seed=0).calibrate([])


@pytest.mark.parametrize("shape", [(2560,), (1, 1, 2560)])
def test_wrong_shapes_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="choi-msd reads"):
        build(3, n_frames=2560, seed=0)(torch.zeros(shape))


# -- weights from a file -----------------------------------------------------------------------------------------------


@pytest.fixture(params=["made", pytest.param("published", marks=published)])
def weights(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The published file, and one of the same layout with weights of our own."""
    if request.param == "published":
        return WEIGHTS
    keras_files.write(tmp_path / "weights.hdf5", keras_files.made(), monkeypatch)
    return tmp_path / "weights.hdf5"


def test_the_network_is_the_one_in_the_file(weights: Path) -> None:
    """Its kernels are our formulas turned round; its layers, in Theano's way of convolving, give the same maps."""
    network = choi_weights.read(weights)
    cosine, sine = choi_msd.fourier_kernels()
    torch.testing.assert_close(network.cosine, cosine.flip(1), rtol=0, atol=1e-6)
    torch.testing.assert_close(network.sine, sine.flip(1), rtol=0, atol=1e-6)
    torch.testing.assert_close(network.mel, choi_msd.mel_bands(), rtol=0, atol=1e-8)
    with h5py.File(weights) as file:
        kernel = file["ConvBNEluDr/convolution2d_2_W"][()].astype(float)
        bias = file["ConvBNEluDr/convolution2d_2_b"][()]
    maps_CFT = np.random.default_rng(0).normal(size=(32, 7, 6))
    expected = [sum(convolve2d(maps_CFT[i], kernel[o, i], "same") for i in range(32)) + bias[o] for o in (0, 31)]
    with torch.no_grad():
        found = network.convs[1](torch.from_numpy(maps_CFT[None].astype(np.float32)))[0, [0, 31]]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_label_vectors_are_the_output_matrix_of_the_file(weights: Path) -> None:
    with h5py.File(weights) as file:
        np.testing.assert_array_equal(choi_weights.read(weights).label_vectors(), file["dense_1/dense_1_W"][()].T)


def test_without_statistics_it_cannot_tag(weights: Path) -> None:
    with pytest.raises(UsageError, match="--calibrate MUSIC"):
        choi_weights.read(weights)(audio(1, choi_msd.N_SAMPLES))


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="models fetch choi-msd"):
        choi_weights.read(tmp_path / "nowhere.hdf5")
    (tmp_path / "text.hdf5").write_text("no weights")
    with pytest.raises(PhonolakeError, match="cannot be read as the Keras weights"):
        choi_weights.read(tmp_path / "text.hdf5")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("missing", "has no array dense_1/dense_1_b"),
        ("shape", r"dense_1/dense_1_b has shape \(49,\), the published one \(50,\)"),
        ("value", "the values of dense_1/dense_1_b sum to"),
    ],
)
def test_another_network_in_the_file_is_refused(change: str, says: str, weights: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(weights, tmp_path / "changed.hdf5"))
    copy.chmod(0o600)
    with h5py.File(copy, "r+") as file:
        bias = file["dense_1/dense_1_b"][()]
        del file["dense_1/dense_1_b"]
        if change == "shape":
            file["dense_1/dense_1_b"] = bias[:49]
        elif change == "value":
            bias[7] += 0.01
            file["dense_1/dense_1_b"] = bias
    with pytest.raises(PhonolakeError, match=says):
        choi_weights.read(copy)


def test_a_file_of_other_weights_is_not_the_published_one(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        keras_files.write(tmp_path / "made.hdf5", keras_files.made(), patch)
    with pytest.raises(PhonolakeError, match="the published ones to"):
        choi_weights.read(tmp_path / "made.hdf5")
