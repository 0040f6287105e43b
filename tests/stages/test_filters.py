"""The picture and the table of what a sample-level network listens for."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from phonolake.errors import UsageError
from phonolake.models import home, registry, storage
from phonolake.stages import filters


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(home.VARIABLE, str(tmp_path / "home"))
    for name in ("sample-5-3-by-125", "k2c2"):
        module = registry.get(name)
        build = {"n_classes": 2, "n_frames": module.CARD.n_frames or 20, "seed": 0}
        card = {"model": name, "build": build, "classes": ["a", "b"], "activation": "sigmoid"}
        storage.save(module.build(**build), card, home.place(name))


@pytest.mark.long
def test_figure_and_table_are_written_and_the_same_again(at_home: None, tmp_path: Path) -> None:
    configs = [filters.Config("sample-5-3-by-125", str(tmp_path / out), steps=2) for out in ("one", "two")]
    summaries = [filters.run(config) for config in configs]
    assert summaries[0] == summaries[1]
    # 729 samples are six frames of 125: one pool of five fits in.
    assert [(s.layer, s.filters) for s in summaries[0]] == [(1, 128), (2, 256)]
    assert all(0 <= s.lower_hz <= s.median_hz <= s.upper_hz <= 11_025 for s in summaries[0])
    for file in (filters.FIGURE, filters.TABLE):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
    rows = pq.read_table(tmp_path / "one" / filters.TABLE).to_pylist()
    first = [row for row in rows if row["layer"] == 1]
    assert sorted(row["filter"] for row in first) == list(range(128))
    assert [row["peak_hz"] for row in first] == sorted(row["peak_hz"] for row in first)
    assert all(len(row["magnitude"]) == 365 for row in rows)
    with Image.open(tmp_path / "one" / filters.FIGURE) as image:
        image.verify()
        assert image.format == "PNG"


def test_networks_over_spectrograms_have_no_such_filters(at_home: None, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a sample-level network"):
        filters.run(filters.Config("k2c2", str(tmp_path / "out")))
