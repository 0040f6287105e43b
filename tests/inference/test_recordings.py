"""One recording through the recipes: shared, in segments, and longer than memory."""

import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from phonolake.audio.decode import decode
from phonolake.errors import AudioError, UsageError
from phonolake.features import contract
from phonolake.features.contract import FeatureSet
from phonolake.features.pooling import Pooling
from phonolake.inference import extractors, recordings
from phonolake.inference.recordings import Samples, describe
from phonolake.records import Seconds

pytestmark = pytest.mark.timeout(120)


def flac(seconds: float, *, sr: int = 22_050, channels: int = 1, subtype: str = "PCM_16") -> bytes:
    """Noise whose level rises and falls."""
    n = round(seconds * sr)
    level = 0.05 * (1.1 + np.sin(np.arange(n) * 2 * np.pi / sr / 3))[:, None]
    buffer = io.BytesIO()
    x_TC = np.random.default_rng(0).normal(0, 1, (n, channels)) * level
    sf.write(buffer, x_TC, sr, format="FLAC" if subtype == "PCM_16" else "WAV", subtype=subtype)
    return buffer.getvalue()


def values(found: list[recordings.Description] | AudioError) -> np.ndarray:
    assert isinstance(found, list), found
    (answer,) = found
    return answer.values


def test_all_recipes_are_answered_as_they_would_be_alone() -> None:
    data = flac(2.5, sr=44_100, channels=2)
    recipes = [
        *(contract.feature_set(name) for name in ("music-role-97", "mfcc-120", "mfcc-120-delta")),
        *(contract.spectrogram(name) for name in ("mel-96-12k", "mel-96-picture", "mel-128-22k-729")),
    ]
    found = describe(recipes, data, Seconds(2.5))
    assert set(found) == {recipe.name for recipe in recipes}
    for recipe in recipes:
        alone = recipe.of(decode(data, sr=recipe.sr))
        stored = values(found[recipe.name])
        np.testing.assert_array_equal(stored, alone.astype(stored.dtype))


@pytest.mark.parametrize(
    ("sr", "channels", "subtype"),
    [(8_000, 1, "PCM_U8"), (192_000, 6, "PCM_24"), (44_100, 2, "FLOAT"), (11_025, 1, "PCM_16")],
)
def test_every_kind_of_audio_is_answered_by_every_recipe(sr: int, channels: int, subtype: str) -> None:
    recipes = [*contract.feature_sets().values(), *contract.spectrograms().values()]
    found = describe(recipes, flac(1.0, sr=sr, channels=channels, subtype=subtype), Seconds(1.0))
    assert {name for name, given in found.items() if isinstance(given, AudioError)} == set()


def test_what_cannot_be_decoded_is_an_error_for_each() -> None:
    found = describe([contract.feature_set("mfcc-120"), contract.spectrogram("mel-96-12k")], b"no audio", Seconds(1.0))
    assert {name: given.reason for name, given in found.items() if isinstance(given, AudioError)} == {
        "mfcc-120": "not-audio",
        "mel-96-12k": "not-audio",
    }


def test_what_float16_cannot_hold_is_refused() -> None:
    buffer = io.BytesIO()
    sf.write(buffer, np.full(24_000, 500.0), 12_000, format="WAV", subtype="FLOAT")
    linear = contract.given("power:sr=12000,n_fft=512,hop_length=256,scale=linear")
    found = describe([linear, contract.spectrogram("mel-96-12k")], buffer.getvalue(), Seconds(2.0))
    refused = found["power"]
    assert isinstance(refused, AudioError)
    assert refused.reason == "not-finite"
    assert isinstance(found["mel-96-12k"], list)


def test_a_network_that_learns_nothing_is_a_feature_set() -> None:
    recipe = extractors.feature_set("random-vgg-small")
    segmented = extractors.feature_set("random-vgg-small-per-2000ms")
    data = flac(4.0)
    found = describe([recipe, segmented, contract.spectrogram("mel-96-12k")], data, Seconds(4.0))
    assert values(found[recipe.name]).shape == (len(recipe.columns),) == (160,)
    np.testing.assert_array_equal(values(found[recipe.name]), recipe.of(decode(data, sr=recipe.sr)))
    pieces = found[segmented.name]
    assert isinstance(pieces, list)
    assert [answer.start for answer in pieces] == [0.0, 2.0]
    with pytest.raises(UsageError, match="unknown feature set 'random-vg'"):
        extractors.feature_set("random-vg")
    # A network that is trained computes nothing yet.
    with pytest.raises(UsageError, match="unknown feature set 'k2c2'"):
        extractors.feature_set("k2c2")


# -- segments ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("longest", [600.0, 1.0])
def test_segments_are_those_of_the_samples(longest: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "LONGEST", longest)
    data = flac(5.0)
    end = "-per-1000ms-by-750ms"
    recipes = [contract.feature_set("music-role-40" + end), contract.spectrogram("mel-96-12k" + end)]
    found = describe(recipes, data, Seconds(5.0))
    for recipe in recipes:
        segments = found[recipe.name]
        assert isinstance(segments, list)
        assert [(a.start, a.end) for a in segments] == [(0.75 * k, 0.75 * k + 1) for k in range(6)]
        y = decode(data, sr=recipe.sr)
        for answer in segments:
            piece = y[round((answer.start or 0) * recipe.sr) :][: recipe.sr]
            np.testing.assert_array_equal(answer.values, recipe.of(piece).astype(answer.values.dtype))


def test_a_recording_without_a_whole_segment_is_too_short() -> None:
    found = describe([contract.feature_set("mfcc-120-per-3000ms")], flac(2.9), Seconds(2.9))
    error = found["mfcc-120-per-3000ms"]
    assert isinstance(error, AudioError)
    assert error.reason == "too-short"


