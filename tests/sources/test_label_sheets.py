"""Tables that people keep of recordings: which column is meant, what it says, and which recording a name means."""

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phonolake.errors import UsageError
from phonolake.sources import label_sheets, sheets, split_sheets
from phonolake.sources.label_sheets import SheetColumns
from phonolake.sources.names import Named, Names

TRACKS = ("rock/a.wav", "rock/b.wav", "jazz/c.wav", "jazz/d.wav", "Köln/e.wav")
NAMES = Names(Named(f"mine:{t}", t, f"/home/ann/music/{t}") for t in TRACKS)
FMA = Names(Named(f"fma:{n:06d}", f"{n:06d}", f"/data/fma_small/000/{n:06d}.mp3") for n in (2, 5, 10, 140))


def said(path: Path, names: Names = NAMES, **choice: object) -> list[tuple[str | None, str, bool, float | None]]:
    """What a table gives: file name of the recording, label, value and confidence."""
    chosen = SheetColumns(**choice)  # type: ignore[arg-type]
    keyed = label_sheets.key(path, names, chosen.id_column)
    found = label_sheets.labels(keyed, chosen)
    assert label_sheets.understood(keyed, found)
    rows = []
    for one in label_sheets.given(keyed, found):
        match = keyed.matches[one.name]
        track = match.track_ids[0].rpartition("/")[2] if match and len(match.track_ids) == 1 else None
        rows.append((track, one.label, one.value, one.confidence))
    return rows


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8", newline="")
    return folder / name


# -- which recording is meant -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "rock/a.wav", "./rock/a.wav", r"rock\a.wav", r"C:\Users\bob\rock\a.wav", "/elsewhere/rock/a.wav", "a.wav", "a",
        "a.mp3", "rock/a", "A.WAV", "Rock/A.flac", "mine:rock/a.wav", " a.wav ", "a.low.mp3",
        "/home/ann/music/rock/a.wav",
    ],
)  # fmt: skip
def test_a_recording_is_found_by_whatever_it_is_called(name: str) -> None:
    match = NAMES.find(name)
    assert match is not None
    assert match.track_ids == ("mine:rock/a.wav",)


@pytest.mark.parametrize("name", ["", "jazz/a.wav", "rock", "aa", "x/a.wav", "a.txt", "rock/", "/"])
def test_a_name_that_says_something_else_finds_nothing(name: str) -> None:
    assert NAMES.find(name) is None


def test_letters_with_accents_are_the_same_however_they_are_composed() -> None:
    for name in ("K\u00f6ln/e.wav", "Ko\u0308ln/e.wav"):
        match = NAMES.find(name)
        assert match is not None
        assert match.track_ids == ("mine:Köln/e.wav",)


def test_a_name_that_fits_several_names_them_all() -> None:
    two = Names(Named(t, t, t) for t in ("one/01.mp3", "two/01.mp3"))
    match = two.find("01.mp3")
    assert match is not None
    assert match.track_ids == ("one/01.mp3", "two/01.mp3")
    match = two.find("x/two/01.mp3")
    assert match is not None
    assert match.track_ids == ("two/01.mp3",)


@pytest.mark.parametrize("name", ["000140", "140", "140.0", "fma:000140", "000140.mp3", "000/000140.mp3", "140.mp3"])
def test_numbers_may_have_lost_their_zeros(name: str) -> None:
    match = FMA.find(name)
    assert match is not None
    assert match.track_ids == ("fma:000140",)


PARTS = st.lists(
    st.text("abcé 0.", min_size=1, max_size=5).filter(lambda p: p.strip(" .") == p), min_size=1, max_size=3
)


@settings(max_examples=25)
@given(st.lists(PARTS, min_size=1, max_size=6), st.data())
def test_every_recording_is_found_by_its_own_path(paths: list[list[str]], data: st.DataObject) -> None:
    listed = sorted({"/".join(parts) + ".wav" for parts in paths})
    names = Names(Named(f"x:{path}", path, f"/root/{path}") for path in listed)
    path = data.draw(st.sampled_from(listed))
    for written in (path, path.replace("/", "\\"), f"x:{path}", f"/root/{path}"):
        match = names.find(written)
        assert match is not None
        assert match.track_ids == (f"x:{path}",)


# -- where labels stand -----------------------------------------------------------------------------------------------

