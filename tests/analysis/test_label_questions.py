"""Co-occurrence and label vectors, against mathematics, an independent computation, and the real labels of MSD."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from phonolake.analysis.cooccurrence import normalized_cooccurrence, read_labels, top_pairs
from phonolake.analysis.label_vectors import label_vector_similarity, label_vectors, ranked_pairs
from phonolake.errors import PhonolakeError, UsageError
from phonolake.store import query
from phonolake.store.lake import Lake

MSD = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "msd"


@given(arrays(np.int8, st.tuples(st.integers(1, 30), st.integers(1, 6)), elements=st.integers(0, 1)))
def test_cooccurrence_counts_what_a_loop_counts(Y):
    C = normalized_cooccurrence(Y)
    for i in range(Y.shape[1]):
        for j in range(Y.shape[1]):
            both, n_i = sum(Y[:, i] & Y[:, j]), sum(Y[:, i])
            np.testing.assert_equal(C[i, j], both / n_i if n_i else np.nan)


@pytest.mark.skipif(not MSD.is_dir(), reason="the shared labels are not here")
def test_asymmetric_pairs_of_msd_are_the_right_way_round():
    """More of alternative rock is alternative than the reverse (Choi et al. 2018: 44 % of their training set)."""
    Y = np.load(MSD / "test_y.npy")
    tags = (MSD / "tags.txt").read_text().split("\n")
    i, j = tags.index("alternative rock"), tags.index("alternative")
    C = normalized_cooccurrence(Y)
    assert Y.shape == (28_540, 50)
    assert C[i, j] == (Y[Y[:, i] == 1, j] == 1).mean() == pytest.approx(0.359, abs=0.001)
    assert C[i, j] > 1.5 * C[j, i]


@pytest.mark.parametrize("Y", [np.zeros(3), np.array([[0, 2]]), np.array([[0.5, 1]])])
def test_labels_that_are_no_labels_are_refused(Y):
    with pytest.raises(UsageError, match="received"):
        normalized_cooccurrence(Y)


def test_the_macro_and_the_matrix_agree(demo):
    with query.connect(Lake.open(demo / "lake")) as connection:
        matrix = read_labels(connection)
        pairs = top_pairs(connection, 10_000)
    C = normalized_cooccurrence(matrix.Y_NL)
    position = {label: k for k, label in enumerate(matrix.labels)}
    assert len(pairs) == np.count_nonzero(C) - len(matrix.labels)
    for pair in pairs:
        assert pair.c == pytest.approx(C[position[pair.label_i], position[pair.label_j]])
        assert pair.c == pair.n_both / pair.n_i


def test_similarity_of_label_vectors():
    W = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    np.testing.assert_allclose(label_vector_similarity(W), [[1, 1, 0], [1, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(label_vector_similarity(W, kind="dot"), [[1, 2, 0], [2, 4, 0], [0, 0, 9]])
    with pytest.raises(UsageError, match="Known: cosine, dot"):
        label_vector_similarity(W, kind="euclid")


def test_pairs_are_ranked_and_unordered():
    similarity = np.array([[1, 0.2, 0.9], [0.2, 1, -0.5], [0.9, -0.5, 1]])
    ranked = ranked_pairs(("a", "b", "c"), similarity)
    assert [(p.label_i, p.label_j, p.rank) for p in ranked] == [("a", "c", 1), ("a", "b", 2), ("b", "c", 3)]
    assert len(ranked_pairs(("a", "b", "c"), similarity, top=2)) == 2


def test_label_vectors_are_those_of_the_network(demo):
    lake = Lake.open(demo / "lake")
    with query.connect(lake) as connection:
        labels, W_KD = label_vectors(lake, connection)
        assert W_KD.shape == (8, 32)
        assert list(labels) == sorted(labels)
        with pytest.raises(UsageError, match="unknown network"):
            label_vectors(lake, connection, "resnet")


def test_without_a_network_the_way_to_one_is_said(tmp_path):
    lake = Lake.create(tmp_path / "lake")
    with query.connect(lake) as connection, pytest.raises(PhonolakeError, match="phonolake train k2c2"):
        label_vectors(lake, connection)
