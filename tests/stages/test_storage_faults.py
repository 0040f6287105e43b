"""What goes wrong between a lake and its object storage is tried again, or is one line; nothing is half seen."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import fault_proxy
from tests.fault_proxy import CUT, ERROR, EXPIRED, LATE, LOST, PASS, RESET, SLOW_DOWN, TORN, Faults
from tests.object_store import KEY, SECRET, using

from phonolake.cli.main import main
from phonolake.errors import PhonolakeError
from phonolake.store import query, schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import Shard, write_rows
from phonolake.store.verify import mend, verify

TERMS = schema.table("vocabulary")
PASSING = (ERROR, SLOW_DOWN, RESET, LOST, CUT, TORN)


@pytest.fixture
def proxied(objects_server: str, tmp_path: Path) -> Iterator[tuple[Lake, Faults]]:
    with (
        fault_proxy.standing_before(objects_server) as (endpoint, faults),
        using(endpoint, tmp_path / "cache") as url,
    ):
        yield Lake.create(url), faults


def term(lake: Lake, name: str) -> Shard:
    row = {"dataset": "d", "label": name, "source_id": name, "parents": [], "n_rated": None, "n_true": None}
    return write_rows(lake.path("vocabulary", name), TERMS.arrow, [row])


def commit(lake: Lake, name: str) -> None:
    lake.commit({"vocabulary": Change(TERMS, [term(lake, name)])})


def terms(lake: Lake) -> list[str]:
    with query.connect(lake) as connection:
        return [label for (label,) in connection.execute("SELECT label FROM vocabulary ORDER BY 1").fetchall()]


def now_and_then(kinds: tuple[str, ...], share: float, seed: int) -> Faults:
    rng = random.Random(seed)
    return Faults(lambda method, path: rng.choice(kinds) if rng.random() < share else PASS)


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 20))])
def test_what_goes_wrong_now_and_then_is_tried_again(
    seed: int, proxied: tuple[Lake, Faults], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, faults = proxied
    kinds = PASSING if seed < 10 else (*PASSING, LATE)
    faults.choose = now_and_then(kinds, 0.1, seed).choose
    for name in "abc":
        commit(lake, name)
    assert terms(lake) == ["a", "b", "c"]
    # Another machine, which has to bring all of it.
    monkeypatch.setenv("PHONOLAKE_CACHE", str(tmp_path / "other"))
    assert terms(Lake.open(lake.place)) == ["a", "b", "c"]
    assert verify(lake) == []
    assert len(set(faults.happened)) >= 4


@pytest.mark.long
def test_each_kind_of_fault_passes(proxied: tuple[Lake, Faults]) -> None:
    """One of each, at the reading and at the writing of one object."""
    lake, faults = proxied
    left: list[str] = []
    faults.choose = lambda method, path: left.pop() if left and "/thing" in path else PASS
    data = b"x" * 100_000
    for n, fault in enumerate(PASSING):
        # What has come has come, whatever becomes of an answer without a body.
        left += [fault] * 2 if fault != CUT else []
        lake.place.put(f"thing-{n}", data, create=fault != LOST)
        assert left == []
        for read in (lake.place.read, lambda name: lake.place.fetch(name, len(data)).read_bytes()):
            left += [fault] if fault != TORN else []
            assert read(f"thing-{n}") == data
            assert left == []


def test_a_publication_whose_answer_is_lost_counts_once(proxied: tuple[Lake, Faults]) -> None:
    lake, faults = proxied
    left = [LOST]
    faults.choose = lambda method, path: left.pop() if left and method == "PUT" and "/published/" in path else PASS
    commit(lake, "a")
    assert left == []
    assert len(list(lake.place.list("published/"))) == 2
    assert terms(lake) == ["a"]


@pytest.mark.parametrize(
    "first", [6, 24, *(pytest.param(n, marks=pytest.mark.slow) for n in range(60) if n not in (6, 24))]
)
def test_a_commit_that_ends_anywhere_leaves_the_old_or_the_new(first: int, proxied: tuple[Lake, Faults]) -> None:
    """Credentials expire at one request of a commit: nothing that comes behind it is carried out."""
    lake, faults = proxied
    commit(lake, "a")
    count = iter(range(10_000))
    faults.choose = lambda method, path: EXPIRED if next(count) >= first else PASS
    said = None
    try:
        commit(lake, "b")
    except PhonolakeError as error:
        said = str(error)
    faults.choose = lambda method, path: PASS
    there = terms(lake)
    assert there in (["a"], ["a", "b"])
    if said is None:
        assert there == ["a", "b"]
    else:
        assert "\n" not in said
        assert "credentials" in said
        assert SECRET not in said
    commit(lake, "b")
    assert terms(lake) == ["a", "b"]
    mend(lake)
    assert verify(lake) == []


def test_credentials_are_said_nowhere(proxied: tuple[Lake, Faults], capfd: pytest.CaptureFixture) -> None:
    lake, faults = proxied
    commit(lake, "a")
    faults.choose = lambda method, path: EXPIRED
    assert main(["sql", "FROM vocabulary", "--lake", str(lake.place)]) == 1
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "ExpiredToken" in said
    assert "check the credentials" in said
    assert SECRET not in said
    assert KEY not in said
    faults.choose = lambda method, path: EXPIRED if path.endswith("/a.parquet") else PASS
    shutil.rmtree(lake.folder("vocabulary"))
    assert main(["sql", "FROM vocabulary", "--lake", str(lake.place)]) == 1
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "check the credentials" in said
    faults.choose = lambda method, path: PASS
    for entry in lake.place.list(""):
        data = lake.place.read(entry.name)
        assert SECRET.encode() not in data, entry.name
        assert KEY.encode() not in data, entry.name
    for path in lake.root.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
