"""kill -9 of the driver or a worker at a random moment, then the same command: the lake shows nothing of it."""

import os
import random
import time
from dataclasses import replace

import pytest

from phonolake.store import jobs
from phonolake.store.lake import Lake
from phonolake.store.verify import mend

from ..object_store import using
from ..stages import small_lake
from .killing import (
    CORPUS,
    PLAIN,
    check_same,
    contents,
    finish,
    kill,
    kill_a_worker,
    kill_later,
    kill_tree_later,
    start,
    write_corpus,
)

KILLS = int(os.environ.get("PHONOLAKE_KILLS", "20"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def ingested(corpus, tmp_path_factory):
    """An undisturbed ingest to compare with."""
    lake = tmp_path_factory.mktemp("undisturbed") / "lake"
    finish(ingest_words(corpus, lake), PLAIN)
    return contents(lake)


def ingest_words(corpus, lake):
    return ["ingest", "fma", corpus, "--lake", lake, "--shard-bytes", "60000"]


@pytest.mark.timeout(120)
@pytest.mark.long
def test_a_killed_ingest_heals(tmp_path):
    corpus = write_corpus(tmp_path / "corpus", replace(CORPUS, n_tracks=20, duration=1.0))
    seconds = finish(ingest_words(corpus, tmp_path / "undisturbed"), PLAIN)
    expected = contents(tmp_path / "undisturbed")
    process = start(ingest_words(corpus, tmp_path / "lake"), PLAIN)
    kill_later(process, seconds * 0.8)
    finish(ingest_words(corpus, tmp_path / "lake"), PLAIN)
    check_same(tmp_path / "lake", expected)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_loss_of_a_worker_is_not_noticed(corpus, ingested, tmp_path):
    process = start(ingest_words(corpus, tmp_path / "lake"))
    killed = kill_a_worker(process, 0.0, random.Random(0))
    output, _ = process.communicate(timeout=100)
    assert killed
    assert process.returncode == 0, output
    check_same(tmp_path / "lake", ingested)


@pytest.fixture(scope="module")
def undisturbed(corpus, tmp_path_factory):
    """A whole undisturbed run to compare with, and the seconds it took."""
    lake = tmp_path_factory.mktemp("undisturbed-run") / "lake"
    seconds = finish(run_words(corpus, lake))
    return contents(lake), seconds


def run_words(corpus, lake):
    return ["run", corpus, "--source", "fma", "--lake", lake, "--shard-bytes", "100000", "--max-epochs", "2"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("victim", ["driver", "worker", "raylet", "gcs_server"])
@pytest.mark.parametrize("attempt", range(KILLS))
def test_a_run_killed_at_a_random_moment_heals(corpus, undisturbed, tmp_path, attempt, victim):
    expected, seconds = undisturbed
    chance = random.Random(f"{victim} {attempt}")
    process = start(run_words(corpus, tmp_path / "lake"))
    kill(process, victim, chance.uniform(0, seconds * 0.9), chance)
    if process.returncode:
        finish(run_words(corpus, tmp_path / "lake"))
    check_same(tmp_path / "lake", expected)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("attempt", range(KILLS))
def test_a_run_killed_on_object_storage_heals(corpus, undisturbed, objects_server, tmp_path, monkeypatch, attempt):
    """On another machine too: the second command has none of the copies of the first."""
    expected, seconds = undisturbed
    with using(objects_server, tmp_path / "one") as url:
        process = start(run_words(corpus, url))
        kill_tree_later(process, random.Random(attempt).uniform(0, 1.5 * seconds))
    with using(objects_server, tmp_path / "other", url) as url:
        finish(run_words(corpus, url))
        # The first one is dead, and not only not heard of.
        monkeypatch.setattr(jobs, "DEAD_SECONDS", 0)
        mend(Lake.open(url))
        check_same(url, expected)


def train_words(lake):
    return ["train", "k2c2", "--max-epochs", "10", "--lake", lake]


def checkpointed(lake, process):
    """Wait until the training has finished an epoch; returns whether it is still on its way."""
    deadline = time.monotonic() + 200
    while process.poll() is None and time.monotonic() < deadline:
        if list(lake.glob("models/*/.training/checkpoint.pt")):
            return True
        time.sleep(0.01)
    return False


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("victim", ["driver", "worker"])
def test_a_killed_training_ends_with_the_same_figures(tmp_path, victim):
    for name in ("undisturbed", "killed"):
        small_lake.make(tmp_path / name)
    finish(train_words(tmp_path / "undisturbed"))
    process = start(train_words(tmp_path / "killed"))
    assert checkpointed(tmp_path / "killed", process)
    if victim == "driver":
        kill_tree_later(process, 0)
        assert contents(tmp_path / "killed")["runs"] == []
        finish(train_words(tmp_path / "killed"))
    else:
        assert kill_a_worker(process, 0, random.Random(0))
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
    check_same(tmp_path / "killed", contents(tmp_path / "undisturbed"))
    assert not list((tmp_path / "killed").glob("models/*/.*"))
