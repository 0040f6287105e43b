"""Whatever is killed or fails half-way leaves the old or the new, and what has its name is on the disk."""

import contextlib
import errno
import hashlib
import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonolake import files
from phonolake.errors import PhonolakeError
from phonolake.search import index as searching

OLD, NEW = b"old" * 100, b"new" * 200


class KilledError(BaseException):
    """The process is gone: nobody catches it, and nothing that should clean up gets to run."""


class Kill:
    """Kills at the n-th change of the disk: that one and all that follow, such as those of `finally`, do not happen."""

    CHANGES = frozenset({"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"})
    armed: "Kill | None" = None

    def __init__(self, n: int) -> None:
        self.n, self.count, self.thread = n, 0, threading.get_ident()

    def __enter__(self) -> "Kill":
        Kill.armed = self
        return self

    def __exit__(self, *_: object) -> None:
        Kill.armed = None

    @staticmethod
    def hear(event: str, _: object) -> None:
        kill = Kill.armed
        if kill is not None and event in Kill.CHANGES and kill.thread == threading.get_ident():
            kill.count += 1
            if kill.count >= kill.n:
                raise KilledError


# Python tells of every such call before it makes it, wherever it stands; it cannot be told to stop.
sys.addaudithook(Kill.hear)


class Failing:
    """The module `os`, whose n-th call that changes something on the disk fails; without `n` it counts."""

    CHANGES = ("replace", "rename", "fsync")

    def __init__(self, n: int, number: int = errno.EIO) -> None:
        self.n, self.number, self.calls = n, number, 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in self.CHANGES:
            return real

        def call(*arguments: Any) -> Any:
            self.calls += 1
            if self.calls == self.n:
                raise OSError(self.number, "planted")
            return real(*arguments)

        return call


class Disk:
    """The module `os` as it sees what is on the disk for good: bytes and names that were forced there, in order."""

    def __init__(self) -> None:
        self.forced: set[int] = set()
        self.loose: list[Path] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def fsync(self, handle: int) -> None:
        facts = os.fstat(handle)
        self.forced.add(facts.st_ino)
        self.loose = [path for path in self.loose if path.parent.stat().st_ino != facts.st_ino]
        os.fsync(handle)

    def rename(self, source: Path, target: Path) -> None:
        inside = [source, *source.rglob("*")] if source.is_dir() else [source]
        for path in inside:
            assert path.stat().st_ino in self.forced or not target.parent.exists(), f"{path} is not on the disk yet"
        os.rename(source, target)
        self.loose.append(target)

    replace = rename


def put_file(path: Path) -> None:
    with files.replacing(path) as temporary:
        temporary.write_bytes(NEW)


def put_folder(path: Path) -> None:
    with files.replacing_folder(path) as staging:
        (staging / "sub").mkdir()
        (staging / "a").write_bytes(NEW)
        (staging / "sub" / "b").write_bytes(NEW)


def content(path: Path) -> bytes | None:
    """What a reader finds: all of a folder, or a file; None where there is nothing."""
    if path.is_file():
        return path.read_bytes()

    def read(place: Path) -> bytes | None:
        found = {p.relative_to(place).as_posix(): p.read_bytes() for p in place.rglob("*") if p.is_file()}
        if not found:
            return None
        assert set(found) == {"a", "sub/b"}
        assert found["a"] == found["sub/b"], "half of one, half of another"
        return found["a"]

    return files.read_folder(path, read)


def lay(path: Path, kind: Callable[[Path], None], *, old: bool) -> None:
    if not old:
        return
    if kind is put_file:
        path.write_bytes(OLD)
    else:
        (path / "sub").mkdir(parents=True)
        (path / "a").write_bytes(OLD)
        (path / "sub" / "b").write_bytes(OLD)


def no_exchange(*_: Any) -> bool:
    return False


