"""A rate that several processes keep together."""

import subprocess
import sys
import time
from pathlib import Path

from phonolake.transfer.pace import Pace

CODE = """
import sys, time
from pathlib import Path
from phonolake.transfer.pace import Pace
pace = Pace(Path(sys.argv[1]), 20.0)
for _ in range(5):
    pace.wait()
    print(time.time(), flush=True)
"""


def test_three_processes_share_one_rate(tmp_path: Path) -> None:
    words = [sys.executable, "-c", CODE, str(tmp_path / "pace")]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    moments = sorted(float(line) for process in running for line in process.communicate()[0].split())
    assert len(moments) == 15
    # Slots are 50 ms apart; a process may say so a little late.
    assert moments[-1] - moments[0] >= 14 * 0.05 - 0.04


def test_a_server_that_asks_for_patience_is_heard_by_all(tmp_path: Path) -> None:
    pace, other = (Pace(tmp_path / "pace", 1000.0) for _ in range(2))
    pace.wait()
    begun = time.monotonic()
    pace.hold(0.4)
    other.wait()
    assert time.monotonic() - begun >= 0.39


def test_a_damaged_file_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "pace").write_text("12:30")
    begun = time.monotonic()
    Pace(tmp_path / "pace", 1000.0).wait()
    assert time.monotonic() - begun < 1
