"""What is measured while decoding: clipping, against low sounds that are meant to be flat, and the mono mix."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from phonolake.audio.levels import Levels

SR = 44_100
DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
REAL = sorted((DATA / "esc10").glob("*/*.ogg"))[::20] + sorted((DATA / "cc_music").glob("*.ogg"))
MOST = 0.1


def levels(x_TC: np.ndarray, *, floating: bool = False) -> Levels:
    found = Levels(SR, floating=floating)
    for start in range(0, len(x_TC), 50_000):
        block_TC = x_TC[start : start + 50_000].astype(np.float32)
        found.add(block_TC, block_TC.mean(axis=1))
    return found


def cut_off(x_TC: np.ndarray, decibels: float) -> np.ndarray:
    """As loud as that above full scale, and cut off there, in 16 bits."""
    loud_TC = x_TC / np.abs(x_TC).max() * 10 ** (decibels / 20)
    return np.clip(np.round(loud_TC * 2**15), -(2**15), 2**15 - 1) / 2**15


def bass_drum(hertz: float, drive: float) -> np.ndarray:
    """A swept sine that dies away, driven into saturation, as drum machines have it."""
    t = np.arange(int(0.6 * SR)) / SR
    phase = 2 * np.pi * np.cumsum(hertz * (1 + 3 * np.exp(-t * 30))) / SR
    click = 0.05 * np.random.default_rng(0).normal(size=len(t)) * np.exp(-t * 300)
    return cut_off((np.sin(phase) * np.exp(-t / 0.3) + click)[:, None], 20 * np.log10(drive))


@pytest.mark.parametrize("hertz", [40, 50, 60, 80])
@pytest.mark.parametrize("drive", [2, 4, 8])
def test_flat_tops_of_a_bass_drum_are_no_damage(hertz: float, drive: float) -> None:
    x_TC = bass_drum(hertz, drive)
    at_full_scale = float((np.abs(x_TC) > 1 - 2**-12).mean())
    assert at_full_scale > 1.2 * MOST
    assert levels(x_TC).clipped < MOST / 2


@pytest.mark.skipif(not REAL, reason=f"the real recordings are not at {DATA}")
def test_real_recordings_are_not_clipped_and_are_when_they_are_cut_off() -> None:
    found = {gain: [] for gain in (None, 15, 30)}
    for path in REAL:
        x_TC, _ = sf.read(path, dtype="float32", always_2d=True, stop=6 * SR)
        if np.abs(x_TC).max() < 0.01:
            continue
        for gain, shares in found.items():
            shares.append(levels(x_TC if gain is None else cut_off(x_TC, gain)).clipped)
    assert max(found[None]) < MOST / 10
    # Peaks of some recordings, such as a sneeze in silence, are short however loud they are.
    assert np.mean(np.array(found[15]) > MOST) > 0.3
    assert np.mean(np.array(found[30]) > MOST) > 0.6


def test_floating_point_samples_above_1_are_no_damage() -> None:
    x_T = 3 * np.sin(2 * np.pi * 440 * np.arange(SR) / SR)
    assert levels(x_T[:, None], floating=True).clipped < 0.01
    assert levels(np.clip(x_T, -1, 1)[:, None], floating=True).clipped > 0.7
    assert levels(x_T[:, None]).clipped > 0.7


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_the_mix_is_what_numpy_finds(channels: int) -> None:
    x_TC = np.random.default_rng(channels).normal(0, 0.1, (120_000, channels))
    found = levels(x_TC)
    assert found.n_samples == 120_000
    assert found.mix_dbfs == pytest.approx(10 * np.log10(np.mean(x_TC.mean(axis=1) ** 2)), abs=1e-3)
    assert found.rms_dbfs == pytest.approx(10 * np.log10(np.mean(x_TC**2)), abs=1e-3)
    assert found.peak_dbfs == pytest.approx(20 * np.log10(np.abs(x_TC).max()), abs=1e-3)


def test_opposite_channels_leave_nothing() -> None:
    x_T = np.random.default_rng(0).normal(0, 0.1, 50_000)
    assert levels(np.stack([x_T, -x_T], axis=1)).mix_dbfs == -200
    assert levels(np.stack([x_T, 0 * x_T], axis=1)).mix_dbfs == pytest.approx(-26, abs=0.2)
