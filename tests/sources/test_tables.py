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


@given(data=st.data(), end=st.sampled_from(["\n", "\r\n", "\r"]), mark=st.booleans(), delimiter=st.sampled_from(",\t"))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_a_writer_of_csv_wrote_is_read(tmp_path: Path, data, end: str, mark: bool, delimiter: str) -> None:
    names = data.draw(NAMES)
    # A row of one empty cell is an empty line.
    rows = data.draw(st.lists(st.lists(CELLS, min_size=len(names), max_size=len(names)).filter(any), max_size=5))
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([names, *rows])
    path = tmp_path / "table.csv"
    path.write_bytes((b"\xef\xbb\xbf" if mark else b"") + text.getvalue().encode())
    found = list(tables.rows(path, names, "a table", delimiter=delimiter))
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
        (b"a\tb\n1\t2\n", "tabs stand between its cells, not commas"),
        (b'"a";"b"\n"1";"2"\n', "semicolons stand between its cells, not commas"),
        (b"a,b\n1\n", "line 2 has 1 cells, the header 2"),
        (b"a,b\n1,2,3\n", "line 2 has 3 cells, the header 2"),
        (b'a,b\n1,"2\n', "line 2: unexpected end of data"),
        (b"\xff\xfea\x00", "cannot be read as"),
        (b"a,b\n1,\xe9\n", "cannot be read as"),
        (b"PK\x03\x04" + bytes(30), "has no column 'a'"),
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
        list(tables.rows(path, ("a", "b"), "a table", delimiter="\t"))
    found = list(tables.rows(path, ("a", "b"), "a table", delimiter="\t", strict=False))
    assert [row["a"] for row in found] == ["1", "2"]
    assert "Great" in found[0]["b"]


def test_a_table_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"t\.csv is missing: the table of tests"):
        list(tables.rows(tmp_path / "t.csv", (), "the table of tests"))
    with pytest.raises(UsageError, match="cannot be read"):
        tables.text(tmp_path, "the table of tests")


@given(content=st.binary(max_size=200))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_a_table_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    try:
        rows = list(tables.rows(path, ("a",), "a table"))
    except UsageError:
        return
    assert all("a" in row for row in rows)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "ten", "", "1e999"])
def test_numbers_are_finite(value: str) -> None:
    with pytest.raises(UsageError, match="row 3: bpm should be"):
        tables.number(value, float, "row 3: bpm")


@pytest.mark.parametrize("name", ["../x.wav", "/etc/passwd", "a/../../x", "..", "", ".", "a\0b", "a\\..\\b", "//x"])
def test_a_name_that_leaves_the_tree_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="does not lie below"):
        confine.below(tmp_path, name, tmp_path / "table.csv")
    with pytest.raises(UsageError, match="is no file name"):
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
