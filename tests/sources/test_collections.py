"""What each of the smaller datasets has of its own: the real tables of others, splits, labels, and damaged tables."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonolake.errors import UsageError
from phonolake.sources import contract, esc50, extended_ballroom, fma, folds, gtzan, magnatagatune, urbansound8k
from phonolake.synthesis import fma as synthetic

pytestmark = pytest.mark.timeout(60)


def change(path: Path, how: Callable[[str], str]) -> None:
    path.write_text(how(path.read_text()))


# -- stratified folds --------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    labels=st.lists(st.sampled_from("cab"), min_size=30, max_size=80),
    n_folds=st.integers(2, 10),
    seed=st.one_of(st.none(), st.integers(0, 1000)),
)
@pytest.mark.filterwarnings("ignore:The least populated class")
def test_folds_are_those_of_scikit_learn(labels: list[str], n_folds: int, seed: int | None) -> None:
    from sklearn.model_selection import StratifiedKFold

    splitter = StratifiedKFold(n_folds, shuffle=seed is not None, random_state=seed)
    expected = np.zeros(len(labels), int)
    for fold, (_, test) in enumerate(splitter.split(np.zeros(len(labels)), labels), 1):
        expected[test] = fold
    assert folds.stratified(labels, n_folds, seed=seed) == expected.tolist()


def test_folds_of_too_few_examples_are_refused() -> None:
    with pytest.raises(UsageError, match="10 folds need 10 examples"):
        folds.stratified(["a"] * 9 + ["b"] * 9, 10)


# -- Extended Ballroom -------------------------------------------------------------------------------------------------


def test_the_real_ballroom_xml(real) -> None:
    root = real("extended_ballroom")
    found = list(extended_ballroom.recordings(root))
    text = (root / extended_ballroom.XML).read_text()
    assert len(found) == text.count("<song ") == 3_390
    waltz = next(r for r in found if r.source_id == "100601")
    assert (waltz.title, waltz.artist, waltz.labels) == ("Morning Song", "Herberman", ("Waltz",))
    assert dict(waltz.attributes)["bpm"] == 87
    relations = Counter(
        key for r in found for key, value in r.attributes if key in extended_ballroom.RELATIONS for _ in value
    )
    assert relations == {name: text.count(f"<{name} ") for name in extended_ballroom.RELATIONS}
    per_fold = Counter((r.labels[0], {s: f for s, _, f in r.splits}["stratified-10"]) for r in found)
    for dance in {r.labels[0] for r in found}:
        counts = [per_fold[dance, fold] for fold in range(1, 11)]
        assert max(counts) - min(counts) <= 1


def test_a_copy_with_seven_dances_is_not_what_was_published(real) -> None:
    facts = {
        f.about: (f.published, f.found)
        for f in contract.facts(contract.get("extended_ballroom"), real("extended_ballroom"))
    }
    assert facts["dances"] == (13, 7)
    assert facts["relations to excerpts that are not in the XML"] == (0, 0)


def test_the_seed_shuffles_one_split_and_leaves_the_other(make_tree) -> None:
    root = make_tree("extended_ballroom", 260)
    first, second = (list(extended_ballroom.recordings(root, extended_ballroom.Options(seed))) for seed in (0, 1))
    assert [r.splits[0] for r in first] != [r.splits[0] for r in second]
    assert [r.splits[1] for r in first] == [r.splits[1] for r in second]
    assert {r.splits[1][0] for r in first} == {"stratified-10-unshuffled"}


def test_a_part_too_small_for_folds_has_none(make_tree) -> None:
    found = list(extended_ballroom.recordings(make_tree("extended_ballroom", 26)))
    assert len(found) == 26
    assert {r.splits for r in found} == {()}


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (lambda text: text[:-30], "is not Extended Ballroom's metadata"),
        (lambda text: text.replace("ballroom>", "collection>"), "begins with <collection>"),
        (lambda text: '<!DOCTYPE x [<!ENTITY a "aaaa">]>' + text, "declares entities"),
        (lambda text: text.replace('id="100600"', 'id="../100600"'), "is not a file name"),
        (lambda text: text.replace('id="100613"', 'id="100600"'), "twice"),
        (lambda text: text.replace('bpm="84"', 'bpm="fast"'), "bpm should be a number"),
        (lambda text: "<ballroom></ballroom>", "names no song"),
        (lambda text: "slice_file_name,fsID\n", "is not Extended Ballroom's metadata"),
    ],
)
def test_a_damaged_ballroom_xml_is_refused(make_tree, how, says: str) -> None:
    root = make_tree("extended_ballroom", 130)
    change(root / extended_ballroom.XML, how)
    with pytest.raises(UsageError, match=says):
        list(extended_ballroom.recordings(root))


# -- UrbanSound8K ------------------------------------------------------------------------------------------------------


def test_the_real_urbansound_table(real, tmp_path: Path) -> None:
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "UrbanSound8K.csv").symlink_to(real("urbansound8k/UrbanSound8K.csv"))
    facts = contract.facts(contract.get("urbansound8k"), tmp_path)
    assert [(f.published, f.found) for f in facts] == [(f.published, f.published) for f in facts]
    found = {r.source_id: r for r in urbansound8k.recordings(tmp_path)}
    assert len(found) == 8_732
    assert found["100263-2-0-117"].path == tmp_path / "audio" / "fold5" / "100263-2-0-117.wav"
    assert dict(found["100263-2-0-117"].attributes) == {
        "freesound_id": "100263",
        "start_seconds": 58.5,
        "end_seconds": 62.5,
        "salience": 1,
    }
    folds_of = {(dict(r.attributes)["freesound_id"], r.splits[0][2]) for r in found.values()}
    # A recording lies in one fold, but for those that the card names.
    counts = Counter(recording for recording, _ in folds_of)
    (said,) = (erratum.about for erratum in urbansound8k.CARD.errata if "two folds" in erratum.about)
    assert set(re.findall(r"\d{5,}", said)) == {recording for recording, n in counts.items() if n > 1}


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (lambda text: text.replace("classID,class", "classID,kind"), "has no column 'class'"),
        (lambda text: text.replace(",siren", ",sirene"), "no class 'sirene'"),
        (
            lambda text: text.replace("100000-0-0-0.wav,100000,0.0,", "100000-0-0-0.wav,100000,x,"),
            "start should be a number",
        ),
        (lambda text: text.replace("100000-0-0-0.wav", "../100000-0-0-0.wav"), "is not a file name"),
        (lambda text: text + "a.wav,1,2\n", "has 3 cells, the header 8"),
        (lambda text: "filename,fold,target,category,esc10,src_file,take\n", "has no column 'slice_file_name'"),
    ],
)
def test_a_damaged_urbansound_table_is_refused(make_tree, how, says: str) -> None:
    root = make_tree("urbansound8k")
    change(root / "metadata" / "UrbanSound8K.csv", how)
    with pytest.raises(UsageError, match=says) as caught:
        list(urbansound8k.recordings(root))
    assert "UrbanSound8K.csv" in str(caught.value)


# -- ESC-50 ------------------------------------------------------------------------------------------------------------


def test_esc50_knows_the_clips_of_esc10_and_their_licence(make_tree) -> None:
    found = list(esc50.recordings(make_tree("esc50", 35)))
    licences = {r.labels[0]: r.licence for r in found}
    assert (licences["dog"], licences["door_wood_knock"]) == ("CC BY 3.0", "CC BY-NC 3.0")
    assert {r.splits[0][2] for r in found} == {1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("old", "new", "says"), [("1-10000-A-0.wav,1,", "1-10000-A-0.wav,6,", "fold is 6"), ("take", "taken", "'take'")]
)
def test_a_damaged_esc50_table_is_refused(make_tree, old: str, new: str, says: str) -> None:
    root = make_tree("esc50")
    change(root / "meta" / "esc50.csv", lambda text: text.replace(old, new))
    with pytest.raises(UsageError, match=says):
        list(esc50.recordings(root))


@pytest.mark.parametrize(
    ("name", "inner"), [("esc50", "ESC-50-master"), ("esc10", "ESC-10-master"), ("urbansound8k", "UrbanSound8K")]
)
def test_a_dataset_is_found_where_the_owners_archive_unpacks_to(
    make_tree, tmp_path: Path, name: str, inner: str
) -> None:
    source = contract.get(name)
    root = make_tree(name)
    before = list(source.recordings(root))
    (tmp_path / "downloaded").mkdir()
    moved = root.rename(tmp_path / "downloaded" / inner)
    (tmp_path / "downloaded" / "master.zip").touch()
    found = list(source.recordings(tmp_path / "downloaded"))
    assert [r.source_id for r in found] == [r.source_id for r in before]
    assert all(r.path.is_file() and r.path.is_relative_to(moved) for r in found)
    assert contract.facts(source, tmp_path / "downloaded")


# -- GTZAN -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("base", "ending"), [("genres", ".au"), ("genres_original", ".wav"), (".", ".wav")])
def test_the_trees_of_gtzan_that_are_around(tmp_path: Path, base: str, ending: str) -> None:
    for name in (f"jazz/jazz.00054{ending}", f"blues/blues.00000{ending}", "blues/notes.txt", "blues/.blues.00001.au"):
        (tmp_path / base / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / base / name).touch()
    assert {r.source_id: r.labels for r in gtzan.recordings(tmp_path)} == {
        "blues.00000": ("blues",),
        "jazz.00054": ("jazz",),
    }


def test_a_clip_in_two_forms_is_named(make_tree) -> None:
    root = make_tree("gtzan")
    (root / "genres" / "blues" / "blues.00000.wav").touch()
    with pytest.raises(UsageError, match=r"has two files of blues\.00000"):
        list(gtzan.recordings(root))


def test_the_broken_clip_is_an_erratum() -> None:
    assert ("jazz.00054",) in [erratum.tracks for erratum in gtzan.CARD.errata]


# -- MagnaTagATune -----------------------------------------------------------------------------------------------------


def test_the_folders_are_the_first_split(make_tree) -> None:
    for r in magnatagatune.recordings(make_tree("magnatagatune", 64)):
        folder = r.path.parent.name
        part = {"c": "valid", "d": "test", "e": "test", "f": "test"}.get(folder, "train")
        assert r.splits[0] == ("folders", part, None)
        assert r.splits[1][0] == "cleaned"


def test_a_0_is_no_negative_label_and_all_tags_are_kept(make_tree) -> None:
    found = {r.source_id: r for r in magnatagatune.recordings(make_tree("magnatagatune", 64))}
    assert found["2"].tags == ("female vocal", "guitar") or set(found["2"].tags) == {"guitar", "female vocal"}
    assert set(found["3"].tags) == {"guitar", "female vocal", "female vocals"}
    assert set(found["3"].labels) == {"guitar", "female vocal"}  # the plural is none of the fifty


def test_synonyms_are_merged_before_the_most_frequent_are_taken(make_tree) -> None:
    options = magnatagatune.Options(vocabulary="merged-50")
    found = {r.source_id: r for r in magnatagatune.recordings(make_tree("magnatagatune", 64), options)}
    assert set(found["3"].labels) == {"guitar", "female"}
    assert set(found["2"].labels) == {"guitar", "female"}


def test_clips_say_which_song_they_are_from(make_tree) -> None:
    found = list(magnatagatune.recordings(make_tree("magnatagatune", 64)))
    songs = Counter(dict(r.attributes)["song"] for r in found)
    assert set(songs.values()) == {2}
    assert {(dict(r.attributes)["start_seconds"], dict(r.attributes)["end_seconds"]) for r in found} == {
        (0, 29),
        (29, 58),
    }


def test_clip_info_may_be_missing(make_tree) -> None:
    root = make_tree("magnatagatune", 8)
    (root / "clip_info_final.csv").unlink()
    assert [r.title for r in magnatagatune.recordings(root)] == [None] * 8


def test_a_clip_info_that_was_cut_is_seen_by_validation(make_tree) -> None:
    root = make_tree("magnatagatune", 8)
    (fact,) = [f for f in magnatagatune.facts(root) if "lacks" in f.about]
    assert (fact.published, fact.found) == (0, 0)
    path = root / "clip_info_final.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:6]))
    (fact,) = [f for f in magnatagatune.facts(root) if "lacks" in f.about]
    assert fact.found == 3


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (lambda text: text.replace('"mp3_path"', '"path"'), "has no column 'mp3_path'"),
        (lambda text: text.replace("0/artist_0", "../artist_0"), "is not below"),
        (lambda text: text.replace('"1"', '"2"'), "a tag is 0 or 1, not '2'"),
    ],
)
def test_damaged_annotations_are_refused(make_tree, how, says: str) -> None:
    root = make_tree("magnatagatune", 8)
    change(root / "annotations_final.csv", how)
    with pytest.raises(UsageError, match=says):
        list(magnatagatune.recordings(root))


# -- FMA ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    config = synthetic.Config(16)
    tracks = synthetic.plan(config)
    synthetic.write_metadata(tracks, config, tmp_path)
    (tmp_path / "fma_small").mkdir()
    return tmp_path


def test_the_real_genres_have_their_hierarchy(real, corpus: Path) -> None:
    (corpus / "fma_metadata" / "genres.csv").write_bytes((real("fma/fma_metadata") / "genres.csv").read_bytes())
    terms = {term.label: term for term in fma.vocabulary(corpus)}
    assert len(terms) == 163
    assert terms["Avant-Garde"].parents == ("Experimental",)
    assert terms["Rock"].parents == ()
    assert sum(not term.parents for term in terms.values()) == 16
    found = {r.source_id: r.labels for r in fma.recordings(corpus, fma.Options(genres="all"))}
    assert found == {r.source_id: r.labels for r in fma.recordings(corpus)}


def test_fma_gives_numbers_of_artist_and_album(corpus: Path) -> None:
    for planned, found in zip(synthetic.plan(synthetic.Config(16)), fma.recordings(corpus), strict=True):
        assert (found.artist_id, found.album_id) == (str(planned.artist_id), str(planned.album_id))


def test_genres_of_other_levels(corpus: Path) -> None:
    path = corpus / "fma_metadata" / "tracks.csv"
    change(corpus / "fma_metadata" / "genres.csv", lambda text: text + "25,1,12,Punk,12\n")
    lines = path.read_text().splitlines()
    lines[3] = lines[3].replace("[", "[25, ", 1) if lines[3].count("[") < 3 else lines[3]
    path.write_text("\n".join(lines) + "\n")
    for level in fma.LEVELS:
        assert all(r.labels for r in fma.recordings(corpus, fma.Options(genres=level)))
    with pytest.raises(UsageError, match="unknown genres 'each'"):
        fma.Options(genres="each")


def test_a_table_of_tracks_that_was_cut_within_a_row_is_refused(corpus: Path) -> None:
    path = corpus / "fma_metadata" / "tracks.csv"
    whole = path.read_bytes()
    start = whole.rstrip(b"\n").rindex(b"\n") + 1
    for cells in (1, 2, 14, 25, 31):
        path.write_bytes(whole[:start] + b",".join(whole[start:].split(b",")[:cells]) + b"\n")
        with pytest.raises(UsageError, match=r"tracks\.csv .* is in the subset ''"):
            list(fma.recordings(corpus))
    path.write_bytes(whole)
    assert len(list(fma.recordings(corpus))) == 16


def test_tracks_as_the_owners_write_them(corpus: Path) -> None:
    """Texts of many lines with quotes, other letters, and a third row that names the index alone."""
    path = corpus / "fma_metadata" / "tracks.csv"
    lines = path.read_text().split("\n")
    assert lines[2].strip(",") == "track_id"
    row = lines[3].split(",")
    about = next(i for i, name in enumerate(lines[1].split(",")) if name == "information")
    row[about] = '"<p>He said ""yes"",\r\nand\nwent: Ä"'
    path.write_text("\n".join([*lines[:3], ",".join(row), *lines[4:]]), newline="")
    assert [r.source_id for r in fma.recordings(corpus)] == [
        f"{t.track_id:06d}" for t in synthetic.plan(synthetic.Config(16))
    ]


def test_a_size_can_be_asked_for(corpus: Path) -> None:
    assert "fma_large" in next(iter(fma.recordings(corpus, fma.Options(size="large")))).path.parts
    facts = {f.about: (f.published, f.found) for f in contract.facts(contract.get("fma"), corpus)}
    assert facts["tracks of fma_small in tracks.csv"] == (8_000, 16)


def test_errata_of_fma_are_the_published_lists() -> None:
    short = {e.about.split()[0]: set(e.tracks) for e in fma.CARD.errata if e.tracks}
    assert (len(short["6"]), len(short["21"])) == (6, 21)
    assert short["6"] < short["21"]


def test_listing_datasets_needs_neither_ray_nor_torch() -> None:
    code = (
        "import sys; from phonolake.sources.contract import cards; cards(); print({'ray', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
