"""The head of a cluster that dies under a job: one line, and not what Ray prints when it ends the process itself."""

import subprocess
import sys
import time

import psutil
import pytest

from ..cli.processes import end_with_the_tests, left_behind

WORK = """
from phonolake import execution
from phonolake.errors import PhonolakeError

def slow(n):
    import time
    time.sleep(300)

try:
    with execution.session():
        execution.connect(workers=1)
        print("begun", flush=True)
        list(execution.imap(slow, [1]))
except PhonolakeError as error:
    print(error, flush=True)
"""


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_head_that_is_gone_is_named_before_ray_ends_the_process() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WORK],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=end_with_the_tests,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(3)
    (head,) = [p for p in psutil.Process(process.pid).children(recursive=True) if p.name().startswith("gcs_server")]
    begun = time.monotonic()
    head.kill()
    out, err = process.communicate(timeout=120)
    assert out.startswith("the head of the Ray cluster at ")
    assert "is gone (" in out
    assert len(out.splitlines()) == 1
    assert time.monotonic() - begun < 75
    assert process.returncode == 0
    assert "Traceback" not in err
    assert left_behind(process.pid) == []
