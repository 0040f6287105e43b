"""Slow: trainings on made music in which the winner is known before."""

from pathlib import Path

import pytest

from phonolake.records import Seconds
from phonolake.stages import extract, ingest, synthesize
from phonolake.studies import robustness
from phonolake.studies.grid import Config, Session
from phonolake.synthesis.planted import Planted

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def lake(root: Path, planted: Planted) -> Path:
    config = synthesize.configure("magnatagatune", 160, 0, 3.0, planted=planted)
    synthesize.run(config, root / "corpus")
    ingest.run(ingest.Config(str(root / "lake"), str(root / "corpus"), "magnatagatune"))
    extract.run(extract.Config(str(root / "lake"), (), ("mel-96-12k",)))
    assert float(config.duration) == Seconds(3.0)
    return root / "lake"


def test_decibels_win_where_a_burst_hides_the_music_from_linear_magnitudes(tmp_path, here):
    found = Session(
        robustness.GRID,
        Config(str(lake(tmp_path, Planted(peaks=40.0))), "compression", size="middle", repeats=2, max_epochs=10),
    )
    rows = {row.row: row for table in found.tables() for row in table}
    decibels_over_linear, _ = found.claims
    assert decibels_over_linear.verdict == "holds", decibels_over_linear
    assert rows["decibel, 100%"].ours > rows["linear, 100%"].ours + 0.05


def test_noise_costs_and_the_more_the_more(tmp_path, here):
    found = Session(
        robustness.GRID, Config(str(lake(tmp_path, Planted())), "noise", size="middle", repeats=2, max_epochs=10)
    )
    rows = {row.row: row.ours for table in found.tables() for row in table}
    assert rows["labels as given"] > rows["60% missing"]
    assert rows["labels as given"] > rows["untrained network"] - 0.05
