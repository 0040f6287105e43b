"""Files over HTTP from a real server on this machine that answers badly."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest
from tests.http_server import Answer, Server, serving

from phonolake.errors import PhonolakeError, UsageError
from phonolake.transfer.http import Patience, fetch, retry_after

pytestmark = pytest.mark.timeout(60)
DATA = random.Random(0).randbytes(300_000)
QUICK = Patience(tries=3, first_wait=0.01, longest_wait=5, timeout=2)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        found.files["/f.zip"] = DATA
        yield found


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole_and_is_asked_for_once(server: Server, tmp_path: Path) -> None:
    checksum = "sha256:" + hashlib.sha256(DATA).hexdigest()
    sizes: list[int] = []
    assert fetch(f"{server.url}/f.zip", tmp_path / "f.zip", size=len(DATA), checksum=checksum, on_bytes=sizes.append)
    assert (tmp_path / "f.zip").read_bytes() == DATA
    assert sum(sizes) == len(DATA)
    assert not fetch(f"{server.url}/f.zip", tmp_path / "f.zip", size=len(DATA), checksum=checksum)
    assert len(server.requests) == 1
    assert leftovers(tmp_path) == ["f.zip"]


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_passing_failure_is_tried_again(server: Server, tmp_path: Path, status: int) -> None:
    server.script["/f.zip"] += [Answer(status), Answer(status)]
    fetch(f"{server.url}/f.zip", tmp_path / "f.zip", patience=QUICK)
    assert (tmp_path / "f.zip").read_bytes() == DATA
    assert server.asked("/f.zip") == 3


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_final_and_leaves_nothing(server: Server, tmp_path: Path, status: int) -> None:
    server.always["/f.zip"] = Answer(status)
    with pytest.raises(PhonolakeError, match=f"HTTP {status}"):
        fetch(f"{server.url}/f.zip", tmp_path / "f.zip", patience=QUICK)
    assert server.asked("/f.zip") == 1
    assert leftovers(tmp_path) == []


def test_retry_after_is_honoured(server: Server, tmp_path: Path) -> None:
    server.script["/f.zip"] += [Answer(429, {"Retry-After": "1"})]
    fetch(f"{server.url}/f.zip", tmp_path / "f.zip", patience=QUICK)
    first, second = (moment for *_, moment in server.requests)
    assert second - first >= 1.0


def test_a_server_that_asks_for_too_much_patience_is_left(server: Server, tmp_path: Path) -> None:
    server.always["/f.zip"] = Answer(503, {"Retry-After": "3600"})
    with pytest.raises(PhonolakeError, match="asks to wait 3600 s"):
        fetch(f"{server.url}/f.zip", tmp_path / "f.zip", patience=QUICK)
    assert server.asked("/f.zip") == 1


def test_retry_after_is_a_number_or_a_date() -> None:
    assert retry_after("120") == 120
    assert retry_after(formatdate(time.time() + 50, usegmt=True)) == pytest.approx(50, abs=2)
    assert retry_after(formatdate(time.time() - 50, usegmt=True)) == 0
    assert retry_after("soon") is None
    assert retry_after(None) is None


def test_bytes_that_came_are_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    server.script["/f.zip"] += [Answer(cut=100_000), Answer(cut=200_000)]
    fetch(f"{server.url}/f.zip", tmp_path / "f.zip", patience=QUICK)
    assert (tmp_path / "f.zip").read_bytes() == DATA
    assert [asked for _, asked, _ in server.requests] == [None, "bytes=100000-", "bytes=200000-"]
    assert server.sent["/f.zip"] == len(DATA)


def test_progress_is_patience(server: Server, tmp_path: Path) -> None:
    """As long as bytes come, a connection may break as often as it likes."""
    server.script["/f.zip"] += [Answer(cut=50_000 * n) for n in range(1, 6)]
    fetch(f"{server.url}/f.zip", tmp_path / "f.zip", patience=QUICK)
    assert server.sent["/f.zip"] == len(DATA)


def test_a_server_without_ranges_sends_all_of_it_again(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.script["/f.zip"] += [Answer(cut=100_000)]
    fetch(f"{server.url}/f.zip", tmp_path / "f.zip", patience=QUICK)
    assert (tmp_path / "f.zip").read_bytes() == DATA


def test_a_file_that_changed_meanwhile_is_not_glued_together(server: Server, tmp_path: Path) -> None:
    server.always["/f.zip"] = Answer(cut=100_000)
    with pytest.raises(PhonolakeError, match="continue after byte 100000"):
        fetch(f"{server.url}/f.zip", tmp_path / "f.zip", patience=QUICK)
    assert not (tmp_path / "f.zip").exists()
    del server.always["/f.zip"]
    server.files["/f.zip"] = DATA[::-1]
    fetch(f"{server.url}/f.zip", tmp_path / "f.zip", patience=QUICK)
    assert (tmp_path / "f.zip").read_bytes() == DATA[::-1]


def test_a_server_that_stalls_is_given_up_and_gone_on_with(server: Server, tmp_path: Path) -> None:
    patience = Patience(tries=2, first_wait=0.01, timeout=0.3)
    server.script["/f.zip"] += [Answer(slow=1.0)]
    fetch(f"{server.url}/f.zip", tmp_path / "f.zip", patience=patience)
    assert (tmp_path / "f.zip").read_bytes() == DATA


@pytest.mark.parametrize(
    ("promise", "says"),
    [
        ({"size": 5}, "instead of 5"),
        ({"checksum": "md5:" + "0" * 32}, "md5"),
        ({"checksum": "crc:1"}, "unknown kind"),
    ],
)
def test_what_was_not_promised_is_not_kept(server: Server, tmp_path: Path, promise: dict, says: str) -> None:
    with pytest.raises(PhonolakeError, match=says):
        fetch(f"{server.url}/f.zip", tmp_path / "f.zip", **promise)
    assert not (tmp_path / "f.zip").exists()


def test_a_file_that_lies_there_damaged_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "f.zip").write_bytes(DATA[:-1])
    with pytest.raises(PhonolakeError, match="remove"):
        fetch(f"{server.url}/f.zip", tmp_path / "f.zip", size=len(DATA))
    assert server.requests == []


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(PhonolakeError, match="refused"):
        fetch("http://127.0.0.1:9/f.zip", tmp_path / "f.zip", patience=QUICK)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/f", "f.zip"])
def test_only_the_web_is_read(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="http"):
        fetch(url, tmp_path / "f")


def test_a_kill_in_the_middle_costs_no_byte(server: Server, tmp_path: Path) -> None:
    server.script["/f.zip"] += [Answer(slow=0.01)]
    code = (
        "import sys; from pathlib import Path; from phonolake.transfer.http import fetch; "
        "fetch(sys.argv[1], Path(sys.argv[2]))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, f"{server.url}/f.zip", str(tmp_path / "f.zip")])
    part = tmp_path / ".f.zip.part"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.sent["/f.zip"] < 100_000:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    have = part.stat().st_size
    fetch(f"{server.url}/f.zip", tmp_path / "f.zip", patience=QUICK)
    assert (tmp_path / "f.zip").read_bytes() == DATA
    assert [asked for _, asked, _ in server.requests][1:] == ([f"bytes={have}-"] if have else [None])