def test_a_segment_that_has_no_answer_refuses_the_recording() -> None:
    found = describe([contract.feature_set("mfcc-120-per-50ms")], flac(1.0), Seconds(1.0))
    error = found["mfcc-120-per-50ms"]
    assert isinstance(error, AudioError)
    assert error.reason == "too-short"
    assert "from 0.000 s on" in error.detail


def test_samples_are_read_forwards() -> None:
    samples = Samples(np.arange(k, k + 3) for k in range(0, 30, 3))
    for start, stop in ((0, 4), (2, 9), (9, 10), (20, 26), (26, 99)):
        np.testing.assert_array_equal(samples.read(start, stop), np.arange(start, min(stop, 30)))
    assert len(samples.read(40, 50)) == 0


# -- longer than memory -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [7.0, 6.0, 8.192])
@pytest.mark.parametrize("name", ["mel-96-12k", "mel-128-22k-729", "mel-96-16k-musicnn", "stft-257-12k"])
def test_joined_spectrograms_are_those_of_the_whole(name: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    data, recipe = flac(seconds, sr=24_000), contract.spectrogram(name)
    whole = values(describe([recipe], data, Seconds(seconds))[name])
    monkeypatch.setattr(recordings, "LONGEST", 1.0)
    monkeypatch.setattr(recordings, "WINDOW", 2.0)
    joined = values(describe([recipe], data, Seconds(seconds))[name])
    assert joined.shape == whole.shape
    np.testing.assert_allclose(joined.astype(np.float32), whole.astype(np.float32), rtol=2**-10, atol=1e-6)


@pytest.mark.parametrize("name", ["music-role-97-corrected", "mfcc-120"])
def test_pooled_features_are_close_to_those_of_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data, recipe = flac(24.0), contract.feature_set(name)
    whole = values(describe([recipe], data, Seconds(24.0))[name])
    monkeypatch.setattr(recordings, "LONGEST", 1.0)
    monkeypatch.setattr(recordings, "WINDOW", 6.0)
    pooled = values(describe([recipe], data, Seconds(24.0))[name])
    names = [n for n, _ in recipe.columns]
    means = [k for k, n in enumerate(names) if n.endswith("_mean") and "chroma" not in n]
    # Windows end with frames that are half silence; chroma is tuned anew in each.
    np.testing.assert_allclose(pooled[means], whole[means], rtol=0.05, atol=0.5)
    assert np.corrcoef(pooled, whole)[0, 1] > 0.999


def test_spectrograms_that_need_all_of_a_long_recording_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "LONGEST", 1.0)
    error = describe([contract.spectrogram("mel-96-picture")], flac(2.0), Seconds(2.0))["mel-96-picture"]
    assert isinstance(error, AudioError)
    assert error.reason == "too-long"


def test_pooling_means_and_deviations_is_exact() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal(k, 1 + k, 100 * (k + 1)) for k in range(3)]
    columns = ("x_mean", "x_std", "least", "most", "bpm")
    pooling = Pooling(frozenset({"least"}), frozenset({"most"}), frozenset({"bpm"}), {"x_std": "x_mean"})
    rows = np.array([[p.mean(), p.std(), p.min(), p.max(), 60.0 * (k + 1)] for k, p in enumerate(parts)])
    pooled = pooling.pool(columns, rows, np.array([len(p) for p in parts]))
    whole = np.concatenate(parts)
    np.testing.assert_allclose(pooled, [whole.mean(), whole.std(), whole.min(), whole.max(), 120.0])


def test_a_name_alone_does_not_decide_how_a_column_is_pooled() -> None:
    rows = np.array([[0.2, 1.0], [0.6, 3.0]])
    np.testing.assert_allclose(Pooling().pool(("key_minor_share", "tempo"), rows, np.ones(2)), [0.4, 2.0])


@pytest.mark.parametrize("recipe", contract.feature_sets().values(), ids=lambda recipe: recipe.name)
def test_pooling_names_columns_that_there_are(recipe: FeatureSet) -> None:
    names = {name for name, _ in recipe.columns}
    pooling = recipe.pooling
    groups = (pooling.minima, pooling.maxima, pooling.medians, frozenset(pooling.deviations))
    assert set(pooling.deviations.values()) | set().union(*groups) <= names
    assert sum(map(len, groups)) == len(frozenset().union(*groups))
    # Of the statistics that the papers take, these are no means of the whole.
    special = re.compile(r"(_(min|max|std)(_\d+)?|^tempo)$")
    assert {name for name in names if special.search(name)} == set().union(*groups)


PROGRAM = """
import sys
from pathlib import Path
from phonolake.features import contract
from phonolake.features.contract import FeatureSet
from phonolake.inference.recordings import describe
recipes = [contract.feature_set("music-role-97"), contract.feature_set("mfcc-120"), contract.spectrogram("mel-96-12k")]
found = describe(recipes, Path(sys.argv[1]).read_bytes(), 3 * 3600.0)
assert all(isinstance(given, list) for given in found.values()), found
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM:")).split()[1])
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from Linux's /proc")
def test_three_hours_need_less_than_a_gibibyte(tmp_path: Path) -> None:
    block = np.random.default_rng(0).normal(0, 0.1, (44_100 * 60, 2))
    with sf.SoundFile(tmp_path / "mix.ogg", "w", 44_100, 2, format="OGG", subtype="VORBIS") as file:
        for _ in range(180):
            file.write(block)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "mix.ogg")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=1100)
    assert int(done.stdout) * 1024 < 1 << 30
