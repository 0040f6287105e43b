"""Label vectors, against mathematics, scipy, and the published table of a published network."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from phonolake.analysis.labels.cooccurrence import normalized_cooccurrence
from phonolake.analysis.labels.label_vectors import (
    common_labels,
    compare,
    disagreements,
    label_vector_similarity,
    label_vectors,
    rank_correlation,
    ranked_pairs,
    tracks_to_hear,
)
from phonolake.errors import PhonolakeError, UsageError
from phonolake.lookup import label_matrix
from phonolake.store import query
from phonolake.store.lake import Lake

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
WEIGHTS = DATA / "choi_msd_tagger" / "compact_cnn_weights_theano.hdf5"
# Choi et al. 2018, Table III, second row, as printed (with the spelling of tags.txt).
TABLE_3 = """electronica, electronic|indie rock, indie|female vocalist, female vocalists|heavy metal, hard rock
indie, indie pop|sad, beautiful|alternative rock, rock|alternative rock, alternative|happy, catchy
indie rock, alternative|alternative, indie|rnb, sexy|electro, electronic|sad, Mellow|Mellow, beautiful
60s, oldies|House, dance|heavy metal, metal|chillout, chill|electro, electronica"""


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


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="the published network is not here")
def test_table_3_of_the_paper_is_the_cosine_of_the_published_weights():
    h5py = pytest.importorskip("h5py")
    with h5py.File(WEIGHTS) as file:
        W_KD = file["dense_1/dense_1_W"][:].T
    found = label_matrix.read_matrix(DATA / "msd" / "test_y.npy", DATA / "msd" / "tags.txt")
    S_KK = label_vector_similarity(W_KD)
    pairs = ranked_pairs(found.labels, S_KK, 20)
    printed = [frozenset(pair.split(", ")) for pair in TABLE_3.replace("\n", "|").split("|")]
    assert [frozenset((p.label_i, p.label_j)) for p in pairs] == printed
    # Sec. V-A: the 6th, 9th and 12th, with similarities of 0.88, 0.86 and 0.82.
    assert [round(pairs[k - 1].similarity, 2) for k in (6, 9, 12)] == [0.88, 0.86, 0.82]
    C_KK = normalized_cooccurrence(found.Y_NL)
    # The paper prints 0.580 for its training labels; these are the test labels.
    assert rank_correlation(S_KK, C_KK) == pytest.approx(0.542, abs=0.001)
    alike, _ = disagreements(compare(found.labels, S_KK, C_KK), 10)
    # "High in LVS, low in NCO" of the paper: happy and catchy, rnb and sexy, sad and beautiful.
    assert {frozenset(("happy", "catchy")), frozenset(("rnb", "sexy")), frozenset(("sad", "beautiful"))} <= {
        frozenset((pair.label_i, pair.label_j)) for pair in alike
    }


def test_rank_correlation_is_spearmans():
    rng = np.random.default_rng(0)
    S = rng.integers(0, 5, (9, 9)) / 4
    S = S + S.T
    C = rng.integers(0, 4, (9, 9)) / 4
    i, j = np.triu_indices(9, k=1)
    expected = spearmanr(S[i, j], np.maximum(C, C.T)[i, j]).statistic
    assert rank_correlation(S, C) == pytest.approx(expected)
    # Which way round C is does not matter; nor does stretching the similarity.
    assert rank_correlation(np.exp(S), C.T) == pytest.approx(expected)
    assert np.isnan(rank_correlation(S, np.ones((9, 9))))
    with pytest.raises(UsageError, match="received shapes"):
        rank_correlation(S, C[:8, :8])


def test_disagreements_come_from_both_sides():
    #             a-b alike and together, c-d alike but apart, a-c together but not alike
    S = np.array([[1, 0.9, -0.5, 0.1], [0.9, 1, 0.0, 0.05], [-0.5, 0.0, 1, 0.8], [0.1, 0.05, 0.8, 1]])
    C = np.array([[1, 0.9, 0.8, 0.2], [0.9, 1, 0.3, 0.1], [0.8, 0.3, 1, 0.0], [0.2, 0.1, 0.0, 1]])
    compared = compare(("a", "b", "c", "d"), S, C)
    assert [pair.rank for pair in compared] == list(range(1, 7))
    alike, together = disagreements(compared, 1)
    assert (alike[0].label_i, alike[0].label_j, alike[0].rank, alike[0].cooccurrence_rank) == ("c", "d", 2, 6)
    assert alike[0].surplus == pytest.approx(np.log2(3))
    assert (together[0].label_i, together[0].label_j, together[0].rank) == ("a", "c", 6)


def test_labels_are_matched_by_name_and_unused_ones_left_out():
    Y = np.array([[1, 0, 1, 0], [1, 1, 0, 0], [0, 1, 1, 0]])
    matrix = label_matrix.LabelMatrix(("t1", "t2", "t3"), ("x", "y", "z", "unused"), Y)
    S = np.arange(25.0).reshape(5, 5)
    names, S_KK, C_KK = common_labels(("z", "elsewhere", "x", "unused", "y"), S, matrix)
    assert names == ("z", "x", "y")
    np.testing.assert_array_equal(S_KK, S[np.ix_([0, 2, 4], [0, 2, 4])])
    np.testing.assert_array_equal(C_KK, normalized_cooccurrence(Y)[np.ix_([2, 0, 1], [2, 0, 1])])
    with pytest.raises(UsageError, match="share: 1, and"):
        common_labels(("x", "a", "b"), S[:3, :3], matrix)
    assert tracks_to_hear(matrix, "x", "y") == {"both": ["t2"], "only_i": ["t1"], "only_j": ["t3"]}


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
