"""Lakes in three states for the pages: with everything in it, with recordings only, and empty."""

import functools
import io
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from phonolake.lineage import CODE_VERSION
from phonolake.models import k2c2, storage
from phonolake.store import schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows

APP = Path(__file__).resolve().parents[2] / "dashboard" / "app.py"
SR, N_BANDS, N_FRAMES = 8000, 96, 48
N_VALUES = 160  # of an embedding of k2c2
CLASSES = ("Folk", "Rock", "<b>Odd</b>")
N_TRACKS = 30
# A title that would be bold, would load a picture and would run a script, were it not shown as text.
HOSTILE = '<b>bold</b> ![x](http://example.com/x.png) <script>alert("x")</script> [y](javascript:z) $a$ :red[b]'
FOREST, NETWORK = "random-forest-0", "k2c2-0"
Rows = dict[str, list[dict[str, Any]]]
# AppTest reads what every installed package says of itself, for each page anew; that takes .4 s, and never changes.
installed_components = functools.cache(manifest_scanner.scan_component_manifests)


def track_id(n: int) -> str:
    return f"toy:{n:03}"


def wav(n: int) -> bytes:
    """One second of a tone."""
    time = np.arange(SR) / SR
    buffer = io.BytesIO()
    # AIFF is what browsers do not play; one such track has to be decoded for them.
    sf.write(buffer, 0.5 * np.sin(2 * np.pi * (200 + 20 * n) * time), SR, format="AIFF" if n == 2 else "WAV")
    return buffer.getvalue()


def recordings() -> Rows:
    """Tracks with their audio and labels, and two inputs that were left out."""
    stamp = {"config_hash": "c", "code_version": CODE_VERSION}
    rows: Rows = {"tracks": [], "audio": [], "labels": [], "splits": [], "rejects": []}
    for n in range(N_TRACKS):
        track = track_id(n)
        title = HOSTILE if n == 1 else f"Song {n}"
        names = {"title": title, "artist": f"Band {n % 4}", "album": None, "year": 2000 + n, "licence": "CC0"}
        rows["tracks"].append(
            {"track_id": track, "dataset": "toy", "source_id": f"{n:03}", "duration_seconds": 1.0 + n} | names | stamp
        )
        rows["audio"].append(
            {"track_id": track, "bytes": wav(n), "container": "AIFF" if n == 2 else "WAV", "codec": "PCM_16"}
            | {"sr": SR, "channels": 1, "n_samples": SR, "peak_dbfs": -6.0, "rms_dbfs": -9.0, "sha256": f"{n}"}
            | {"source_path": f"/music/{n}.wav", "source_bytes": 1, "source_mtime": 1}
        )
        said = [(CLASSES[n % 3], "dataset"), ("slow" if n % 3 == 0 else "loud", "tags")]
        rows["labels"] += [{"track_id": track, "label": label, "value": 1, "source": s} for label, s in said]
        rows["splits"].append({"track_id": track, "split": "folds", "part": None, "fold": n % 5 + 1})
    for n, (reason, detail) in enumerate([("empty", "the file has no bytes"), ("silent", "peak -200.0 dBFS")]):
        why = {"stage": "ingest", "reason": reason, "detail": detail, "retryable": False}
        rows["rejects"].append({"track_id": track_id(900 + n), "dataset": "toy"} | why | stamp)
    return rows


