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
    kill,
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


class Undisturbed:
    """For each stage its command, the lake before it, what is in the lake after it, and how long it took."""

    def __init__(self, root):
        self.root, self.lake, self.found = root, root / "lake", {}
        write_corpus(root / "corpus")
        self.left = list(STAGES)

    def stage(self, name):
        """What is known of a stage; those before it are run once."""
        while name not in self.found:
            done = self.left.pop(0)
            before = self.root / f"before-{done}"
            if self.lake.exists():
                shutil.copytree(self.lake, before)
            command = [word.format(corpus=self.root / "corpus") for word in STAGES[done]]
            seconds = finish([*command, "--lake", self.lake], PLAIN)
            self.found[done] = (command, before, contents(self.lake), seconds)
        return self.found[name]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    yield Undisturbed(tmp_path_factory.mktemp("stages"))
    print("\nkills:", ", ".join(f"{victim} {n}" for victim, n in sorted(_told.items())))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("attempt", range(KILLS))
def test_a_stage_killed_at_a_random_moment_heals(undisturbed, tmp_path, attempt):
    chance = random.Random(3000 + attempt)
    name = list(STAGES)[attempt % len(STAGES)]
    (victim,) = chance.choices(list(VICTIMS), list(VICTIMS.values()))
    command, before, expected, seconds = undisturbed.stage(name)
    lake = tmp_path / "lake"
    if before.exists():
        shutil.copytree(before, lake)
    words = [*command, "--lake", lake]
    process = start(words, PLAIN if victim == "driver" else BY_RAY)
    # Tasks begin early.
    moment = chance.uniform(0, seconds / 2 if victim == "worker" else seconds)
    killed = kill(process, victim.removesuffix(" with Ray"), moment, chance)
    finish(words, PLAIN)
    check_same(lake, expected)
    told = f"{victim if killed else 'nobody in time'} in {name}"
    # Also seen where the proof is cut short.
    print(f"\nhealed: {told}")
    _told[told] += 1
