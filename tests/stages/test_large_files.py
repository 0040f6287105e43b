"""Files that are stored in pieces: the same facts, features and samples as in one row, from ingest to training."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile as sf

from phonolake import execution
from phonolake.analysis.collection import neighbours
from phonolake.audio.encoded import OnDisk, find, opened, sha256
from phonolake.errors import AudioError
from phonolake.inference import inputs, recordings
from phonolake.inference import rows as stored_rows
from phonolake.stages import duplicates, extract, forget, ingest, ingest_rows, pipeline
from phonolake.store import catalog, pieces
from phonolake.store.lake import Lake
from phonolake.store.verify import verify
from phonolake.training.batches import TrackBatches

pytestmark = pytest.mark.timeout(120)

SR = 16_000
PIECE = 20_000
SET, SPECTROGRAM = "mfcc-120", "mel-96-12k"


def in_process(function: Callable[[Any], Any], payloads: Sequence[Any], **_: Any) -> Iterator[tuple[Any, Any]]:
    """What `execution.imap` does, without Ray: workers would not see what a test has patched."""
    return ((payload, function(payload)) for payload in payloads)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "imap", in_process)
    monkeypatch.setattr(execution, "amap", lambda make, payloads, **_: in_process(make(), payloads))


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings in the containers that are read each in its way, one that is small, and two that are broken."""
    root = tmp_path_factory.mktemp("music")
    y = np.random.default_rng(0).normal(0, 0.1, (4 * SR, 2))
    for name in ("a.wav", "b.flac", "c.ogg", "d.mp3", "e.aiff"):
        sf.write(root / name, np.roll(y, ord(name[0]) * 999, axis=0), SR)
    with av.open(str(root / "f.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=SR, layout="mono")
        frame = av.AudioFrame.from_ndarray(y[None, :, 0].astype(np.float32), "fltp", "mono")
        frame.sample_rate = SR
        container.mux([*stream.encode(frame), *stream.encode(None)])
    sf.write(root / "g-small.wav", y[: SR // 2, :1], SR)
    for name in ("a.wav", "c.ogg"):
        whole = (root / name).read_bytes()
        (root / f"torn-{name}").write_bytes(whole[: len(whole) * 3 // 4])
    return root


def take_in(music: Path, lake: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> Lake:
    monkeypatch.setattr(pieces, "PIECE", piece)
    outcome = ingest.run(ingest.Config(str(lake), str(music), dataset="d"))
    assert (outcome.inputs, outcome.outputs, outcome.rejects) == (9, 7, 2)
    return Lake.open(lake)


@pytest.fixture
def both(music: Path, tmp_path: Path, alone: None, monkeypatch: pytest.MonkeyPatch) -> tuple[Lake, Lake]:
    """The same music in two lakes: in one row for each file, and in pieces."""
    return (
        take_in(music, tmp_path / "whole", monkeypatch, 1 << 30),
        take_in(music, tmp_path / "pieces", monkeypatch, PIECE),
    )


def rows(lake: Lake, sql: str) -> list[tuple[Any, ...]]:
    with catalog.connect(lake) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.long
def test_rows_are_the_same_in_pieces(both: tuple[Lake, Lake], music: Path) -> None:
    whole, cut = both
    for table in ("tracks", "labels", "rejects", "metadata"):
        assert rows(whole, f"FROM {table} ORDER BY ALL") == rows(cut, f"FROM {table} ORDER BY ALL")
    facts = "SELECT * EXCLUDE (bytes, piece) FROM audio WHERE coalesce(piece, 0) = 0 ORDER BY track_id"
    assert rows(whole, facts) == rows(cut, facts)
    assert rows(whole, "SELECT count(*) FROM audio") == [(7,)]
    stored: dict[str, bytes] = {}
    for track_id, data in rows(cut, "SELECT track_id, bytes FROM audio ORDER BY track_id, piece"):
        assert len(data) <= PIECE
        stored[track_id] = stored.get(track_id, b"") + data
    assert stored == {t: (music / t.removeprefix("d:")).read_bytes() for t in stored}
    assert rows(cut, "SELECT track_id FROM audio WHERE piece IS NULL ORDER BY ALL") == [("d:g-small.wav",)]
    assert verify(whole) == verify(cut) == []
    # What is known is known in pieces, too.
    assert ingest.run(ingest.Config(str(cut.root), str(music), dataset="d")).run_id is None


@pytest.mark.long
@pytest.mark.parametrize("longest", [600.0, 1.0])
def test_features_are_the_same_in_pieces(
    both: tuple[Lake, Lake], longest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings, "LONGEST", longest)
    monkeypatch.setattr(recordings, "WINDOW", 2.0)
    found = []
    for lake in both:
        outcomes = extract.run(extract.Config(str(lake.root), (SET, f"{SET}-per-1000ms"), (SPECTROGRAM,)))
        assert {(o.inputs, o.outputs) for o in outcomes[:1] + outcomes[2:]} == {(7, 7)}
        values = "SELECT * EXCLUDE (source_shard) FROM {} ORDER BY track_id, start_seconds"
        tables = ("features_mfcc_120", "features_mfcc_120_per_1000ms", "spectrograms")
        found.append([rows(lake, values.format(table)) for table in tables])
        assert verify(lake) == []
    assert found[0] == found[1]


@pytest.mark.parametrize("longest", [600.0, 1.0])
@pytest.mark.slow
def test_a_file_is_its_own_nearest_neighbour(
    music: Path, tmp_path: Path, alone: None, longest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long recording is described in windows, whether it is stored or asked for."""
    monkeypatch.setattr(recordings, "LONGEST", longest)
    monkeypatch.setattr(recordings, "WINDOW", 2.0)
    lake = take_in(music, tmp_path / "lake", monkeypatch, PIECE)
    pipeline.run(pipeline.Config(ingest.Config(str(lake.root), str(music), dataset="d")))
    for name in ("a.wav", "d.mp3"):
        path = music / name
        first, *_ = neighbours.similar_to_upload(lake, path.read_bytes(), extension=path.suffix[1:], k=2)
        assert first.track_id == f"d:{name}"
        assert first.similarity == pytest.approx(1, abs=1e-6)
        # The file itself is left out, as the track is.
        by_file, by_track = (neighbours.similar(lake, one, k=2) for one in (str(path), f"d:{name}"))
        assert [n.track_id for n in by_file] == [n.track_id for n in by_track]


@pytest.mark.long
def test_fingerprints_are_the_same_in_pieces(both: tuple[Lake, Lake]) -> None:
    found = []
    for lake in both:
        duplicates.run(duplicates.Config(str(lake.root)))
        found.append(rows(lake, "SELECT track_id, sample_sha256, frames FROM fingerprints ORDER BY track_id"))
    assert found[0] == found[1]
    assert len(found[0]) == 7


@pytest.mark.long
def test_networks_read_the_same_from_pieces(both: tuple[Lake, Lake]) -> None:
    kind = inputs.series("audio:4000")
    targets = {track_id: n for n, (track_id,) in enumerate(rows(both[0], "SELECT track_id FROM tracks ORDER BY ALL"))}
    arrays, batches = [], []
    for lake in both:
        files = [lake.folder("audio") / file for file in lake.shards("audio")]
        groups = [(file, n) for file in files for n in range(pieces.pq.ParquetFile(file).num_row_groups)]
        read = [track for file, n in groups for track in stored_rows.tracks(file, n, kind)]
        assert [track_id for track_id, _ in read] == list(targets)
        arrays.append(np.concatenate([y for _, y in read]))
        some = [
            track_id for file, n in groups for track_id, _ in stored_rows.tracks(file, n, kind, {"d:a.wav", "d:c.ogg"})
        ]
        assert some == ["d:a.wav", "d:c.ogg"]
        source = TrackBatches(files, targets, kind=kind, n_steps=1000, batch_size=4, seed=0)
        assert source.track_ids == list(targets)
        batches.append(
            sorted((int(y), x.tobytes()) for xs, ys in source.training(1) for x, y in zip(xs, ys, strict=True))
        )
    np.testing.assert_array_equal(*arrays)
    assert batches[0] == batches[1]


def test_a_track_in_pieces_is_forgotten(both: tuple[Lake, Lake]) -> None:
    _, cut = both
    forget.run(forget.Config(str(cut.root), ("d:a.wav",)))
    assert rows(cut, "SELECT count(DISTINCT track_id), count(*) FILTER (track_id = 'd:a.wav') FROM audio") == [(6, 0)]
    assert forget.verify(cut, ("d:a.wav",)) == []
    assert verify(cut) == []


def test_a_file_that_is_written_while_it_is_read_is_tried_again(
    music: Path, tmp_path: Path, alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "music").mkdir()
    path = tmp_path / "music" / "a.wav"
    data = (music / "a.wav").read_bytes()
    path.write_bytes(data)
    monkeypatch.setattr(pieces, "PIECE", PIECE)
    config = ingest.Config(str(tmp_path / "lake"), str(tmp_path / "music"), dataset="d")
    probe = ingest_rows.probe_and_decode

    def slow_probe(*arguments: Any, **options: Any) -> Any:
        found = probe(*arguments, **options)
        with open(path, "ab") as file:
            file.write(data[44:])
        return found

    with monkeypatch.context() as patch:
        patch.setattr(ingest_rows, "probe_and_decode", slow_probe)
        assert ingest.run(config).rejects == 1
    lake = Lake.open(config.lake)
    assert rows(lake, "SELECT reason, retryable FROM rejects") == [("unreadable", True)]
    path.write_bytes(data)
    assert ingest.run(dataclasses.replace(config)).outputs == 1
    assert rows(lake, "SELECT sha256, count(*) FROM audio GROUP BY ALL") == [(sha256(data), -(-len(data) // PIECE))]


# -- files that are not in memory -------------------------------------------------------------------------------------


def test_a_file_on_the_disk_is_read_as_bytes_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.random.default_rng(0).bytes(5000)
    path = tmp_path / "file"
    path.write_bytes(data)
    monkeypatch.setattr("phonolake.audio.encoded.AT_ONCE", 700)
    with OnDisk(path) as found:
        assert len(found) == 5000
        assert found[:] == data
        assert found[-10:] == data[-10:]
        assert found[4990:6000] == data[4990:]
        assert found[6000:] == b""
        assert sha256(found) == sha256(data)
        for mark in (data[:4], data[699:702], data[1397:1401], data[-3:], b"no such mark"):
            places = [i for i in range(len(data)) if data.startswith(mark, i)]
            assert list(find(found, mark)) == list(find(data, mark)) == places
            assert list(find(found, mark, 1399)) == [place for place in places if place >= 1399]
        with opened(found) as one, opened(data) as other:
            for offset, whence, n in ((10, 0, 20), (-5, 1, 900), (-30, 2, 100), (9000, 0, 5)):
                assert one.seek(offset, whence) == other.seek(offset, whence)
                assert one.read(n) == other.read(n)
                assert one.tell() == other.tell()
        os.truncate(path, 100)
        with pytest.raises(AudioError, match="unreadable: the file became shorter"):
            found[0:200]
    with pytest.raises(AudioError, match="unreadable"):
        OnDisk(tmp_path / "nowhere")


def test_workers_that_take_in_and_extract_do_without_pytorch() -> None:
    """It would take 180 MiB of each."""
    program = "import sys; from phonolake.stages import duplicates, extract, ingest; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
