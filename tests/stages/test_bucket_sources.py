"""Music that lies on object storage: it is listed, and a file is brought by the worker that decodes it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import fault_proxy
from tests.fault_proxy import ERROR, PASS, Faults
from tests.object_store import BUCKET, KEY, SECRET, using

from phonolake.cli.main import main
from phonolake.errors import PhonolakeError, UsageError
from phonolake.sources import contract
from phonolake.stages import ingest, source_root, validate
from phonolake.store import mirror, pieces
from phonolake.store.lake import Lake
from phonolake.store.place import Place
from phonolake.store.verify import verify

from .in_process import rows, work_here, write_track

TABLES = ("tracks", "labels", "audio", "metadata", "rejects", "passed_over", "splits")
# What is another one where the same files lie elsewhere.
ELSEWHERE = {
    "audio": ("source_path", "source_mtime"),
    "rejects": ("source_path", "source_mtime"),
    "passed_over": ("example",),
}


@pytest.fixture
def music(tmp_path: Path) -> Path:
    root = tmp_path / "music"
    for n in range(4):
        write_track(root / f"{'low' if n < 2 else 'high'}" / f"{n}.wav", n)
    write_track(root / "é # 100%" / "[a] ?*+&.wav", 9)
    (root / "low" / "broken.wav").write_bytes(b"RIFF, and nothing behind it")
    (root / "cover.jpg").write_bytes(b"a picture")
    (root / "low" / ".hidden.wav").write_bytes(b"nobody wants it")
    return root


@pytest.fixture
def bucket(objects_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Faults]]:
    """A prefix that ends in the name of the folder, behind a proxy that sees all requests."""
    work_here(monkeypatch)
    with (
        fault_proxy.standing_before(objects_server) as (endpoint, faults),
        using(endpoint, tmp_path / "cache") as url,
    ):
        yield f"{url}/music", faults


def upload(folder: Path, url: str) -> None:
    place, prefix = Place(mirror.split(url)[0]), mirror.split(url)[1]
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            place.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def table(lake: Path, name: str) -> list[tuple]:
    without = ", ".join(ELSEWHERE.get(name, ()))
    return rows(lake, f"SELECT * {f'EXCLUDE ({without})' if without else ''} FROM {name} ORDER BY ALL")


def gets(faults: Faults, ending: str = ".wav ") -> list[str]:
    return [seen for seen in faults.seen if seen.startswith("GET ") and ending in seen.split(" {")[0] + " "]


def take_in(lake: Path, root: str | Path, **options: object) -> ingest.Outcome:
    return ingest.run(ingest.Config(str(lake), str(root), **options))


@pytest.mark.long
def test_the_tables_are_those_of_a_folder(bucket: tuple[str, Faults], music: Path, tmp_path: Path) -> None:
    url, faults = bucket
    upload(music, url)
    here, there = tmp_path / "here", tmp_path / "there"
    assert take_in(here, music).outputs == take_in(there, url).outputs == 5
    for name in TABLES:
        assert table(here, name) == table(there, name), name
    paths = sorted(p.relative_to(music).as_posix() for p in music.rglob("[!.]*.wav"))
    said = rows(there, "SELECT source_path FROM audio UNION ALL SELECT source_path FROM rejects ORDER BY 1")
    assert [path for (path,) in said] == [f"{url}/{path}" for path in paths]
    assert rows(there, "SELECT example FROM passed_over") == [(f"{url}/cover.jpg",)]
    # Each was asked for once, and nothing else was.
    assert len(gets(faults)) == 6
    assert gets(faults, ".jpg ") == []
    faults.seen.clear()
    assert "nothing new: 6 known" in take_in(there, url).note
    assert gets(faults) == []
    assert verify(Lake.open(there)) == []


def test_what_changes_is_brought_again(bucket: tuple[str, Faults], music: Path, tmp_path: Path) -> None:
    url, faults = bucket
    upload(music, url)
    lake = tmp_path / "lake"
    take_in(lake, url)
    faults.seen.clear()
    write_track(music / "low" / "0.wav", 20)
    write_track(music / "new" / "7.wav", 7)
    place, prefix = Place(mirror.split(url)[0]), mirror.split(url)[1]
    place.put(f"{prefix}/low/0.wav", (music / "low" / "0.wav").read_bytes() + b"\0\0")
    place.put(f"{prefix}/new/7.wav", (music / "new" / "7.wav").read_bytes())
    place.delete([f"{prefix}/low/1.wav"])
    outcome = take_in(lake, url)
    assert (outcome.inputs, outcome.outputs) == (2, 2)
    assert "1 known files no longer exist" in outcome.note
    assert len(gets(faults)) == 2
    assert "1 removed, because" in take_in(lake, url, prune=True).note
    expected = sorted(f"music:{p.relative_to(music).as_posix()}" for p in music.rglob("[!.]*.wav"))
    expected = [i for i in expected if i not in ("music:low/1.wav", "music:low/broken.wav")]
    assert [i for (i,) in rows(lake, "SELECT track_id FROM tracks ORDER BY 1")] == expected


def test_the_same_files_in_a_folder_and_in_a_bucket_are_one_dataset(
    bucket: tuple[str, Faults], music: Path, tmp_path: Path
) -> None:
    """Whoever moves music there finds the lake as it was; what is gone there and not here is not lost."""
    url, _ = bucket
    lake = tmp_path / "lake"
    take_in(lake, music)
    before = table(lake, "audio")
    upload(music, url)
    Place(mirror.split(url)[0]).delete([f"{mirror.split(url)[1]}/low/0.wav"])
    outcome = take_in(lake, url)
    assert outcome.outputs == 0
    assert "no longer exist" not in outcome.note
    shutil.move(music, tmp_path / "elsewhere")
    assert "1 known files no longer exist" in take_in(lake, url).note
    assert table(lake, "audio") == before


def test_what_cannot_be_had_is_a_reject(
    bucket: tuple[str, Faults], music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It vanishes, changes or is refused between the listing and its turn; the next run looks again."""
    url, faults = bucket
    upload(music, url)
    lake, place, prefix = tmp_path / "lake", Place(mirror.split(url)[0]), mirror.split(url)[1]

    def between(when: str) -> None:
        if when == "begin":
            place.delete([f"{prefix}/low/0.wav"])
            place.put(f"{prefix}/low/1.wav", b"another one")
            faults.choose = lambda method, path: "denied" if path.endswith("/2.wav") else PASS

    monkeypatch.setitem(fault_proxy.ANSWERS, "denied", (403, "AccessDenied"))
    work_here(monkeypatch, between)
    outcome = take_in(lake, url)
    assert (outcome.inputs, outcome.outputs) == (6, 2)
    said = "SELECT track_id, reason, detail, retryable FROM rejects WHERE reason = 'unreadable' ORDER BY 1"
    assert rows(lake, said) == [
        ("music:high/2.wav", "unreadable", "object storage refuses it (403 Forbidden: AccessDenied)", True),
        ("music:low/0.wav", "unreadable", "it is no longer there", True),
        ("music:low/1.wav", "unreadable", "it changed since it was listed", True),
    ]
    faults.choose = lambda method, path: PASS
    write_track(music / "low" / "1.wav", 1)
    place.put(f"{prefix}/low/1.wav", (music / "low" / "1.wav").read_bytes())
    work_here(monkeypatch)
    take_in(lake, url)
    assert [i for (i,) in rows(lake, "SELECT track_id FROM tracks WHERE track_id NOT LIKE '%é%' ORDER BY 1")] == [
        "music:high/2.wav", "music:high/3.wav", "music:low/1.wav",
    ]  # fmt: skip


