"""What a log shows of work that takes long: how far it is, how fast, and how long it will take."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonolake import progress
from phonolake.errors import MOST_SAID, whole_reason


@pytest.mark.parametrize(
    ("done", "total", "seconds", "before", "says"),
    [
        (0, 100, 30, 0, "0 of 100 after 30 s"),
        (1_200, 10_000, 30, 0, "1,200 of 10,000 after 30 s, 40 a second, 3 min 40 s left"),
        (1_200, 10_000, 30, 1_200, "1,200 of 10,000 after 30 s"),
        (130, 200, 60, 100, "130 of 200 after 1 min 0 s, 30 a minute, 2 min 20 s left"),
        (1, 3, 3_600, 0, "1 of 3 after 1 h 0 min, 1 an hour, 2 h 0 min left"),
        (7, 3, 60, 0, "7 of 3 after 1 min 0 s, 7 a minute, 0 s left"),
    ],
)
def test_a_line_tells_how_far_how_fast_and_how_long(
    done: int, total: int, seconds: float, before: int, says: str
) -> None:
    assert progress.pace(done, total, seconds, before=before) == says


def test_bytes_are_told_in_megabytes() -> None:
    said = progress.pace(45_000_000, 7_000_000_000, 30, size=progress.MEGABYTE)
    assert said == "45 MB of 7,000 MB after 30 s, 1.5 MB a second, 1 h 17 min left"


@given(st.floats(0, 1e7))
def test_no_time_is_told_longer_or_shorter_than_it_is(seconds: float) -> None:
    units = {"s": 1, "min": 60, "h": 3600}
    told = sum(int(n) * units[unit] for n, unit in re.findall(r"(\d+) (s|min|h)\b", progress.span(seconds)))
    assert abs(told - seconds) <= (0.5 if seconds < 3599 else 60)


def test_a_log_gets_a_line_now_and_then_and_one_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.05)
    with progress.task("extract", 40, done=10) as advance:
        for _ in range(3):
            advance(10)
            time.sleep(0.1)
    first, *_, last = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"extract: 20 of 40 after 0 s, \d+ a second, 0 s left", first)
    assert last == "extract: 40 of 40 done, in 0 s"


def test_what_is_soon_done_needs_no_line_but_in_the_log_of_a_job(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for address in (None, "127.0.0.1:6379"):
        if address:
            monkeypatch.setenv("RAY_ADDRESS", address)
        with progress.task("extract", 40, done=10) as advance:
            advance(30)
    assert capsys.readouterr().err == "extract: 30 to do, 10 done before\n"


def test_a_reason_is_told_whole_and_on_one_line() -> None:
    """As Ray hands on what pip complained of: the reason is the last line, among colours and a traceback."""
    text = (
        "Failed to set up runtime environment.\n\nTraceback (most recent call last):\n"
        '  File "/ray/pip.py", line 363, in create\n    ^^^^^^^^\n'
        "\x1b[31mERROR: No matching distribution found for nosuch==1.0\x1b[0m\n"
    )
    assert whole_reason(RuntimeError(text)) == (
        "Failed to set up runtime environment.; ERROR: No matching distribution found for nosuch==1.0"
    )
    assert whole_reason(RuntimeError()) == "RuntimeError"
    long = whole_reason(RuntimeError("first\n" + "noise\n" * 5_000 + "the reason"))
    assert long.startswith("first; noise")
    assert long.endswith("noise; the reason")
    assert len(long) <= MOST_SAID + 5
