"""What a large ingest would take: the arithmetic, and that it holds for one that is really done."""

import time
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from phonolake.errors import UsageError
from phonolake.stages import capacity, ingest
from phonolake.stages.capacity import Collection, Rates, estimate
from phonolake.stages.extraction import RecipeNames
from phonolake.store.lake import Lake

RECIPES = RecipeNames(("mfcc-120",), ("mel-96-12k",))
CLOSE = 0.2


def test_the_arithmetic_of_an_ingest() -> None:
    # A million recordings of a megabyte; a core takes in a megabyte a second and writes a tenth more.
    rates = Rates(core_seconds=1e-6, written=1.1, look_seconds=1e-5, publish_seconds=1e-9)
    steps = {s.step: s for s in estimate(Collection(10**6, 1e12), rates, nodes=10, cores=10, storage_rate=1e9)}
    assert steps["plan"].hours == pytest.approx(10 / 3600)
    assert steps["take in"].core_hours == pytest.approx(1e6 / 3600)
    # 10,000 s of a hundred cores, and 2.1 TB at a gigabyte a second.
    assert (steps["take in"].hours, steps["take in"].bottleneck) == (pytest.approx(1e4 / 3600), "cores")
    assert (steps["take in"].read_gb, steps["take in"].written_gb) == (pytest.approx(1000), pytest.approx(1100))
    assert (steps["publish"].hours, steps["publish"].bottleneck) == (pytest.approx(1100 / 3600), "storage")
    assert steps["all"].hours == pytest.approx((10 + 1e4 + 1100) / 3600)
    assert steps["all"].bottleneck == "cores"


@given(st.integers(1, 10**7), st.floats(1e3, 1e15), st.integers(1, 500), st.integers(1, 128), st.floats(1e6, 1e12))
def test_more_of_anything_never_takes_longer(
    tracks: int, size: float, nodes: int, cores: int, storage_rate: float
) -> None:
    rates = Rates(core_seconds=1e-6, written=1.3, look_seconds=1e-5, publish_seconds=1e-9)

    def hours(*, nodes: int, cores: int, storage_rate: float) -> float:
        found = Collection(tracks, size)
        return estimate(found, rates, nodes=nodes, cores=cores, storage_rate=storage_rate)[-1].hours

    now = hours(nodes=nodes, cores=cores, storage_rate=storage_rate)
    for more in ({"nodes": nodes + 1}, {"cores": cores + 1}, {"storage_rate": storage_rate * 2}):
        assert hours(**{"nodes": nodes, "cores": cores, "storage_rate": storage_rate} | more) <= now


@pytest.mark.parametrize(
    ("name", "says"), [("audioset", "give --seconds"), ("folder", "of any size"), ("nothing", "unknown")]
)
def test_what_cannot_be_planned_is_said(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        capacity.of_dataset(name, None, tmp_path)
    with pytest.raises(UsageError, match="no audio below"):
        capacity.of_folder(tmp_path)


@pytest.mark.slow
def test_the_estimate_holds_for_an_ingest_that_is_done(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for n in range(24):
        (tmp_path / "music").mkdir(exist_ok=True)
        y = rng.normal(0, 0.1, (round(rng.uniform(3, 8) * 44_100), 2))
        sf.write(tmp_path / "music" / f"{n:03d}.mp3", y, 44_100)
    found, sample = capacity.of_folder(tmp_path / "music")
    assert found.tracks == 24
    core_seconds = []
    for _ in range(3):
        rates = capacity.measure(sample, RECIPES)
        core_seconds.append(rates.core_seconds * found.bytes)
    config = ingest.Config(str(tmp_path / "lake"), str(tmp_path / "music"))
    files = tuple(file for group in ingest.make_plan(config).shards.values() for file in group)
    lake = Lake.create(config.lake)
    started = time.process_time()
    ingest.ingest_shard(ingest.Task(lake.root, config, "all", files, RECIPES))
    taken = time.process_time() - started
    written = sum(path.stat().st_size for path in lake.root.glob("tables/*/*.parquet"))
    assert np.median(core_seconds) == pytest.approx(taken, rel=CLOSE)
    assert rates.written * found.bytes == pytest.approx(written, rel=CLOSE)