def derived() -> Rows:
    """Spectrograms, and what two models make of the tracks; both take track 3 for something else than it says."""
    rng = np.random.default_rng(0)
    rows: Rows = {"spectrograms": [], "predictions": [], "embeddings": [], "models": [], "runs": [], "metrics": []}
    stamp = {"source_shard": "s", "code_version": CODE_VERSION}
    for n in range(N_TRACKS):
        data = rng.uniform(-80, 0, (N_BANDS, N_FRAMES)).astype("<f2").tobytes()
        sizes = {"n_bands": N_BANDS, "n_frames": N_FRAMES, "config_hash": "c"}
        rows["spectrograms"].append(
            {"track_id": track_id(n), "spectrogram": "mel-96-12k", "data": data} | sizes | stamp
        )
        heard = 1 if n == 3 else n % 3
        vector = 12 * np.eye(N_VALUES)[heard] + rng.normal(size=N_VALUES)
        about = {"track_id": track_id(n), "model": "k2c2", "run_id": NETWORK} | stamp
        rows["embeddings"].append(about | {"embedding": vector.tolist()})
        for run_id, part in ((NETWORK, "train" if n % 5 else "test"), (FOREST, "test")):
            about = {"track_id": track_id(n), "model": run_id[:-2], "run_id": run_id, "part": part} | stamp
            rows["predictions"] += [
                about | {"label": label, "probability": 0.8 if k == heard else 0.1} for k, label in enumerate(CLASSES)
            ]
    for hour, (run_id, kind) in enumerate([(FOREST, "features:mfcc-120"), (NETWORK, "spectrogram:mel-96-12k")]):
        rows["models"].append(
            {"run_id": run_id, "model": run_id[:-2], "input": kind, "labels": list(CLASSES), "split": "folds"}
            | {"test_fold": 1, "card": "{}", "code_version": CODE_VERSION}
        )
        rows["runs"].append(run_row(run_id, hour))
        rows["metrics"] += [
            {"run_id": run_id, "part": "test", "metric": metric, "value": value, "chance": chance, "n": N_TRACKS}
            for metric, value, chance in [("accuracy", 0.9, 0.4), ("roc-auc", None, 0.5)]
        ]
        rows["metrics"] += [
            {"run_id": run_id, "part": "test", "metric": "f1", "label": label, "value": 0.5 + 0.1 * k, "n": N_TRACKS}
            for k, label in enumerate(CLASSES)
        ]
    rows["metrics"] += [
        {"run_id": NETWORK, "part": "train", "metric": "loss", "epoch": epoch, "value": 1 / epoch, "n": N_TRACKS}
        for epoch in (1, 2, 3)
    ]
    about = {"study_run": "robustness-0", "study": "robustness", "part": "compression", "n": 3}
    rows["study_rows"] = [
        about
        | {"position": n, "table_name": "Fig. 7", "row_name": name, "model": "k2c2", "metric": "roc-auc"}
        | {"paper": 0.8, "ours": 0.7 + 0.1 * n, "std": 0.01, "notes": "bars"}
        for n, name in enumerate(("decibel", "linear"), start=1)
    ]
    rows["study_claims"] = [
        about
        | {"position": 1, "claim": "Decibels win.", "expects": "above", "metric": "roc-auc", "difference": 0.1}
        | {"low": 0.05, "high": 0.15, "n_tracks": N_TRACKS, "verdict": "holds", "data": "toy"}
    ]
    return rows


def run_row(run_id: str, hour: int) -> dict[str, Any]:
    started = datetime(2026, 1, 1, hour, tzinfo=UTC)
    return {
        "run_id": run_id,
        "stage": "train",
        "config": "{}",
        "config_hash": "c",
        "inputs": N_TRACKS,
        "outputs": N_TRACKS,
        "rejects": 0,
        "snapshot": "{}",
        "started_at": started,
        "finished_at": started + timedelta(minutes=5),
        "code_version": CODE_VERSION,
    }


def fill(lake: Lake, rows: Rows) -> None:
    changes = {}
    for name, its_rows in rows.items():
        table = schema.table(name)
        changes[name] = Change(table, [write_rows(lake.path(name, f"{NETWORK}--toy"), table.arrow, its_rows)])
    lake.commit(changes)


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    """The names of this module, for tests that look for what it wrote."""
    return sys.modules[__name__]


@pytest.fixture(scope="session")
def full_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything, with a network whose weights are stored."""
    lake = Lake.create(tmp_path_factory.mktemp("full") / "lake")
    build = {"n_classes": len(CLASSES), "n_frames": N_FRAMES, "seed": 0}
    card = {"model": "k2c2", "build": build, "classes": list(CLASSES), "activation": "softmax"}
    storage.save(k2c2.build(**build), card, lake.root / "models" / NETWORK / "weights")
    fill(lake, recordings() | derived())
    return lake.root


@pytest.fixture(scope="session")
def half_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a pipeline leaves that was stopped after ingest."""
    lake = Lake.create(tmp_path_factory.mktemp("half") / "lake")
    fill(lake, recordings())
    return lake.root


@pytest.fixture(scope="session")
def empty_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Lake.create(tmp_path_factory.mktemp("empty") / "lake").root


@pytest.fixture
def missing_lake(tmp_path: Path) -> Path:
    return tmp_path / "nowhere"


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch):
    """Open a page of the dashboard of a lake, as a browser would."""

    def opened(lake: Path | None, page: str, **query: str) -> AppTest:
        monkeypatch.setattr(manifest_scanner, "scan_component_manifests", installed_components)
        monkeypatch.delenv("PHONOLAKE_LAKE", raising=False)
        if lake is not None:
            monkeypatch.setenv("PHONOLAKE_LAKE", str(lake))
        app = AppTest.from_file(APP, default_timeout=30)
        for name, value in query.items():
            app.query_params[name] = value
        if page != "overview":
            app.switch_page(f"views/{page}.py")
        return app.run()

    return opened