@pytest.fixture(params=["exchange", "two renames"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to replace a folder: a file system that exchanges two, and one that cannot."""
    if request.param == "two renames":
        monkeypatch.setattr(files, "exchange", no_exchange)
    return str(request.param)


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("put", [put_file, put_folder])
def test_a_kill_at_any_change_of_the_disk_leaves_the_old_or_the_new(
    put: Callable[[Path], None], old: bool, way: str, tmp_path: Path
) -> None:
    expected = OLD if old else None
    seen = set()
    for n in range(1, 1000):
        path = tmp_path / str(n) / "it"
        path.parent.mkdir()
        lay(path, put, old=old)
        try:
            with Kill(n) as kill:
                put(path)
        except KilledError:
            found = content(path)
            assert found in (expected, NEW), f"change {n}"
            seen.add(found)
            # The next one finds its way whatever the kill left, and nothing of it is needed by then.
            put(path)
            assert content(path) == NEW
            assert all(files.is_spare(p) for p in path.parent.glob(".*"))
        else:
            assert kill.count < n
            break
    assert seen == {expected, NEW}, "kills before and after the change were both tried"
    assert n > 3


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("put", [put_file, put_folder])
def test_a_call_that_fails_leaves_the_old_or_the_new_and_no_litter(
    put: Callable[[Path], None], old: bool, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_failed = 0
    for n in range(1, 100):
        path = tmp_path / str(n) / "it"
        path.parent.mkdir()
        lay(path, put, old=old)
        failing = Failing(n)
        monkeypatch.setattr(files, "os", failing)
        try:
            put(path)
        except OSError as error:
            n_failed += error.strerror == "planted"
            assert content(path) in (OLD if old else None, NEW)
            assert all(not files.is_spare(p) or p.name.endswith(files.RETIRED) for p in path.parent.glob(".*"))
        else:
            assert failing.calls < n
            break
    assert n_failed >= 3


@pytest.mark.parametrize("put", [put_file, put_folder])
def test_nothing_gets_its_name_before_it_is_on_the_disk(
    put: Callable[[Path], None], way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loss of power after any call: whatever has a name by then was forced to the disk before."""
    for number, old in enumerate([False, True]):
        path = tmp_path / str(number) / "it"
        path.parent.mkdir()
        lay(path, put, old=old)
        disk = Disk()
        disk.forced.update(p.stat().st_ino for p in [path, *path.rglob("*")] if old)  # the old one was, long ago
        monkeypatch.setattr(files, "os", disk)
        put(path)
        assert disk.loose == [], "the name itself may be lost"
        assert content(path) == NEW


def test_the_spy_sees_what_was_not_forced(tmp_path: Path) -> None:
    disk = Disk()
    (tmp_path / "a").write_bytes(NEW)
    with pytest.raises(AssertionError, match="not on the disk"):
        disk.rename(tmp_path / "a", tmp_path / "b")


def test_a_block_that_fails_changes_nothing(tmp_path: Path) -> None:
    for put in (files.replacing, files.replacing_folder):
        with contextlib.suppress(RuntimeError), put(tmp_path / "it") as staging:
            (staging / "half" if staging.is_dir() else staging).write_bytes(NEW)
            raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_readers_of_a_folder_never_mix_two(way: str, tmp_path: Path) -> None:
    """A writer that replaces a folder again and again, and readers that look at two files of it."""
    path, over = tmp_path / "it", threading.Event()
    lay(path, put_folder, old=True)

    def write() -> None:
        for n in range(150):
            with files.replacing_folder(path) as staging:
                (staging / "a").write_text(str(n))
                (staging / "b").write_text(str(n))
        over.set()

    writer = threading.Thread(target=write)
    with files.replacing_folder(path) as staging:
        (staging / "a").write_text("0")
        (staging / "b").write_text("0")
    writer.start()
    seen = set()
    while not over.is_set():
        a, b = files.read_folder(path, lambda place: ((place / "a").read_text(), (place / "b").read_text()))
        assert a == b
        seen.add(a)
    writer.join()
    assert len(seen) > 1


def test_what_cannot_be_read_is_said_once(tmp_path: Path) -> None:
    def read(_: Path) -> None:
        raise PhonolakeError("damaged")

    with pytest.raises(PhonolakeError, match="damaged"):
        files.read_folder(tmp_path, read)


def test_an_index_survives_a_replacement_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever call fails, the card of before or the new one counts."""
    old, new = (searching.Card(name, (), {"kind": "flat"}) for name in ("old", "new"))
    for n in range(1, 100):
        folder = tmp_path / str(n) / "run"
        searching.write_card(folder, old)
        with monkeypatch.context() as patched:
            patched.setattr(files, "os", Failing(n, errno.ENOSPC))
            try:
                searching.write_card(folder, new)
            except OSError:
                assert searching.read_card(folder) in (old, new)
                continue
        assert searching.read_card(folder) == new
        break
    assert n > 3


# -- checksums and locks -----------------------------------------------------------------------------------------------


@given(st.binary(max_size=3000))
def test_a_checksum_is_that_of_the_bytes(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        files.write(Path(folder, "f"), data)
        assert files.sha256(Path(folder, "f")) == hashlib.sha256(data).hexdigest()


def test_locks_are_shared_or_not(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not files.is_locked(path)
    with files.locked(path, shared=True), files.locked(path, shared=True):
        assert files.is_locked(path)
    assert not files.is_locked(path)
    with files.locked(path), open(path) as other:
        assert not files.lock(other, wait=False)
        assert not files.lock(other, wait=False, shared=True)
    assert not files.is_locked(path)


def test_remove_takes_files_folders_and_what_is_not_there(tmp_path: Path) -> None:
    put_folder(tmp_path / "folder")
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    files.remove(tmp_path / "link")
    assert content(tmp_path / "folder") == NEW
    for name in ("folder", "nothing"):
        files.remove(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    shutil.rmtree(tmp_path)
