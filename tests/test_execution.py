"""Work mapped over Ray and over processes of this machine alike: results, retries, errors, cancellation.

The functions that run on workers are defined inside the tests: they travel by value, since a worker cannot import a
test module.
"""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest

from phonolake import execution
from phonolake.errors import AudioError, PhonolakeError, UsageError

pytestmark = pytest.mark.usefixtures("ray_session", "place")

CORES = 2
WINDOW = CORES * execution.IN_FLIGHT_PER_CPU


@pytest.fixture(params=["ray", "here"])
def place(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the work of a test is done."""
    with execution.session():
        if request.param == "here":
            execution.use(0)
        yield request.param


by_ray = pytest.mark.parametrize("place", ["ray"], indirect=True)
here = pytest.mark.parametrize("place", ["here"], indirect=True)


def eventually(condition: Callable[[], bool], *, seconds: float = 20) -> bool:
    """Whether `condition` becomes true before the time is over."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


@by_ray
def test_connect_again_changes_nothing() -> None:
    execution.connect(workers=1)
    assert execution.cores() == CORES


def test_no_payload_is_no_work() -> None:
    def fail(_: int) -> None:
        raise AssertionError

    assert list(execution.imap(fail, [])) == []


def test_every_payload_comes_back_with_its_result() -> None:
    def square(number: int) -> int:
        return number * number

    assert dict(execution.imap(square, range(5))) == {0: 0, 1: 1, 2: 4, 3: 9, 4: 16}


def test_payloads_need_not_be_hashable() -> None:
    def size(payload: list[int]) -> int:
        return len(payload)

    assert sorted(execution.imap(size, [[1, 2], []])) == [([], 0), ([1, 2], 2)]


def test_tasks_run_in_other_processes_side_by_side(tmp_path: Path) -> None:
    def meet(name: str) -> int:
        (tmp_path / name).touch()
        deadline = time.monotonic() + 30
        while len(list(tmp_path.iterdir())) < CORES and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(list(tmp_path.iterdir())) == CORES
        return os.getpid()

    pids = {pid for _, pid in execution.imap(meet, ["a", "b"])}
    assert len(pids) == CORES
    assert os.getpid() not in pids


def test_cores_that_a_task_asks_for_are_its_own(tmp_path: Path) -> None:
    def alone(number: int) -> bool:
        lock = tmp_path / "lock"
        lock.touch(exist_ok=False)
        time.sleep(0.1)
        lock.unlink()
        return True

    assert [result for _, result in execution.imap(alone, range(3), cpus=CORES)] == [True] * 3


def test_libraries_have_the_threads_of_the_task_whatever_the_worker_did_before(place: str) -> None:
    def threads(_: int) -> tuple[int, set[int]]:
        import numpy  # noqa: F401
        import torch
        from threadpoolctl import threadpool_info

        return os.getpid(), {torch.get_num_threads(), *(pool["num_threads"] for pool in threadpool_info())}

    found: dict[int, list[tuple[int, set[int]]]] = {1: [], 2: []}
    for cpus in (2, 1, 2, 1):
        found[cpus] += [result for _, result in execution.imap(threads, range(6), cpus=cpus)]
    workers = {cpus: {pid for pid, _ in results} for cpus, results in found.items()}
    assert place == "here" or workers[1] & workers[2]
    assert {cpus: set.union(*(n for _, n in results)) for cpus, results in found.items()} == {1: {1}, 2: {2}}


@by_ray
def test_more_payloads_than_the_window_are_handed_out_as_others_finish() -> None:
    handed_out = []

    class Payloads(list[int]):
        def __iter__(self) -> Iterator[int]:
            for payload in super().__iter__():
                handed_out.append(payload)
                yield payload

    def negate(number: int) -> int:
        return -number

    results = execution.imap(negate, Payloads(range(3 * WINDOW)))
    first = next(results)
    assert len(handed_out) == WINDOW
    assert sorted([first, *results]) == [(n, -n) for n in range(3 * WINDOW)]


def test_a_crashed_worker_is_retried_and_leaves_standard_output_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def crash_once(name: str) -> str:
        marker = tmp_path / name
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return name.upper()

    assert dict(execution.imap(crash_once, ["a", "b"])) == {"a": "A", "b": "B"}
    assert capfd.readouterr().out == ""


def test_a_worker_that_always_dies_is_given_up_with_advice(tmp_path: Path) -> None:
    def crash(name: str) -> None:
        with open(tmp_path / name, "a", encoding="utf-8") as attempts:
            attempts.write("x")
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(PhonolakeError, match=r"worker.*run the same command again") as caught:
        list(execution.imap(crash, ["attempts"]))
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 1
    assert (tmp_path / "attempts").read_text() == "x" * (execution.CRASHES + 1)


@pytest.mark.parametrize(
    "error",
    [
        PhonolakeError("no room: free some"),
        UsageError("no such thing"),
        AudioError("truncated", "3 s of 30 s"),
        FileNotFoundError(2, "No such file or directory", "/music/a.mp3"),
        ZeroDivisionError("division by zero"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_of_the_work_comes_back_as_itself(error: Exception) -> None:
    def fail(_: int) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        list(execution.imap(fail, [1]))
    assert type(caught.value) is type(error)
    assert str(caught.value) == str(error)
    assert vars(caught.value).items() >= vars(error).items()


def test_an_exception_of_the_work_is_not_retried(tmp_path: Path) -> None:
    def fail(name: str) -> None:
        with open(tmp_path / name, "a", encoding="utf-8") as attempts:
            attempts.write("x")
        raise PhonolakeError("wrong")

    with pytest.raises(PhonolakeError, match="wrong"):
        list(execution.imap(fail, ["attempts"]))
    assert (tmp_path / "attempts").read_text() == "x"


@by_ray
def test_an_exception_of_the_work_cancels_the_rest(tmp_path: Path) -> None:
    def work(name: str) -> None:
        if name == "bad":
            while not list(tmp_path.glob("*.started")):
                time.sleep(0.01)
            raise PhonolakeError("bad")
        try:
            (tmp_path / f"{name}.started").touch()
            # In slices: work is interrupted between two Python instructions, not inside of one.
            while not (tmp_path / "enough").exists():
                time.sleep(0.05)
            (tmp_path / f"{name}.done").touch()
        finally:
            (tmp_path / f"{name}.left").touch()

    with pytest.raises(PhonolakeError, match=r"^bad$"):
        list(execution.imap(work, ["bad", *(f"slow{n}" for n in range(2 * WINDOW))]))
    assert eventually(lambda: any(tmp_path.glob("*.left"))), "running work was not interrupted"
    assert not list(tmp_path.glob("*.done"))
    (tmp_path / "enough").touch()
    # The cores are free again. Of what waited for them, Ray cannot call back a task that it was just handing over.
    assert dict(execution.imap(str, range(WINDOW))) == {n: str(n) for n in range(WINDOW)}
    assert len(list(tmp_path.glob("*.started"))) <= 1 + CORES


@by_ray
@pytest.mark.parametrize("swallowed", [1, pytest.param(1_000, marks=pytest.mark.long)])
def test_work_that_does_not_heed_an_interrupt_gives_back_its_cores(swallowed: int, tmp_path: Path) -> None:
    def work(name: str) -> None:
        if name == "bad":
            while not (tmp_path / "started").exists():
                time.sleep(0.01)
            raise PhonolakeError("bad")
        (tmp_path / "started").touch()
        for _ in range(swallowed + 1):
            with suppress(KeyboardInterrupt):
                while True:
                    time.sleep(0.05)

    with pytest.raises(PhonolakeError, match=r"^bad$"):
        list(execution.imap(work, ["bad", "deaf"]))
    # All cores at once.
    assert list(execution.imap(str, [1], cpus=CORES)) == [(1, "1")]


def test_results_are_yielded_before_an_error() -> None:
    def work(number: int) -> int:
        if number == 1:
            raise PhonolakeError("second")
        return number

    results = execution.imap(work, [0, 1], cpus=CORES)
    assert next(results) == (0, 0)
    with pytest.raises(PhonolakeError, match="second"):
        next(results)


@here
def test_an_exception_of_the_work_ends_the_others(tmp_path: Path) -> None:
    def work(name: str) -> None:
        if name == "bad":
            while not (tmp_path / "slow").exists():
                time.sleep(0.01)
            raise PhonolakeError("bad")
        (tmp_path / name).write_text(str(os.getpid()))
        time.sleep(60)

    with pytest.raises(PhonolakeError, match=r"^bad$"):
        list(execution.imap(work, ["bad", "slow", "waiting"]))
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "slow").read_text()), 0)
    assert not (tmp_path / "waiting").exists()


@here
def test_what_decoders_print_stays_off_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    def noise(_: int) -> None:
        os.write(1, b"noise")
        os.write(2, b"noise")

    list(execution.imap(noise, [1]))
    assert capfd.readouterr() == ("", "")


@here
def test_an_error_that_cannot_travel_is_told_all_the_same() -> None:
    def fail(_: int) -> None:
        error = ValueError("stuck")
        error.lock = threading.Lock()  # type: ignore[attr-defined]
        raise error

    with pytest.raises(PhonolakeError, match="ValueError: stuck"):
        list(execution.imap(fail, [1]))


def test_what_is_made_once_is_kept_for_the_next_payload() -> None:
    def make() -> Callable[[int], tuple[int, int]]:
        seen: list[int] = []
        return lambda n: (os.getpid(), seen.append(n) or len(seen))  # type: ignore[func-returns-value]

    found = dict(execution.amap(make, range(6)))
    assert sorted(found) == list(range(6))
    by_worker: dict[int, list[int]] = {}
    for pid, n in found.values():
        by_worker.setdefault(pid, []).append(n)
    assert len(by_worker) <= CORES
    assert all(sorted(counts) == list(range(1, len(counts) + 1)) for counts in by_worker.values())


@here
def test_a_child_leaves_alone_what_its_parent_threw_away() -> None:
    """A DuckDB that nobody can reach waits for its threads when it is taken down, and no thread survives a fork."""
    gc.disable()
    try:
        for _ in range(3):
            thrown_away: list = [duckdb.connect()]
            thrown_away[0].execute("SELECT count(*) FROM range(1000000)").fetchall()
            thrown_away.append(thrown_away)
            del thrown_away
        assert sorted(result for _, result in execution.imap(_collect, [1, 2])) == [1, 2]
    finally:
        gc.enable()


def _collect(number: int) -> int:
    gc.collect()
    return number


@here
def test_little_work_starts_no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own, since this one has a Ray, which is used where it is."""
    code = (
        "import sys; from phonolake import execution\n"
        "done = list(execution.imap(abs, [-1], seconds=execution.SMALL_SECONDS))\n"
        "print(done, execution.cores(), 'ray' in sys.modules)\n"
        "from glob import glob\n"
        "assert glob('/dev/nvidia*') or (execution.gpus(), 'ray' in sys.modules) == (0, False)"
    )
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[(-1, 1)] ")
    assert done.stdout.endswith(" False\n")
    assert done.stderr == ""


@pytest.mark.parametrize(("fails", "code"), [(1, 0), (2, 1)])
@by_ray
def test_a_ray_that_does_not_start_gets_a_second_chance(fails: int, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import ray; from phonolake import execution; from phonolake.errors import PhonolakeError\n"
        "def init(**_):\n"
        f"    init.n += 1\n    if init.n <= {fails}: raise Exception('The current node timed out during startup. x')\n"
        "init.n = 0; ray.init = init\n"
        "try: execution.connect()\n"
        "except PhonolakeError as error: print(error); raise SystemExit(1)\n"
    )
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert done.stderr.count("trying once more") == 1
    assert ("this machine is busy" in done.stdout) == (code == 1)


def test_steps_are_told_also_where_nobody_follows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of little work with each payload, without an actor that counts."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def work(n: int) -> int:
        for _ in range(n):
            execution.tick()
        return n

    def make() -> Callable[[int], int]:
        return work

    told: list[int] = []
    assert sorted(execution.imap(work, [1, 2, 3], seconds=1, on_tick=told.append)) == [(1, 1), (2, 2), (3, 3)]
    assert sum(told) == 6
    assert sorted(execution.amap(make, [4, 5], seconds=1, on_tick=told.append)) == [(4, 4), (5, 5)]
    assert sum(told) == 15


@by_ray
def test_actors_whose_steps_are_followed_leave_the_terminal_clean(capfd: pytest.CaptureFixture[str]) -> None:
    """Ray itself writes to the descriptor, not to `sys.stderr`."""

    def make() -> Callable[[int], int]:
        return lambda n: execution.tick() or n

    told: list[int] = []
    assert sorted(execution.amap(make, [1, 2, 3], on_tick=told.append)) == [(1, 1), (2, 2), (3, 3)]
    assert sum(told) == 3
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")


@by_ray
def test_work_goes_on_without_the_actor_that_counts_its_steps() -> None:
    """As when the node that holds it is lost."""

    def work(_: int) -> int:
        import gc
        import time

        import ray

        execution.tick()
        handles = [o for o in gc.get_objects() if isinstance(o, ray.actor.ActorHandle) and "_Ticker" in repr(o)]
        for handle in handles:
            ray.kill(handle)
        for _ in range(3):
            time.sleep(0.3)
            execution.tick()
        return len(handles)

    told: list[int] = []
    ((_, killed),) = execution.imap(work, [1], seconds=100, on_tick=told.append)
    assert killed == 1
    assert sum(told) <= 4
