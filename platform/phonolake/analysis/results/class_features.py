"""Questions about classes that read features or embeddings of a lake.

Shape suffixes: N tracks, D features.
"""

from collections.abc import Sequence

import duckdb
import numpy as np

from phonolake.analysis.results import class_views
from phonolake.analysis.results.class_views import ClassVectors, Importance, MapPoint
from phonolake.analysis.results.problem_classes import Removal, retrain_without
from phonolake.errors import PhonolakeError, UsageError, unknown
from phonolake.features import contract
from phonolake.lookup import embeddings
from phonolake.lookup.held_out import HeldOut
from phonolake.lookup.label_matrix import check_source
from phonolake.store import query
from phonolake.store.lake import Lake
from phonolake.store.schema import features_table, quote


def table_of(feature_set: str) -> str:
    """Table of a feature set; an unknown name raises a `UsageError`."""
    return features_table(contract.feature_set(feature_set).name)


def tables_like(lake: Lake, of: str | None) -> list[str]:
    """The table of the feature set called `of`, if there is one."""
    return [table_of(of)] if of in contract.feature_sets() else []


def read_features(
    connection: duckdb.DuckDBPyConnection, feature_set: str, *, dataset: str | None = None
) -> ClassVectors:
    """One feature set of a lake, the mean of a track's rows; tracks with a value that is no number are left out.

    Raises
    ------
    UsageError
        For an unknown feature set.
    PhonolakeError
        When the lake does not have it.
    """
    view, names = table_of(feature_set), [name for name, _ in contract.feature_set(feature_set).columns]
    # A view of a feature set exists only once it was extracted.
    if not connection.execute("SELECT 1 FROM duckdb_views() WHERE view_name = $1", [view]).fetchall():
        raise PhonolakeError(
            f"the lake has no {feature_set} yet: run `phonolake extract --features {feature_set}` first"
        )
    frame = connection.execute(
        f"SELECT track_id, {', '.join(f'avg({quote(name)}) AS {quote(name)}' for name in names)} FROM {quote(view)} "
        "WHERE $1 IS NULL OR track_id IN (SELECT track_id FROM tracks WHERE dataset = $1) "
        "GROUP BY track_id ORDER BY track_id",
        [dataset],
    ).df()
    x_ND = frame[names].to_numpy(np.float64)
    finite = np.isfinite(x_ND).all(axis=1)
    return ClassVectors(tuple(frame["track_id"][finite]), tuple(names), x_ND[finite])


def read_classes(connection: duckdb.DuckDBPyConnection, source: str, track_ids: Sequence[str]) -> dict[str, str]:
    """The label of each of these tracks that has exactly one by `source`."""
    rows = connection.execute(
        "SELECT track_id, min(label) FROM labels_by($1) WHERE value = 1 "
        "AND track_id IN (SELECT unnest($2)) GROUP BY track_id HAVING count(DISTINCT label) = 1",
        [source, list(track_ids)],
    ).fetchall()
    return dict(rows)


def retrain(
    lake: Lake, held: HeldOut, feature_set: str, suspected: Sequence[str], *, folds: int = 5, seed: int = 0
) -> list[Removal]:
    """`retrain_without` on the tracks of `held` that have features, by logistic regression over random folds.

    Raises
    ------
    UsageError
        As `retrain_without`, or when a class has fewer tracks than folds.
    """
    with query.connect(lake) as connection:
        vectors = read_features(connection, feature_set)
    number = dict(zip(held.track_ids, held.classes.tolist(), strict=True))
    kept = [n for n, track_id in enumerate(vectors.track_ids) if track_id in number]
    y_N = np.array([number[vectors.track_ids[n]] for n in kept], int)
    counts = np.bincount(y_N, minlength=len(held.labels))
    if counts.min() < folds:
        few = held.labels[int(counts.argmin())]
        raise UsageError(f"class {few!r} has {counts.min()} tracks with {feature_set}, fewer than {folds} folds")
    fold_N = class_views.random_folds(y_N, folds, seed)
    fit = class_views.logistic_fit(seed)
    return retrain_without(held.labels, y_N, vectors.X_ND[kept], fold_N, suspected, fit)


def track_map(
    lake: Lake,
    of: str | None,
    *,
    source: str = "dataset",
    dataset: str | None = None,
    most: int = 5_000,
    method: str = "tsne",
    perplexity: float = 30.0,
    seed: int = 0,
) -> list[MapPoint]:
    """Tracks on a plane by a feature set, or by the embeddings of a model or run (the newest by default).

    Raises
    ------
    UsageError
        For an unknown name, source or method.
    PhonolakeError
        When nothing of the kind is in the lake.
    """
    with query.connect(lake) as connection:
        if source != "dataset":  # without labels of its dataset a track still has a place
            check_source(connection, source)
        if of in contract.feature_sets():
            vectors = read_features(connection, of, dataset=dataset)
        else:
            vectors = _embedded(connection, of, dataset)
        vectors = class_views.thinned(vectors, most, seed)
        label = read_classes(connection, source, vectors.track_ids)
    placed = class_views.project(vectors.X_ND, method=method, perplexity=perplexity, seed=seed)
    return [
        MapPoint(track_id, label.get(track_id), float(x), float(y))
        for track_id, (x, y) in zip(vectors.track_ids, placed, strict=True)
    ]


def importance(
    lake: Lake, feature_set: str, *, source: str = "dataset", dataset: str | None = None, seed: int = 0
) -> list[Importance]:
    """`class_views.feature_importance` of the tracks that have one label by `source`."""
    with query.connect(lake) as connection:
        check_source(connection, source)
        vectors = read_features(connection, feature_set, dataset=dataset)
        label = read_classes(connection, source, vectors.track_ids)
    kept = [n for n, track_id in enumerate(vectors.track_ids) if track_id in label]
    y_N = np.unique([label[vectors.track_ids[n]] for n in kept], return_inverse=True)[1]
    return class_views.feature_importance(vectors.columns, vectors.X_ND[kept], y_N, seed=seed)


def _embedded(connection: duckdb.DuckDBPyConnection, model: str | None, dataset: str | None) -> ClassVectors:
    known = {
        name for row in connection.execute("SELECT model, run_id FROM embedding_models").fetchall() for name in row
    }
    if model is not None and model not in known:
        raise unknown("feature set or model with embeddings", model, known | set(contract.feature_sets()))
    rows = connection.execute("SELECT track_id FROM tracks WHERE $1 IS NULL OR dataset = $1", [dataset]).fetchall()
    found = embeddings.read(connection, [track_id for (track_id,) in rows], model=model)
    if found is None:
        raise PhonolakeError("the lake has no embeddings yet: run `phonolake run` or `phonolake score`")
    return ClassVectors(found.track_ids, (), found.E_ND.astype(np.float64))
