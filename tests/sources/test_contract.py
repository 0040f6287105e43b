"""One contract, kept by every source, on a tiny tree in its exact layout; and what each layout has of its own."""

import os
import random
import string
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from tests.object_store import using

from phonolake import registry, testing
from phonolake.audio.containers import EXTENSIONS
from phonolake.errors import UsageError
from phonolake.records import TEST, TRAIN, VALID, Recording, Seconds
from phonolake.sources import contract, esc10, fma, folder
from phonolake.sources import options as choices
from phonolake.stages import ingest, source_root
from phonolake.store.place import Place
from phonolake.synthesis import fma as synthetic
from phonolake.synthesis.layouts import contract as layouts

pytestmark = pytest.mark.timeout(60)

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
CORPUS = synthetic.Config(n_tracks=16, duration=Seconds(1.0))


# Sources read names and metadata, never audio: these files may be empty.
def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def make_folder(root: Path) -> None:
    touch(root, "jazz/a.mp3", "jazz/b.wav", "rock/deep/c.flac", "d.ogg")


def make_fma(root: Path) -> None:
    tracks = synthetic.plan(CORPUS)
    synthetic.write_metadata(tracks, CORPUS, root)
    for track in tracks:
        touch(root, str(synthetic.audio_path(track, root).relative_to(root)))


def make_layout(name: str, root: Path) -> int:
    """Write the tables of a small corpus, and its audio as empty files; returns the number of those."""
    config = layouts.Config(name, SIZES.get(name, 26))
    clips = layouts.plan(config)
    layouts.write_metadata(clips, config, root)
    touch(root, *(clip.path for clip in clips))
    return len(clips)


# Ten folds need ten excerpts of a dance.
SIZES = {"folder": 4, "fma": 16, "extended_ballroom": 130}
TREES: dict[str, Callable[[Path], object]] = {
    "folder": make_folder,
    "fma": make_fma,
    **{name: partial(make_layout, name) for name in layouts.layouts()},
}
NAMES = [card.name for card in contract.cards()]


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def tree(name: str, tmp_path: Path) -> Path:
    assert name in TREES, f"add a tiny tree in the layout of {name} to this test"
    root = tmp_path / "tree"
    TREES[name](root)
    return root


def listed(name: str, root: Path) -> list[Recording]:
    return list(contract.get(name).recordings(root))


# -- the contract -----------------------------------------------------------------------------------------------------


def test_the_sources_of_this_version_are_there() -> None:
    assert set(NAMES) >= {"folder", "fma", "audioset", "msd", "magnatagatune", "gtzan", "extended_ballroom"}
    assert set(NAMES) >= {"urbansound8k", "esc10", "esc50"}


def test_the_card_is_complete(name: str) -> None:
    card = contract.get(name).CARD
    assert card.name == name
    assert registry.modules("phonolake.sources", "CARD")[name].__name__ == f"phonolake.sources.{name}"
    assert card.summary
    assert card.licence
    assert card.layout.startswith("DIR/")
    # Only the user's own music has neither page nor paper.
    assert name == "folder" or (card.homepage.startswith(("https://", "http://")) and card.citation)
    assert card.labels
    assert name == "folder" or (card.tracks and card.splits)


def test_each_dataset_and_its_options_stand_in_the_docs(name: str) -> None:
    docs = (Path(__file__).resolve().parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
    (row,) = [line for line in docs.splitlines() if line.startswith("| `") and f"`{name}`" in line.split("|")[1]]
    source = contract.get(name)
    said = [word.strip(" `") for word in row.split("|")[4].split(",") if word.strip()]
    assert said == [choice.name for choice in choices.listing(getattr(source, "Options", None))]
    assert all(f"`{split}`" in row for split, _ in source.CARD.splits if split not in ("sample-level", "cleaned-15247"))


def test_every_source_keeps_the_contract(name: str, tree: Path) -> None:
    testing.check_source(contract.get(name), tree)


def test_a_bucket_serves_as_well_as_a_folder(name: str, tree: Path, objects_server: str, tmp_path: Path) -> None:
    """Of all that lies there only what the source opens is brought; it says the same."""
    source = contract.get(name)
    here = [replace(r, path=r.path.relative_to(tree)) for r in listed(name, tree)]
    with using(objects_server, tmp_path / "cache") as url:
        place = Place.at(url)
        files = [path for path in tree.rglob("*") if path.is_file()]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda p: place.put(f"tree/{p.relative_to(tree).as_posix()}", p.read_bytes()), files))
        with source_root.opened(f"{url}/tree", source) as root:
            assert [replace(r, path=r.path.relative_to(root.path)) for r in listed(name, root.path)] == here
            assert contract.vocabulary(source, root.path) == contract.vocabulary(source, tree)
            assert contract.facts(source, root.path) == contract.facts(source, tree)
            assert {root.named(r.path) for r in listed(name, root.path)} == {f"{url}/tree/{r.path}" for r in here}


