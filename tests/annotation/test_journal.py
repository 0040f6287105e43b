"""Answers are safe when they were given: whoever is killed, however many raters write at once."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonolake.annotation import journal
from phonolake.annotation.journal import Answer
from phonolake.errors import PhonolakeError, UsageError
from phonolake.store.lake import Lake

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

# Answers until it is killed, and names each one after it was recorded.
ANSWERING = """
import sys
from datetime import UTC, datetime
from phonolake.annotation import journal
from phonolake.store.lake import Lake
lake, rater, first, last = Lake.open(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for n in range(first, last):
    journal.record(lake, [journal.Answer(f"toy:{n}", "rock", n % 2, rater, datetime.now(UTC), "s")])
    print(n, flush=True)
"""


def answer(n: int, value: int | None = 1, *, rater: str = "anna", label: str = "rock", sample: str = "s") -> Answer:
    return Answer(f"toy:{n:03}", label, value, rater, NOON + timedelta(seconds=n), sample)


def answering(lake: Lake, rater: str, first: int, last: int) -> subprocess.Popen:
    command = [sys.executable, "-c", ANSWERING, str(lake.root), rater, str(first), str(last)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_answers_come_back_as_they_were_given(lake: Lake) -> None:
    given_answers = [answer(1), answer(2, 0), answer(3, None), answer(4, label='"\n\u2028é')]
    for one in given_answers:
        journal.record(lake, [one])
    assert journal.standing(lake, "anna") == given_answers
    assert journal.standing(lake, "nobody") == []


def test_the_newest_answer_holds(lake: Lake) -> None:
    journal.record(lake, [answer(1, 1), answer(2, 1), answer(1, 0)])
    assert journal.standing(lake, "anna") == [answer(2, 1), answer(1, 0)]


def test_undo_takes_back_one_by_one(lake: Lake) -> None:
    journal.record(lake, [answer(1, 1), answer(2, 1), answer(1, 0), answer(3, 1, sample="other")])
    assert journal.undo(lake, "anna", "s") == answer(1, 0)
    assert journal.standing(lake, "anna")[0] == answer(1, 1), "what it had replaced holds again"
    assert journal.undo(lake, "anna") == answer(3, 1, sample="other")
    assert journal.undo(lake, "anna") == answer(2, 1)
    assert journal.undo(lake, "anna") == answer(1, 1)
    assert journal.undo(lake, "anna") is None
    assert journal.standing(lake, "anna") == []


def test_an_answer_names_what_it_answers(lake: Lake) -> None:
    """What was said meanwhile is not replaced, nor taken back, by whoever did not see it."""
    journal.reply(lake, answer(1, None), before=None)
    journal.reply(lake, answer(1, 1), before=answer(1, None))
    for stale in (None, answer(1, None), answer(2, 1)):
        with pytest.raises(UsageError, match="in another window meanwhile"):
            journal.reply(lake, answer(1, 0), before=stale)
    journal.reply(lake, answer(2, 0), before=None)
    with pytest.raises(UsageError, match="nothing was taken back"):
        journal.undo(lake, "anna", expected=answer(1, 1))
    assert journal.undo(lake, "anna", expected=answer(2, 0)) == answer(2, 0)
    assert journal.standing(lake, "anna") == [answer(1, 1)]


def test_killed_at_any_moment_no_reported_answer_is_lost(lake: Lake) -> None:
    process = answering(lake, "anna", 0, 1_000_000)
    assert process.stdout is not None
    reported = [int(process.stdout.readline()) for _ in range(50)]
    os.kill(process.pid, signal.SIGKILL)
    reported += [int(line) for line in process.stdout.read().split()]
    process.wait()
    found = [int(a.track_id[4:]) for a in journal.standing(lake, "anna")]
    assert found[: len(reported)] == reported == list(range(len(reported)))
    assert len(found) - len(reported) in (0, 1), "the one that was being written may be there"
    journal.record(lake, [answer(0)])
    assert journal.standing(lake, "anna")[-1] == answer(0)


def test_windows_of_one_rater_and_two_raters_at_once(lake: Lake) -> None:
    writers = [answering(lake, "anna", 0, 60), answering(lake, "anna", 60, 120), answering(lake, "bert", 0, 60)]
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    assert {a.track_id for a in journal.standing(lake, "anna")} == {f"toy:{n}" for n in range(120)}
    assert {a.track_id for a in journal.standing(lake, "bert")} == {f"toy:{n}" for n in range(60)}


@given(cut=st.integers(min_value=0))
def test_a_line_cut_anywhere_costs_only_itself(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    lake = Lake.create(tmp_path_factory.mktemp("cut") / "lake")
    journal.record(lake, [answer(1), answer(2)])
    (path,) = (lake.root / journal.FOLDER).glob("*.jsonl")
    first, second, _ = path.read_bytes().split(b"\n")
    path.write_bytes(first + b"\n" + second[: cut % len(second)])
    assert journal.standing(lake, "anna") == [answer(1)]
    journal.record(lake, [answer(3)])
    assert journal.standing(lake, "anna") == [answer(1), answer(3)]
    assert journal.undo(lake, "anna") == answer(3)
    assert journal.standing(lake, "anna") == [answer(1)]


def test_a_full_disk_leaves_the_journal_as_it_was(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.record(lake, [answer(1)])
    (path,) = (lake.root / journal.FOLDER).glob("*.jsonl")
    before = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(PhonolakeError, match="was not kept"):
            journal.record(lake, [answer(2)])
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["", " ", " anna", "a\nb", "x" * 61])
def test_a_rater_has_a_name(lake: Lake, name: str) -> None:
    with pytest.raises(UsageError, match="a rater's name"):
        journal.record(lake, [answer(1, rater=name)])


def test_names_that_look_alike_have_files_of_their_own(lake: Lake) -> None:
    names = ["anna", "Anna", "../anna", "änna", "a/b", "a b"]
    journal.record(lake, [answer(1, rater=name) for name in names])
    assert list(journal.everyone(lake)) == sorted(names)
    assert {p.parent for p in lake.root.rglob("*.jsonl")} == {lake.root / journal.FOLDER}


@pytest.mark.parametrize("value", [2, -1, True, "1"])
def test_other_values_are_refused(lake: Lake, value: object) -> None:
    with pytest.raises(UsageError, match="1, 0 or None"):
        journal.record(lake, [answer(1, value)])  # type: ignore[arg-type]


def test_what_is_forgotten_leaves_the_file_and_nothing_else_changes(lake: Lake) -> None:
    journal.record(lake, [answer(1), answer(2), answer(3), answer(2, 0)])
    journal.record(lake, [answer(2, rater="bea"), answer(5, rater="carl")])
    assert journal.undo(lake, "anna") == answer(2, 0)
    path = lake.root / journal.FOLDER / (journal.stem("anna") + journal.SUFFIX)
    with open(path, "ab") as file:
        file.write(b'{"track_id": "toy:002", "la')  # what a power failure left
    assert f"{journal.FOLDER}/{path.name}" in journal.naming(lake, {"toy:002"})
    wiped = dict(journal.forget(lake, {"toy:002"}))
    assert wiped[path.name] == 3
    assert len(wiped) == 2
    assert not any(b"toy:002" in p.read_bytes() for p in lake.root.rglob("*.jsonl"))
    assert journal.naming(lake, {"toy:002"}) == []
    assert list(journal.forget(lake, {"toy:002"})) == []
    assert journal.everyone(lake) == {"anna": [answer(1), answer(3)], "carl": [answer(5, rater="carl")]}
    journal.record(lake, [answer(7)])
    assert journal.undo(lake, "anna") == answer(7)
    assert journal.undo(lake, "anna") == answer(3), "the numbers of the other lines stand"
