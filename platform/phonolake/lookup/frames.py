"""Tables of a lake as pandas frames and arrays, one row a track, in order of the ids."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa

from phonolake.errors import PhonolakeError, unknown
from phonolake.lookup import probabilities, runs
from phonolake.store import query
from phonolake.store.schema import features_table, quote

if TYPE_CHECKING:
    import pandas as pd

# Columns with the origin of a row of features, not its values.
_ORIGIN = ("feature_set", "source_shard", "config_hash", "code_version")
_SEGMENT = ("start_seconds", "end_seconds")


def tracks(connection: duckdb.DuckDBPyConnection, *, where: str | None = None) -> "pd.DataFrame":
    """The table `tracks`, restricted by an SQL condition.

    Raises
    ------
    UsageError
        If DuckDB refuses the condition.
    """
    sql = "SELECT * FROM tracks" + (f" WHERE (\n{where}\n)" if where else "")
    return query.arrow(query.select(connection, sql)).to_pandas().sort_values("track_id").set_index("track_id")


def features(connection: duckdb.DuckDBPyConnection, name: str) -> "pd.DataFrame":
    """A feature set: a float64 column for each value.

    Of a set that is computed for segments a track has several rows, in order of their start, with `start_seconds` and
    `end_seconds`.

    Raises
    ------
    UsageError
        For a set that the lake does not have.
    """
    known = [n for (n,) in connection.execute("SELECT DISTINCT feature_set FROM features ORDER BY 1").fetchall()]
    if name not in known:
        raise unknown("feature set of this lake", name, known)
    found = connection.sql(
        f"SELECT * EXCLUDE ({', '.join(_ORIGIN)}) FROM {quote(features_table(name))} ORDER BY track_id, start_seconds"
    )
    frame = found.to_arrow_table().to_pandas().set_index("track_id")
    return frame if frame["start_seconds"].notna().any() else frame.drop(columns=list(_SEGMENT))


def predictions(
    connection: duckdb.DuckDBPyConnection, *, model: str | None = None, held_out: bool = False
) -> "pd.DataFrame":
    """Probabilities: a row for each track, a float64 column for each label.

    Parameters
    ----------
    model : str, optional
        Model or run; the newest that predicted anything by default. A run outside a cross-validation precedes its
        folds, because each fold has predictions for a few tracks only.
    held_out : bool
        Predictions for tracks that a model was not trained on: over all folds of a cross-validation, and the mean over
        models if none is named.

    Raises
    ------
    UsageError
        For a named model without predictions.
    PhonolakeError
        When there are no predictions.
    """
    import pandas as pd  # late: it takes a second

    said = {run_id for (run_id,) in connection.execute("SELECT DISTINCT run_id FROM predictions").fetchall()}
    able = [run for run in runs.model_runs(connection) if run.run_id in said]
    run = runs.find(sorted(able, key=lambda r: r.is_fold), model, what="model with predictions")
    if run is None:
        raise PhonolakeError("no model has predicted labels yet: run `phonolake score` or `phonolake crossval`")
    if held_out:
        sql, asked = "FROM held_out(model_or_run := $1) SELECT track_id, label, probability", [model]
    else:
        sql, asked = "FROM predictions SELECT track_id, label, probability WHERE run_id = $1", [run.run_id]
    found = probabilities.read(connection, sql, asked)
    index = pd.Index(found.track_ids, name="track_id")
    return pd.DataFrame(found.P_NL, index=index, columns=pd.Index(found.labels, name="label"))


def made(columns: Mapping[str, np.ndarray | list[str | None]]) -> "pd.DataFrame":
    """A frame of arrays and lists of strings, in half the time that pandas needs to infer types."""
    import pandas as pd

    text = pd.StringDtype(na_value=np.nan)
    arrays = {
        name: values
        if isinstance(values, np.ndarray)
        else pd.arrays.ArrowStringArray(pa.array(values, pa.large_string()), dtype=text)
        for name, values in columns.items()
    }
    return pd.DataFrame(arrays, copy=False)