MOODS = [("a.wav", "happy", True, None), ("c.wav", "sad", True, None)]
FORMS = {
    "commas.csv": "file,mood\nrock/a.wav,happy\njazz/c.wav,sad\n",
    "semicolons.csv": "file;mood\nrock/a.wav;happy\njazz/c.wav;sad\n",
    "excel.csv": "sep=;\r\nfile;mood;;\r\nrock/a.wav;happy;;\r\njazz/c.wav;sad;;\r\n;;;\r\n",
    "mac.csv": "file,mood\rrock/a.wav,happy\rjazz/c.wav,sad",
    "quotes.csv": '"file","mood"\n"rock/a.wav","happy"\n"jazz/c.wav","sad"\n',
    "tabs.tsv": "file\tmood\nrock/a.wav\thappy\njazz/c.wav\tsad\n",
    "mark.csv": "\ufefffile,mood\nrock/a.wav,happy\njazz/c.wav,sad\n",
    "no-header.csv": "rock/a.wav,happy\njazz/c.wav,sad\n",
    "windows.csv": "mood,file\nhappy,D:\\x\\rock\\a.wav\nsad,D:\\x\\jazz\\c.wav\n",
    "unnamed.csv": ",path,what\n0,rock/a.wav,happy\n1,jazz/c.wav,sad\n",
    "more.csv": "title,artist,duration,file,mood\nx,y,3.5,rock/a.wav,happy\nx,z,4,jazz/c.wav,sad\n",
    "lines.jsonl": '{"file": "rock/a.wav", "mood": "happy"}\n\n{"file": "jazz/c.wav", "mood": ["sad"]}\n',
    "array.json": '[{"file": "rock/a.wav", "mood": "happy"}, {"file": "jazz/c.wav", "mood": "sad"}]',
    "mapping.json": '{"rock/a.wav": "happy", "jazz/c.wav": ["sad"]}',
    "objects.json": '{"rock/a.wav": {"mood": "happy"}, "jazz/c.wav": {"mood": "sad"}}',
}


@pytest.mark.parametrize("name", FORMS)
def test_one_label_a_recording_in_every_form(name: str, tmp_path: Path) -> None:
    assert said(write(tmp_path, name, FORMS[name])) == MOODS


def test_one_label_a_recording_in_parquet_and_utf_16(tmp_path: Path) -> None:
    frame = pd.DataFrame({"file": ["rock/a.wav", "jazz/c.wav"], "mood": ["happy", "sad"]})
    frame.to_parquet(tmp_path / "plain.parquet")
    frame.set_index("file").to_parquet(tmp_path / "index.parquet")
    frame.assign(mood=[["happy"], ["sad"]]).to_parquet(tmp_path / "lists.parquet")
    (tmp_path / "excel.txt").write_bytes(FORMS["tabs.tsv"].encode("utf-16"))
    for path in sorted(tmp_path.iterdir()):
        assert said(path) == MOODS, path


MANY = [("a.wav", "happy", True, None), ("a.wav", "loud", True, None), ("c.wav", "sad", True, None)]


@pytest.mark.parametrize(
    "text",
    [
        "file,tags\na.wav,happy;loud\nc.wav,sad\n",
        "file,tags\na.wav,happy|loud\nc.wav,sad\n",
        'file,tags\na.wav,"happy, loud"\nc.wav,sad\n',
        "file,tags\na.wav,\"['happy', 'loud']\"\nc.wav,['sad']\n",
        'file;tags\na.wav;["happy", "loud"]\nc.wav;["sad"]\n',
        "file,label\na.wav,happy\na.wav,loud\nc.wav,sad\n",
        "file\ttags\na.wav\thappy\tloud\nc.wav\tsad\n",
        "file,genre,mood\na.wav,happy,loud\nc.wav,,sad\n",
    ],
)
def test_several_labels_a_recording(text: str, tmp_path: Path) -> None:
    assert said(write(tmp_path, "t.csv", text)) == MANY


def test_a_label_in_the_singular_is_one_unless_a_separator_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "t.csv", "file,genre\na.wav,Rock; Pop / Indie\n")
    assert said(path) == [("a.wav", "Rock; Pop / Indie", True, None)]
    assert [label for _, label, *_ in said(path, separator=";")] == ["Rock", "Pop / Indie"]
    path = write(tmp_path, "t.csv", "file,tags\na.wav,Rock; Pop\n")
    assert [label for _, label, *_ in said(path, separator="")] == ["Rock; Pop"]


