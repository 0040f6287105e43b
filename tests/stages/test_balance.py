"""Work is dealt so that many cores end together."""

import heapq
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonolake.records import Recording
from phonolake.stages import ingest_plan
from phonolake.stages.ingest_config import Config
from phonolake.stages.ingest_files import File

SLOTS, MOST = 64, 1.3
# Below, shards are not cut so fine that each slot has several.
LEAST_BYTES = 4 << 30


def last_to_end(work: list[int], slots: int) -> int:
    """When the last slot ends, where each takes the next piece as soon as it is free."""
    busy = [0] * slots
    for piece in work:
        heapq.heapreplace(busy, busy[0] + piece)
    return max(busy)


@pytest.mark.timeout(120)
@settings(max_examples=30)
@given(
    n_files=st.integers(1_000, 10_000),
    mean_bytes=st.integers(LEAST_BYTES // 1_000, 16 << 20),
    spread=st.floats(0, 1.0),
    seed=st.integers(0, 1_000),
)
@pytest.mark.long
def test_no_slot_of_many_is_at_work_long_after_the_others(
    n_files: int, mean_bytes: int, spread: float, seed: int
) -> None:
    sizes = mean_bytes * np.random.default_rng(seed).lognormal(0, spread, n_files)
    files = [File(Recording(f"{n:05d}", Path(f"{n}.mp3")), int(size), 1, "") for n, size in enumerate(sizes)]
    plan = ingest_plan.make(files, None, "d", "fingerprint", Config("lake", "music").shard_bytes)
    shards = sorted((sum(file.size or 0 for file in group) for group in plan.shards.values()), reverse=True)
    mean = sum(shards) / SLOTS
    assert last_to_end(shards, SLOTS) <= MOST * max(mean, sizes.max())
