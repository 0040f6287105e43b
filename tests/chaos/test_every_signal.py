"""Every command, ended by every signal at some moments of its way: one line, the code, no orphan, and it goes on."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from ..cli.every_command import ENDLESS, WORDS, places, words_of
from ..cli.processes import ENDING, guarded, left_behind, start, wait_for
from .test_kills import check_same, contents

SAID = "phonolake: interrupted; the same command goes on where it stopped"
# Moments in each command, by parts of the time that it takes undisturbed.
MOMENTS = tuple((n + 0.5) / 5 for n in range(5))
# What they leave is compared with what they leave undisturbed.
CHANGING = {"crossval", "duplicates", "extract", "forget", "index", "ingest", "run", "score", "split", "train"}


def environment(folder: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in {"RAY_ADDRESS", "PHONOLAKE_LAKE"}}
    return kept | {"PHONOLAKE_MODELS": str(folder / "models")}


def prepare(name: str, demo: Path, folder: Path, free_port: int) -> tuple[list[str], Path]:
    """A copy of the demo's lake and the words of a command on it; gives the lake that the command is about, too."""
    folder.mkdir()
    shutil.copytree(demo / "lake", folder / "lake")
    found = places(demo, folder, lake=folder / "lake", port=free_port)
    return words_of(name, **found), folder / ("new" if name == "run" else "lake")


def finish(words: list[str], folder: Path) -> float:
    begun = time.monotonic()
    process = start(words, env=environment(folder))
    _, err = process.communicate(timeout=500)
    assert process.returncode in (0, 1, 2), err
    assert left_behind(process.pid) == []
    return time.monotonic() - begun


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", WORDS)
def test_a_command_that_is_ended_goes_on(name: str, demo: Path, tmp_path: Path, free_port: int) -> None:
    words, expected = prepare(name, demo, tmp_path / "undisturbed", free_port)
    seconds = 8.0 if name in ENDLESS else finish(words, tmp_path / "undisturbed")
    for signum in ENDING:
        for moment in MOMENTS:
            folder = tmp_path / f"{signum}-{moment}"
            words, lake = prepare(name, demo, folder, free_port)
            process = start(words, env=environment(folder))
            wait_for(lambda: guarded(process), process)  # noqa: B023
            time.sleep(moment * seconds)
            if process.poll() is None:
                process.send_signal(signum)
            check_end(process, signum)
            if name in CHANGING:
                finish(words, folder)
                check_same(lake, contents(expected))
            shutil.rmtree(folder)


def check_end(process: subprocess.Popen[str], signum: signal.Signals) -> None:
    begun = time.monotonic()
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - begun < 5.5, "it went on after the signal"
    assert left_behind(process.pid) == []
    if process.returncode in (0, 1, 2):
        return  # it was faster this time, and had ended before
    assert process.returncode == 128 + signum, err
    assert err.splitlines()[-1] == SAID, err
    assert "Traceback" not in err
    assert err.count("phonolake: ") == 1, err