@pytest.mark.parametrize(
    ("yes", "no"), [("1", "0"), ("1.0", "0.0"), ("TRUE", "FALSE"), ("yes", "no"), ("WAHR", "FALSCH")]
)
def test_a_column_for_each_label(yes: str, no: str, tmp_path: Path) -> None:
    path = write(tmp_path, "t.csv", f"clip,happy,sad,duration\na.wav,{yes},{no},3\nc.wav,,{yes},4\n")
    assert said(path) == [("a.wav", "happy", True, None), ("a.wav", "sad", False, None), ("c.wav", "sad", True, None)]


def test_confidences_beside_a_label_and_in_a_column_for_each(tmp_path: Path) -> None:
    rows = [("a.wav", "happy", True, 0.9), ("a.wav", "sad", False, 0.25), ("c.wav", "sad", True, 0.5)]
    long = "key;instrument;relevance;num_responses\na;happy;0,9;3\na;sad;0,25;3\nc;sad;0,5;4\n"
    assert said(write(tmp_path, "long.csv", long)) == rows
    wide = "key,happy,sad\na,0.9,0.25\nc,,0.5\n"
    assert said(write(tmp_path, "wide.csv", wide)) == rows
    own = "key,mood,mood_score,theme,theme_score\na,happy,0.9,sad,0.25\nc,,,sad,0.5\n"
    assert said(write(tmp_path, "own.csv", own)) == rows
    named = "key,what,sure\na,happy,0.9\na,sad,0.25\nc,sad,0.5\n"
    assert said(write(tmp_path, "named.csv", named), confidence_column="sure", label_columns=("what",)) == rows


def test_numbers_without_a_meaning_are_no_labels_and_named_columns_are(tmp_path: Path) -> None:
    path = write(tmp_path, "t.csv", "file,target,category,take\na.wav,3,dog,A\nc.wav,4,cat,B\n")
    assert [label for _, label, *_ in said(path)] == ["dog", "cat"]
    assert [label for _, label, *_ in said(path, label_columns=("target",))] == ["3", "4"]
    path = write(tmp_path, "t.csv", "file,label\na.wav,0\nc.wav,1\n")
    assert [(label, value) for _, label, value, _ in said(path)] == [("0", True), ("1", True)]


