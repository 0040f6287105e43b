"""Little work is done without Ray, and leaves the same files to the bit."""

import hashlib
from pathlib import Path

import pytest

from phonolake import demo as whole
from phonolake import execution
from phonolake.records import Seconds
from phonolake.stages import duplicates, extract, ingest, score, split, train
from phonolake.synthesis import fma

# These tell when it was, or of all that is there.
TIMES = {"runs", "_delta_log", "catalog.duckdb", "_SHA256SUMS", "lake.json"}


def digests(lake: Path) -> dict[str, str]:
    """Hashes of what a lake holds, by path."""
    files = [path for path in sorted(lake.rglob("*")) if path.is_file()]
    kept = [path for path in files if not TIMES & set(path.relative_to(lake).parts)]
    return {str(path.relative_to(lake)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


@pytest.mark.long
def test_every_stage_leaves_the_files_that_it_leaves_by_ray(ray_session: None, demo: Path, tmp_path: Path) -> None:
    """The demo was made without Ray."""
    lake = str(tmp_path / "lake")
    with execution.session():
        execution.use(2)
        ingest.run(ingest.Config(lake, str(demo / "music"), "fma"))
        extract.run(extract.Config(lake, ("mfcc-120",), ("mel-96-12k",)))
        split.run(split.Config(lake))
        train.run(train.Config(lake, "random-forest", max_epochs=2))
        score.run(score.Config(lake))
    by_ray, here = digests(Path(lake)), digests(demo / "lake")
    assert {Path(path).parts[1] for path in by_ray if path.startswith("tables/")} >= {
        "audio", "features_mfcc_120", "spectrograms", "predictions", "tracks", "models", "metrics"
    }  # fmt: skip
    assert by_ray.keys() <= here.keys()
    assert {path for path in by_ray if here[path] != by_ray[path]} == set()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_demo_and_a_search_for_duplicates_are_the_same_to_the_bit(ray_session: None, tmp_path: Path) -> None:
    corpus = fma.Config(n_tracks=80, seed=5, label_noise=0.1, n_corrupt=6, duration=Seconds(1))
    found = []
    for workers in (None, 0):
        root = tmp_path / "demo"
        with execution.session():
            execution.use(workers)
            whole.run(whole.Config(root, corpus, max_epochs=2))
            duplicates.run(duplicates.Config(str(root / "lake")))
        found.append(digests(root))
        root.rename(tmp_path / f"demo-{workers}")
    by_ray, here = found
    assert by_ray.keys() == here.keys()
    assert {path for path in by_ray if by_ray[path] != here[path]} == set()
