"""Annotations out as CSV and in again."""

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonolake.annotation import exchange, journal
from phonolake.annotation.journal import Answer, TripletAnswer
from phonolake.cli.main import main
from phonolake.errors import UsageError
from phonolake.store import query
from phonolake.store.lake import Lake

NOW = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
names = st.text(st.characters(blacklist_categories=("C", "Z")), min_size=1, max_size=20)


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_round_trip_by_the_command_line(lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    answers = [
        Answer("toy:001", "rock", 1, "anna", NOW, "s"),
        Answer("toy:002", "folk", None, "anna", NOW, None),
        Answer("toy:001", "rock", 0, 'b,"e"rt', NOW, "s"),
    ]
    journal.record(lake, answers)
    assert main(["annotations", "export", "--format", "csv", "--lake", str(lake.root)]) == 0
    file = write(tmp_path / "out.csv", capsys.readouterr().out.rstrip())
    for path in (lake.root / journal.FOLDER).glob("*.jsonl"):
        path.unlink()
    assert exchange.export(lake) == []
    assert main(["annotations", "import", str(file), "--lake", str(lake.root)]) == 0
    assert "3 answers are new, 0 were known, 0 rejected" in capsys.readouterr().err
    assert exchange.export(lake) == answers
    assert main(["annotations", "import", str(file), "--lake", str(lake.root)]) == 0
    assert "0 answers are new, 3 were known" in capsys.readouterr().err
    with query.connect(lake) as connection:
        assert connection.execute("SELECT count(*) FROM annotations").fetchall() == [(3,)]


def test_answers_to_triplets_make_the_round_trip_too(lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Beside answers about labels, which stay."""
    about = Answer("toy:001", "rock", 1, "anna", NOW, "s")
    heard = [
        TripletAnswer("toy:001", "toy:002", "toy:003", 1, "anna", NOW, "t"),
        TripletAnswer("toy:001", "toy:003", "toy:002", None, "anna", NOW, None),
        TripletAnswer("toy:001", "toy:002", "toy:003", 0, "bert", NOW, "t"),
    ]
    journal.record(lake, [about, *heard])
    assert main(["annotations", "export", "--triplets", "--format", "csv", "--lake", str(lake.root)]) == 0
    file = write(tmp_path / "out.csv", capsys.readouterr().out.rstrip())
    for path in (lake.root / journal.FOLDER).glob("*.jsonl"):
        path.unlink()
    journal.record(lake, [about])
    assert exchange.read_csv(lake, file) == exchange.Imported(3, 0, [])
    assert exchange.compared(lake) == heard
    assert exchange.export(lake) == [about]
    assert exchange.read_csv(lake, file) == exchange.Imported(0, 3, [])
    with query.connect(lake) as connection:
        assert connection.execute("SELECT count(*), sum(value) FROM comparisons").fetchall() == [(3, 1)]


def test_bad_triplets_are_named(lake: Lake, tmp_path: Path) -> None:
    header = "track_id,first_id,second_id,value,rater"
    lines = ["toy:001,toy:002,toy:002,1,anna", "toy:001,toy:002,nobody,1,anna", "toy:001,toy:002,toy:003,2,anna"]
    done = exchange.read_csv(lake, write(tmp_path / "in.csv", header, *lines, "toy:001,toy:002,toy:003,0,anna"))
    assert (done.new, [(r.line, r.problem[:12]) for r in done.rejected]) == (
        1,
        [(2, "a triplet is"), (3, "no track 'no"), (4, "a value is 1")],
    )
    with pytest.raises(UsageError, match="lacks the column second_id"):
        exchange.read_csv(lake, write(tmp_path / "less.csv", "track_id,first_id,value,rater"))


@given(rater=names, value=st.sampled_from([1, 0, None]), when=st.datetimes(timezones=st.just(UTC)))
def test_any_answer_survives_the_trip(rater: str, value: int | None, when: datetime) -> None:
    answer = Answer("toy:001", "rock", value, rater, when, None)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(exchange.COLUMNS)
    writer.writerow(["toy:001", "rock", "" if value is None else value, rater, when.isoformat(), ""])
    row = next(csv.DictReader(io.StringIO(text.getvalue())))
    assert exchange.answer_of(row, NOW, {"toy:001"}, {"rock"}) == answer


def test_bad_lines_are_named_and_the_others_taken(lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file = write(
        tmp_path / "in.csv",
        "track_id,label,value,rater,annotated_at",
        "toy:001,rock,1,anna,2026-01-01T10:00:00+02:00",
        "toy:999,rock,1,anna,",
        "toy:001,rok,1,anna,",
        "toy:001,rock,yes,anna,",
        "toy:001,rock,1,,",
        "toy:001,rock,1,anna,yesterday",
        "toy:001,rock",
        "toy:002,rock,0,anna,2026-01-01",
    )
    assert main(["annotations", "import", str(file), "--format", "csv", "--lake", str(lake.root)]) == 1
    captured = capsys.readouterr()
    assert [line.split(",")[0] for line in captured.out.splitlines()] == ["line", "3", "4", "5", "6", "7", "8"]
    assert "no track 'toy:999' in the lake" in captured.out
    assert "received 'yes'" in captured.out
    assert "2 answers are new, 0 were known, 6 rejected" in captured.err
    assert sorted(exchange.export(lake), key=lambda a: a.track_id) == [
        Answer("toy:001", "rock", 1, "anna", datetime(2026, 1, 1, 8, tzinfo=UTC)),
        Answer("toy:002", "rock", 0, "anna", datetime(2026, 1, 1, tzinfo=UTC)),
    ]


def test_an_old_file_does_not_replace_newer_answers(lake: Lake, tmp_path: Path) -> None:
    journal.record(lake, [Answer("toy:001", "rock", 0, "anna", NOW)])
    header = "track_id,label,value,rater,annotated_at"
    old = write(tmp_path / "old.csv", header, "toy:001,rock,1,anna,2025-01-01")
    assert exchange.read_csv(lake, old) == exchange.Imported(0, 1, [])
    new = write(tmp_path / "new.csv", header, "toy:001,rock,1,anna,2027-01-01", "toy:001,rock,0,anna,2026-06-01")
    assert exchange.read_csv(lake, new).new == 1
    assert [a.value for a in exchange.export(lake)] == [1]


def test_a_file_without_times_changes_nothing_the_second_time(lake: Lake, tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "track_id,label,value,rater", "toy:001,rock,1,anna", "toy:002,rock,0,anna")
    assert exchange.read_csv(lake, file).new == 2
    before = exchange.export(lake)
    again = exchange.read_csv(lake, file)
    assert (again.new, again.known) == (0, 2)
    assert exchange.export(lake) == before
    other = write(tmp_path / "b.csv", "track_id,label,value,rater", "toy:001,rock,0,anna")
    assert exchange.read_csv(lake, other).new == 1


@pytest.mark.parametrize(("text", "says"), [("track_id,label\n", "lacks the column value"), ("", "lacks the column")])
def test_a_file_without_columns_is_refused(lake: Lake, tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "in.csv"
    file.write_text(text)
    with pytest.raises(UsageError, match=says):
        exchange.read_csv(lake, file)
    with pytest.raises(UsageError, match="cannot be read as CSV"):
        exchange.read_csv(lake, tmp_path / "none.csv")
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read as CSV"):
        exchange.read_csv(lake, file)
