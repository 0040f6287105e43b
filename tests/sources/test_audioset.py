"""AudioSet: published figures on the real tables, the rules of draws, the names of audio files, damaged tables."""

from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phonolake.errors import UsageError
from phonolake.sources import contract
from phonolake.sources.audioset import Options, available, recordings, segments
from phonolake.sources.audioset_labels import ROLES, Ontology

pytestmark = pytest.mark.timeout(60)
TWO = ("Lullaby", "Theme music")
EVAL_ROLES = {"Dance music": 86, "Theme music": 61, "Background music": 61}


def test_the_official_tables_have_the_published_figures(real) -> None:
    facts = contract.facts(contract.get("audioset"), real("audioset"))
    assert {fact.about: fact.published for fact in facts} == {fact.about: fact.found for fact in facts}
    found = {fact.about: fact.found for fact in facts}
    assert (found["balanced: segments"], found["eval: segments"]) == (22_160, 20_371)
    assert (found["eval: segments with a music role"], found["balanced: segments with a music role"]) == (501, 508)
    several = "segments with several music roles"
    assert (found[f"eval: {several}"], found[f"balanced: {several}"]) == (61, 32)


def test_the_music_roles_of_the_official_eval_set(real) -> None:
    counts = available(real("audioset"), Options(segments=("eval",), roles=1))
    assert counts == {name: EVAL_ROLES.get(name, 60) for name in ROLES}


def test_all_rows_of_the_official_tables_are_read_as_they_stand(real) -> None:
    root = real("audioset")
    found = {s.ytid: s for s in segments(root, Options(segments=("eval",)))}
    lines = [line for line in (root / "eval_segments.csv").read_text().splitlines() if not line.startswith("#")]
    names = Ontology.read(root).names
    assert len(lines) == len(found)
    for line in lines:
        ytid, start, end, ids = line.split(", ")
        segment = found[ytid]
        assert (segment.start, segment.end) == (float(start), float(end))
        assert segment.labels == tuple(names[i] for i in ids.strip('"').split(","))
    assert sum(ytid.startswith("-") for ytid in found) > 100


def test_a_parent_stands_for_its_children(real) -> None:
    root = real("audioset")
    instruments = Ontology.read(root).below("Musical instrument")
    assert {"Guitar", "Electric guitar", "Violin, fiddle"} <= instruments
    assert "Speech" not in instruments
    found = segments(root, Options(segments=("eval",), labels=("Guitar",)))
    family = Ontology.read(root).below("Guitar")
    expected = [s for s in segments(root, Options(segments=("eval",))) if family.intersection(s.labels)]
    assert found == expected
    assert len(found) > len(segments(root, Options(segments=("eval",), labels=("/m/02sgy",))))  # electric guitar alone


def test_roles_lie_below_music_role_in_the_real_ontology(real) -> None:
    ontology = Ontology.read(real("audioset"))
    assert set(ROLES) <= ontology.below("Music role")
    assert {ontology.names[i] for i in ROLES.values()} == set(ROLES)
    terms = {term.source_id: term for term in ontology.terms({})}
    assert len(terms) == 632
    assert terms["/m/07pkxdp"].parents == ("Music role",)


@pytest.mark.parametrize("text", ["Male speech, man speaking", "/m/05zppz"])
def test_names_with_commas_are_one_label(real, text: str) -> None:
    assert Ontology.read(real("audioset")).resolve(text) == ["Male speech, man speaking"]


def test_several_names_may_stand_in_one_option(make_tree) -> None:
    ontology = Ontology.read(make_tree("audioset"))
    assert ontology.resolve("Lullaby, Theme music") == ["Lullaby", "Theme music"]
    with pytest.raises(UsageError, match=r"unknown label of AudioSet 'Lulaby'\. Did you mean 'Lullaby'"):
        ontology.resolve("Lulaby")


# -- draws -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 7])
def test_a_single_label_is_left_and_each_class_draws_its_number(real, seed: int) -> None:
    root = real("audioset")
    options = Options(segments=("eval",), roles=1, per_class=40, seed=seed, rule="single")
    found = segments(root, options)
    assert Counter(label for s in found for label in s.labels) == dict.fromkeys(ROLES, 40)
    assert all(len(s.labels) == 1 for s in found)
    whole = {s.ytid: s for s in segments(root, Options(segments=("eval",)))}
    assert all(set(s.labels) <= set(whole[s.ytid].labels) for s in found)
    assert segments(root, options) == found


def test_all_labels_are_kept_by_default_and_no_class_has_less_than_it_drew(real) -> None:
    root = real("audioset")
    whole = {s.ytid: s for s in segments(root, Options(segments=("eval",)))}
    found = segments(root, Options(segments=("eval",), roles=1, per_class=40))
    assert all(whole[s.ytid] == s for s in found)
    counts = Counter(label for s in found for label in s.labels if label in ROLES)
    assert all(count >= 40 for count in counts.values())
    assert len(found) <= 9 * 40


