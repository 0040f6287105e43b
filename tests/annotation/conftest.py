"""A lake of labels to doubt, written straight through the store."""

from pathlib import Path

import pytest

from phonolake.lineage import CODE_VERSION
from phonolake.store import schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows

N_TRACKS = 40


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """40 tracks: every fourth is 'rock', the others 'folk'; even ones are tagged 'slow', one has no label."""
    lake = Lake.create(tmp_path / "lake")
    stamp = {"config_hash": "c", "code_version": CODE_VERSION}
    rows: dict[str, list[dict]] = {"tracks": [], "labels": []}
    for n in range(N_TRACKS):
        track = f"toy:{n:03}"
        rows["tracks"].append(
            {"track_id": track, "dataset": "toy", "source_id": f"{n}", "duration_seconds": 1.0} | stamp
        )
        said = [("rock" if n % 4 == 0 else "folk", "dataset")] if n else []
        said += [("slow", "tags")] if n % 2 == 0 else []
        rows["labels"] += [{"track_id": track, "label": label, "value": 1, "source": who} for label, who in said]
    lake.commit(
        {
            name: Change(schema.table(name), [write_rows(lake.path(name, "toy"), schema.table(name).arrow, its)])
            for name, its in rows.items()
        }
    )
    return lake
