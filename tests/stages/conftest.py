"""A fixture of several stages."""

import pytest

from phonolake.store.lake import Lake

from . import small_lake


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake of 12 tracks that stays as it is: tests copy it, or do what is refused."""
    return small_lake.make(tmp_path_factory.mktemp("kept") / "lake", n_tracks=12)
