"""Training and splitting read labels with annotations laid over them where they are asked to."""

from datetime import UTC, datetime

import pytest

from phonolake.annotation import journal, publication
from phonolake.annotation.journal import Answer
from phonolake.lineage import CODE_VERSION
from phonolake.stages import examples, split
from phonolake.store import schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows


@pytest.fixture
def lake(tmp_path) -> Lake:
    """Twenty tracks, alternately folk and rock; an annotator has found that the first rock track is folk."""
    lake = Lake.create(tmp_path / "lake")
    stamp = {"config_hash": "c", "code_version": CODE_VERSION, "duration_seconds": 1.0, "dataset": "toy"}
    tracks = [{"track_id": f"t{n:02}", "source_id": f"{n}"} | stamp for n in range(20)]
    labels = [
        {"track_id": f"t{n:02}", "label": ("folk", "rock")[n % 2], "value": 1, "source": "dataset"} for n in range(20)
    ]
    lake.commit(
        {
            name: Change(schema.table(name), [write_rows(lake.path(name, "toy"), schema.table(name).arrow, rows)])
            for name, rows in (("tracks", tracks), ("labels", labels))
        }
    )
    now = datetime.now(UTC)
    journal.record(lake, [Answer("t01", "rock", 0, "anna", now), Answer("t01", "folk", 1, "anna", now)])
    publication.publish(lake)
    return lake


def learned(lake: Lake, labels: str, name: str) -> dict[str, str]:
    found = examples.collect(lake, labels=labels, split=name, test_fold=None, dataset=None)
    return {track_id: found.classes[k] for part in ("train", "valid", "test") for track_id, k in found.of(part).items()}


def test_either_can_be_learned(lake: Lake) -> None:
    for labels, seed, expected in (("dataset", 0, "rock"), ("resolved", 1, "folk")):
        config = split.Config(str(lake.root), 5, seed, labels)
        split.run(config)
        found = learned(lake, labels, config.name)
        assert found["t01"] == expected
        assert len(found) == 20
        assert found["t03"] == "rock"
