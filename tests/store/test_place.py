"""A place does the same wherever it lies."""

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from tests.object_store import using

from phonolake.errors import UsageError
from phonolake.store import folders
from phonolake.store.objects import PART, TakenError
from phonolake.store.place import Place, trim

NAMES = st.sampled_from(["a", "b/a", "b/c.json", "b/c/d", "ü b", "b@x--y"])
DATA = st.binary(max_size=40)


@pytest.fixture
def remote(objects_server: str, tmp_path: Path) -> Iterator[Place]:
    with using(objects_server, tmp_path / "cache") as url:
        yield Place.at(url)


def test_it_does_the_same_in_a_folder_and_on_object_storage(remote: Place, tmp_path: Path) -> None:
    class Same(RuleBasedStateMachine):
        """Two places and a dictionary, to which the same happens."""

        number = 0

        def __init__(self) -> None:
            super().__init__()
            Same.number += 1
            self.places = [Place.at(tmp_path / str(Same.number)), Place.at(f"{remote}/{Same.number}")]
            self.places[0].root.mkdir()
            self.known: dict[str, bytes] = {}
            self.tags: list[dict[str, str]] = [{}, {}]

        def each(self, succeeds: bool, call) -> None:
            for place, tags in zip(self.places, self.tags, strict=True):
                if succeeds:
                    call(place, tags)
                else:
                    with pytest.raises((TakenError, FileNotFoundError)):
                        call(place, tags)

        @rule(name=NAMES, data=DATA)
        def put(self, name: str, data: bytes) -> None:
            if not self.would_be_folder(name):
                self.each(True, lambda place, _: place.put(name, data))
                self.known[name] = data

        @rule(name=NAMES, data=DATA)
        def create(self, name: str, data: bytes) -> None:
            if not self.would_be_folder(name):
                self.each(name not in self.known, lambda place, _: place.put(name, data, create=True))
                self.known.setdefault(name, data)

        @rule(name=NAMES, data=DATA)
        def exchange(self, name: str, data: bytes) -> None:
            """Replace what was read; a second time it is another one."""
            if name in self.known and data != self.known[name]:
                self.each(True, lambda place, tags: tags.update({name: place.read_tagged(name)[1]}))
                self.each(True, lambda place, tags: place.put(name, data, match=tags[name]))
                self.each(False, lambda place, tags: place.put(name, b"other", match=tags[name]))
                self.known[name] = data

        @rule(name=NAMES)
        def delete(self, name: str) -> None:
            self.each(True, lambda place, _: place.delete([name]))
            self.known.pop(name, None)

        @rule(name=NAMES)
        def read(self, name: str) -> None:
            self.each(name in self.known, lambda place, _: place.read(name))
            self.each(name in self.known, lambda place, _: place.fetch(name).read_bytes())

        @invariant()
        def all_is_there(self) -> None:
            for place in self.places:
                assert {e.name: e.size for e in place.list("")} == {n: len(d) for n, d in self.known.items()}
                below = [e.name for e in place.list("b/", after="b/a")]
                assert below == sorted(n for n in self.known if n.startswith("b/") and n > "b/a")
                for name, data in self.known.items():
                    assert place.read(name) == place.fetch(name).read_bytes() == data
                    assert place.exists(name)
                    assert place.size(name) == len(data)

        def would_be_folder(self, name: str) -> bool:
            """A file system has no file and folder of one name."""
            return any(n.startswith(f"{name}/") or name.startswith(f"{n}/") for n in self.known)

    run_state_machine_as_test(Same, settings=settings(max_examples=6, stateful_step_count=12))


@pytest.mark.parametrize("kind", ["folder", "objects"])
def test_of_several_who_create_one_does(kind: str, remote: Place, tmp_path: Path) -> None:
    place = remote if kind == "objects" else Place.at(tmp_path / "place")

    def create(number: int) -> bool:
        try:
            place.put("only", str(number).encode(), create=True)
        except TakenError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = [number for number, first in enumerate(pool.map(create, range(8))) if first]
    assert [str(number).encode() for number in won] == [place.read("only")]


