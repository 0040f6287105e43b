"""The map of embeddings against scikit-learn's PCA, and the pieces of a taggram."""

from itertools import pairwise

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from phonolake.analysis.collection import embedding_map
from phonolake.errors import PhonolakeError, UsageError
from phonolake.inference import taggram


def test_components_are_those_of_scikit_learn() -> None:
    e_ND = np.random.default_rng(0).normal(size=(50, 7)) * np.arange(1, 8)
    unit_ND = e_ND / np.linalg.norm(e_ND, axis=1, keepdims=True)
    model = PCA(2).fit(unit_ND)
    x_N2, explained = embedding_map.principal_components(e_ND)
    np.testing.assert_allclose(np.abs(x_N2), np.abs(model.transform(unit_ND)), atol=1e-6)
    assert explained == pytest.approx(model.explained_variance_ratio_.sum())
    assert (x_N2[np.abs(x_N2).argmax(axis=0), [0, 1]] > 0).all()


@pytest.mark.parametrize("e_ND", [np.ones((1, 4)), np.ones((3, 4)), np.zeros((2, 3)), np.eye(3)[:, :1]])
def test_what_has_no_two_directions_still_has_places(e_ND: np.ndarray) -> None:
    x_N2, explained = embedding_map.principal_components(e_ND)
    assert x_N2.shape == (len(e_ND), 2)
    assert np.isfinite(x_N2).all()
    assert 0 <= explained <= 1 + 1e-9


def test_a_large_lake_is_sampled_and_the_sample_stays(lake: duckdb.DuckDBPyConnection) -> None:
    connection = lake
    with pytest.raises(PhonolakeError, match="no embeddings yet"):
        embedding_map.embedding_map(connection)
    connection.execute(
        "INSERT INTO embeddings SELECT 't' || n, 'm', 'r', [sin(n), cos(n), n]::FLOAT[], 's', '0' FROM range(500) x(n)"
    )
    first = embedding_map.embedding_map(connection, most=100)
    assert (len(first.track_ids), first.n_total, first.places.shape) == (100, 500, (100, 2))
    connection.execute("CREATE OR REPLACE TABLE embeddings AS SELECT * FROM embeddings ORDER BY track_id DESC")
    again = embedding_map.embedding_map(connection, most=100)
    assert again.track_ids == first.track_ids
    np.testing.assert_array_equal(again.places, first.places)


def test_near_tracks_stay_near_by_t_sne(lake: duckdb.DuckDBPyConnection) -> None:
    """Three clusters far apart: the nearest other track on the map is of the same one."""
    lake.execute(
        "INSERT INTO embeddings SELECT 't' || n, 'm', 'r', "
        "[20 * (n % 3 = 0)::INT + sin(n), 20 * (n % 3 = 1)::INT + cos(n), sin(2 * n)]::FLOAT[], 's', '0' "
        "FROM range(60) x(n)"
    )
    found = embedding_map.embedding_map(lake, method="tsne")
    assert found.explained is None
    cluster_N = np.array([int(track_id[1:]) % 3 for track_id in found.track_ids])
    apart_NN = np.linalg.norm(found.places[:, None] - found.places[None], axis=2)
    np.fill_diagonal(apart_NN, np.inf)
    assert (cluster_N[apart_NN.argmin(axis=1)] == cluster_N).all()
    with pytest.raises(UsageError, match="unknown projection"):
        embedding_map.embedding_map(lake, method="umbrella")


@given(n_total=st.integers(1, 200_000), n_frames=st.integers(1, 1500), rate=st.floats(10, 100))
def test_pieces_are_few_apart_and_inside(n_total: int, n_frames: int, rate: float) -> None:
    length, starts = taggram.pieces(n_total, n_frames, rate)
    assert 1 <= len(starts) <= taggram.PIECES
    assert 1 <= length <= min(n_total, n_frames)
    assert starts[0] == 0
    assert starts[-1] + length <= n_total
    assert all(b - a >= length for a, b in pairwise(starts))
    if n_frames >= n_total:
        assert n_total - (starts[-1] + length) < length, "a short track is covered to its end, but for a rest"
