"""Samples: as many as asked for in each stratum, the same for every rater, and blind."""

import dataclasses
from collections import Counter
from datetime import UTC, datetime

import pytest

from phonolake.annotation import journal, queue, sampling
from phonolake.annotation.journal import Answer
from phonolake.annotation.sampling import Config, Stratum
from phonolake.errors import UsageError
from phonolake.store import query
from phonolake.store.lake import Lake


def drawn(lake: Lake, name: str) -> list[tuple]:
    with query.connect(lake) as connection:
        return connection.execute(
            "SELECT track_id, label, value FROM samples WHERE sample = $1 ORDER BY position", [name]
        ).fetchall()


def test_each_stratum_holds_what_was_asked_for(lake: Lake) -> None:
    strata = sampling.draw(Config(str(lake.root), "one", n_positive=5, n_negative=12))
    assert strata == [
        Stratum("folk", 1, 30, 5),
        Stratum("folk", 0, 9, 9),  # there are no more
        Stratum("rock", 1, 9, 5),
        Stratum("rock", 0, 30, 12),
    ]
    items = drawn(lake, "one")
    assert Counter((label, value) for _, label, value in items) == {
        ("folk", 1): 5,
        ("folk", 0): 9,
        ("rock", 1): 5,
        ("rock", 0): 12,
    }
    assert len(set(items)) == len(items)
    for track_id, label, value in items:
        assert (int(track_id[4:]) % 4 == 0) == ((label == "rock") == bool(value))
    assert "toy:000" not in {track_id for track_id, *_ in items}, "without a label it says nothing about them"


def test_the_seed_decides(lake: Lake) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        sampling.draw(Config(str(lake.root), name, n_positive=4, n_negative=4, seed=seed))
    assert drawn(lake, "a") == drawn(lake, "b")
    assert drawn(lake, "a") != drawn(lake, "c")
    assert [label for _, label, _ in drawn(lake, "a")] != sorted(label for _, label, _ in drawn(lake, "a"))


def test_the_same_again_is_the_same_and_another_is_refused(lake: Lake) -> None:
    config = Config(str(lake.root), "one", n_positive=4, n_negative=4)
    sampling.draw(config)
    before = drawn(lake, "one")
    sampling.draw(config)
    assert drawn(lake, "one") == before
    with pytest.raises(UsageError, match="another sample called 'one'"):
        sampling.draw(dataclasses.replace(config, seed=1))
    sampling.draw(dataclasses.replace(config, name="one-more"))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"name": "a b"}, "received 'a b'"),
        ({"name": "../x"}, "received '../x'"),
        ({"n_positive": 0, "n_negative": 0}, "0 and 0"),
        ({"labels": ("rok",)}, "Did you mean 'rock'"),
        ({"source": "nobody"}, "Known: dataset, tags"),
    ],
)
def test_what_cannot_be_drawn_is_named(lake: Lake, wrong: dict, says: str) -> None:
    with pytest.raises(UsageError, match=says.replace("(", r"\(")):
        sampling.draw(Config(**{"lake": str(lake.root), "name": "one"} | wrong))


def test_raters_are_asked_the_same_in_the_same_order(lake: Lake) -> None:
    sampling.draw(Config(str(lake.root), "one", n_positive=2, n_negative=1))
    expected = [item[:2] for item in drawn(lake, "one")]
    for rater in ("anna", "bert"):
        asked = []
        with query.connect(lake) as connection:
            while (question := queue.turn(lake, connection, "one", rater).question) is not None:
                asked.append((question.track_id, question.label))
                value = None if len(asked) == 1 else 1
                at = datetime.now(UTC)
                journal.record(lake, [Answer(question.track_id, question.label, value, rater, at, "one")])
            assert asked == expected
            again = queue.turn(lake, connection, "one", rater, skipped_again=True)
        assert again.question is not None
        assert (again.question.track_id, again.question.label) == expected[0]
        assert (again.progress.answered, again.progress.skipped, again.progress.total) == (6, 1, 6)
        assert again.last is not None
        assert (again.last.track_id, again.last.label) == expected[-1]
    with query.connect(lake) as connection:
        assert [(p.rater, p.answered) for p in queue.progress(lake, connection)] == [("anna", 6), ("bert", 6)]
        with pytest.raises(UsageError, match="unknown sample 'two'"):
            queue.turn(lake, connection, "two", "anna")


def test_a_question_does_not_tell_the_given_label() -> None:
    assert {f.name for f in dataclasses.fields(queue.Question)} == {"position", "track_id", "label"}


def test_labels_in_doubt_are_asked_among_as_many_others(lake: Lake) -> None:
    """Two rock tracks and one that lacks rock; of each kind as many others that are not in doubt."""
    asked = (("toy:004", "rock"), ("toy:008", "rock"), ("toy:001", "rock"))
    config = sampling.BlindCheck(str(lake.root), "blind", asked)
    assert sampling.draw(config) == [Stratum("rock", 1, 9, 4), Stratum("rock", 0, 30, 2)]
    items = drawn(lake, "blind")
    assert Counter(value for *_, value in items) == {1: 4, 0: 2}
    assert {(track, label) for track, label, _ in items} > set(asked)
    assert all((int(track[4:]) % 4 == 0) == bool(value) for track, _, value in items)
    assert [(track, label) for track, label, _ in items[:3]] != list(asked)
    sampling.draw(config)
    assert drawn(lake, "blind") == items
    for name, wrong, message in (("x", (), "no label is suspect"), ("a b", asked, "a sample's name")):
        with pytest.raises(UsageError, match=message):
            sampling.BlindCheck(str(lake.root), name, wrong)
    with pytest.raises(UsageError, match="unknown label 'jazz'"):
        sampling.draw(sampling.BlindCheck(str(lake.root), "y", (("toy:004", "jazz"),)))