def test_what_is_to_be_downloaded_can_be_checked(name: str) -> None:
    digits = {"md5": 32, "sha1": 40, "sha256": 64}
    for file in contract.get(name).CARD.downloads:
        assert file.url.startswith(("https://", "http://"))
        assert file.about
        assert file.bytes is None or file.bytes > 0
        if file.checksum:
            kind, _, value = file.checksum.partition(":")
            assert len(value) == digits[kind]
            assert set(value) <= set(string.hexdigits.lower())


def test_errata_name_their_source_and_tracks_that_can_exist(name: str) -> None:
    for erratum in contract.get(name).CARD.errata:
        assert erratum.about
        assert erratum.source
        assert len(set(erratum.tracks)) == len(erratum.tracks)


def test_each_option_is_explained_and_its_default_can_be_given(name: str) -> None:
    source = contract.get(name)
    for choice in choices.listing(getattr(source, "Options", None)):
        assert choice.about
        if choice.default and "," not in choice.default:
            assert choices.parse(name, source.Options, [f"{choice.name}={choice.default}"]) == source.Options()
    with pytest.raises(UsageError):
        contract.recordings(source, Path(), ["no-such-option=1"])


def test_an_unknown_source_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"unknown dataset 'fmaa'\. Did you mean 'fma'\?.*esc10.*folder"):
        contract.get("fmaa")


def test_every_recording_of_the_tree_is_named(name: str, tree: Path) -> None:
    recordings = listed(name, tree)
    assert len(recordings) == SIZES.get(name, 26)
    assert all(recording.path.is_file() for recording in recordings)
    assert all(recording.path.is_relative_to(tree) for recording in recordings)


