"""A lake of a few labelled tracks, written without Ray: spectrograms and audio whose class can be seen and heard."""

import io
from pathlib import Path

import numpy as np
import soundfile as sf

from phonolake.features import contract
from phonolake.inference import products
from phonolake.records import Hertz
from phonolake.store import schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows

CLASSES = ("drone", "noise", "pulse")
# With these, more kinds of sounds.
MORE = ("low_hum", "high_whistle", "slow_beat")
SR = Hertz(4_000)
N_BANDS, N_FRAMES = 96, 24
PARTS = ("train", "train", "train", "valid", "test")


def make(
    root: Path, *, n_tracks: int = 30, shards: int = 2, many: bool = False, split: bool = True, classes: int = 3
) -> Lake:
    """Write the lake; track n has class n % classes, and with `many` also the tag of the next one when n is even."""
    lake = Lake.create(root)
    names = [f"toy:{n:03d}" for n in range(n_tracks)]
    tables = {"tracks": [_track(name) for name in names], "labels": _labels(names, many, classes)}
    if split:
        tables["splits"] = [
            {"track_id": name, "split": "fixed", "part": PARTS[n // len(CLASSES) % len(PARTS)]}
            for n, name in enumerate(names)
        ]
    changes = {
        table: Change(schema.table(table), [write_rows(lake.path(table, "toy"), schema.table(table).arrow, rows)])
        for table, rows in tables.items()
    }
    spectrograms = products.product(contract.spectrogram("mel-96-12k"))
    changes["audio"], changes["spectrograms"] = Change(schema.table("audio")), Change(spectrograms.table)
    for shard in range(shards):
        numbers = range(shard, n_tracks, shards)
        stem = f"toy-{shard}"
        audio = [_audio(names[n], n, classes) for n in numbers]
        changes["audio"].add.append(write_rows(lake.path("audio", stem), schema.table("audio").arrow, audio))
        pictures = [_spectrogram(names[n], n) for n in numbers]
        path = lake.path("spectrograms", spectrograms.stem(stem))
        changes["spectrograms"].add.append(write_rows(path, spectrograms.table.arrow, pictures))
    lake.commit(changes)
    return lake


def _track(name: str) -> dict:
    return {
        "track_id": name,
        "dataset": "toy",
        "source_id": name,
        "duration_seconds": 1.0,
        "config_hash": "",
        "code_version": "",
    }


def _labels(names: list[str], many: bool, classes: int) -> list[dict]:
    called = [*CLASSES, *MORE][:classes]
    rows = [_label(name, called[n % classes], 1) for n, name in enumerate(names)]
    if many:
        rows += [_label(name, called[(n + 1) % classes], 1 if n % 2 == 0 else 0) for n, name in enumerate(names)]
    return rows


def _label(name: str, label: str, value: int) -> dict:
    return {"track_id": name, "label": label, "value": value, "source": "dataset"}


def _audio(name: str, n: int, classes: int) -> dict:
    rng = np.random.default_rng(n)
    time = np.arange(SR) / SR
    y = (
        0.3 * np.sin(2 * np.pi * 220 * time),
        0.1 * rng.normal(size=SR),
        (np.arange(SR) % 400 == 0) * 0.9,
        0.3 * np.sin(2 * np.pi * 60 * time),
        0.3 * np.sin(2 * np.pi * 1500 * time),
        (np.arange(SR) % 1500 < 20) * 0.9,
    )[n % classes]
    file = io.BytesIO()
    sf.write(file, y.astype(np.float32), SR, format="WAV", subtype="PCM_16")
    return {
        "track_id": name,
        "bytes": file.getvalue(),
        "container": "WAV",
        "codec": "PCM_16",
        "sr": SR,
        "channels": 1,
        "n_samples": int(SR),
        "peak_dbfs": 0.0,
        "rms_dbfs": 0.0,
        "sha256": name,
        "source_path": name,
        "source_bytes": file.tell(),
        "source_mtime": 0,
    }


def _spectrogram(name: str, n: int) -> dict:
    rng = np.random.default_rng(n)
    values = rng.normal(-60, 5, (N_BANDS, N_FRAMES))
    values[32 * (n % 3) : 32 * (n % 3) + 32] += 40
    return {
        "track_id": name,
        "spectrogram": "mel-96-12k",
        "n_bands": N_BANDS,
        "n_frames": N_FRAMES,
        "data": values.astype("<f2").tobytes(),
        "source_shard": "toy.parquet",
        "config_hash": "",
        "code_version": "",
    }
