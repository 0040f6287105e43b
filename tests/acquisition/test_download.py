"""`phonolake download`: what a card lists, from a server on this machine, unpacked once."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.http_server import Answer, Server, serving

from phonolake.acquisition import download
from phonolake.cli.main import main
from phonolake.errors import PhonolakeError
from phonolake.sources import contract
from phonolake.transfer.http import Patience

pytestmark = pytest.mark.timeout(60)
QUICK = Patience(tries=2, first_wait=0.01, timeout=2)


def packed(entries: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return out.getvalue()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


@pytest.fixture
def card(server: Server, monkeypatch: pytest.MonkeyPatch) -> contract.SourceCard:
    """The card of a dataset of two files, which a module of that name would have."""
    data = packed({"toy/a.txt": b"1", "toy/b.txt": b"2"})
    server.files |= {"/mirror/toy.zip": data, "/mirror/toy.csv": b"x,y\n"}
    sha256 = "sha256:" + hashlib.sha256(data).hexdigest()
    files = (
        contract.Download("https://example.invalid/toy.zip?raw=1", len(data), sha256, "audio"),
        contract.Download("https://example.invalid/deep/toy.csv", None, None, "metadata"),
    )
    made = contract.SourceCard("toy", "", "https://example.invalid", "", "", "", downloads=files)

    class Toy:
        CARD = made

    monkeypatch.setattr(contract, "get", lambda _: Toy)
    return made


def test_files_come_from_a_mirror_and_are_unpacked_once(
    server: Server, card: contract.SourceCard, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ["download", "toy", str(tmp_path / "d"), "--mirror", server.url + "/mirror", "--format", "json"]
    assert main(words) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(r["file"], r["what"], r["unpacked"]) for r in rows] == [
        ("toy.zip", "fetched", 2),
        ("toy.csv", "fetched", None),
    ]
    assert (tmp_path / "d" / "toy" / "b.txt").read_bytes() == b"2"
    (tmp_path / "d" / "toy" / "b.txt").write_text("mine")
    server.requests.clear()
    assert main(words) == 0
    assert [r["what"] for r in json.loads(capsys.readouterr().out)] == ["was there", "was there"]
    assert server.requests == []
    assert (tmp_path / "d" / "toy" / "b.txt").read_text() == "mine"


def test_what_came_before_a_failure_is_kept(server: Server, card: contract.SourceCard, tmp_path: Path) -> None:
    server.always["/mirror/toy.csv"] = Answer(404)
    config = download.Config("toy", str(tmp_path / "d"), mirror=server.url + "/mirror", patience=QUICK)
    with pytest.raises(PhonolakeError, match="HTTP 404"):
        download.run(config)
    assert (tmp_path / "d" / "toy" / "a.txt").exists()
    server.always.clear()
    server.requests.clear()
    download.run(config)
    assert [path for path, *_ in server.requests] == ["/mirror/toy.csv"]


def test_only_some_files_and_nothing_in_a_dry_run(
    server: Server, card: contract.SourceCard, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ["download", "toy", str(tmp_path / "d"), "--file", "csv", "--dry-run", "--format", "json"]
    assert main(words) == 0
    assert [row["about"] for row in json.loads(capsys.readouterr().out)] == ["metadata"]
    assert not (tmp_path / "d").exists()
    assert main(["download", "toy", str(tmp_path / "d"), "--file", "nope"]) == 2
    assert "toy.zip, toy.csv" in capsys.readouterr().err


def test_a_harmful_archive_stops_the_download(server: Server, card: contract.SourceCard, tmp_path: Path) -> None:
    server.files["/mirror/toy.csv"] = b""
    evil = packed({"../evil": b"1"})
    server.files["/mirror/toy.zip"] = evil
    object.__setattr__(card.downloads[0], "bytes", len(evil))
    object.__setattr__(card.downloads[0], "checksum", None)
    config = download.Config("toy", str(tmp_path / "d"), mirror=server.url + "/mirror", patience=QUICK)
    with pytest.raises(PhonolakeError, match="leads out"):
        download.run(config)
    assert not (tmp_path / "evil").exists()


def test_wishes_that_do_not_go_together_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    lake, folder = str(tmp_path / "lake"), str(tmp_path / "none")
    for words, says in (
        (["download", "folder", folder], "lists no files"),
        (["download", "fma", folder, "--clips"], "--lake"),
        (["download", "fma", folder, "--clips", "--lake", lake], "names no clips"),
        (["download", "audioset", folder, "--clips", "--lake", lake], "is no folder"),
        (["download", "audioset", folder, "--lake", lake, "--url-template", "http://x"], "{ytid}"),
    ):
        assert main(words) == 2
        err = capsys.readouterr().err
        assert says in err
        assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "lake").exists()
