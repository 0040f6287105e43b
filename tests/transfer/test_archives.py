"""Archives that want to write elsewhere, or more than the disk holds."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonolake.errors import PhonolakeError
from phonolake.transfer.archives import Limits, is_archive, unpack, whole_of

pytestmark = pytest.mark.timeout(60)


def everything(folder: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def zipped(path: Path, entries: dict[str, bytes], **info: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = info.get("mode", 0o100644) << 16
            archive.writestr(entry, data)
    return path


def tarred(path: Path, entries: list[tuple[str, bytes, bytes, str]]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, kind, data, link in entries:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(data), link
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.mark.parametrize("ending", ["a.zip", "a.tar.gz", "a.tgz", "a.TAR"])
def test_what_can_be_unpacked(ending: str) -> None:
    assert is_archive(ending)
    assert not is_archive(ending + ".part")


def test_a_zip_and_a_tar_give_their_files(tmp_path: Path, place: Path) -> None:
    content = {"fma_small/000/000002.mp3": b"x" * 5000, "fma_small/README": b"hello", "empty": b""}
    unpack(zipped(tmp_path / "a.zip", content), place)
    assert {k: v for k, v in everything(place).items() if v is not None} == content
    unpack(tarred(tmp_path / "a.tar.gz", [(n, tarfile.REGTYPE, d, "") for n, d in content.items()]), place / "tar")
    assert {k: v for k, v in everything(place / "tar").items() if v is not None} == content


def test_a_zip_in_pieces_is_joined(tmp_path: Path, place: Path) -> None:
    content = {f"mp3/{n}": os.urandom(3000) for n in range(10)}
    data = zipped(tmp_path / "a.zip", content).read_bytes()
    for pieces in (1, 3, 7):
        step = -(-len(data) // pieces)
        paths = [tmp_path / f"mp3.zip.{n + 1:03d}" for n in range(pieces)]
        for n, path in enumerate(paths):
            assert whole_of(path.name) == "mp3.zip"
            path.write_bytes(data[n * step : (n + 1) * step])
        unpack(tmp_path / "mp3.zip", place / str(pieces), pieces=paths)
        found = {k: v for k, v in everything(place / str(pieces)).items() if v is not None}
        assert found == content
    with pytest.raises(PhonolakeError, match="damaged"):
        unpack(tmp_path / "mp3.zip", place / "lost", pieces=[*paths[:3], *paths[4:]])
    assert whole_of("mp3.zip") is None


BAD = ["/etc/evil", "../evil", "a/../../evil", "..", "C:/evil", "a\\..\\..\\evil", "//host/evil"]


@pytest.mark.parametrize("name", BAD)
def test_an_entry_that_leads_out_is_refused_and_nothing_is_written(tmp_path: Path, place: Path, name: str) -> None:
    zips = zipped(tmp_path / "a.zip", {"good.txt": b"1", name: b"2"})
    tars = tarred(tmp_path / "a.tar.gz", [("good.txt", tarfile.REGTYPE, b"1", ""), (name, tarfile.REGTYPE, b"2", "")])
    before = everything(tmp_path)
    for archive in (zips, tars):
        with pytest.raises(PhonolakeError, match="leads out"):
            unpack(archive, place)
        assert everything(tmp_path) == before


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, place: Path, kind: bytes) -> None:
    archive = tarred(tmp_path / "a.tar.gz", [("x", kind, b"", "../outside"), ("x/evil", tarfile.REGTYPE, b"2", "")])
    with pytest.raises(PhonolakeError, match="a link or a device"):
        unpack(archive, place)
    assert everything(place) == {}
    assert everything(tmp_path / "outside") == {}


def test_a_symbolic_link_in_a_zip_is_refused(tmp_path: Path, place: Path) -> None:
    with pytest.raises(PhonolakeError, match="a link or a device"):
        unpack(zipped(tmp_path / "a.zip", {"x": b"../outside"}, mode=0o120777), place)
    assert everything(place) == {}


def test_a_link_that_lies_there_already_is_not_followed(tmp_path: Path, place: Path) -> None:
    (place / "sub").symlink_to(tmp_path / "outside")
    with pytest.raises(PhonolakeError, match="is a link that leads out"):
        unpack(zipped(tmp_path / "a.zip", {"sub/evil": b"2"}), place)
    assert everything(tmp_path / "outside") == {}


def test_a_bomb_is_stopped_while_it_unpacks(tmp_path: Path, place: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"zeros": bytes(50_000_000)})
    assert archive.stat().st_size < 100_000
    with pytest.raises(PhonolakeError, match="bomb"):
        unpack(archive, place)
    assert everything(place) == {}


def test_a_header_that_lies_about_the_size_does_not_help(tmp_path: Path, place: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"zeros": bytes(5_000_000)})
    data = archive.read_bytes().replace((5_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    archive.write_bytes(data)
    with pytest.raises(PhonolakeError):
        unpack(archive, place)
    assert everything(place) == {}


def test_more_entries_than_allowed(tmp_path: Path, place: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {str(n): b"" for n in range(20)})
    with pytest.raises(PhonolakeError, match="more than 10 entries"):
        unpack(archive, place, limits=Limits(files=10))
    assert everything(place) == {}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name(tmp_path: Path, place: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", b"1")
        archive.writestr("./a", b"2")
    with pytest.raises(PhonolakeError, match="two files"):
        unpack(tmp_path / "a.zip", place)


@pytest.mark.parametrize("end", [0.5, 0.97])
@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_half_an_archive_changes_nothing(tmp_path: Path, place: Path, name: str, end: float) -> None:
    content = {f"f{n}": os.urandom(2000) for n in range(20)}
    path = tmp_path / name
    if name == "a.zip":
        zipped(path, content)
    else:
        tarred(path, [(n, tarfile.REGTYPE, d, "") for n, d in content.items()])
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * end)])
    with pytest.raises(PhonolakeError, match="damaged"):
        unpack(path, place)
    assert everything(place) == {}


names = st.text(st.sampled_from("ab./\\:~ \0é"), min_size=1, max_size=8)


@settings(max_examples=60)
@given(names)
def test_whatever_an_entry_is_called_nothing_is_written_outside(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    root = tmp_path_factory.mktemp("any")
    (root / "in").mkdir()
    archive = tarred(root / "a.tar.gz", [(name, tarfile.REGTYPE, b"2", "")])
    try:
        files = unpack(archive, root / "in")
    except (PhonolakeError, OSError):
        files = []
    assert {p for p in root.rglob("*") if p.is_file()} == {archive, *files}
    assert all(path.resolve().is_relative_to((root / "in").resolve()) for path in files)
