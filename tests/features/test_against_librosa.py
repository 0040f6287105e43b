"""Every hand-crafted column and every log-mel beside librosa 0.11, called function by function.

On music that is made here and, where they lie at hand, on real recordings.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from phonolake.audio.decode import decode
from phonolake.features import contract, music_role
from phonolake.features.clip import Clip
from phonolake.records import Hertz, Seconds
from phonolake.synthesis import music

pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings("ignore:n_fft=")]

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
FMA_CLIP = DATA / "fma" / "fma_small" / "000" / "000002.mp3"
RELATIVE, SECONDS = 1e-4, 6


def load_references() -> ModuleType:
    """The calls that the benchmark times are those that the tests believe."""
    spec = importlib.util.spec_from_file_location("references", ROOT / "tests" / "bench" / "references.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


references = load_references()


needs_data = pytest.mark.skipif(not FMA_CLIP.exists(), reason="the published tables are not here")
MADE = ("Pop", "Rock", "Folk", "Electronic")


def recordings() -> list[Path]:
    """One clip of each class of ESC-10, the music, and the clip of FMA; none where they do not lie at hand."""
    found = [FMA_CLIP, *DATA.glob("cc_music/*.ogg"), *(min(f.glob("*.ogg"), default=f) for f in DATA.glob("esc10/*/"))]
    return sorted(path for path in found if path.is_file())


def sounds(sr: int) -> Iterator[np.ndarray]:
    for n, genre in enumerate(MADE):
        yield music.compose(genre, rng=np.random.default_rng(n), duration=Seconds(SECONDS), sr=Hertz(sr))
    for path in recordings():
        yield audio(path, sr)


def audio(path: Path, sr: int) -> np.ndarray:
    return decode(path.read_bytes(), sr=Hertz(sr))[: SECONDS * sr]


def off_by(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Relative difference; beside values near zero, such as the mean of a coefficient, that of a hundredth."""
    return np.abs(ours - theirs) / np.maximum(np.abs(theirs), 0.01)


@pytest.mark.long
def test_music_role_columns_are_those_of_librosa() -> None:
    names = [name for name, _ in contract.feature_set("music-role-97").columns]
    tempo = names.index("tempo")
    worst, same_tempo = np.zeros(len(names)), []
    for y in sounds(music_role.SR):
        for corrected in (False, True):
            found = music_role.everything(Clip(y, music_role.SR), corrected=corrected)
            theirs = references.music_role_97(y, corrected=corrected)
            difference = off_by(np.array([found[name] for name in names]), theirs)
            same_tempo.append(difference[tempo] < 1e-6)
            worst = np.maximum(worst, difference * (np.arange(len(names)) != tempo))
    wrong = {name: float(x) for name, x in zip(names, worst, strict=True) if x > RELATIVE}
    assert not wrong
    assert np.mean(same_tempo) >= 0.95


def test_music_role_of_noise_is_that_of_librosa() -> None:
    y = np.random.default_rng(0).normal(0, 0.1, 3 * music_role.SR).astype(np.float32)
    names = [name for name, _ in contract.feature_set("music-role-97").columns]
    for corrected in (False, True):
        found = music_role.everything(Clip(y, music_role.SR), corrected=corrected)
        theirs = references.music_role_97(y, corrected=corrected)
        assert off_by(np.array([found[name] for name in names]), theirs).max() < RELATIVE


def test_as_published_is_rounded_and_holds_order_three_twice() -> None:
    y = np.random.default_rng(1).normal(0, 0.1, 2 * music_role.SR).astype(np.float32)
    published, corrected = (contract.feature_set(f"music-role-97{end}") for end in ("", "-corrected"))
    row = dict(zip([n for n, _ in published.columns], published.of(y), strict=True))
    assert row["spectral_bandwidth_4_mean"] == row["spectral_bandwidth_3_mean"]
    assert all(value == round(value, 3) for value in row.values())
    right = dict(zip([n for n, _ in corrected.columns], corrected.of(y), strict=True))
    assert right["spectral_bandwidth_4_mean"] > right["spectral_bandwidth_3_mean"] > right["spectral_bandwidth_2_mean"]


