"""Small trees in the official layouts, and the real files of others where this machine has them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from phonolake.synthesis.layouts import contract as layouts

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


@pytest.fixture
def make_tree(tmp_path: Path) -> Callable[..., Path]:
    """Write the tables of a made corpus, its audio as empty files: sources read names and metadata, never audio."""

    def make(name: str, n_tracks: int = 26, seed: int = 0) -> Path:
        config = layouts.Config(name, n_tracks, seed)
        root = tmp_path / f"{name}-{n_tracks}-{seed}"
        clips = layouts.plan(config)
        layouts.write_metadata(clips, config, root)
        for clip in clips:
            path = layouts.audio_path(clip, root)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return root

    return make


@pytest.fixture
def real() -> Callable[[str], Path]:
    """A folder or file of real data that others made; the test is passed over where it is not there."""

    def find(name: str) -> Path:
        if not (DATA / name).exists():
            pytest.skip(f"the real files of others are not at {DATA / name}")
        return DATA / name

    return find