def test_large_recordings_go_over_the_disk(
    bucket: tuple[str, Faults], music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, _ = bucket
    upload(music, url)
    monkeypatch.setattr(pieces, "PIECE", 4_000)
    here, there = tmp_path / "here", tmp_path / "there"
    take_in(here, music)
    take_in(there, url)
    assert table(here, "audio") == table(there, "audio")
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.name != ".lock"]
    # What stands for the files takes no room, and nothing else is left.
    assert {path.name for path in left} == {p.name for p in music.rglob("*.*")}
    assert sum(os.stat(path).st_blocks for path in left) == 0


def test_one_line_says_what_is_wrong(
    bucket: tuple[str, Faults], music: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    url, faults = bucket
    upload(music, url)

    def said(root: str, *more: str) -> str:
        assert main(["ingest", "folder", root, "--lake", str(tmp_path / "lake"), *more]) in (1, 2)
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert SECRET not in told
        assert KEY not in told
        return told

    assert f"there is nothing at {url}/nowhere" in said(f"{url}/nowhere")
    assert "make the bucket first" in said("s3://no-such-bucket-here/music")
    assert "names nothing on object storage" in said("s3://")
    assert "credentials and ports do not belong in an address" in said(f"s3://{KEY}:{SECRET}@{BUCKET}/music")
    assert "is no folder" in said("https://example.org/music")
    assert f"{url} does not hold ESC-50" in said_of(capsys, "esc50", url, tmp_path)
    faults.choose = lambda method, path: "expired"
    assert "check the credentials" in said(url)
    assert not (tmp_path / "lake").exists()


def said_of(capsys: pytest.CaptureFixture, source: str, url: str, tmp_path: Path) -> str:
    assert main(["ingest", source, url, "--lake", str(tmp_path / "lake")]) == 2
    return str(capsys.readouterr().err)


def test_a_storage_that_fails_ends_the_command_and_the_next_one_goes_on(
    bucket: tuple[str, Faults], music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, faults = bucket
    upload(music, url)
    monkeypatch.setattr("phonolake.store.objects.RETRIES", {"max_retries": 0})
    monkeypatch.setattr("phonolake.store.objects.time.sleep", lambda _: None)
    mirror.objects.forget_clients()
    faults.choose = lambda method, path: ERROR if path.endswith("/3.wav") else PASS
    with pytest.raises(PhonolakeError, match=r"object storage failed at s3://\S+/3.wav \(500 "):
        take_in(tmp_path / "lake", url)
    faults.choose = lambda method, path: PASS
    assert take_in(tmp_path / "lake", url).outputs == 5


def test_an_object_that_is_a_folder_too_is_passed_over(bucket: tuple[str, Faults], music: Path, tmp_path: Path) -> None:
    """Unless it has no bytes: programs show folders so."""
    url, _ = bucket
    place, prefix = Place(mirror.split(url)[0]), mirror.split(url)[1]
    wav = (music / "low" / "0.wav").read_bytes()
    long = "x" * 245 + ".csv"
    for name, data in {"a": b"", "a/0.wav": wav, "b": b"text", "b/c/0.wav": wav, long: b"1,2", "d.wav": wav}.items():
        place.put(f"{prefix}/{name}", data)
    with mirror.standing(url, "all", lambda name: True) as standing:
        # A file that is being brought has a longer name.
        assert sorted(standing.unnamed) == [f"{url}/b", f"{url}/{long}"]
        assert (standing.folder / "d.wav").read_bytes() == wav
    for _ in range(2):
        with source_root.opened(url, contract.get("folder")) as root:
            assert root.unnamed == [f"{url}/b"]
            found = sorted(r.source_id for r in contract.recordings(contract.get("folder"), root.path))
            assert found == ["a/0.wav", "b/c/0.wav", "d.wav"]
    place.delete([f"{prefix}/b/c/0.wav"])
    with source_root.opened(url, contract.get("folder")) as root:
        assert root.unnamed == []
        assert (root.path / "b").stat().st_size == 4
    assert "passed over 2 files" in take_in(tmp_path / "lake", url).note


def test_a_whole_bucket_is_validated_and_refused_for_what_it_is_not(bucket: tuple[str, Faults], music: Path) -> None:
    url, _ = bucket
    upload(music, url)
    checks = {(c.check, c.subject): c.found for c in validate.run(validate.Config("folder", url))}
    assert checks["files", "named by the dataset"] == 6
    with pytest.raises(UsageError, match=f"{url} does not hold ESC-50"):
        validate.run(validate.Config("esc50", url))


@pytest.mark.long
def test_tables_of_labels_and_splits_are_taken_from_a_bucket(
    bucket: tuple[str, Faults], music: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    tables = tmp_path / "tables"
    (tables / "lists").mkdir(parents=True)
    (tables / "moods.csv").write_text("file,mood\n0.wav,calm\n1.wav,calm\n2.wav,wild\n")
    (tables / "empty.csv").write_text("")
    (tables / "sides.csv").write_text("file,part\n0.wav,train\n1.wav,valid\n2.wav,test\n")
    for part, n in (("train", 0), ("valid", 1), ("test", 3)):
        (tables / "lists" / f"{part}.txt").write_text(f"{n}.wav\n")
    at = bucket[0].rpartition("/")[0] + "/tables"
    upload(tables, at)
    for lake, where in ((tmp_path / "here", str(tables)), (tmp_path / "there", at)):
        given = ["--labels", f"{where}/moods.csv", "--splits", f"{where}/sides.csv"]
        assert main(["ingest", "folder", str(music), *given, "--lake", str(lake)]) == 0
        assert main(["splits", "import", f"{where}/lists", "--lake", str(lake)]) == 0
        assert (
            main(["labels", "import", f"{where}/moods.csv", "--source", "again", "--dry-run", "--lake", str(lake)]) == 0
        )
    for name, n in (("labels", 3), ("splits", 6)):
        imported = (
            f"SELECT * FROM {name} WHERE {'source' if name == 'labels' else 'split'} IN ('moods', 'sides', 'lists')"
        )
        assert len(rows(Lake.open(tmp_path / "there"), imported)) == n
        assert table(Lake.open(tmp_path / "there"), name) == table(Lake.open(tmp_path / "here"), name)
    ((config,),) = rows(
        Lake.open(tmp_path / "there"), "SELECT config->>'$.file' FROM runs WHERE stage = 'labels import'"
    )
    assert config == f"{at}/moods.csv"
    capsys.readouterr()
    for file, says in (("empty.csv", f"{at}/empty.csv"), ("gone.csv", "gone.csv")):
        assert main(["labels", "import", f"{at}/{file}", "--lake", str(tmp_path / "there")]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert says in line
    # No copy of a table is left.
    assert [path for path in (tmp_path / "cache" / mirror.FOLDER).rglob("*") if path.is_file()] == []