def test_the_order_is_fixed(name: str, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = listed(name, tree)
    assert listed(name, tree) == first
    # Whatever order the file system lists its files in.
    scandir, listdir = os.scandir, os.listdir

    class Shuffled:
        def __init__(self, path: object) -> None:
            with scandir(path) as entries:
                self.entries = list(entries)
            random.Random(1).shuffle(self.entries)

        def __enter__(self) -> "Shuffled":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def __iter__(self) -> "Shuffled":
            return self

        def __next__(self) -> os.DirEntry:
            if not self.entries:
                raise StopIteration
            return self.entries.pop()

        def close(self) -> None:
            pass

    monkeypatch.setattr(os, "scandir", Shuffled)
    monkeypatch.setattr(os, "listdir", lambda path=".": random.Random(2).sample(listdir(path), len(listdir(path))))
    assert listed(name, tree) == first


def test_labels_and_tags_are_words(name: str, tree: Path) -> None:
    recordings = listed(name, tree)
    assert all(recording.labels for recording in recordings)
    for recording in recordings:
        words = [*recording.labels, *recording.tags]
        assert all(isinstance(word, str) and word.strip() for word in words)
        assert len(set(recording.labels)) == len(recording.labels)
        assert len(set(recording.tags)) == len(recording.tags)


def test_audio_is_never_opened(name: str, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_bytes

    def refuse(self: Path) -> bytes:
        assert self.suffix[1:] not in EXTENSIONS, f"{self} was opened"
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert listed(name, tree)


@pytest.mark.parametrize("content", [(), ("notes.txt",), ("some/where/else.pdf",)])
def test_a_wrong_layout_is_named_together_with_the_right_one(
    name: str, tmp_path: Path, content: tuple[str, ...]
) -> None:
    root = tmp_path / "wrong"
    root.mkdir()
    touch(root, *content)
    with pytest.raises(UsageError) as caught:
        ingest.make_plan(ingest.Config(lake=str(tmp_path / "lake"), root=str(root), source=name))
    assert contract.get(name).CARD.layout in str(caught.value)
    assert str(root) in str(caught.value)


@pytest.mark.parametrize("what", ["file", "nothing"])
def test_a_root_that_is_no_folder_is_refused(name: str, tmp_path: Path, what: str) -> None:
    root = tmp_path / "music.mp3"
    if what == "file":
        root.touch()
    with pytest.raises(UsageError, match=f"music.mp3 is no folder: name the folder that holds the {name} files"):
        ingest.make_plan(ingest.Config(lake=str(tmp_path / "lake"), root=str(root), source=name))


# -- ESC-10 -----------------------------------------------------------------------------------------------------------


def test_esc10_reads_class_and_fold_from_the_names(tmp_path: Path) -> None:
    touch(tmp_path, "002 - Rain/3-1002-A.ogg")
    found = {r.source_id: (r.labels, r.splits, r.licence) for r in esc10.recordings(tmp_path)}
    assert found == {"3-1002-A": (("Rain",), (("folds", None, 3),), "CC BY 3.0")}


def test_esc10_passes_over_what_is_not_its_own(tmp_path: Path) -> None:
    touch(tmp_path, "001 - Dog bark/1-1-A.ogg", "001 - Dog bark/6-1-A.ogg", "001 - Dog bark/.1-2-A.ogg")
    touch(tmp_path, "001 - Dog bark/notes.txt", "Dog bark/1-3-A.ogg", "001 - Dog bark/1-4-A.ogg.part")
    assert [recording.source_id for recording in esc10.recordings(tmp_path)] == ["1-1-A"]


def test_two_files_of_one_id_are_named(tmp_path: Path) -> None:
    # As after converting the clips beside the originals.
    touch(tmp_path, "esc/001 - Dog bark/1-1-A.ogg", "esc/001 - Dog bark/1-1-A.wav")
    with pytest.raises(UsageError, match=r"esc10:1-1-A is the id of two files, .*1-1-A\.ogg and .*1-1-A\.wav"):
        ingest.make_plan(ingest.Config(str(tmp_path / "lake"), str(tmp_path / "esc"), "esc10"))


@pytest.mark.skipif(not (DATA / "esc10").is_dir(), reason=f"ESC-10 is not at {DATA / 'esc10'}")
def test_real_esc10() -> None:
    recordings = list(esc10.recordings(DATA / "esc10"))
    counts = pd.DataFrame([(r.labels[0], r.splits[0][2]) for r in recordings], columns=["label", "fold"])
    assert len(recordings) == len({r.source_id for r in recordings}) == 400
    assert counts.label.value_counts().tolist() == [40] * 10
    assert (counts.groupby(["label", "fold"]).size() == 8).all()
    assert "Fire crackling" in set(counts.label)


# -- FMA --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    make_fma(tmp_path / "corpus")
    return tmp_path / "corpus"


def rewrite(corpus: Path, change: Callable[[bytes], bytes]) -> None:
    path = corpus / "fma_metadata" / "tracks.csv"
    path.write_bytes(change(path.read_bytes()))


def edit(corpus: Path, column: tuple[str, str], value: str, *, row: int = 0) -> None:
    """Change one cell of tracks.csv."""
    path = corpus / "fma_metadata" / "tracks.csv"
    table = pd.read_csv(path, index_col=0, header=[0, 1], dtype=str, keep_default_na=False)
    table.loc[table.index[row], column] = value
    table.to_csv(path)


def test_fma_reads_what_the_metadata_say(corpus: Path) -> None:
    parts = {"training": TRAIN, "validation": VALID, "test": TEST}
    for planned, found in zip(synthetic.plan(CORPUS), fma.recordings(corpus), strict=True):
        assert found.source_id == f"{planned.track_id:06d}"
        assert found.path == synthetic.audio_path(planned, corpus)
        assert (found.title, found.artist, found.album) == (planned.title, planned.artist, planned.album)
        assert (found.year, found.licence, found.labels) == (planned.year, synthetic.LICENCE, (planned.given,))
        assert found.splits == (("official", parts[planned.part], None),)
        assert found.tags


def test_fma_names_a_track_whose_mp3_is_missing(corpus: Path) -> None:
    before = list(fma.recordings(corpus))
    before[3].path.unlink()
    assert list(fma.recordings(corpus)) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"),
        lambda data: data.rstrip(b"\n"),
        lambda data: b"".join(line for line in data.splitlines(keepends=True) if not line.startswith(b"track_id")),
    ],
    ids=["BOM", "CRLF", "BOM and CRLF", "no end of line", "no third row"],
)
def test_fma_metadata_that_went_through_other_programs(corpus: Path, change: Callable[[bytes], bytes]) -> None:
    before = list(fma.recordings(corpus))
    rewrite(corpus, change)
    assert list(fma.recordings(corpus)) == before