def test_parts_are_read_where_they_lie(remote: Place, tmp_path: Path) -> None:
    data = bytes(range(256)) * (3 * PART // 256) + b"end"
    (tmp_path / "large").write_bytes(data)
    remote.put("large", tmp_path / "large")
    reader = remote.open("large")
    assert not isinstance(reader, Path)
    assert reader.seek(PART - 3) == PART - 3
    assert reader.read(6) == data[PART - 3 : PART + 3]
    assert reader.seek(-3, 2) == len(data) - 3
    assert reader.read() == b"end"
    assert remote.fetch("large").read_bytes() == data
    assert remote.open("large") == remote.root / "large"


def test_a_folder_is_the_old_one_or_the_new_one(remote: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = remote.root / "models" / "m"
    (folder / "weights").mkdir(parents=True)
    (folder / "weights" / "card").write_text("old")
    (folder / "tracks").write_text("all")
    (folder / ".training").write_text("hidden")
    folders.send(remote, "models/m")
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setenv("PHONOLAKE_CACHE", str(elsewhere))
    copy = folders.fetch(remote, "models/m")
    assert {p.name: p.read_text() for p in copy.rglob("[!.]*") if p.is_file()} == {"card": "old", "tracks": "all"}
    (copy / "tracks").write_text("fewer")
    folders.send(remote, "models/m")
    assert list(folders.leftovers(remote)) == []
    monkeypatch.setenv("PHONOLAKE_CACHE", str(tmp_path / "cache"))
    assert (folders.fetch(remote, "models/m") / "tracks").read_text() == "fewer"
    assert folders.names(remote, "models/") == ["models/m"]
    folders.remove(remote, "models/m")
    assert list(remote.list("")) == []
    shutil.rmtree(remote.root)
    assert not folders.fetch(remote, "models/m").exists()


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "1", "2" * 9])), min_size=1, max_size=4))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_only_files_that_changed_travel(
    remote: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, versions: list[dict[str, str]]
) -> None:
    name, there = f"models/{uuid.uuid4().hex}", tmp_path / uuid.uuid4().hex
    before: set[str] = set()
    for files in versions:
        with monkeypatch.context() as patch:
            patch.setenv("PHONOLAKE_CACHE", str(there / "sender"))
            sent = travelling(patch, "put")
            shutil.rmtree(remote.root / name, ignore_errors=True)
            (remote.root / name / "part").mkdir(parents=True)
            for file, text in files.items():
                (remote.root / name / "part" / file).write_text(text)
            folders.send(remote, name)
        contents = set(files.values())
        assert len([s for s in sent if "/files/" in s]) == len(contents - before)
        with monkeypatch.context() as patch:
            patch.setenv("PHONOLAKE_CACHE", str(there / "receiver"))
            brought = travelling(patch, "bring")
            known = {p.name: p.read_text() for p in (remote.root / name).rglob("[!.]*") if p.is_file()}
            copy = folders.fetch(remote, name)
            assert {p.name: p.read_text() for p in copy.rglob("[!.]*") if p.is_file()} == files
        assert len(brought) == len(files.items() - known.items())
        before = contents


def test_a_file_that_was_damaged_here_is_brought_again(
    remote: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = remote.root / "models" / "m"
    folder.mkdir(parents=True)
    for version in ("old", "new"):
        (folder / "card").write_text(version)
        (folder / "weights").write_text("heavy")
        folders.send(remote, "models/m")
        with monkeypatch.context() as patch:
            patch.setenv("PHONOLAKE_CACHE", str(tmp_path / "elsewhere"))
            copy = folders.fetch(remote, "models/m")
            assert [(copy / file).read_text() for file in ("card", "weights")] == [version, "heavy"]
            (copy / "weights").write_text("HEAVY")


def test_what_another_job_deletes_meanwhile_is_sent_again(remote: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = remote.root / "models" / "raced"
    folder.mkdir(parents=True)
    (folder / "weights").write_text("heavy")
    folders.send(remote, "models/raced")
    put = Place.put

    def raced(place: Place, name: str, *args: Any, **kwargs: Any) -> Any:
        if name.endswith(folders.LIST):
            place.delete([entry.name for entry in place.list("models/raced/files/")])
        return put(place, name, *args, **kwargs)

    monkeypatch.setattr(Place, "put", raced)
    folders.send(remote, "models/raced")
    shutil.rmtree(folder)
    assert (folders.fetch(remote, "models/raced") / "weights").read_text() == "heavy"


def travelling(monkeypatch: pytest.MonkeyPatch, way: str) -> list[str]:
    """Names of objects that are sent or brought from now on."""
    names: list[str] = []
    original = getattr(Place, way)

    def counted(place: Place, name: str, *args: Any, **kwargs: Any) -> Any:
        names.append(name)
        return original(place, name, *args, **kwargs)

    monkeypatch.setattr(Place, way, counted)
    return names


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://", "name a bucket"),
        ("s3://bucket/a//b", "name a bucket"),
        ("s3://bucket/../x", "name a bucket"),
        ("s3://bucket/a*", "name a bucket"),
        ("s3://key:secret@bucket/lake", "do not belong in an address"),
        ("http://host/lake", "is neither"),
        ("file://host/lake", "is neither"),
    ],
)
def test_what_is_no_place_is_refused(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Place.at(url)


def test_an_address_is_one_however_it_is_written() -> None:
    assert Place.at("S3://Bucket/lake/") == Place.at("s3://Bucket/lake")
    assert Place.at("file:///tmp/x") == Place.at("/tmp/x")
    assert Place.at("s3://bucket/lake").root != Place.at("s3://other/lake").root


def test_copies_that_were_used_last_stay(remote: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"tables/labels/{name}.parquet" for name in "abcd"]
    copies = []
    for age, name in enumerate(names):
        remote.put(name, b"x" * 1000)
        copies.append(remote.fetch(name))
        os.utime(copies[-1], (time.time() - 10_000 * (4 - age),) * 2)
    remote.fetch(names[0])  # used again
    monkeypatch.setenv("PHONOLAKE_CACHE_GB", "0.000002")
    trim()
    assert [copy.exists() for copy in copies] == [True, False, False, True]
    monkeypatch.setenv("PHONOLAKE_CACHE_GB", "0")
    trim()
    assert [copy.exists() for copy in copies] == [True, False, False, False], "somebody may be about to open it"
    assert remote.fetch(names[1]).read_bytes() == b"x" * 1000
    monkeypatch.setenv("PHONOLAKE_CACHE_GB", "much")
    with pytest.raises(UsageError, match="PHONOLAKE_CACHE_GB is a number of gigabytes, received 'much'"):
        trim()
