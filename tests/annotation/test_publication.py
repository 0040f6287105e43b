"""What SQL sees of the answers: all of them, once each, after every publication."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from phonolake.annotation import journal, publication
from phonolake.annotation.journal import Answer
from phonolake.store import query
from phonolake.store.lake import Lake
from phonolake.store.verify import verify

NOW = datetime(2026, 1, 1, tzinfo=UTC)

PUBLISHING = """
import sys
from datetime import UTC, datetime
from phonolake.annotation import journal, publication
from phonolake.store.lake import Lake
lake, rater = Lake.open(sys.argv[1]), sys.argv[2]
for n in range(4):
    journal.record(lake, [journal.Answer(f"toy:{n:03}", "rock", 1, rater, datetime.now(UTC), "s")])
    publication.publish(lake)
"""


def said(lake: Lake, rater: str, **values: int | None) -> None:
    """Answers such as ``toy001=1`` about rock."""
    journal.record(lake, [Answer(f"toy:{name[-3:]}", "rock", v, rater, NOW, "s") for name, v in values.items()])


def rows(lake: Lake, sql: str) -> list[tuple]:
    with query.connect(lake) as connection:
        return connection.execute(sql).fetchall()


TABLE = "SELECT rater, track_id, value FROM annotations ORDER BY ALL"


def test_answers_appear_are_replaced_and_vanish(lake: Lake) -> None:
    assert publication.publish(lake) == 0
    said(lake, "anna", toy001=1, toy002=None)
    said(lake, "bert", toy001=0)
    assert rows(lake, TABLE) == []
    assert publication.publish(lake) == 2
    assert rows(lake, TABLE) == [("anna", "toy:001", 1), ("anna", "toy:002", None), ("bert", "toy:001", 0)]
    version = lake.versions()["annotations"]
    assert publication.publish(lake) == 0
    assert lake.versions()["annotations"] == version, "what is published already costs no version"
    journal.undo(lake, "bert")
    said(lake, "anna", toy001=0)
    assert publication.publish(lake) == 2
    assert rows(lake, TABLE) == [("anna", "toy:001", 0), ("anna", "toy:002", None)]


def test_many_answers_are_one_shard_and_few_files(lake: Lake) -> None:
    for n in range(12):
        said(lake, "anna", **{f"toy{n:03}": n % 2})
        publication.publish(lake)
    assert len(lake.shards("annotations")) == 1
    assert len(list(lake.folder("annotations").glob("*.parquet"))) <= 2
    assert rows(lake, "SELECT count(*), sum(value) FROM annotations") == [(12, 6)]


@pytest.mark.long
def test_publishers_at_once_leave_every_answer_once(lake: Lake) -> None:
    command = [sys.executable, "-c", PUBLISHING, str(lake.root)]
    publishers = [subprocess.Popen([*command, rater]) for rater in ("anna", "anna", "bert")]
    assert [process.wait() for process in publishers] == [0, 0, 0]
    found = rows(lake, "SELECT rater, count(*), count(DISTINCT track_id) FROM annotations GROUP BY rater ORDER BY 1")
    assert found == [("anna", 4, 4), ("bert", 4, 4)]
    assert not [f for f in verify(lake) if "without audio" not in f.problem]


RESOLVED = (
    "SELECT track_id, label, source, given, annotated, resolved FROM labels_resolved "
    "WHERE track_id IN ('toy:001', 'toy:004', 'toy:008') AND source = 'dataset' ORDER BY ALL"
)


def test_annotations_are_laid_over_the_labels(lake: Lake) -> None:
    assert {r[3:] for r in rows(lake, RESOLVED)} == {(1, None, 1)}
    said(lake, "anna", toy001=1, toy004=0, toy008=0)
    said(lake, "bert", toy001=1, toy004=0, toy008=1)
    publication.publish(lake)
    assert rows(lake, RESOLVED) == [
        ("toy:001", "folk", "dataset", 1, None, 1),
        ("toy:001", "rock", "dataset", None, 1, 1),
        ("toy:004", "rock", "dataset", 1, 0, 0),
        ("toy:008", "rock", "dataset", 1, None, 1),  # divided: the given label stands
    ]


def test_labels_by_whom_to_believe(lake: Lake) -> None:
    said(lake, "anna", toy004=0)
    publication.publish(lake)
    count = "SELECT count(*) FROM labels_by('{}') WHERE label = 'rock' AND value = 1"
    given = rows(lake, count.format("dataset"))[0][0]
    assert given == 9
    assert rows(lake, count.format("resolved"))[0][0] == given - 1
    assert rows(lake, "SELECT count(*) FROM labels_by('resolved:tags')") == rows(
        lake, "SELECT count(*) FROM labels_by('tags')"
    )
    assert rows(lake, "SELECT count(*) FROM labels_by('nobody')") == [(0,)]