def test_fma_without_a_column_says_which(corpus: Path) -> None:
    rewrite(corpus, lambda data: data.replace(b"genre_top", b"genre", 1))
    with pytest.raises(UsageError, match=r"tracks\.csv is no FMA tracks\.csv.*genre_top"):
        list(fma.recordings(corpus))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"a,b\n1,2\n",
        b"id;title\n1;Song\n2;Other\n",
        b"track_id\n2\n3\n",
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        b"<!DOCTYPE html><html><body>404</body></html>\n",
        b"PK\x03\x04" + bytes(500),
        "tïtle,jahr\n1,2\n".encode("latin-1"),
    ],
)
def test_fma_with_a_table_of_something_else(corpus: Path, content: bytes) -> None:
    rewrite(corpus, lambda _: content)
    with pytest.raises(UsageError, match=r"tracks\.csv is no FMA tracks\.csv with its two header rows"):
        list(fma.recordings(corpus))


def test_fma_with_the_first_header_row_alone(corpus: Path) -> None:
    rewrite(corpus, lambda data: b"\n".join(line for i, line in enumerate(data.split(b"\n")) if i != 1))
    with pytest.raises(UsageError, match="no FMA tracks"):
        list(fma.recordings(corpus))


def test_fma_ids_that_are_no_numbers(corpus: Path) -> None:
    rewrite(corpus, lambda data: data + b"abc" + b"," * 52 + b"\n")
    with pytest.raises(UsageError, match="no FMA tracks"):
        list(fma.recordings(corpus))


def test_fma_without_metadata_or_audio_says_what_is_missing(corpus: Path) -> None:
    (corpus / "fma_metadata" / "tracks.csv").unlink()
    with pytest.raises(UsageError, match=r"tracks\.csv is missing: unpack the official fma_metadata\.zip"):
        list(fma.recordings(corpus))
    (corpus / "fma_small").rename(corpus / "audio")
    with pytest.raises(UsageError, match="does not hold FMA audio; its layout is DIR/fma_metadata"):
        list(fma.recordings(corpus))


def test_fma_takes_the_largest_size_with_all_smaller_ones(corpus: Path) -> None:
    edit(corpus, ("set", "subset"), "medium", row=0)
    edit(corpus, ("set", "subset"), "large", row=1)
    assert len(list(fma.recordings(corpus))) == 14
    (corpus / "fma_medium").mkdir()
    found = list(fma.recordings(corpus))
    assert len(found) == 15
    assert all("fma_medium" in recording.path.parts for recording in found)


@pytest.mark.parametrize(
    ("column", "value", "attribute", "expected"),
    [
        (("track", "genre_top"), "", "labels", ()),
        (("track", "tags"), "[]", "tags", ()),
        (("track", "tags"), "", "tags", ()),
        (("track", "tags"), "['live', \"it's\", 'live', 'ümlaut']", "tags", ("live", "it's", "ümlaut")),
        (("track", "tags"), "['90s', 90]", "tags", ("90s", "90")),
        (("album", "date_released"), "", "year", None),
        (("album", "date_released"), "2008-11-26 00:00:00", "year", 2008),
        (("album", "date_released"), "n.d.", "year", None),
        (("artist", "name"), "  ", "artist", None),
        (("artist", "name"), 'A "quoted", name\nof two lines', "artist", 'A "quoted", name\nof two lines'),
        (("track", "title"), "NA", "title", "NA"),
        (("track", "title"), "1984", "title", "1984"),
        (("set", "split"), "", "splits", ()),
    ],
)
def test_fma_cells(corpus: Path, column: tuple[str, str], value: str, attribute: str, expected: object) -> None:
    edit(corpus, column, value)
    assert getattr(next(iter(fma.recordings(corpus))), attribute) == expected


@pytest.mark.parametrize("value", ["[", "rock", "5", "{'a': 1}", "__import__('os').abort()"])
def test_fma_tags_that_are_no_list_are_refused_and_never_run(corpus: Path, value: str) -> None:
    edit(corpus, ("track", "tags"), value)
    with pytest.raises(UsageError, match=r"tags of track \d{6} in tracks\.csv are no list"):
        list(fma.recordings(corpus))


def test_fma_with_a_track_listed_twice(corpus: Path, tmp_path: Path) -> None:
    rewrite(corpus, lambda data: data + data.rstrip(b"\n").split(b"\n")[-1] + b"\n")
    with pytest.raises(UsageError, match=r"fma:\d{6} is the id of two files"):
        ingest.make_plan(ingest.Config(str(tmp_path / "lake"), str(corpus), "fma"))


# -- any folder -------------------------------------------------------------------------------------------------------


def ids(root: Path) -> list[str]:
    return [recording.source_id for recording in folder.recordings(root)]


