"""What all readers of tables share: clear errors, no way out of the tree, options as text."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phonolake.errors import UsageError
from phonolake.sources import confine, options, tables, trees

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=12)
NAMES = st.lists(st.text("abcXYZ_1", min_size=1, max_size=6), min_size=1, max_size=4, unique=True)


@given(data=st.data(), end=st.sampled_from(["\n", "\r\n", "\r"]), mark=st.booleans(), delimiter=st.sampled_from(",\t;"))
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_a_writer_of_csv_wrote_is_read(tmp_path: Path, data, end: str, mark: bool, delimiter: str) -> None:
    names = data.draw(NAMES)
    # A row of one empty cell is an empty line.
    rows = data.draw(st.lists(st.lists(CELLS, min_size=len(names), max_size=len(names)).filter(any), max_size=5))
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([names, *rows])
    path = tmp_path / "table.csv"
    path.write_bytes((b"\xef\xbb\xbf" if mark else b"") + text.getvalue().encode())
    found = list(tables.rows(path, names, "a table"))
    assert found == [dict(zip(names, row, strict=True)) for row in rows]


def test_only_the_first_line_says_what_stands_between_cells(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a\rone;two\r")
    assert list(tables.rows(tmp_path / "t.csv", ("a",), "a table")) == [{"a": "one;two"}]


@pytest.mark.parametrize("data", [b"a,b\r\n1,2\n3,4\r5,6", b"\xef\xbb\xbfa,b\n1,2\r\r\n\n3,4\r\n5,6\n"])
def test_line_ends_may_be_mixed(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(data)
    assert [row["a"] for row in tables.rows(tmp_path / "t.csv", ("a", "b"), "a table")] == ["1", "3", "5"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "has no column 'a'"),
        (b"b,c\n1,2\n", "has no column 'a'; its first line is 'b, c'"),
        (b"a,b,a\n1,2,3\n", "a column stands in it twice"),
        (b"a;c\n1;2\n", "has no column 'b'; its first line is 'a, c'"),
        (b"a,b\n1\n", "line 2 has 1 cells, the header 2"),
        (b"a,b\n1,2,3\n", "line 2 has 3 cells, the header 2"),
        (b'a,b\n1,"2\n', "line 2: unexpected end of data"),
        (b"\xff\xfea", "cannot be read as.*is no UTF-8"),
        (b"a,b\n1,\xe9\n", "cannot be read as.*byte 6 is no UTF-8; save it as 'CSV UTF-8'"),
        (b"PK\x03\x04" + bytes(30), "is a workbook or an archive; save it as 'CSV UTF-8'"),
    ],
)
def test_what_is_no_such_table_is_refused_by_name(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(UsageError, match=says) as caught:
        list(tables.rows(tmp_path / "t.csv", ("a", "b"), "the table of tests"))
    assert "t.csv" in str(caught.value)
    assert "the table of tests" in str(caught.value)


def test_quotes_inside_cells_are_forgiven_only_where_it_was_said(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('"a"\t"b"\n"1"\t"The "Great" Mass"\n"2"\t"x"\n')
    with pytest.raises(UsageError, match="line 2"):
        list(tables.rows(path, ("a", "b"), "a table"))
    found = list(tables.rows(path, ("a", "b"), "a table", strict=False))
    assert [row["a"] for row in found] == ["1", "2"]
    assert "Great" in found[0]["b"]


def test_a_table_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"t\.csv is missing: the table of tests"):
        list(tables.rows(tmp_path / "t.csv", (), "the table of tests"))
    with pytest.raises(UsageError, match="cannot be read"):
        tables.text(tmp_path, "the table of tests")


@given(content=st.binary(max_size=200))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_a_table_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    try:
        rows = list(tables.rows(path, ("a",), "a table"))
    except UsageError:
        return
    assert all("a" in row for row in rows)


@given(data=st.data(), delimiter=st.sampled_from(",\t;"), end=st.sampled_from(["\n", "\r\n", "\r"]))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_spreadsheets_add_around_a_table_does_not_count(tmp_path: Path, data, delimiter: str, end: str) -> None:
    names = data.draw(NAMES.filter(lambda names: len(names) > 1))
    rows = data.draw(
        st.lists(st.lists(st.text("ab1 ", max_size=4), min_size=len(names), max_size=len(names)), max_size=4)
    )
    rows = [[*row[:-1], "x"] for row in rows]
    more = data.draw(st.integers(0, 2))
    empty = data.draw(st.integers(0, 2))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=end, delimiter=delimiter)
    writer.writerows([row + [""] * more for row in [names, *rows]])
    writer.writerows([[""] * (len(names) + more)] * empty)
    said = f"sep={delimiter}{end}" if end != "\r" and data.draw(st.booleans()) else ""
    path = tmp_path / "table.csv"
    path.write_bytes((said + text.getvalue()).encode(data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))))
    assert list(tables.rows(path, names, "a table")) == [dict(zip(names, row, strict=True)) for row in rows]


@given(
    st.floats(-1e6, 1e6).map(lambda x: round(x, 3)), st.sampled_from(["{}", " {} ", "{:.6f}", "{:e}"]), st.booleans()
)
def test_numbers_are_read_as_programs_write_them(x: float, form: str, comma: bool) -> None:
    written = form.format(x)
    written = written.replace(".", ",") if comma else written
    if tables.TWO_WAYS.fullmatch(written.strip()):
        with pytest.raises(UsageError, match="can be read in two ways"):
            tables.number(written, float, "x")
    else:
        assert tables.number(written, float, "x") == pytest.approx(x, abs=1e-6, rel=1e-6)


@given(st.integers(-(10**18), 10**18), st.sampled_from(["{}", "{}.0", "{},0", " {} ", "{}.00"]))
def test_whole_numbers_and_names_that_are_numbers(n: int, form: str) -> None:
    assert tables.whole(form.format(n), "x") == n
    assert tables.numeral(form.format(n)) == str(n)


@pytest.mark.parametrize("value", ["1.5", "1,5", "", "one", "1_000", "0x10", "1 2", "1.0.0"])
def test_what_is_no_whole_number_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match="fold should be a whole number and is"):
        tables.whole(value, "fold")


@pytest.mark.parametrize("name", ["1-100032-A-0.wav", "1e5", "0012", "a.0", "1.5"])
def test_names_that_are_no_numbers_stay(name: str) -> None:
    assert tables.numeral(name) == name


@given(
    st.sampled_from(sorted(tables.TRUTHS)),
    st.sampled_from([str.upper, str.lower, str.title]),
    st.sampled_from(["", " "]),
)
def test_truths_are_read_in_every_spelling(word: str, case, space: str) -> None:
    assert tables.boolean(space + case(word) + space, "x") is tables.TRUTHS[word]


@pytest.mark.parametrize("value", ["", "2", "maybe", "-1", "0.5", "nan"])
def test_what_is_neither_true_nor_false_is_refused(value: str) -> None:
    assert tables.truth(value) is None
    with pytest.raises(UsageError, match="esc10 should be true or false and is"):
        tables.boolean(value, "esc10")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "ten", "", "1e999"])
def test_numbers_are_finite(value: str) -> None:
    with pytest.raises(UsageError, match="row 3: bpm should be"):
        tables.number(value, float, "row 3: bpm")


@pytest.mark.parametrize("name", ["../x.wav", "/etc/passwd", "a/../../x", "..", "", ".", "a\0b", "a\\..\\b", "//x"])
def test_a_name_that_leaves_the_tree_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is not below"):
        confine.below(tmp_path, name, tmp_path / "table.csv")
    with pytest.raises(UsageError, match="is not a file name"):
        confine.component(name, tmp_path / "table.csv")


@given(name=st.text(max_size=30))
def test_every_name_stays_inside_or_is_refused(name: str) -> None:
    root = Path("/data/root")
    try:
        path = confine.below(root, name, root)
    except UsageError:
        return
    assert path.is_relative_to(root)
    assert path != root
    assert ".." not in path.parts


def test_names_in_folders_are_taken(tmp_path: Path) -> None:
    assert confine.below(tmp_path, "f/a..b-0-29.mp3", tmp_path) == tmp_path / "f" / "a..b-0-29.mp3"
    assert confine.component("..a.wav", tmp_path) == "..a.wav"


@dataclass(frozen=True)
class Some:
    labels: tuple[str, ...] = options.option((), "labels")
    per_class: int = options.option(0, "so many")
    weight: float = options.option(50.0, "weight")
    size: str | None = options.option(None, "size")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], Some()),
        (["labels=a", "labels=b, c"], Some(labels=("a", "b, c"))),
        (["per-class=600", "weight=12.5"], Some(per_class=600, weight=12.5)),
        (["per_class=600"], Some(per_class=600)),
        (["size=small"], Some(size="small")),
        (["size=a=b"], Some(size="a=b")),
    ],
)
def test_options_are_read_out_of_texts(texts: list[str], expected: Some) -> None:
    assert options.parse("x", Some, texts) == expected


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["labels"], "an option of x is key=value; received 'labels'"),
        (["label=a"], "unknown option of x 'label'. Did you mean 'labels'"),
        (["size=a", "size=b"], "size of x is given twice"),
        (["per-class=many"], "per-class of x takes a number; received 'many'"),
        (["weight=heavy"], "weight of x takes a number"),
    ],
)
def test_wrong_options_say_what_is_wrong(texts: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        options.parse("x", Some, texts)
    with pytest.raises(UsageError, match="x has no options; received 'a=1'"):
        options.parse("x", None, ["a=1"])


def test_a_tree_is_walked_once_whatever_links_do(tmp_path: Path) -> None:
    for name in (
        "root/a/1.wav",
        "root/b.WAV",
        "root/.hidden/2.wav",
        "root/c.txt",
        "outside/3.wav",
        "outside/deep/4.wav",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    root = tmp_path / "root"
    links = {
        "a/up": root,
        "a/above": tmp_path,
        "a/self": root / "a",
        "out": tmp_path / "outside",
        "z": tmp_path / "outside",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    (tmp_path / "outside" / "back").symlink_to(root)
    (tmp_path / "outside" / "deep" / "ring").symlink_to(tmp_path / "outside")
    found = [path.relative_to(root).as_posix() for path in trees.files(root, {"wav"})]
    assert found == ["b.WAV", "a/1.wav", "out/3.wav", "out/deep/4.wav"]