@needs_data
@pytest.mark.parametrize(("count", "table"), [(97, "original"), (83, "cutted_classes_mfcc13")])
def test_columns_are_those_of_the_published_tables(count: int, table: str) -> None:
    header = (DATA / "music_role" / f"df_features_{table}.csv").open().readline().strip().split(",")
    ours = [name for name, _ in contract.feature_set(f"music-role-{count}").columns]
    assert ours == [name for name in header if name not in ("file_name", "label")]


@needs_data
@pytest.mark.parametrize(("count", "n_mfcc"), [(52, 13), (40, 7)])
def test_reduced_columns_are_those_of_the_published_tables(count: int, n_mfcc: int) -> None:
    name = f"df_features_cutted_classes_mfcc{n_mfcc}_cutted_features.csv"
    header = (DATA / "music_role" / name).open().readline().strip().split(",")
    assert [n for n, _ in contract.feature_set(f"music-role-{count}").columns] == header[1:-1]


def test_log_mel_is_that_of_librosa_to_a_thousandth_of_a_decibel() -> None:
    for y in sounds(12_000):
        ours, theirs = contract.spectrogram("mel-96-12k").of(y), references.log_mel_96_12k(y)
        above = theirs > theirs.max() - 80 + 1e-3
        assert np.abs(ours - theirs)[above].max() < 1e-3
        np.testing.assert_allclose(ours[~above], theirs[~above], atol=1e-3)


@pytest.mark.parametrize("kind", ["made", pytest.param("real", marks=needs_data)])
def test_fma_columns_are_those_of_librosa(kind: str) -> None:
    y = audio(FMA_CLIP, 44_100) if kind == "real" else next(sounds(44_100))
    ours, theirs = contract.feature_set("fma-518").of(y), references.fma_518(y)
    assert off_by(ours, theirs).max() < 1e-3  # skewness and kurtosis of chroma that is almost constant
    assert np.mean(off_by(ours, theirs) < RELATIVE) > 0.98


@pytest.mark.parametrize("order", [1, 2])
def test_deltas_are_those_of_librosa(order: int) -> None:
    import librosa

    from phonolake.features.mfcc_120 import delta

    x = np.random.default_rng(2).normal(size=(40, 3))
    np.testing.assert_allclose(delta(x, order=order), librosa.feature.delta(x, order=order, axis=0), atol=1e-10)


@pytest.mark.parametrize("name", ["mel-128x128", "mel-128-22k-729", "stft-257-12k"])
def test_spectrograms_of_the_papers_are_those_of_librosa(name: str) -> None:
    import librosa

    recipe = contract.spectrogram(name)
    y = np.random.default_rng(3).normal(0, 0.1, 20 * recipe.sr).astype(np.float32)
    if name == "mel-128x128":
        part = y[round(15.5 * 22_050) : (19 * 22_050)]
        power = librosa.feature.melspectrogram(y=part, sr=22_050, n_fft=2048, hop_length=604, n_mels=128)
        theirs = librosa.power_to_db(power, ref=np.max)
    elif name == "mel-128-22k-729":
        magnitude = librosa.feature.melspectrogram(y=y, sr=22_050, n_fft=729, hop_length=729, n_mels=128, power=1.0)
        theirs = np.log(1 + 10 * magnitude)
    else:
        theirs = librosa.power_to_db(np.abs(librosa.stft(y, n_fft=512, hop_length=256)) ** 2)
    ours = recipe.of(y)
    assert ours.shape[0] == theirs.shape[0]
    np.testing.assert_allclose(ours, theirs[:, : ours.shape[1]], atol=1e-3)
    assert abs(ours.shape[1] - theirs.shape[1]) <= 1
