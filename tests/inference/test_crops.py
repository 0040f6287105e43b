"""Crops and windows: the right length, the right frames, and the same ones each time."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonolake.errors import UsageError
from phonolake.inference.crops import random_crop, windows
from phonolake.seeds import track_rng

lengths = st.integers(1, 60)


def clip(n_frames: int) -> np.ndarray:
    """Frame t holds the number t in its first band and -t in its second."""
    return np.stack([np.arange(n_frames), -np.arange(n_frames)]).astype(np.float32)


@given(lengths, lengths, st.integers(0, 1000))
def test_a_crop_is_a_run_of_frames(n_received: int, n_frames: int, seed: int) -> None:
    crop = random_crop(clip(n_received), n_frames, np.random.default_rng(seed))
    assert crop.shape == (2, n_frames)
    np.testing.assert_array_equal(crop[1], -crop[0])
    if n_received < n_frames:
        np.testing.assert_array_equal(crop[0], np.arange(n_frames) % n_received)
    else:
        np.testing.assert_array_equal(crop[0], crop[0, 0] + np.arange(n_frames))


def test_all_places_are_equally_likely() -> None:
    rng = np.random.default_rng(0)
    starts = [int(random_crop(clip(9), 5, rng)[0, 0]) for _ in range(4000)]
    counts = np.bincount(starts, minlength=5)
    assert len(counts) == 5
    assert abs(counts - 800).max() < 4 * np.sqrt(800)


@given(lengths, lengths)
def test_windows_cover_the_clip(n_received: int, n_frames: int) -> None:
    pieces = windows(clip(n_received), n_frames)
    assert pieces.shape == (-(-n_received // n_frames), 2, n_frames)
    assert set(pieces[:, 0].ravel()) == set(range(n_received))
    starts = pieces[:, 0, 0]
    assert (np.diff(starts)[:-1] == n_frames).all()
    if n_received >= n_frames:
        assert pieces[-1, 0, -1] == n_received - 1
        np.testing.assert_array_equal(pieces[:, 0], starts[:, None] + np.arange(n_frames))


def test_generators_differ_by_seed_epoch_and_track() -> None:
    draws = {
        (seed, epoch, track): track_rng(seed, epoch, track).integers(2**62)
        for seed in (0, 1, 11)
        for epoch in (1, 2, 12)
        for track in ("fma:000002", "fma:000005", "")
    }
    assert len(set(draws.values())) == len(draws)


def test_generators_are_the_same_in_another_process() -> None:
    program = "from phonolake.seeds import track_rng; print(track_rng(3, 7, 'fma:äö').integers(2**62))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) == track_rng(3, 7, "fma:äö").integers(2**62)


@pytest.mark.parametrize("bad", [np.zeros((96, 0)), np.zeros(()), np.zeros((0, 5))])
def test_what_has_no_steps_in_time_is_named(bad: np.ndarray) -> None:
    with pytest.raises(UsageError, match="received shape"):
        windows(bad, 4)
    with pytest.raises(UsageError, match="received shape"):
        random_crop(bad, 4, np.random.default_rng(0))


def test_no_frames_asked_for() -> None:
    with pytest.raises(UsageError, match="n_steps=0"):
        windows(clip(5), 0)
