"""The index against brute force: what it finds is nearest, whatever the scale, the filter and the number asked for."""

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonolake.errors import PhonolakeError
from phonolake.search import index as searching
from phonolake.search.ids import IDS, JSON_IDS, Ids
from phonolake.search.index import CARD, FORMAT, INDEX, Index, build, load, read_card, save, search, unit


def names(n: int) -> list[str]:
    return [f"d:{number}" for number in range(n)]


def made(x_ND: np.ndarray, **card: Any) -> Index:
    return build(x_ND, names(len(x_ND)), card)


def cosines(x_ND: np.ndarray, query_D: np.ndarray) -> np.ndarray:
    """Cosine similarity by its definition, in float64; a zero vector is like nothing."""
    x_ND, query_D = x_ND.astype(np.float64), query_D.astype(np.float64)
    lengths = np.linalg.norm(x_ND, axis=1) * np.linalg.norm(query_D)
    return np.divide(x_ND @ query_D, lengths, out=np.zeros(len(x_ND)), where=lengths > 0)


def check(found: list[tuple[int, float]], similarity_N: np.ndarray, k: int, allowed: np.ndarray) -> None:
    """Right as far as float32 can tell: values, order, number, and nothing better was left out."""
    numbers = [number for number, _ in found]
    assert len(set(numbers)) == len(numbers) == min(k, len(allowed))
    assert set(numbers) <= set(allowed.tolist())
    values = [value for _, value in found]
    np.testing.assert_allclose(values, similarity_N[numbers], atol=1e-5)
    np.testing.assert_allclose(values, np.sort(similarity_N[allowed])[::-1][:k], atol=1e-5)
    assert found == sorted(found, key=lambda pair: (-pair[1], pair[0]))


@st.composite
def collections(draw: st.DrawFn) -> np.ndarray:
    """Few vectors of small whole numbers: zero vectors, doubles and multiples are common."""
    n, d = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    values = draw(st.lists(st.integers(-2, 2), min_size=n * d, max_size=n * d))
    return np.array(values, np.float32).reshape(n, d)


# -- exact search ------------------------------------------------------------------------------------------------------


@given(collections(), st.integers(1, 20), st.data())
def test_it_finds_what_brute_force_finds(x_ND: np.ndarray, k: int, data: st.DataObject) -> None:
    query_D = x_ND[data.draw(st.integers(0, len(x_ND) - 1))]
    found = search(made(x_ND), query_D, k)
    check(found, cosines(x_ND, query_D), k, np.arange(len(x_ND)))


@given(collections(), st.integers(1, 20), st.data())
def test_it_finds_only_what_the_filter_lets_through(x_ND: np.ndarray, k: int, data: st.DataObject) -> None:
    query_D = data.draw(st.sampled_from(list(x_ND)))
    allowed = np.array(sorted(data.draw(st.sets(st.integers(0, len(x_ND) - 1)))), np.int64)
    check(search(made(x_ND), query_D, k, among=allowed), cosines(x_ND, query_D), k, allowed)


@given(st.integers(0, 2**32 - 1), st.integers(-35, 35), st.integers(-35, 35))
def test_the_scale_of_the_vectors_does_not_matter(seed: int, stored: int, asked: int) -> None:
    """Up to the ends of float32, whose squares it cannot hold."""
    rng = np.random.default_rng(seed)
    x_ND, query_D = rng.normal(size=(8, 5)), rng.normal(size=5)
    index = made((x_ND * 10.0**stored).astype(np.float32))
    check(search(index, (query_D * 10.0**asked).astype(np.float32), 8), cosines(x_ND, query_D), 8, np.arange(8))


@given(collections())
def test_unit_vectors_have_length_one_or_stay_zero(x_ND: np.ndarray) -> None:
    before = x_ND.copy()
    unit_ND = unit(x_ND)
    assert unit_ND.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(unit_ND, axis=1), x_ND.any(axis=1).astype(float), atol=1e-6)
    np.testing.assert_array_equal(x_ND, before)


