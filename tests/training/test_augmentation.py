"""What batches go through on the device: spectrograms of audio, preprocessing, and other takes of the tracks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from phonolake.errors import UsageError
from phonolake.features import contract, device
from phonolake.features.preprocessing import grid
from phonolake.inference import inputs
from phonolake.inference.crops import random_crop
from phonolake.inference.series_inputs import StoredSpectrogram
from phonolake.training import augmentation
from phonolake.training.augmentation import BatchAugmentation
from phonolake.training.batches import TrackBatches
from phonolake.training.loop import fit
from phonolake.training.recipe import Recipe

from .test_batches import write_audio

RNG = np.random.default_rng(5)


def music(seconds: float, sr: int) -> np.ndarray:
    """Chords over noise: no bin is near the floor."""
    time = np.arange(int(seconds * sr)) / sr
    tones = sum(np.sin(2 * np.pi * hertz * time) for hertz in (220, 277.2, 329.6, 1760))
    return (0.1 * tones + 0.02 * RNG.normal(size=len(time))).astype(np.float32)


@pytest.mark.parametrize("name", ["mel-96-12k", "mel-128-22k-729", "stft-257-12k"])
def test_a_crop_computed_on_the_device_is_that_of_the_extracted_spectrogram(name: str) -> None:
    recipe = contract.spectrogram(name)
    y = music(2.0, recipe.sr)
    extracted_FT = recipe.of(y)
    config = device.configuration(name)
    frames_NT = device.frames(y, config)
    assert frames_NT.shape == (config.n_fft, extracted_FT.shape[1])
    for n_steps in (30, extracted_FT.shape[1], extracted_FT.shape[1] + 7):  # a part, all, and more: it is repeated
        crop_NT = random_crop(frames_NT, n_steps, np.random.default_rng(3))
        wanted_FT = random_crop(extracted_FT, n_steps, np.random.default_rng(3))
        found_BFT = inputs.parse(f"computed:{name}").transforms()(torch.from_numpy(crop_NT[None].copy()))
        np.testing.assert_allclose(found_BFT[0].numpy(), wanted_FT, atol=2e-3)


def test_only_what_needs_the_whole_recording_is_refused() -> None:
    for name in ("mel-96-picture", "mel-128x128"):
        with pytest.raises(UsageError, match="extract them"):
            inputs.parse(f"computed:{name}")


def test_the_preprocessing_has_the_bands_of_the_spectrogram() -> None:
    config = contract.spectrogram("mel-96-12k").config
    assert config is not None
    x = torch.from_numpy(RNG.normal(-40, 10, (2, 96, 20)).astype(np.float32))
    for name, point in grid(sr=config.sr, fmin=config.fmin, fmax=config.fmax).items():
        found = inputs.parse("spectrogram:mel-96-12k").transforms(name)(x)
        assert torch.equal(found, point(x))
        assert found.std().item() == pytest.approx(point.scale, rel=0.01)


@pytest.mark.parametrize(
    ("model_input", "preprocessing", "augment", "message"),
    [
        ("spectrogram:mel-96-12k", "loud", (), "unknown preprocessing"),
        ("spectrogram:mel-96-picture", "decibel/bypass/x1", (), "mel spectrograms in decibels"),
        ("spectrogram:mel-128-22k-729", "decibel/bypass/x1", (), "mel spectrograms in decibels"),
        ("audio:22050", "decibel/bypass/x1", (), "mel spectrograms in decibels"),
        ("spectrogram:mel-96-12k", None, ("gain",), "--from-audio"),
        ("audio:22050", None, ("spec-augment",), "reads audio"),
        ("audio:22050", None, ("reverb",), "unknown augmentation"),
    ],
)
def test_what_does_not_fit_the_input(
    model_input: str, preprocessing: str | None, augment: tuple[str, ...], message: str
) -> None:
    def check() -> None:
        read = inputs.parse(model_input)
        augmentation.check(augment, read)
        read.transforms(preprocessing)

    with pytest.raises(UsageError, match=message):
        check()


def test_mixed_examples_and_the_loss_of_mixed_labels() -> None:
    """The mixture of the losses of two labels is the cross-entropy of the mixed label."""
    x = torch.from_numpy(RNG.normal(size=(6, 4)).astype(np.float32))
    torch.manual_seed(1)
    mixed, mix = BatchAugmentation(mixup=True)(x)
    assert mix is not None
    assert 0 <= mix.share <= 1
    assert sorted(mix.partners) == list(range(6))
    assert torch.allclose(mixed, mix.share * x + (1 - mix.share) * x[mix.partners])
    y, network = np.array([0, 1, 2, 0, 1, 2]), nn.Linear(4, 3)
    recipe = Recipe(lr=1e-9, max_epochs=1, schedule="constant", batch_size=6)
    with torch.no_grad():
        log_p_BK = network(x).log_softmax(dim=1)
    result = fit(
        network, lambda _: [(x.numpy(), y)], None, recipe=recipe, augmentation=BatchAugmentation(mixup=True), seed=3
    )
    # The loop's own chance is repeated here: the state that its first epoch begins with.
    drawn = np.random.SeedSequence([3, 1, 0]).generate_state(1, np.uint64)[0]
    torch.manual_seed(int(drawn >> np.uint64(1)))
    mixed, mix = BatchAugmentation(mixup=True)(x)
    assert mix is not None
    hot = np.eye(3)[y]
    target = torch.from_numpy(mix.share * hot + (1 - mix.share) * hot[mix.partners])
    with torch.no_grad():
        log_p_BK = network(mixed).log_softmax(dim=1)
    wanted = -(target * log_p_BK).sum(dim=1).mean().item()
    assert result.curve[0].train_loss == pytest.approx(wanted, rel=1e-5)


def test_blanked_parts_hold_the_mean() -> None:
    x = torch.from_numpy(RNG.normal(-30, 3, (3, 40, 60)).astype(np.float32))
    torch.manual_seed(0)
    varied, mix = BatchAugmentation(spec_augment=True)(x)
    assert mix is None
    changed = varied != x
    assert changed.any()
    for example, its_changes, original in zip(varied, changed, x, strict=True):
        assert torch.allclose(example[its_changes], original.mean())


def test_other_takes_in_training_and_the_recording_itself_in_validation(tmp_path: Path) -> None:
    sr = 4_000
    sounds = {f"t{n}": music(0.5, sr) for n in range(4)}
    write_audio(tmp_path / "audio.parquet", sounds, sr)
    options = {"kind": inputs.series(f"audio:{sr}"), "n_steps": 1_000, "batch_size": 4, "seed": 0}
    targets = {name: n for n, name in enumerate(sounds)}
    plain = TrackBatches([tmp_path / "audio.parquet"], targets, **options)
    louder = TrackBatches(
        [tmp_path / "audio.parquet"], targets, augmentation=augmentation.of_audio(("gain",)), **options
    )
    first, again, next_epoch = (np.concatenate([x for x, _ in louder.training(n)]) for n in (1, 1, 2))
    unchanged = np.concatenate([x for x, _ in plain.training(1)])
    np.testing.assert_array_equal(first, again)
    ratio = (first / unchanged).mean(axis=1)
    np.testing.assert_allclose(first, unchanged * ratio[:, None], rtol=1e-4)  # the same crops, each with a gain
    assert len(set(ratio.round(3))) == 4
    assert np.all(np.abs(20 * np.log10(ratio)) <= 6.01)
    assert not np.array_equal(first, next_epoch)
    for (x, _), (wanted, _) in zip(louder.validation(), plain.validation(), strict=True):
        np.testing.assert_array_equal(x, wanted)


def test_stored_spectrograms_have_no_samples_to_change() -> None:
    with pytest.raises(UsageError, match="--from-audio"):
        StoredSpectrogram("mel-96-12k").array({}, lambda y: y)