def test_the_counts_of_labels_are_those_of_a_plain_loop(real) -> None:
    root = real("audioset")
    options = Options(segments=("eval",), labels=("Music role", "Lullaby", "Vehicle"))
    ontology = Ontology.read(root)
    listed = segments(root, Options(segments=("eval",)))
    below = {n: ontology.below(n) for n in options.labels}
    expected = {n: sum(bool(below[n] & set(s.labels)) for s in listed) for n in options.labels}
    assert available(root, options) == expected
    assert available(root, Options(segments=("eval",)))["Lullaby"] == expected["Lullaby"] == 60


def test_draws_do_not_depend_on_the_order_of_the_file_and_grow_with_the_number(make_tree) -> None:
    root = make_tree("audioset", 200)
    drawn = {n: {s.ytid for s in segments(root, Options(per_class=n, labels=TWO))} for n in (3, 5)}
    assert drawn[3] < drawn[5]
    path = root / "balanced_train_segments.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:3] + lines[3:][::-1]) + "\n")
    assert {s.ytid for s in segments(root, Options(per_class=3, labels=TWO))} == drawn[3]
    assert {s.ytid for s in segments(root, Options(per_class=3, labels=TWO, seed=1))} != drawn[3]


def test_a_class_with_fewer_segments_gives_all_of_them(make_tree) -> None:
    root = make_tree("audioset", 24)
    assert segments(root, Options(per_class=1000, labels=("Lullaby",))) == segments(root, Options(labels=("Lullaby",)))


# -- files -------------------------------------------------------------------------------------------------------------

NAMES = ["{}.wav", "Y{}.wav", "{}_30.wav", "{}_30.flac", "{}_30.0.wav", "{}_30.000.mp3", "{}_30_40.wav", "{}_30000.wav"]
NAMES += ["{}_30000_40000.wav", "Y{}_30.opus", "deep/er/{}.m4a"]


def one_segment(root: Path, ytid: str, table: str = '{ytid}, 30.000, 40.000, "/m/1,/m/2"\n') -> Path:
    """A dataset of one segment, without comments."""
    (root / "eval_segments.csv").write_text(table.format(ytid=ytid), encoding="utf-8", newline="")
    (root / "class_labels_indices.csv").write_text('index,mid,display_name\n0,/m/1,"Lullaby, sung"\n1,/m/2,Music\n')
    (root / "ontology.json").write_text("[]")
    return root


