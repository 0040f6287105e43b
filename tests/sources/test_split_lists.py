"""Lists of splits as papers publish them, and pickles that are read without unpickling."""

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phonolake.errors import UsageError
from phonolake.sources import gtzan, magnatagatune, pickled, split_lists

pytestmark = pytest.mark.timeout(60)
TEXTS = st.lists(st.text(st.characters(codec="utf-8"), max_size=30), max_size=20)


@given(texts=TEXTS, protocol=st.integers(2, 5))
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lists_of_every_protocol_are_read(texts: list[str], protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "list.cP"
    path.write_bytes(pickle.dumps(texts, protocol=protocol))
    assert pickled.read_list(path) == texts == pickle.loads(path.read_bytes())


@pytest.mark.parametrize(
    "data",
    [
        b"(lp1\nS'a/b.npy'\np2\naS'c'\np3\na.",  # as Python 2 wrote them
        b"(lp0\nVa/b.npy\np1\naVc\np2\na.",
        b"]q\x00(X\x07\x00\x00\x00a/b.npyX\x01\x00\x00\x00ce.",
        b"(S'a/b.npy'\nS'c'\nl.",
    ],
)
def test_old_forms_are_read(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "list.cP").write_bytes(data)
    assert pickled.read_list(tmp_path / "list.cP") == ["a/b.npy", "c"] == pickle.loads(data)


class Trap:
    """What a malicious pickle does when it is unpickled: here it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("nested", [False, True])
def test_a_malicious_pickle_is_refused_and_does_nothing(tmp_path: Path, protocol: int, nested: bool) -> None:
    trap, path = Trap(tmp_path / "sprung"), tmp_path / "list.cP"
    path.write_bytes(pickle.dumps(["a", trap] if nested else trap, protocol=protocol))
    with pytest.raises(UsageError, match=r"not a pickled list of texts: lists of texts do not need its opcode"):
        pickled.read_list(path)
    assert not (tmp_path / "sprung").exists()
    pickle.loads(path.read_bytes())
    assert (tmp_path / "sprung").exists(), "the trap does not work, so this proves nothing"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"(lp1\nS'a'\np2\na",
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x80\x02}q\x00.",
        b"(lp1\nI1\na.",
        b"]](.",
        b"e.",
        b"a.",
        b"g5\n.",
        b"X\xff\xff\xff\xffa.",
        b"]q\x00h\x00a.",  # a list that holds itself
        b"<html></html>",
    ],
)
def test_what_is_no_list_of_texts_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "list.cP").write_bytes(data)
    with pytest.raises(UsageError, match=r"list\.cP is not a pickled list of texts"):
        pickled.read_list(tmp_path / "list.cP")


@given(data=st.binary(max_size=200))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_a_list_or_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "list.cP"
    path.write_bytes(data)
    try:
        found = pickled.read_list(path)
    except UsageError:
        return
    assert all(isinstance(item, str) for item in found)


def test_the_real_pickles_of_a_paper(real) -> None:
    folder = real("splits/MTAT_split")
    sizes = {p: len(pickled.read_list(folder / f"{p}_list_pub.cP")) for p in ("train", "valid", "test")}
    assert sizes == {"train": 15_244, "valid": 1_529, "test": 4_332}
    for part in ("valid", "test"):
        assert len(np.load(folder / f"y_{part}_pub.npy")) == sizes[part]
    listed = split_lists.read(folder.parent, str(folder), lambda entry: entry, magnatagatune.KNOWN_SPLITS)
    assert {name for sides in listed.values() for name, _, _ in sides} == {"sample-level"}
    # These lists keep to the folders of the first papers.
    for clip, ((_, part, _),) in listed.items():
        assert magnatagatune.PARTS[clip[0]] == part


def test_the_real_tags_are_the_fifty(real) -> None:
    words = (real("splits/MTAT_split") / "top50_tags.txt").read_text().split()
    assert words == ["".join(w.title() if i else w for i, w in enumerate(t.split())) for t in magnatagatune.TOP_50]


def test_the_real_filtered_lists_of_gtzan(real, make_tree) -> None:
    options = gtzan.Options(splits=str(real("splits/GTZAN_split")))
    recordings = list(gtzan.recordings(make_tree("gtzan", 30), options))
    counts = Counter(part for r in recordings for name, part, _ in r.splits if name == "fault-filtered")
    assert counts == {"train": 443, "valid": 197, "test": 290}
    # Clips that a list names and the tree lacks are named, with the ending of the tree.
    assert len(recordings) > 930
    assert {r.path.suffix for r in recordings} == {".au"}


@pytest.mark.parametrize("ending", ["txt", "csv", "tsv", "npy", "cP", "pkl"])
def test_lists_of_every_form_say_the_same(tmp_path: Path, ending: str) -> None:
    folder = tmp_path / "splits" / "mine"
    folder.mkdir(parents=True)
    parts = {"train": ["a/1.npy", "a/2.npy"], "valid": ["b/3.npy"], "test": ["c/4.npy", "c/5.npy"]}
    for part, entries in parts.items():
        path = folder / f"{part}_list.{ending}"
        if ending == "npy":
            np.save(path, np.array([f"{i}\t{entry}" for i, entry in enumerate(entries)]))
        elif ending in ("cP", "pkl"):
            path.write_bytes(pickle.dumps(entries, protocol=0))
        else:
            separator = "\t" if ending == "tsv" else ","
            path.write_text("".join(f"{i}{separator}{entry}\r\n" for i, entry in enumerate(entries)))
    found = split_lists.read(tmp_path, None, lambda entry: entry if "/" in entry else None, {})
    assert found == {entry: [("mine", part, None)] for part, entries in parts.items() for entry in entries}


def test_several_splits_live_side_by_side(tmp_path: Path) -> None:
    for name, shift in (("one", 0), ("two", 1)):
        folder = tmp_path / "splits" / name
        folder.mkdir(parents=True)
        for i, part in enumerate(("train", "val", "test")):
            (folder / f"{part}.txt").write_text(f"clip{(i + shift) % 3}\n")
    found = split_lists.read(tmp_path, None, lambda entry: entry, {(1, 1, 1): "published"})
    # The first one of the published size has its name, the other one keeps the name of its folder.
    assert found == {
        "clip0": [("published", "train", None), ("two", "test", None)],
        "clip1": [("published", "valid", None), ("two", "train", None)],
        "clip2": [("published", "test", None), ("two", "valid", None)],
    }


def test_a_clip_on_two_sides_is_refused(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        (tmp_path / f"{part}.txt").write_text("clip\n")
    with pytest.raises(UsageError, match="names clip twice"):
        split_lists.read(tmp_path, str(tmp_path), lambda entry: entry, {})


def test_a_folder_without_lists_is_refused_when_it_was_named(tmp_path: Path) -> None:
    assert split_lists.read(tmp_path, None, str, {}) == {}
    with pytest.raises(UsageError, match="holds no lists of a split"):
        split_lists.read(tmp_path, str(tmp_path), str, {})


def test_a_list_of_something_else_is_refused(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        (tmp_path / f"{part}.txt").write_text(f"rock/{part}.mp3\n")
    with pytest.raises(
        UsageError, match=r"train\.txt names 'rock/train.mp3', which is no clip of this dataset|is no clip"
    ):
        split_lists.read(tmp_path, str(tmp_path), lambda entry: None, {})


def test_an_array_of_pickled_objects_is_never_unpickled(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        np.save(tmp_path / f"{part}.npy", np.array([Trap(tmp_path / "sprung")], dtype=object), allow_pickle=True)
    with pytest.raises(UsageError, match="is no NumPy array of texts"):
        split_lists.read(tmp_path, str(tmp_path), str, {})
    assert not (tmp_path / "sprung").exists()