@pytest.mark.parametrize(
    ("text", "choice", "says"),
    [
        ("file,x,y\na.wav,p,q\n", {}, "not clear which columns .*: name them with --label-column; it has file, x, y"),
        ("file,mood\nz.wav,sad\n", {}, "names any of the 5 recordings, which are called .*'file' has 'z.wav'"),
        ("file,mood\na.wav,sad\n", {"id_column": "fil"}, "unknown column of .* 'fil'. Did you mean 'file'"),
        ("file,mood,p\na.wav,sad,90\n", {"confidence_column": "p"}, "line 2: p should be a confidence .* and is '90'"),
        ("", {}, "is empty"),
        ("a,a\nb,c\n", {}, "two columns 'a'"),
        ("PK\x03\x04", {}, "is a workbook or an archive; save it as 'CSV UTF-8'"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_said(text: str, choice: dict, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=says):
        said(write(tmp_path, "t.csv", text), **choice)


WORDS = st.text("abc ,;|\t\"'[]é", min_size=1, max_size=8).map(str.strip).filter(bool)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    delimiter=st.sampled_from(",\t;"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_a_label_comes_out_as_it_was_written(
    tmp_path: Path, data: st.DataObject, delimiter: str, end: str, encoding: str
) -> None:
    labels = data.draw(st.lists(WORDS.filter(lambda w: w[0] not in "[({"), min_size=1, max_size=5))
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerows([("file", "mood"), *zip(TRACKS, labels, strict=False)])
    path = tmp_path / "t.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    assert [label for _, label, *_ in said(path)] == [label.strip() for label in labels]


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=120), st.sampled_from(["t.csv", "t.json", "t.jsonl", "t.parquet"]))
def test_any_bytes_are_a_table_or_refused(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    try:
        sheet = sheets.read(tmp_path / name)
    except UsageError:
        return
    assert all(len(cells) == len(sheet.columns) for _, cells in sheet.rows)


# -- splits -----------------------------------------------------------------------------------------------------------


def sides(path: Path, **options: str) -> list[tuple[str, str, str | None, int | None]]:
    found = [side for table in split_sheets.read(path, NAMES, **options) for side in table.sides]
    return [(side.name, side.split, side.part, side.fold) for side in found]


@pytest.mark.parametrize(
    "words", [("train", "valid", "test"), ("Training", "validation", "evaluation"), ("TRAIN", "val", "testing")]
)
def test_a_column_of_parts(words: tuple[str, str, str], tmp_path: Path) -> None:
    rows = "".join(f"{name},{word}\n" for name, word in zip(("a", "b", "c"), words, strict=True))
    found = sides(write(tmp_path, "mine.csv", f"file,subset\n{rows}"))
    assert found == [("a", "mine", "train", None), ("b", "mine", "valid", None), ("c", "mine", "test", None)]


@pytest.mark.parametrize(
    "folds", [("1", "2", "2"), ("0", "1", "1"), ("1.0", "2.0", "2.0"), ("fold1", "fold2", "fold2")]
)
def test_a_column_of_folds_counts_from_one(folds: tuple[str, ...], tmp_path: Path) -> None:
    rows = "".join(f"{name};{fold}\n" for name, fold in zip(("a", "b", "c"), folds, strict=True))
    found = sides(write(tmp_path, "mine.csv", f"file;fold\n{rows}"), name="other")
    assert found == [("a", "other", None, 1), ("b", "other", None, 2), ("c", "other", None, 2)]


def test_several_columns_are_several_splits(tmp_path: Path) -> None:
    path = write(tmp_path, "mine.csv", "file,split,fold\na,train,1\nb,,2\n")
    assert sides(path) == [("a", "mine-split", "train", None), ("a", "mine-fold", None, 1), ("b", "mine-fold", None, 2)]


def test_a_folder_of_lists_is_a_split_for_each_kind_of_list(tmp_path: Path) -> None:
    folder = tmp_path / "split-0"
    folder.mkdir()
    head = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS\n"
    for kind in ("autotagging", "autotagging_genre"):
        for part, name in (("train", "rock/a"), ("validation", "rock/b"), ("test", "x/nowhere")):
            write(folder, f"{kind}-{part}.tsv", f"{head}track_1\tartist_1\talbum_1\t{name}.mp3\t3.0\tgenre---rock\tb\n")
    found = sides(folder)
    assert ("rock/a.mp3", "split-0-autotagging", "train", None) in found
    assert ("x/nowhere.mp3", "split-0-autotagging_genre", "test", None) in found
    assert len(found) == 6
    for path in folder.glob("autotagging_genre*"):
        path.unlink()
    assert {split for _, split, *_ in sides(folder)} == {"split-0"}


def test_lists_without_a_header(tmp_path: Path) -> None:
    write(tmp_path, "train_list.txt", "rock\\a.wav\r\nrock\\b.wav\r\n")
    write(tmp_path, "test_list.txt", "jazz\\c.wav\r\n")
    names = [(name, part) for name, _, part, _ in sides(tmp_path, name="x")]
    assert names == [("jazz\\c.wav", "test"), ("rock\\a.wav", "train"), ("rock\\b.wav", "train")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file,split\na,dev\n", "has 'dev' in line 2: a part is train, valid or test, and a fold a number"),
        ("file,split\na,train\nb,maybe\n", "has 'maybe' in line 3: a part is train"),
        ("file,split\na,1\nb,train\n", "has 'train' in line 3: a part is train"),
        ("file,mood\na,sad\n", "no column of .* is called split, part, subset or fold; it has file, mood"),
    ],
)
def test_what_is_no_split_is_said(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=says):
        sides(write(tmp_path, "t.csv", text))
    with pytest.raises(UsageError, match="holds no lists of a split"):
        sides(tmp_path)


def test_json_of_lists_can_be_stored(tmp_path: Path) -> None:
    path = write(tmp_path, "t.jsonl", "\n".join(json.dumps({"id": t, "tags": ["x", 1, None]}) for t in TRACKS))
    assert {label for _, label, *_ in said(path)} == {"x", "1"}
