"""Commands that run in sessions of their own, ways to kill them or what they started, and what is compared then."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil

from phonolake.store import query
from phonolake.store.lake import Lake
from phonolake.store.verify import verify
from phonolake.synthesis import fma

CORPUS = fma.Config(n_tracks=80, seed=3, label_noise=0.1, n_corrupt=6, duration=2.0)
# When it happened, and how many commits it took, is the only difference that a kill may leave.
UNCOMPARED = {"runs": {"started_at", "finished_at", "snapshot"}, "forgotten": {"forgotten_at"}}
PLAIN = "import sys; from phonolake.cli import main; sys.exit(main.console(sys.argv[1:]))"
# Where its workers are lost, also where the work is little.
BY_RAY = (
    "import sys; from phonolake import execution; from phonolake.cli import main; execution.use(2); "
    "sys.exit(main.console(sys.argv[1:]))"
)


def write_corpus(root, config=CORPUS):
    """Write short tracks in the layout of FMA, some of which cannot be read; gives the folder."""
    tracks = fma.plan(config)
    for track in tracks:
        fma.write_track(track, config, root)
    fma.write_metadata(tracks, config, root)
    return root


def start(words, program=BY_RAY):
    """Start the command line in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"},
    )


def finish(words, program=BY_RAY):
    """Run the command line to its end; returns the seconds it took."""
    begun = time.monotonic()
    process = start(words, program)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return time.monotonic() - begun


def contents(lake):
    """Every row of every table, in an order of its own."""
    tables = {}
    with query.connect(Lake.open(lake)) as connection:
        names = [name for (name,) in connection.execute('SELECT "table" FROM lake_tables').fetchall()]
        for name in names:
            relation = connection.sql(f"SELECT * FROM {name}")
            kept = [column for column in relation.columns if column not in UNCOMPARED.get(name, ())]
            rows = connection.execute(f"SELECT {', '.join(kept)} FROM {name}").fetchall()
            tables[name] = sorted(rows, key=repr)
    return tables


def check_same(lake, expected):
    found = contents(lake)
    assert found.keys() == expected.keys()
    for name, rows in expected.items():
        assert found[name] == rows, f"{name} differs: {len(found[name])} rows against {len(rows)}"
    assert verify(Lake.open(lake)) == []


def kill_later(process, moment):
    """Kill the driver with -9; returns what it had started."""
    time.sleep(moment)
    children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.kill()
    process.communicate()
    return children


def kill_tree_later(process, moment):
    """Kill the driver with -9; what it had started must go by itself (Ray looks for lost nodes now and then).

    Returns whether it was still at work.
    """
    _, alive = psutil.wait_procs(kill_later(process, moment), timeout=90)
    assert not alive, f"left behind: {[p.name() for p in alive]}"
    return process.returncode == -signal.SIGKILL


def kill_a_worker(process, moment, chance):
    """Kill -9 a worker that is busy with one of our tasks; returns whether there was one to kill in time."""
    deadline = time.monotonic() + 120
    time.sleep(moment)
    while process.poll() is None and time.monotonic() < deadline:
        busy = [p for p in psutil.Process(process.pid).children(recursive=True) if is_busy(p)]
        if busy:
            os.kill(chance.choice(busy).pid, signal.SIGKILL)
            return True
        time.sleep(0.05)
    return False


def is_busy(process):
    """Ray names a worker process after the task that it runs."""
    try:
        title = process.cmdline()[0] if process.cmdline() else ""
    except psutil.Error:
        return False
    return title.startswith("ray::_task")


def kill_a_part(process, moment, name):
    """Kill -9 the first process of that name below the driver, from a moment on; returns whether there was one."""
    deadline = time.monotonic() + 120
    time.sleep(moment)
    while process.poll() is None and time.monotonic() < deadline:
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.Error):
                if child.name() == name:
                    child.kill()
                    return True
        time.sleep(0.05)
    return False


def kill(process, victim, moment, chance):
    """Kill -9 the driver, a busy worker, or a part of Ray by its name, from a moment on, and see the driver end.

    Returns whether there was one in time. The loss of a worker must not be noticed.
    """
    if victim == "driver":
        return kill_tree_later(process, moment)
    is_worker = victim == "worker"
    killed = kill_a_worker(process, moment, chance) if is_worker else kill_a_part(process, moment, victim)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0 or not is_worker, output
    return killed
