"""kill -9 at a random moment of one stage after another: drivers, workers and parts of Ray; then the same command.

The lake of before each stage is made once, so that a kill costs one stage and not a whole run.
"""

import random
import shutil
from collections import Counter

import pytest

from .killing import (
    BY_RAY,
    PLAIN,
    check_same,
    contents,
    finish,
    kill_a_part,
    kill_a_worker,
    kill_tree_later,
    start,
    write_corpus,
)
from .test_kills import KILLS

# In this order, each on the lake that the one before has left.
STAGES = {
    "ingest": ["ingest", "fma", "{corpus}", "--shard-bytes", "60000"],
    "extract": ["extract", "--features", "mfcc-120", "--spectrogram", "mel-96-12k"],
    "split": ["split", "--folds", "3"],
    "training": ["train", "k2c2", "--max-epochs", "2"],
    "fitting": ["train", "scaled-mfcc"],
    "score": ["score"],
    "crossval": ["crossval", "random-forest"],
    "index": ["index"],
}
# How often each is chosen: what has no Ray around it costs a few seconds.
VICTIMS = {"driver": 5, "driver with Ray": 1, "worker": 2, "raylet": 1, "gcs_server": 1}
_told: Counter[str] = Counter()


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """For each stage its command, the lake before it, and what is in the lake after it and how long it took."""
    root = tmp_path_factory.mktemp("stages")
    write_corpus(root / "corpus")
    found, lake = {}, root / "lake"
    for name, words in STAGES.items():
        before = root / f"before-{name}"
        if lake.exists():
            shutil.copytree(lake, before)
        command = [word.format(corpus=root / "corpus") for word in words]
        seconds = finish([*command, "--lake", lake], PLAIN)
        found[name] = (command, before, contents(lake), seconds)
    yield found
    print("\nkills:", ", ".join(f"{victim} {n}" for victim, n in sorted(_told.items())))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("attempt", range(KILLS))
def test_a_stage_killed_at_a_random_moment_heals(stages, tmp_path, attempt):
    chance = random.Random(3000 + attempt)
    name = list(STAGES)[attempt % len(STAGES)]
    (victim,) = chance.choices(list(VICTIMS), list(VICTIMS.values()))
    command, before, expected, seconds = stages[name]
    lake = tmp_path / "lake"
    if before.exists():
        shutil.copytree(before, lake)
    words = [*command, "--lake", lake]
    process = start(words, PLAIN if victim == "driver" else BY_RAY)
    moment = chance.uniform(0, seconds)
    if victim.startswith("driver"):
        kill_tree_later(process, moment)
    elif victim == "worker":
        if not kill_a_worker(process, moment / 2, chance):
            victim = "nobody in time"
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0, output
    else:
        kill_a_part(process, moment, victim)
        process.communicate(timeout=600)
    finish(words, PLAIN)
    check_same(lake, expected)
    _told[f"{victim} in {name}"] += 1
