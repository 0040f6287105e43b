"""Co-occurrence, against loops, mathematics and the real labels of MSD."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from phonolake.analysis.labels import counting, relations
from phonolake.analysis.labels.cooccurrence import (
    cooccurrence_counts,
    lift,
    normalize,
    normalized_cooccurrence,
    ranked_pairs,
    read_labels,
    top_pairs,
)
from phonolake.errors import UsageError
from phonolake.lookup import label_matrix
from phonolake.store import query
from phonolake.store.lake import Lake

MSD = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "msd"
needs_msd = pytest.mark.skipif(not MSD.is_dir(), reason="the shared labels are not here")
LABELS = arrays(np.int8, st.tuples(st.integers(1, 30), st.integers(1, 6)), elements=st.integers(0, 1))
FORMS = {
    "bool": lambda Y: Y.astype(bool),
    "uint8": lambda Y: Y.astype(np.uint8),
    "int64": lambda Y: Y.astype(np.int64),
    "float32": lambda Y: Y.astype(np.float32),
    "columns": np.asfortranarray,
    "strided": lambda Y: np.repeat(Y, 2, axis=1)[:, ::2],
    "csr": sparse.csr_array,
    "csc": lambda Y: sparse.csc_array(Y.astype(bool)),
    "coo matrix": lambda Y: sparse.coo_matrix(Y.astype(float)),
}


@given(LABELS)
def test_cooccurrence_counts_what_a_loop_counts(Y):
    C = normalized_cooccurrence(Y)
    for i in range(Y.shape[1]):
        for j in range(Y.shape[1]):
            both, n_i = sum(Y[:, i] & Y[:, j]), sum(Y[:, i])
            np.testing.assert_equal(C[i, j], both / n_i if n_i else np.nan)


@pytest.mark.parametrize("pair_cost", [0, counting.PAIR_COST, 10**9], ids=["sparse", "as it chooses", "dense"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_matrix_and_every_way_of_counting_agree(form, pair_cost, monkeypatch):
    monkeypatch.setattr(counting, "PAIR_COST", pair_cost)
    monkeypatch.setattr(counting, "BLOCK_BYTES", 4 * 7 * 100)  # several blocks of 100 rows, the last one short
    Y = (np.random.default_rng(0).random((457, 7)) < [0.9, 0.5, 0.3, 0.1, 0.01, 1, 0]).astype(np.int8)
    expected = [[int(np.sum(Y[:, i] & Y[:, j])) for j in range(7)] for i in range(7)]
    found = cooccurrence_counts(FORMS[form](Y))
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, expected)


@given(LABELS, st.randoms(use_true_random=False))
def test_order_does_not_matter(Y, random):
    rows, columns = list(range(Y.shape[0])), list(range(Y.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    C = normalized_cooccurrence(Y)
    np.testing.assert_array_equal(normalized_cooccurrence(Y[rows][:, columns]), C[np.ix_(columns, columns)])
    used = Y.any(axis=0)
    np.testing.assert_array_equal(np.diag(C)[used], 1)
    assert np.isnan(C[~used]).all()
    assert ((C[used] >= 0) & (C[used] <= 1)).all()


def test_counts_beyond_what_single_precision_holds():
    """2^24 + 1 is no float32: counts of blocks are added as integers."""
    n = 2**24 + 1
    Y = np.ones((n, 1), bool)
    assert cooccurrence_counts(Y).item() == n


def test_sparse_entries_that_stand_twice_are_no_labels_and_the_callers_matrix_stays():
    twice = sparse.csr_array((np.ones(2), np.array([0, 0]), np.array([0, 2])), shape=(1, 1))
    with pytest.raises(UsageError, match="other values"):
        cooccurrence_counts(twice)
    assert twice.nnz == 2


@pytest.mark.parametrize("Y", [np.zeros(3), np.array([[0, 2]]), np.array([[0.5, 1]]), np.array([[np.nan, 1]]),
                               np.array([[-1, 1]]), sparse.csr_array([[2, 0]])])  # fmt: skip
def test_labels_that_are_no_labels_are_refused(Y):
    with pytest.raises(UsageError, match="received"):
        normalized_cooccurrence(Y)


def test_too_many_labels_are_refused_before_memory_is_taken():
    with pytest.raises(UsageError, match="leave out the rare labels"):
        cooccurrence_counts(sparse.csr_array((3, 500_000), dtype=np.int8))


@needs_msd
def test_asymmetric_pairs_of_msd_are_the_right_way_round():
    """More of alternative rock is alternative than the reverse (Choi et al. 2018: 44 % of their training set)."""
    Y = np.load(MSD / "test_y.npy")
    tags = (MSD / "tags.txt").read_text().split("\n")
    i, j = tags.index("alternative rock"), tags.index("alternative")
    C = normalized_cooccurrence(Y)
    assert Y.shape == (28_540, 50)
    assert C[i, j] == (Y[Y[:, i] == 1, j] == 1).mean() == pytest.approx(0.359, abs=0.001)
    assert C[j, i] == (Y[Y[:, j] == 1, i] == 1).mean() == pytest.approx(0.167, abs=0.001)


@needs_msd
def test_the_whole_of_msd_agrees_with_pandas():
    pd = pytest.importorskip("pandas")
    found = label_matrix.read_matrix(MSD / "test_y.npy", MSD / "tags.txt")
    frame = pd.DataFrame(np.asarray(found.Y_NL).astype(int), columns=found.labels)
    C = normalized_cooccurrence(found.Y_NL)
    pd.testing.assert_frame_equal(
        frame.T.dot(frame).div(frame.sum(), axis=0), pd.DataFrame(C, found.labels, found.labels)
    )
    pairs = ranked_pairs(found.labels, cooccurrence_counts(found.Y_NL), len(frame), top=5)
    assert [(p.label_i, p.label_j) for p in pairs[:4]] == [
        ("indie rock", "indie"),
        ("alternative rock", "rock"),
        ("House", "dance"),
        ("indie pop", "indie"),
    ]


@needs_msd
def test_relations_of_msd_are_those_of_the_paper():
    """Sec. III-A: sub-genres (alternative rock, rock), (house, electronic); other words (female vocalist, ...s)."""
    found = label_matrix.read_matrix(MSD / "test_y.npy", MSD / "tags.txt")
    both, n = cooccurrence_counts(found.Y_NL), len(found.Y_NL)
    parts = {(r.label_i, r.label_j) for r in relations.suggest(found.labels, both, n, kind="hierarchy")}
    assert {("alternative rock", "rock"), ("House", "electronic"), ("indie rock", "indie")} <= parts
    assert not {(j, i) for i, j in parts} & parts
    words = {(r.label_i, r.label_j): r.reason for r in relations.suggest(found.labels, both, n, kind="synonyms")}
    assert words["female vocalists", "female vocalist"] == "spelling"
    assert words["electronic", "electronica"] == "spelling"
    assert words["oldies", "60s"] == "tracks"
    assert ("60s", "70s") not in words


def test_a_part_and_another_word_are_told_apart():
    rng = np.random.default_rng(0)
    metal = rng.random(4000) < 0.2
    thrash = metal & (rng.random(4000) < 0.2)
    heavy = metal & (rng.random(4000) < 0.9)
    pop = rng.random(4000) < 0.5
    labels = ("metal", "thrash", "heavy stuff", "pop")
    both = cooccurrence_counts(np.stack([metal, thrash, heavy, pop], axis=1))
    parts = relations.suggest(labels, both, 4000, kind="hierarchy")
    assert [(r.label_i, r.label_j) for r in parts] == [("thrash", "metal"), ("thrash", "heavy stuff")]
    assert [(r.label_i, r.label_j) for r in relations.suggest(labels, both, 4000, kind="synonyms")] == [
        ("metal", "heavy stuff")
    ]
    with pytest.raises(UsageError, match="Known: hierarchy, synonyms"):
        relations.suggest(labels, both, 4000, kind="antonyms")


def test_lift_is_one_where_labels_are_independent():
    Y = np.array([[a, b] for a in (0, 1) for b in (0, 1, 1)])
    both = cooccurrence_counts(Y)
    np.testing.assert_allclose(lift(both, len(Y)), [[2, 1], [1, 1.5]])
    np.testing.assert_allclose(normalize(both), [[1, 2 / 3], [0.5, 1]])


def test_the_macro_and_the_matrix_agree(demo):
    with query.connect(Lake.open(demo / "lake")) as connection:
        matrix = read_labels(connection)
        pairs = top_pairs(connection, 10_000)
        of_source = connection.execute("SELECT count(*) FROM cooccurrence('tags')").fetchall()[0][0]
        tags = read_labels(connection, source="tags")
    both = cooccurrence_counts(matrix.Y_NL)
    expected = ranked_pairs(matrix.labels, both, matrix.Y_NL.shape[0])
    assert [(p.label_i, p.label_j, p.n_both, p.n_i, p.n_j) for p in pairs] == [
        (p.label_i, p.label_j, p.n_both, p.n_i, p.n_j) for p in expected
    ]
    for name in ("c", "c_low", "c_high", "lift"):
        np.testing.assert_allclose([getattr(p, name) for p in pairs], [getattr(p, name) for p in expected])
    assert of_source == len(ranked_pairs(tags.labels, cooccurrence_counts(tags.Y_NL), tags.Y_NL.shape[0]))


def test_labels_are_read_in_order_and_by_source(demo):
    with query.connect(Lake.open(demo / "lake")) as connection:
        found = read_labels(connection, source="dataset", dataset="fma")
        rows = connection.execute(
            "SELECT DISTINCT track_id, label FROM labels WHERE source = 'dataset' AND value = 1"
        ).fetchall()
        common = read_labels(connection, source="dataset", min_count=12)
        with pytest.raises(UsageError, match="unknown label source 'nobody'"):
            read_labels(connection, source="nobody")
        resolved = read_labels(connection, source="resolved")
    assert list(found.track_ids) == sorted(found.track_ids)
    assert list(found.labels) == sorted(found.labels)
    cells = {(found.track_ids[n], found.labels[k]) for n, k in zip(*found.Y_NL.nonzero(), strict=True)}
    assert cells == set(rows)
    assert set(common.labels) == {k for k in found.labels if found.Y_NL[:, found.labels.index(k)].sum() >= 12}
    # Nobody listened again yet.
    assert (resolved.track_ids, resolved.labels) == (found.track_ids, found.labels)


def test_files_that_are_no_label_matrices_are_refused(tmp_path):
    np.save(tmp_path / "flat.npy", np.zeros(3))
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}]), allow_pickle=True)
    np.save(tmp_path / "good.npy", np.eye(3, dtype=bool))
    sparse.save_npz(tmp_path / "good.npz", sparse.csr_array(np.eye(3)))
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "two.txt").write_text("a\nb\n")
    (tmp_path / "twice.txt").write_text("a\nb\na\n")
    (tmp_path / "names.txt").write_text("a\nb\nc\n\n")
    for name, says in (("flat", "shape"), ("objects", "not a matrix"), ("text", "not a matrix"), ("none", "no file")):
        with pytest.raises(UsageError, match=says):
            label_matrix.read_matrix(tmp_path / f"{name}.npy")
    for name, says in (("two", "2 names for the 3"), ("twice", "'a' twice"), ("none", "cannot be read")):
        with pytest.raises(UsageError, match=says):
            label_matrix.read_matrix(tmp_path / "good.npy", tmp_path / f"{name}.txt")
    assert label_matrix.read_matrix(tmp_path / "good.npy", tmp_path / "names.txt").labels == ("a", "b", "c")
    np.testing.assert_array_equal(cooccurrence_counts(label_matrix.read_matrix(tmp_path / "good.npz").Y_NL), np.eye(3))
