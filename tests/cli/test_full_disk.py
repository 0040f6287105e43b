"""A full disk: one line that says so, nothing half-written visible, and the same command ends well with more room."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile as sf

from phonolake.store.lake import Lake
from phonolake.store.verify import verify


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 MB of its own; mounting one needs rights that not every machine gives."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("no right to mount a small disk")
    yield disk
    subprocess.run(["umount", disk], check=True)


def ingest(music, lake):
    words = ["ingest", "folder", str(music), "--lake", str(lake), "--shard-bytes", "400000"]
    return subprocess.run(
        [sys.executable, "-m", "phonolake.cli.main", *words], capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_full_disk_loses_nothing(small_disk, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "music" / "noise").mkdir(parents=True)
    for n in range(12):
        sf.write(tmp_path / "music" / "noise" / f"{n:02d}.wav", rng.uniform(-0.5, 0.5, 150_000), 44_100)
    failed = ingest(tmp_path / "music", small_disk / "lake")
    assert failed.returncode == 1
    assert failed.stdout == ""
    (error,) = failed.stderr.strip().splitlines()
    assert "the disk is full" in error
    lake = Lake.open(small_disk / "lake")
    assert lake.shards("tracks") == {}
    subprocess.run(["mount", "-o", "remount,size=50m", small_disk], check=True)
    done = ingest(tmp_path / "music", small_disk / "lake")
    assert done.returncode == 0, done.stderr
    assert sum(shard.rows for shard in lake.shards("tracks").values()) == 12
    assert verify(lake) == []