def test_folder_takes_every_known_ending_in_any_case(tmp_path: Path) -> None:
    names = [f"a.{ending}" for ending in EXTENSIONS] + ["B.MP3", "c.Flac"]
    touch(tmp_path, *names)
    assert ids(tmp_path) == sorted(names)


def test_folder_passes_over_hidden_and_other_files(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "a.mp3",
        ".hidden.mp3",
        ".git/b.mp3",
        "x/.cache/c.mp3",
        "cover.jpg",
        "list.m3u",
        "a.mp3.part",
        "x/d.ogg",
    )
    # Names without an ending that happen to be one.
    touch(tmp_path, "mp3", "au", "x/wav", "mp3.txt", "a.", "..mp3")
    assert ids(tmp_path) == ["a.mp3", "x/d.ogg"]


def test_folder_labels_by_the_folder_that_a_file_lies_in(tmp_path: Path) -> None:
    root = tmp_path / "My Music"
    touch(root, "top.mp3", "Jazz/a.mp3", "Jazz/Live at Home/b.mp3")
    assert {r.source_id: r.labels for r in folder.recordings(root)} == {
        "top.mp3": ("My Music",),
        "Jazz/a.mp3": ("Jazz",),
        "Jazz/Live at Home/b.mp3": ("Live at Home",),
    }


ODD = [
    "with space.mp3",
    " leading.mp3",
    "it's.mp3",
    'say "hi".mp3',
    "naïve ☃ 音楽.mp3",
    "cafe\u0301.mp3",
    "café.mp3",
    "two\nlines.mp3",
    "tab\there.mp3",
    "-rf.mp3",
    "$(reboot);`ls`|&.mp3",
    "x'; DROP TABLE tracks; --.mp3",
    "*?[a].mp3",
    "100%25.mp3",
    "a#b?c=d.mp3",
    "~.mp3",
    "a" * 200 + ".mp3",
]


def test_folder_takes_names_as_they_are(tmp_path: Path) -> None:
    touch(tmp_path, *ODD)
    found = list(folder.recordings(tmp_path))
    assert {r.source_id for r in found} == set(ODD)
    assert all(r.path.is_file() for r in found)


def test_names_that_are_no_utf_8_have_ids_that_are(tmp_path: Path) -> None:
    raw = [b"caf\xe9.mp3", b"caf\xe8.mp3", b"\xff\xfe/x.mp3", "café.mp3".encode()]
    for name in raw:
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        path.parent.mkdir(exist_ok=True)
        path.touch()
    found = {r.source_id: r for r in folder.recordings(tmp_path)}
    assert set(found) == {r"caf\xe9.mp3", r"caf\xe8.mp3", r"\xff\xfe/x.mp3", "café.mp3"}
    assert found[r"\xff\xfe/x.mp3"].labels == (r"\xff\xfe",)
    # The path itself still opens the file.
    assert all(r.path.is_file() for r in found.values())


def test_a_name_that_looks_like_an_escape_is_another_id(tmp_path: Path) -> None:
    touch(tmp_path, r"caf\xe9.mp3")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp3")).touch()
    assert sorted(ids(tmp_path)) == [r"caf\\xe9.mp3", r"caf\xe9.mp3"]


@pytest.mark.timeout(10)
def test_folders_that_link_to_themselves_come_to_an_end(tmp_path: Path) -> None:
    touch(tmp_path, "a/b/song.mp3")
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a", target_is_directory=True)
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "self.mp3").symlink_to("self.mp3")
    found = ids(tmp_path)
    assert found.count("a/b/song.mp3") == 1
    # The file that links to itself is named, and becomes a reject.
    assert set(found) == {"a/b/song.mp3", "self.mp3"}


def test_links_to_files_are_followed_and_broken_ones_named(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/song.mp3")
    root = tmp_path / "music"
    root.mkdir()
    (root / "link.mp3").symlink_to(tmp_path / "elsewhere" / "song.mp3")
    (root / "gone.mp3").symlink_to(tmp_path / "elsewhere" / "gone.mp3")
    assert ids(root) == ["gone.mp3", "link.mp3"]


def test_a_folder_named_like_a_file_is_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "album.mp3/song.ogg")
    assert ids(tmp_path) == ["album.mp3/song.ogg"]


def test_folder_reached_through_a_link_is_named_by_its_own_name(tmp_path: Path) -> None:
    touch(tmp_path / "Real Name", "song.mp3")
    (tmp_path / "alias").symlink_to(tmp_path / "Real Name")
    plan = ingest.make_plan(ingest.Config(str(tmp_path / "lake"), str(tmp_path / "alias")))
    (files,) = plan.shards.values()
    assert files[0].recording.labels == ("Real Name",)
