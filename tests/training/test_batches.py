"""Order, batches and inputs: every crop once, the same batches for any number of workers, little in memory."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from phonolake.errors import PhonolakeError
from phonolake.inference import inputs
from phonolake.inference.series_inputs import StoredSpectrogram
from phonolake.training import batches as under_test
from phonolake.training import group, order
from phonolake.training.batches import TrackBatches


@given(st.lists(st.integers(1, 9), max_size=30), st.integers(1, 3), st.integers(1, 20), st.integers(0, 5))
@settings(max_examples=60)
def test_an_epoch_meets_every_crop_once(sizes: list[int], crops: int, batch_size: int, epoch: int) -> None:
    group_N = np.repeat(np.arange(len(sizes)), sizes)
    ordered = order.of_epoch(group_N, crops=crops, batch_size=batch_size, seed=3, epoch=epoch)
    met = np.concatenate([np.zeros(0, int), *ordered.batches])
    assert sorted(met.tolist()) == list(range(len(group_N) * crops))
    lengths = {len(batch) for batch in ordered.batches}
    assert not lengths or (max(lengths) <= batch_size and max(lengths) - min(lengths) <= 1)
    # A unit never reaches over two row groups.
    assert all(len(set(group_N[ordered.units == unit])) == 1 for unit in set(ordered.units.tolist()))


def test_epochs_and_seeds_differ_and_repeat() -> None:
    group_N = np.repeat(np.arange(40), 5)

    def flat(**which: int) -> list[int]:
        ordered = order.of_epoch(group_N, crops=1, batch_size=16, **which)
        return np.concatenate(ordered.batches).tolist()

    assert flat(seed=0, epoch=1) == flat(seed=0, epoch=1)
    assert flat(seed=0, epoch=1) != flat(seed=0, epoch=2)
    assert flat(seed=0, epoch=1) != flat(seed=1, epoch=1)


def test_batches_are_mixed_from_many_row_groups() -> None:
    """1,000 tracks in 100 row groups: a batch of 32 draws from some two dozen of them."""
    group_N = np.repeat(np.arange(100), 10)
    ordered = order.of_epoch(group_N, crops=1, batch_size=32, seed=0, epoch=1)
    mixed = [len(set(group_N[batch])) for batch in ordered.batches]
    assert np.mean(mixed) > 20


def test_few_row_groups_are_open_at_a_time_and_a_worker_reads_its_own() -> None:
    group_N = np.repeat(np.arange(400), 10)
    ordered = order.of_epoch(group_N, crops=1, batch_size=32, seed=0, epoch=1)
    first, last = {}, {}
    for n, batch in enumerate(ordered.batches):
        for number in set(group_N[batch].tolist()):
            first.setdefault(number, n)
            last[number] = n
    still_open = [sum(first[g] <= n <= last[g] for g in first) for n in range(len(ordered.batches))]
    assert max(still_open) < 130  # of 400; each lane looks some seven row groups ahead
    read = [{g for batch in ordered.batches for g in group_N[np.array_split(batch, 4)[r]].tolist()} for r in range(4)]
    assert sum(map(len, read)) < 1.5 * 400  # not four times 400


def write_spectrograms(path: Path, n_tracks: int, *, groups: int = 3, channels: int = 1) -> dict[str, int]:
    """Track n holds the number n, plus its frame over 100."""
    rows = []
    for n in range(n_tracks):
        values = np.broadcast_to(n + np.arange(8) / 100, (channels, 4, 8)).astype("<f2")
        rows.append({"track_id": f"t{n:03d}", "n_bands": 4, "n_frames": 8, "data": values.tobytes()})
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=-(-n_tracks // groups))
    return {f"t{n:03d}": n for n in range(n_tracks)}


def made(path: Path, targets: dict, **more: object) -> TrackBatches:
    options = {"kind": StoredSpectrogram("mel-96-12k"), "n_steps": 5, "batch_size": 7, "seed": 0} | more
    return TrackBatches([path], targets, **options)


def test_training_gives_every_track_its_target_and_another_crop_each_epoch(tmp_path: Path) -> None:
    targets = write_spectrograms(tmp_path / "s.parquet", 40)
    del targets["t003"]
    source = made(tmp_path / "s.parquet", targets, crops=2)
    assert len(source) == 39
    starts = {}
    for epoch in (1, 2):
        seen = [(x, y) for xs, ys in source.training(epoch) for x, y in zip(xs, ys, strict=True)]
        assert sorted(y for _, y in seen) == sorted([*targets.values()] * 2)
        for x, y in seen:
            assert x.shape == (4, 5)
            assert np.floor(x).min() == np.floor(x).max() == y
        starts[epoch] = sorted((y, float(x[0, 0])) for x, y in seen)
    assert starts[1] != starts[2]
    assert starts[1] == sorted(
        (y, float(x[0, 0])) for xs, ys in source.training(1) for x, y in zip(xs, ys, strict=True)
    )


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_share_the_same_batches(tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = write_spectrograms(tmp_path / "s.parquet", 50)
    source = made(tmp_path / "s.parquet", targets, crops=2)

    def seen(epoch: int | None) -> list[list[tuple[int, float]]]:
        found = source.validation() if epoch is None else source.training(epoch)
        return [sorted((int(y), float(x[0, 0])) for x, y in zip(xs, ys, strict=True)) for xs, ys in found]

    alone = seen(1)
    checked = sorted(pair for batch in seen(None) for pair in batch)
    monkeypatch.setattr(group, "size", lambda: workers)
    parts, validated = [], []
    for rank in range(workers):
        monkeypatch.setattr(group, "rank", lambda rank=rank: rank)
        parts.append(seen(1))
        validated += [pair for batch in seen(None) for pair in batch]
    together = [sorted(pair for part in batch for pair in part) for batch in zip(*parts, strict=True)]
    assert together == alone
    assert sorted(validated) == checked
    sizes = [[len(part) for part in batch] for batch in zip(*parts, strict=True)]
    assert all(max(batch) - min(batch) <= 1 for batch in sizes)


def test_validation_takes_the_middle_or_windows_at_even_distances(tmp_path: Path) -> None:
    targets = write_spectrograms(tmp_path / "s.parquet", 9)
    ((x, y), *_) = made(tmp_path / "s.parquet", targets).validation()
    np.testing.assert_allclose(x[0, 0] - y[0], np.arange(1, 6) / 100, atol=1e-2)
    several = [x for xs, _ in made(tmp_path / "s.parquet", targets, crops=4).validation() for x in xs]
    assert len(several) == 36
    np.testing.assert_allclose([x[0, 0] for x in several[:4]], [0, 0.01, 0.02, 0.03], atol=1e-3)


def test_channels_and_multi_hot_rows(tmp_path: Path) -> None:
    targets = write_spectrograms(tmp_path / "s.parquet", 6, channels=3)
    hot = {track: np.eye(6, dtype=np.float32)[n] for track, n in targets.items()}
    ((x, y), *_) = made(tmp_path / "s.parquet", hot).training(1)
    assert x.shape == (len(y), 3, 4, 5)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(np.floor(x[:, 0, 0, 0]), y.argmax(axis=1))


def test_a_row_group_is_read_about_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = write_spectrograms(tmp_path / "s.parquet", 400, groups=40)
    source = made(tmp_path / "s.parquet", targets)
    read = []
    whole = pq.ParquetFile.read_row_group
    monkeypatch.setattr(under_test.pq.ParquetFile, "read_row_group", lambda *args: read.append(args[1]) or whole(*args))
    assert sum(len(y) for _, y in source.training(1)) == 400
    assert len(read) < 60


def write_audio(path: Path, sounds: dict[str, np.ndarray], sr: int) -> None:
    rows = []
    for track_id, y in sounds.items():
        file = io.BytesIO()
        sf.write(file, y, sr, format="WAV", subtype="FLOAT")
        rows.append({"track_id": track_id, "bytes": file.getvalue()})
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=4)


def test_waveforms_are_decoded_and_cropped_on_the_fly(tmp_path: Path) -> None:
    sounds = {f"t{n}": np.linspace(n, n + 0.5, 4_000 + 100 * n, dtype=np.float32) / 16 for n in range(12)}
    write_audio(tmp_path / "a.parquet", sounds, 4_000)
    targets = {track: n for n, track in enumerate(sounds)}
    kind = inputs.series("audio:4000")
    source = TrackBatches([tmp_path / "a.parquet"], targets, kind=kind, n_steps=1_000, batch_size=5, seed=0, crops=3)
    n = 0
    for x, y in source.training(1):
        assert x.dtype == np.float32
        for crop, target in zip(x, y, strict=True):
            start = np.searchsorted(sounds[f"t{target}"], crop[0])
            np.testing.assert_array_equal(crop, sounds[f"t{target}"][start : start + 1_000])
            n += 1
    assert n == 36


def test_audio_that_rotted_is_named(tmp_path: Path) -> None:
    rows = [{"track_id": "t0", "bytes": b"no music"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    kind = inputs.series("audio:4000")
    source = TrackBatches([tmp_path / "a.parquet"], {"t0": 0}, kind=kind, n_steps=10, batch_size=5, seed=0)
    with pytest.raises(PhonolakeError, match="t0 cannot be decoded any more"):
        list(source.training(1))


def test_no_tracks_no_batches(tmp_path: Path) -> None:
    write_spectrograms(tmp_path / "s.parquet", 6)
    source = made(tmp_path / "s.parquet", {})
    assert len(source) == 0
    assert list(source.training(1)) == list(source.validation()) == []