def test_a_zero_vector_is_like_nothing() -> None:
    index = made(np.array([[0, 0], [1, 0], [-1, 0]], np.float32))
    assert search(index, np.array([3.0, 0.0]), 3) == [(1, 1.0), (0, 0.0), (2, -1.0)]
    assert search(index, np.zeros(2), 3) == [(0, 0.0), (1, 0.0), (2, 0.0)]


def test_doubles_are_all_found_in_order_of_their_numbers() -> None:
    x_ND = np.tile(np.array([[1, 0.5]], np.float32), (20, 1))
    x_ND[::2] *= 7
    found = search(made(x_ND), x_ND[0], 20)
    assert [number for number, _ in found] == list(range(20))


def test_vectors_of_any_layout_and_type_are_taken() -> None:
    x_ND = np.random.default_rng(0).normal(size=(6, 4))
    expected = search(made(x_ND.astype(np.float32)), x_ND[2], 6)
    assert search(made(np.asfortranarray(x_ND)), x_ND[2], 6) == expected
    assert search(made(np.repeat(x_ND, 2, axis=1)[:, ::2]), x_ND[2], 6) == expected


def test_an_empty_index_finds_nothing() -> None:
    index = made(np.zeros((0, 3), np.float32))
    assert search(index, np.ones(3), 5) == []
    assert search(index, np.ones(3), 5, among=np.array([], np.int64)) == []


def test_a_query_of_another_length_is_refused_with_the_way_out() -> None:
    index = made(np.eye(3, dtype=np.float32))
    with pytest.raises(PhonolakeError, match=r"vectors of 3 values, received shape \(4,\)"):
        search(index, np.ones(4, np.float32), 1)


def test_the_card_says_what_it_is_of() -> None:
    index = build(np.eye(3), ["a", "b", "c"], {"run_id": "r"})
    assert index.card == {"run_id": "r", "format": FORMAT, "kind": "flat", "n": 3, "d": 3}
    assert index.exact
    assert index.ids.to_list() == ["a", "b", "c"]


# -- inverted file -----------------------------------------------------------------------------------------------------


def clustered(n: int) -> np.ndarray:
    """Vectors around forty centres, as tracks lie around genres."""
    rng = np.random.default_rng(7)
    return (rng.normal(size=(40, 16))[rng.integers(0, 40, n)] + 0.3 * rng.normal(size=(n, 16))).astype(np.float32)


@pytest.fixture(scope="module")
def inverted() -> tuple[Index, np.ndarray]:
    x_ND = clustered(3000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "FLAT_LIMIT", 2999)
        patch.setattr(searching, "CELLS", 32)
        return made(x_ND), x_ND


def recall(index: Index, x_ND: np.ndarray, allowed: np.ndarray | None = None, k: int = 10) -> float:
    hits = []
    for query_D in x_ND[:: len(x_ND) // 100]:
        found = search(index, query_D, k, among=allowed)
        similarity_N = cosines(x_ND, query_D)
        np.testing.assert_allclose([s for _, s in found], similarity_N[[n for n, _ in found]], atol=1e-5)
        assert allowed is None or {n for n, _ in found} <= set(allowed.tolist())
        pool = np.arange(len(x_ND)) if allowed is None else allowed
        best = pool[np.argsort(-similarity_N[pool])[:k]]
        assert len(found) == min(k, len(pool))
        hits.append(len({n for n, _ in found} & set(best.tolist())) / min(k, len(pool)))
    return float(np.mean(hits))


def test_an_inverted_file_finds_nearly_all(inverted: tuple[Index, np.ndarray]) -> None:
    index, x_ND = inverted
    assert index.card["kind"] == "ivf"
    assert not index.exact
    assert recall(index, x_ND) >= 0.9


def test_an_inverted_file_finds_nearly_all_that_a_filter_lets_through(inverted: tuple[Index, np.ndarray]) -> None:
    index, x_ND = inverted
    assert recall(index, x_ND, np.arange(0, 3000, 3)) >= 0.9


def test_it_looks_at_some_cells_only(inverted: tuple[Index, np.ndarray]) -> None:
    """Else it would be exact search with more steps."""
    index, _ = inverted
    assert 0 < dict(index.probes)[10] < 16


@pytest.mark.parametrize("k", [1, 10, 2999, 3000, 5000])
def test_as_many_come_back_as_there_are(inverted: tuple[Index, np.ndarray], k: int) -> None:
    index, x_ND = inverted
    assert len(search(index, x_ND[0], k)) == min(k, 3000)


@given(st.sets(st.integers(0, 2999), max_size=40), st.integers(1, 50), st.integers(0, 2999))
def test_few_allowed_vectors_of_an_inverted_file_are_searched_exactly(
    inverted: tuple[Index, np.ndarray], allowed: set[int], k: int, query: int
) -> None:
    index, x_ND = inverted
    among = np.array(sorted(allowed), np.int64)
    check(search(index, x_ND[query], k, among=among), cosines(x_ND, x_ND[query]), k, among)


def test_an_inverted_file_comes_back_as_it_was(inverted: tuple[Index, np.ndarray], tmp_path: Path) -> None:
    index, x_ND = inverted
    save(index, tmp_path / "run")
    again = load(tmp_path / "run")
    assert not again.exact
    for query_D in x_ND[:5]:
        assert search(again, query_D, 10) == search(index, query_D, 10)


def test_the_limit_itself_is_still_searched_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "FLAT_LIMIT", 4)
    assert made(np.eye(4)).exact


