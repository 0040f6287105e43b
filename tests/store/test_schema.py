"""The SQL files are the truth about the tables: they parse, every column says what it means, and Arrow follows them."""

import duckdb
import pyarrow as pa
import pytest

from phonolake.errors import UsageError
from phonolake.store import schema
from phonolake.store.schema import Column, TableSchema

FILES = sorted(path.stem for path in schema.sql_folder().glob("*.sql") if path.stem != schema.MACROS)
# What DuckDB's types are in Arrow. Written out, so that an Arrow schema is not held against itself.
ARROW = {
    "VARCHAR": pa.string(),
    "BLOB": pa.binary(),
    "BOOLEAN": pa.bool_(),
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", tz="UTC"),
    "VARCHAR[]": pa.list_(pa.string()),
    "FLOAT[]": pa.list_(pa.float32()),
    "INTEGER[]": pa.list_(pa.int32()),
}


@pytest.mark.long
def test_every_file_declares_the_one_table_it_is_named_after() -> None:
    assert sorted(schema.tables()) == FILES
    for name in FILES:
        connection = duckdb.connect()
        connection.execute((schema.sql_folder() / f"{name}.sql").read_text(encoding="utf-8"))
        assert connection.execute("SELECT table_name FROM duckdb_tables()").fetchall() == [(name,)]


def test_the_tables_of_the_design_are_there() -> None:
    expected = "tracks audio labels rejects features spectrograms embeddings predictions models runs metrics"
    assert {*expected.split(), "annotations", "samples", "splits", "metadata", "vocabulary"} <= set(FILES)


def test_every_analysis_has_a_table() -> None:
    expected = "cooccurrences label_similarities label_validations evaluation_checks noise_rates label_suspects "
    expected += "confusions class_removals roc_points track_maps feature_importances"
    assert set(expected.split()) <= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_every_table_and_every_column_says_what_it_means(name: str) -> None:
    table = schema.table(name)
    assert table.name == name
    assert table.comment
    assert table.columns
    silent = [column.name for column in table.columns if not (column.comment or "").strip()]
    assert not silent


@pytest.mark.parametrize("name", FILES)
def test_arrow_has_the_columns_types_and_nulls_of_the_sql(name: str) -> None:
    connection = duckdb.connect()
    connection.execute((schema.sql_folder() / f"{name}.sql").read_text(encoding="utf-8"))
    declared = connection.execute(
        "SELECT column_name, data_type, is_nullable, comment FROM duckdb_columns() WHERE NOT internal "
        "ORDER BY column_index"
    ).fetchall()
    arrow = schema.table(name).arrow
    assert arrow.names == [column for column, *_ in declared]
    for field, (_, type_, nullable, comment) in zip(arrow, declared, strict=True):
        # Lists are equal whatever their items are called.
        assert schema.shape(pa.schema([field])) == schema.shape(pa.schema([(field.name, ARROW[type_])])), field
        assert field.nullable == nullable, field
        assert field.metadata == {b"comment": comment.encode()}


def test_not_null_and_null_both_occur() -> None:
    tracks = schema.table("tracks").arrow
    assert not tracks.field("track_id").nullable
    assert tracks.field("title").nullable


def test_times_are_in_utc_whatever_the_machine_is_set_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    # A column that no other test has, since Arrow schemas are kept.
    table = TableSchema("t", "A table", (Column("at_in_tokyo", "TIMESTAMPTZ", True, "When"),))
    assert table.arrow.field("at_in_tokyo").type == pa.timestamp("us", tz="UTC")


def test_an_unknown_table_is_answered_with_those_that_exist() -> None:
    with pytest.raises(UsageError, match="unknown table 'track'") as caught:
        schema.table("track")
    message = str(caught.value)
    assert "Did you mean 'tracks'?" in message
    assert all(name in message for name in FILES)


def test_a_feature_set_adds_its_columns_after_the_declared_ones() -> None:
    base = schema.table("features")
    added = (Column("mfcc_1_mean", "DOUBLE", True, "Mean of coefficient 1"), Column("zcr", "DOUBLE", False, "per s"))
    table = base.extended("features_x", "A set", added)
    assert (table.name, table.comment) == ("features_x", "A set")
    assert table.columns == base.columns + added
    assert table.arrow.names == [*base.arrow.names, "mfcc_1_mean", "zcr"]
    assert table.arrow.field("mfcc_1_mean").equals(
        pa.field("mfcc_1_mean", pa.float64(), metadata={"comment": "Mean of coefficient 1"}), check_metadata=True
    )
    assert not table.arrow.field("zcr").nullable
    # The declared table is shared by all sets and stays as it was.
    assert schema.table("features") == base
    assert "zcr" not in base.arrow.names


def test_the_table_of_a_feature_set_is_an_sql_name() -> None:
    assert schema.features_table("mfcc-120") == "features_mfcc_120"


@pytest.mark.parametrize("text", ["plain", "it's", "''", 'say "yes"', "a\\b", "x; DROP TABLE tracks; --", "ünï\n"])
def test_quoted_text_and_names_come_back_as_they_were(text: str) -> None:
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE {schema.quote(text)} AS SELECT {schema.literal(text)} AS {schema.quote(text)}")
    assert connection.execute("SELECT table_name FROM duckdb_tables()").fetchall() == [(text,)]
    assert connection.execute(f"SELECT {schema.quote(text)} FROM {schema.quote(text)}").fetchall() == [(text,)]
