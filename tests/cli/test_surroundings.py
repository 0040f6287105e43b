"""Every command where things are not as they should be: one line, the right code, no traceback, no "report it"."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from phonolake.cli.main import main

from .every_command import ENDLESS, READING, WORDS, places, words_of
from .processes import PROGRAM, left_behind, start
from .test_commands import COMMANDS

# Those that answer within a moment, for the quick tests.
QUICK = tuple(name for name in READING if name not in {"labels vectors", "labels evaluation", "labels validate"})
QUICK = tuple(name for name in QUICK if not name.startswith(("labels classes", "labels noise")))


def test_there_is_a_call_of_every_command() -> None:
    assert {f"phonolake {name}" for name in WORDS} == {" ".join(path) for path in COMMANDS}


def check(code: int, err: str, *, codes: tuple[int, ...] = (0, 1, 2)) -> None:
    assert code in codes, err
    assert "Traceback" not in err
    assert "report it" not in err
    said = [line for line in err.splitlines() if line.startswith("phonolake: ")]
    assert len(said) <= 1, err


# -- quick: in this process ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", QUICK)
def test_a_terminal_that_knows_ascii_alone(
    name: str, demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stdout)
    code = main(words_of(name, **places(demo, tmp_path)))
    printed = stdout.buffer.getvalue()  # type: ignore[attr-defined]
    check(code, capsys.readouterr().err, codes=(0,))
    assert printed.isascii()
    assert printed or name in ("splits check", "runs heard")


@pytest.mark.parametrize("name", ["sql", "features list", "runs", "datasets show"])
def test_a_pipe_that_nobody_reads(
    name: str, demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr(sys, "stdout", os.fdopen(writer, "w"))
    code = main(words_of(name, **places(demo, tmp_path)))
    assert (code, capsys.readouterr().err) == (1, "phonolake: standard output was closed: not all was printed\n")


def test_no_standard_output_at_all(
    demo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    code = main(["sql", "SELECT 1", "--lake", str(demo / "lake")])
    assert (code, capsys.readouterr().err) == (1, "phonolake: standard output is closed: 1 rows could not be printed\n")


def test_standard_files_that_are_closed_are_given_to_no_other(demo: Path) -> None:
    """What C prints would else go into a file of the lake."""
    command = [*PROGRAM, "status", "--lake", str(demo / "lake")]
    closed = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&-', "sh", *command], capture_output=True, text=True, check=False
    )
    check(closed.returncode, closed.stderr, codes=(1,))
    assert "standard output is closed" in closed.stderr


@pytest.mark.parametrize("words", [["models", "import", "choi-msd", "x"], ["models", "fetch", "choi-msd"]])
def test_a_home_where_nothing_can_be_kept(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PHONOLAKE_MODELS", raising=False)
    monkeypatch.setenv("HOME", "/dev/null")
    code = main(words)
    err = capsys.readouterr().err
    check(code, err, codes=(1,))
    assert "models cannot be stored in /dev/null/.local" in err
    assert "PHONOLAKE_MODELS" in err


@pytest.mark.parametrize("where", ["", " ", "title", "CAST(title AS INT) = 1", "no such column", "NULL"])
def test_a_condition_that_is_none(where: str, demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["similar", "fma:000002", "--where", where, "--lake", str(demo / "lake")])
    check(code, capsys.readouterr().err, codes=(0,) if where == "NULL" else (2,))


# -- slow: every command in a process of its own ----------------------------------------------------------------------


@pytest.fixture
def disk(demo: Path, tmp_path: Path) -> Iterator[Path]:
    """A disk of its own with a copy of the demo's lake; mounting one needs rights that not every machine gives."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("no right to mount a disk")
    shutil.copytree(demo / "lake", folder / "lake")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def run(
    name: str, demo: Path, folder: Path, free_port: int, lake: Path, *, new: Path, **environment: str
) -> tuple[int, str]:
    """Run a command to its end, one that serves for a while; gives its code and what it said.

    What it reads lies in `folder`; where there is nothing yet, it writes to `new`.
    """
    words = words_of(name, **places(demo, folder, lake=lake, port=free_port) | {"new": new})
    process = start(words, env={k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | environment)
    try:
        _, err = process.communicate(timeout=10 if name in ENDLESS else 300)
    except subprocess.TimeoutExpired:
        process.terminate()
        _, err = process.communicate()
    assert left_behind(process.pid) == []
    return process.returncode, err


every_command = pytest.mark.parametrize("name", WORDS)


@pytest.mark.slow
@pytest.mark.timeout(600)
@every_command
@pytest.mark.parametrize("what", ["ascii", "home", "read-only", "full"])
def test_every_command_says_one_line(
    name: str, what: str, demo: Path, disk: Path, tmp_path: Path, free_port: int
) -> None:
    environment = {"PHONOLAKE_MODELS": str(tmp_path / "models"), "PHONOLAKE_LAKE": ""}
    environment |= {"ascii": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}}.get(what, {})
    if what == "home":
        environment |= {"HOME": "/dev/null", "PHONOLAKE_MODELS": ""}
    if what == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    if what == "full":
        # As large as what it holds, in kilobytes, and a little more: filling all of the memory would take long.
        size = shutil.disk_usage(disk).used // 1024 + 512
        subprocess.run(["mount", "-o", f"remount,size={size}k", disk], check=True)
        with suppress(OSError), open(disk / "filler", "wb") as filler:
            while True:
                filler.write(b"x" * 4096)
    new = (disk if what == "full" else tmp_path) / "new"
    code, err = run(name, demo, tmp_path, free_port, disk / "lake", new=new, **environment)
    check(code, err, codes=(0, 1, 2, 143))


@pytest.mark.slow
@pytest.mark.timeout(600)
@every_command
def test_every_command_bears_a_closed_pipe(name: str, demo: Path, disk: Path, tmp_path: Path, free_port: int) -> None:
    words = words_of(name, **places(demo, tmp_path, lake=disk / "lake", port=free_port))
    process = start(words)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    try:
        process.wait(10 if name in ENDLESS else 300)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait()
    check(process.returncode, process.stderr.read(), codes=(0, 1, 2, 143))