# -- on disk -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved index of six vectors."""
    path = tmp_path / "deep" / "run"
    save(made(np.random.default_rng(1).normal(size=(6, 4)), run_id="r"), path)
    return path


def test_what_was_saved_is_loaded(folder: Path) -> None:
    x_ND = np.random.default_rng(1).normal(size=(6, 4))
    index = load(folder)
    assert index.ids.to_list() == names(6)
    assert index.card == read_card(folder) == {"run_id": "r", "format": FORMAT, "kind": "flat", "n": 6, "d": 4}
    check(search(index, x_ND[3], 4), cosines(x_ND, x_ND[3]), 4, np.arange(6))
    assert sorted(path.name for path in folder.iterdir()) == sorted([INDEX, IDS, CARD])


def in_the_first_format(folder: Path) -> None:
    """As indexes were written until November 2026."""
    index = load(folder)
    (folder / JSON_IDS).write_text(json.dumps(index.ids.to_list()), encoding="utf-8")
    (folder / IDS).unlink()
    (folder / CARD).write_text(json.dumps({k: v for k, v in index.card.items() if k not in ("format", "probes")}))


def test_an_index_of_the_first_format_answers(folder: Path) -> None:
    x_ND = np.random.default_rng(1).normal(size=(6, 4))
    expected = search(load(folder), x_ND[3], 4)
    in_the_first_format(folder)
    index = load(folder)
    assert index.ids.to_list() == names(6)
    assert search(index, x_ND[3], 4) == expected


def test_an_inverted_file_of_the_first_format_answers(inverted: tuple[Index, np.ndarray], tmp_path: Path) -> None:
    """It kept no numbers of cells and no map of its vectors: filters are exact."""
    index, x_ND = inverted
    index.faiss.set_direct_map_type(faiss.DirectMap.NoMap)
    save(index, tmp_path / "run")
    index.faiss.make_direct_map(True)
    in_the_first_format(tmp_path / "run")
    old = load(tmp_path / "run")
    assert recall(old, x_ND) >= 0.97
    assert recall(old, x_ND, np.arange(0, 3000, 3)) == 1
    assert recall(old, x_ND, np.arange(0, 3000, 1000)) == 1


@pytest.mark.parametrize(
    "content", [b"[1", b"\xff", b"[]", b"{}", b"[1, 2, 3, 4, 5, 6]", json.dumps(names(5)).encode()]
)
def test_damaged_ids_of_the_first_format_are_named_with_the_way_out(folder: Path, content: bytes) -> None:
    in_the_first_format(folder)
    (folder / JSON_IDS).write_bytes(content)
    with pytest.raises(PhonolakeError, match=r"index at .*run .*: run `phonolake index --again`"):
        load(folder)


@given(st.lists(st.text(max_size=4), unique=True, max_size=20), st.text(max_size=4))
def test_ids_are_found_by_number_and_numbers_by_id(track_ids: list[str], other: str) -> None:
    ids = Ids.of(track_ids)
    assert ids.to_list() == ids.at(range(len(ids))) == track_ids
    assert [ids.number(track_id) for track_id in track_ids] == list(range(len(ids)))
    assert ids.number(other) == (track_ids.index(other) if other in track_ids else None)


