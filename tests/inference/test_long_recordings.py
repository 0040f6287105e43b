"""Audio of any length is cut into the windows of the whole, and scored as such, with two windows in memory."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from phonolake.inference import outside, series_inputs
from phonolake.inference.crops import window_starts, windows
from phonolake.inference.predictor import Predictor
from phonolake.inference.series_inputs import Audio, ComputedSpectrogram, DecodedInput
from phonolake.models import registry, storage
from phonolake.records import Hertz
from phonolake.stages import ingest

from ..stages.in_process import work_here

INPUTS = (
    Audio(Hertz(8_000)),
    ComputedSpectrogram("mel-96-12k"),
    ComputedSpectrogram("mine:sr=8000,n_fft=64,hop_length=50,n_mels=8,pre_emphasis=0.97"),
    ComputedSpectrogram("mirrored:sr=8000,n_fft=65,hop_length=60,n_mels=8,pad_mode=reflect"),
)


@settings(max_examples=60)
@given(
    st.sampled_from(INPUTS),
    st.integers(1, 12_000),
    st.integers(1, 40),
    st.lists(st.integers(1, 5_000), min_size=1, max_size=4),
    st.booleans(),
)
def test_windows_are_those_of_the_whole(read: DecodedInput, n: int, length: int, sizes: list[int], whole: bool) -> None:
    length *= 100 if isinstance(read, Audio) else 1
    y = np.random.default_rng(n).normal(size=n).astype(np.float32)
    blocks, start = [], 0
    while start < n:
        blocks.append(y[start : start + sizes[len(blocks) % len(sizes)]])
        start += len(blocks[-1])
    found = list(read.windows(blocks, length, whole=whole))
    x_XT = read.of_samples(y)
    assert [start for start, _ in found] == window_starts(x_XT.shape[-1], length, whole=whole)
    np.testing.assert_array_equal(np.stack([x for _, x in found]), windows(x_XT, length, whole=whole))


@pytest.mark.parametrize("name", ["k2c2", "sample-3-9"])
def test_a_long_recording_is_scored_as_a_short_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The same track, once taken for a short one, once for one that is too long to be in memory, and as a file."""
    work_here(monkeypatch)
    (tmp_path / "music").mkdir()
    for number, seconds in enumerate((6.0, 1.0)):
        y = np.random.default_rng(number).normal(0, 0.1, round(seconds * 12_000))
        sf.write(tmp_path / "music" / f"{number}.flac", y, 12_000)
    ingest.run(ingest.Config(str(tmp_path / "lake"), str(tmp_path / "music"), dataset="m"))
    card = registry.get(name).CARD
    read = ComputedSpectrogram("mel-96-12k") if name == "k2c2" else series_inputs.Audio(Hertz(22_050))
    build = {"n_classes": 3, "n_frames": card.n_frames or 47, "seed": 1}
    torch.manual_seed(0)
    told = {"model": name, "input": read.text, "build": build, "classes": ["a", "b", "c"], "activation": "softmax"}
    storage.save(registry.get(name).blank(**build).eval(), told, tmp_path / "weights")
    predictor = Predictor.load(tmp_path / "weights")
    (shard,) = (tmp_path / "lake" / "tables" / "audio").glob("*.parquet")
    found = {}
    for longest in (600.0, 2.0):
        monkeypatch.setattr(series_inputs, "LONGEST", longest)
        found[longest] = {s.track_id: s for s in predictor.score_shard(shard, {"m:0.flac"}, "embedding")}
    short, long = (found[longest]["m:0.flac"] for longest in (600.0, 2.0))
    assert short.starts == long.starts
    assert len(long.starts) > 1
    np.testing.assert_array_equal(short.probabilities, long.probabilities)
    np.testing.assert_array_equal(short.window_activations, long.window_activations)
    with outside.opened(str(tmp_path / "music" / "0.flac")) as recording:
        np.testing.assert_array_equal(predictor.score_recording(recording).probabilities, long.probabilities)
    # Long and short ones come in the order of their rows.
    assert [s.track_id for s in predictor.score_shard(shard)] == ["m:0.flac", "m:1.flac"]
