"""Training and splitting read labels with annotations laid over them where they are asked to."""

from datetime import UTC, datetime

import pytest

from phonolake.annotation import journal, publication
from phonolake.annotation.journal import Answer
from phonolake.lineage import CODE_VERSION
from phonolake.models import storage
from phonolake.stages import examples, fitting, split, train
from phonolake.store import schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows

from . import small_lake


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


def test_a_network_learns_what_the_annotators_say(tmp_path) -> None:
    """Five of ten drones are said to be noise; only who believes the annotators learns it so."""
    lake = small_lake.make(tmp_path / "small")
    now = datetime.now(UTC)
    given, said = small_lake.CLASSES[0], small_lake.CLASSES[1]
    drones = [f"toy:{n:03d}" for n in range(0, 30, 3)]
    answers = [(Answer(t, given, 0, "anna", now), Answer(t, said, 1, "anna", now)) for t in drones[5:]]
    journal.record(lake, [answer for pair in answers for answer in pair])
    publication.publish(lake)
    for labels, n_said in (("dataset", 10), ("resolved", 15)):
        (task,) = train.plan(train.Config(str(lake.root), "k2c2", labels=labels, max_epochs=1))
        assert sum(task.examples.classes[k] == said for (k,) in task.examples.labels) == n_said
        fitting.train_model(task)
        assert task.finished
        assert storage.read_card(task.folder / "weights")["config"]["labels"] == labels


@pytest.mark.long
def test_tracks_that_have_none_of_the_labels_are_negatives(tmp_path) -> None:
    """With many labels a track about which only "no" is said counts; with one label it cannot."""
    lake = small_lake.make(tmp_path / "small", many=True)
    no = [{"track_id": "toy:029", "label": label, "value": 0, "source": "silence"} for label in small_lake.CLASSES]
    yes = [
        {"track_id": f"toy:{n:03d}", "label": small_lake.CLASSES[n % 3], "value": 1, "source": "silence"}
        for n in range(29)
    ]
    table = schema.table("labels")
    lake.commit({"labels": Change(table, [write_rows(lake.path("labels", "silence"), table.arrow, no + yes)])})
    for many, n_tracks in ((True, 30), (False, 29)):
        (task,) = train.plan(train.Config(str(lake.root), "k2c2", labels="silence", multi_label=many, max_epochs=1))
        assert len(task.examples.track_ids) == n_tracks
    (task,) = train.plan(train.Config(str(lake.root), "k2c2", labels="silence", multi_label=True, max_epochs=1))
    part = task.examples.parts[task.examples.track_ids.index("toy:029")]
    assert task.examples.of(part)["toy:029"].tolist() == [0, 0, 0]
    fitting.train_model(task)
    tested = [row["n"] for row in storage.read_card(task.folder / "weights")["metrics"] if row["part"] == part]
    assert tested
    assert set(tested) == {len(task.examples.of(part))}
