"""Whatever ends a command from outside: one line, the code that shells expect, no orphan, and it can go on."""

import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile as sf

from phonolake.cli.main import main
from phonolake.store import query
from phonolake.store.lake import Lake
from phonolake.store.verify import verify

from .processes import PROGRAM, guarded, left_behind, start, wait_for

SAID = "phonolake: interrupted; the same command goes on where it stopped"


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some minutes of noise, which take a while to be read."""
    folder = tmp_path_factory.mktemp("music") / "noise"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for n in range(4):
        sf.write(folder / f"{n}.flac", rng.uniform(-0.5, 0.5, 20 * 44_100), 44_100)
    return folder.parent


def stop(process: subprocess.Popen[str], signum: signal.Signals) -> None:
    """Send a signal and check what comes of it."""
    process.send_signal(signum)
    begun = time.monotonic()
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - begun < 5
    assert process.returncode == 128 + signum, err
    assert [line for line in err.splitlines() if not line.startswith("No RAY_ADDRESS")] == [SAID]
    assert out == ""
    assert left_behind(process.pid) == []


def maps(process: subprocess.Popen[str]) -> str:
    """The files, libraries among them, that a process has in memory."""
    return Path(f"/proc/{process.pid}/maps").read_text()


def tracks(lake: Path) -> list[tuple]:
    with query.connect(Lake.open(lake)) as connection:
        return connection.execute(
            "SELECT t.*, a.sha256 FROM tracks t JOIN audio a USING (track_id) ORDER BY ALL"
        ).fetchall()


@pytest.mark.long
def test_an_ingest_that_is_stopped_goes_on(music: Path, tmp_path: Path) -> None:
    words = ["ingest", "folder", music, "--lake", tmp_path / "lake", "--shard-bytes", "1000000", "--workers", "0"]
    process = start(words)
    wait_for(lambda: list((tmp_path / "lake").glob("tables/tracks/*.parquet")), process)
    stop(process, signal.SIGTERM)
    assert main(list(map(str, words))) == 0
    undisturbed = tmp_path / "undisturbed"
    assert main(["ingest", "folder", str(music), "--lake", str(undisturbed), "--workers", "0"]) == 0
    assert tracks(tmp_path / "lake") == tracks(undisturbed)
    assert verify(Lake.open(tmp_path / "lake")) == []


@pytest.mark.long
def test_a_query_that_never_ends_is_stopped(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake").root
    process = start(
        [
            "sql",
            "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range % 7 = b.range % 5",
            "--lake",
            lake,
        ]
    )
    busy = psutil.Process(process.pid)
    wait_for(lambda: sum(busy.cpu_times()[:2]) > 2, process)
    stop(process, signal.SIGHUP)


@pytest.mark.parametrize("library", ["", "_duckdb"])
def test_a_command_is_stopped_while_it_still_loads(library: str, tmp_path: Path) -> None:
    """A library whose import fails half-way may abort the process."""
    lake = Lake.create(tmp_path / "lake").root
    process = start(["index", "--lake", lake])
    wait_for(lambda: guarded(process) and library in maps(process), process)
    stop(process, signal.SIGTERM)


def test_whoever_ignores_a_signal_goes_on_ignoring_it(tmp_path: Path) -> None:
    """As `nohup` does with SIGHUP."""
    lake = Lake.create(tmp_path / "lake").root
    process = subprocess.Popen(
        ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *PROGRAM, "status", "--lake", str(lake)],
        stdout=subprocess.DEVNULL,
    )
    time.sleep(0.5)
    process.send_signal(signal.SIGHUP)
    assert process.wait(60) == 0