def touched(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ytid", ["-abcDEF_12-", "abcDEF_123-", "Yabc-EF_123", "___________"])
def test_downloaded_trees_of_all_kinds_are_taken(tmp_path: Path, name: str, ytid: str) -> None:
    touched(tmp_path, name.format(ytid))
    assert [r.path for r in recordings(one_segment(tmp_path, ytid))] == [tmp_path / name.format(ytid)]


@pytest.mark.parametrize("name", ["clip_{}.wav", "0001-{}.30000.WAV", "{}.30.wav", "vid={} (30).mp3", "{}-lullaby.wav"])
def test_a_known_id_in_a_name_of_another_form_is_found(tmp_path: Path, name: str) -> None:
    touched(tmp_path, name.format("-abcDEF_12-"))
    assert [r.path for r in recordings(one_segment(tmp_path, "-abcDEF_12-"))] == [tmp_path / name.format("-abcDEF_12-")]


@pytest.mark.parametrize("name", ["{}_40.wav", "{}_3.wav", "{}_300.wav", "{}.txt", "abcDEF_123.wav", "{}.40.wav"])
def test_files_of_other_segments_are_not(tmp_path: Path, name: str) -> None:
    touched(tmp_path, name.format("abcDEF_123-"))
    assert not any(r.path.exists() for r in recordings(one_segment(tmp_path, "abcDEF_123-")))


def test_a_file_that_names_the_start_comes_first(tmp_path: Path) -> None:
    touched(tmp_path, "abcDEF_123-.wav", "abcDEF_123-_30.wav", "abcDEF_123-_70.wav")
    assert [r.path.name for r in recordings(one_segment(tmp_path, "abcDEF_123-"))] == ["abcDEF_123-_30.wav"]


HEADS = [
    "", "# a\n# num_segs=1\n# YTID, start_seconds, end_seconds, positive_labels\n", "# YTID, start_seconds\n",
    "YTID,start_seconds,end_seconds,positive_labels\n", "ytid;start_seconds;end_seconds;labels\n",
    '"# YTID"\t"start_seconds"\t"end_seconds"\t"positive_labels"\r\n',
]  # fmt: skip


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(
    "row", ['{ytid}, 30.000, 40.000, "/m/1,/m/2"', "{ytid};30;40,0;/m/1,/m/2", "{ytid}\t30\t40\t/m/1,/m/2"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_tables_with_and_without_comments_between_all_kinds_of_cells(
    tmp_path: Path, head: str, row: str, end: str
) -> None:
    (found,) = recordings(
        one_segment(tmp_path, "-abcDEF_12-", head.replace("\r\n", "\n").replace("\n", end) + row + end)
    )
    assert (found.source_id, found.labels) == ("-abcDEF_12-", ("Lullaby, sung", "Music"))
    assert dict(found.attributes) == {"start_seconds": 30.0, "end_seconds": 40.0, "segments": "eval"}


def test_what_excel_makes_of_ids_is_no_comment(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="#NAME\\?, which Excel makes of ids that begin with a dash"):
        list(recordings(one_segment(tmp_path, "#NAME?")))


def test_segments_without_a_file_are_named_all_the_same(make_tree) -> None:
    root = make_tree("audioset")
    before = list(recordings(root))
    before[0].path.unlink()
    after = list(recordings(root))
    assert [r.source_id for r in after] == [r.source_id for r in before]
    assert not after[0].path.exists()


def test_splits_say_which_table_a_segment_is_from(make_tree) -> None:
    parts = {dict(r.attributes)["segments"]: r.splits for r in recordings(make_tree("audioset"))}
    assert parts == {
        "balanced": (("balanced", "train", None), ("full", "train", None)),
        "eval": (("balanced", "test", None), ("full", "test", None)),
    }


def test_quality_counts_come_with_the_labels(make_tree) -> None:
    terms = {t.label: t for t in contract.vocabulary(contract.get("audioset"), make_tree("audioset"))}
    assert (terms["Music"].rated, terms["Music"].true) == (10, 9)
    assert terms["Music role"].rated is None
    assert terms["Lullaby"].parents == ("Music role",)


# -- damaged tables ----------------------------------------------------------------------------------------------------


def test_other_line_ends_and_marks_change_nothing(make_tree) -> None:
    root = make_tree("audioset")
    before = segments(root)
    path = root / "balanced_train_segments.csv"
    data = path.read_bytes()
    first, rest = data.split(b"\n", 1)
    for changed in (
        b"\xef\xbb\xbf" + data,
        data.replace(b"\n", b"\r\n"),
        data.replace(b"\n", b"\r"),
        first + b"\r\n" + rest,
        data.rstrip(b"\n"),
        data + b"\n\r\n",
    ):
        path.write_bytes(changed)
        assert segments(root) == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: lines[:-1], r"says num_segs=\d+ and holds"),
        (lambda lines: [*lines, "short, 0.000, 10.000"], "a segment is YTID"),
        (lambda lines: [*lines, 'abcdefghijk, 0.000, 10.000, "/m/nothing"'], "is not in class_labels_indices"),
        (lambda lines: [*lines, 'abcdefghijk, 10.000, 10.000, "/m/04rlf"'], "cannot last from 10 to 10"),
        (lambda lines: [*lines, 'abcdefghijk, nan, 10.000, "/m/04rlf"'], "finite number"),
        (lambda lines: [*lines, 'abcdefghijk, ten, 20.000, "/m/04rlf"'], "should be a number and is 'ten'"),
        (lambda lines: [*lines, '../etc/passw, 0.000, 10.000, "/m/04rlf"'], "a segment is YTID"),
        (lambda lines: [lines[0], lines[2], *lines[3:], lines[3]], "twice"),
        (lambda lines: [lines[2], 'abcdefghijk, 0.000, 10.000, "/m/04rlf'], "is not AudioSet's segments"),
    ],
)
def test_damaged_segments_are_refused_with_the_place(make_tree, change, says: str) -> None:
    root = make_tree("audioset")
    path = root / "balanced_train_segments.csv"
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    with pytest.raises(UsageError, match=says) as caught:
        segments(root)
    assert "balanced_train_segments.csv" in str(caught.value)


@pytest.mark.parametrize("content", ["", "index,mid\n0,/m/1\n", "slice_file_name,fsID\na,1\n", "\0\1\2"])
def test_labels_of_something_else_are_refused(make_tree, content: str) -> None:
    root = make_tree("audioset")
    (root / "class_labels_indices.csv").write_text(content)
    with pytest.raises(UsageError, match=r"class_labels_indices\.csv is not AudioSet's list of labels"):
        segments(root)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '[{"id": "/m/1"}]', "[" * 100_000, '{"id": 1}'])
def test_an_ontology_of_something_else_is_refused(make_tree, content: str) -> None:
    root = make_tree("audioset")
    (root / "ontology.json").write_text(content)
    with pytest.raises(UsageError, match=r"ontology\.json is not AudioSet's ontology"):
        segments(root)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_any_bytes_as_segments_are_read_or_refused(make_tree, content: bytes) -> None:
    root = make_tree("audioset", 6)
    header = b"# YTID, start_seconds, end_seconds, positive_labels\n"
    for data in (content, header + content):
        (root / "balanced_train_segments.csv").write_bytes(data)
        with suppress(UsageError):
            segments(root)