def test_ids_are_mapped_and_not_read(tmp_path: Path) -> None:
    Ids.of(names(50_000)).write(tmp_path)
    before = pa.total_allocated_bytes()
    ids = Ids.read(tmp_path)
    assert ids.number("d:49999") == 49_999
    assert pa.total_allocated_bytes() - before < 10_000


def test_odd_ids_come_back(tmp_path: Path) -> None:
    odd = ["d:ünï 音楽", "it's", 'a"b', "a\nb", ""]
    save(build(np.eye(5), odd, {}), tmp_path / "run")
    assert load(tmp_path / "run").ids.to_list() == odd


def test_a_new_index_takes_the_place_of_the_old_one(folder: Path) -> None:
    """One that is open goes on with what it has."""
    before = load(folder)
    expected = search(before, np.ones(4), 6)
    save(build(np.eye(3), ["x", "y", "z"], {"run_id": "new"}), folder)
    after = load(folder)
    assert (after.ids.to_list(), after.card["run_id"], after.faiss.ntotal) == (["x", "y", "z"], "new", 3)
    assert search(before, np.ones(4), 6) == expected
    assert [path.name for path in folder.parent.iterdir()] == ["run"]


def test_a_save_that_fails_keeps_the_old_index(folder: Path) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        save(build(np.eye(2), ["a", "b"], {"run_id": object()}), folder)
    assert load(folder).ids.to_list() == names(6)
    assert [path.name for path in folder.parent.iterdir()] == ["run"]


def test_no_index_is_said_with_the_way_to_one(tmp_path: Path) -> None:
    assert read_card(tmp_path / "run") is None
    with pytest.raises(PhonolakeError, match=r"no index at .*run: run `phonolake index`"):
        load(tmp_path / "run")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b'"flat"', b"null"])
def test_a_damaged_card_is_no_index(folder: Path, content: bytes) -> None:
    (folder / CARD).write_bytes(content)
    assert read_card(folder) is None
    with pytest.raises(PhonolakeError, match="no index at"):
        load(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (INDEX, b""),
        (INDEX, b"no index at all, but long enough to be looked at"),
        (INDEX, None),
        (IDS, b"[1"),
        (IDS, b"\xff"),
        (IDS, None),
        (IDS, b"[]"),
        (IDS, b"{}"),
        (IDS, json.dumps(names(5)).encode()),
        (IDS, json.dumps(names(7)).encode()),
        (CARD, b"{}"),
        (CARD, b'{"kind": "other"}'),
    ],
)
def test_damaged_files_are_named_with_the_way_out(folder: Path, name: str, content: bytes | None) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(PhonolakeError, match=r"index at .*run .*: run `phonolake index --again`"):
        load(folder)


def test_an_index_that_was_cut_off_is_named_too(folder: Path) -> None:
    path = folder / INDEX
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(PhonolakeError, match="cannot be read: run `phonolake index --again`"):
        load(folder)


# -- which FAISS -------------------------------------------------------------------------------------------------------


def installed(monkeypatch: pytest.MonkeyPatch, *distributions: str) -> None:
    def version(name: str) -> str:
        if name in distributions:
            return "1.15.1"
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)


def test_two_distributions_of_faiss_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "faiss-cpu", "faiss-gpu")
    with pytest.raises(
        PhonolakeError, match="overwrite each other's files: `pip uninstall faiss-cpu faiss-gpu`"
    ) as caught:
        searching.load_faiss()
    assert "faiss-cpu 1.15.1 and faiss-gpu 1.15.1" in str(caught.value)


def test_no_distribution_of_faiss_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    with pytest.raises(PhonolakeError, match=r"FAISS is not installed: `pip install phonolake\[cpu\]`"):
        searching.load_faiss()


@pytest.mark.parametrize("name", ["faiss-cpu", "faiss-gpu"])
def test_either_distribution_will_do(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    installed(monkeypatch, name)
    assert searching.load_faiss().IndexFlatIP(3).d == 3
