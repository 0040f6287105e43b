"""Segments of an index against brute force: what they find is nearest, whatever the kind, the scale and the filter."""

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonolake.errors import PhonolakeError
from phonolake.search import building, kinds, library, tracks
from phonolake.search.allowed import Allowed
from phonolake.search.building import Block, BuildPlan
from phonolake.search.segment import Segment
from phonolake.search.tracks import Tracks
from phonolake.search.vectors import unit

INDEXED = [kind for kind in kinds.KINDS if kind not in (kinds.AUTO, kinds.FLAT)]


def names(n: int) -> list[str]:
    return [f"d:{number}" for number in range(n)]


def flat(x_ND: np.ndarray) -> Segment:
    """Vectors in memory, which are looked at one by one."""
    return Segment(Tracks.of(pa.array(names(len(x_ND)), pa.string()), np.zeros(len(x_ND), np.int32)), unit(x_ND))


def shown(track_ids: pa.ChunkedArray) -> Iterator[pa.RecordBatch]:
    """The title of a track is its id, the labels are missing."""
    for chunk in track_ids.chunks:
        yield pa.record_batch([chunk, chunk, pa.nulls(len(chunk), pa.string())], names=list(tracks.SHOWN))


def built(folder: Path, x_ND: np.ndarray, kind: str) -> tuple[Segment, dict[str, Any]]:
    """A segment of some kind on the disk."""
    folder.mkdir()
    half = len(x_ND) // 2
    ids = pa.array(names(len(x_ND)))
    blocks = [Block(ids[:half], x_ND[:half], 0), Block(ids[half:], x_ND[half:], 1)]
    card = building.build(folder, blocks, len(x_ND), x_ND.shape[1], shown, BuildPlan(kind))
    return Segment.read(folder, card), card


def find(segment: Segment, query_D: np.ndarray, k: int, among: np.ndarray | None = None) -> list[tuple[int, float]]:
    numbers, similarity = segment.search(unit(query_D[None])[0], k, among=None if among is None else Allowed(among))
    return list(zip(numbers.tolist(), similarity.tolist(), strict=True))


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
    check(find(flat(x_ND), query_D, k), cosines(x_ND, query_D), k, np.arange(len(x_ND)))


@given(collections(), st.integers(1, 20), st.data())
def test_it_finds_only_what_the_filter_lets_through(x_ND: np.ndarray, k: int, data: st.DataObject) -> None:
    query_D = data.draw(st.sampled_from(list(x_ND)))
    allowed = np.array(sorted(data.draw(st.sets(st.integers(0, len(x_ND) - 1)))), np.int64)
    check(find(flat(x_ND), query_D, k, allowed), cosines(x_ND, query_D), k, allowed)


@given(st.integers(0, 2**32 - 1), st.integers(-35, 35), st.integers(-35, 35))
def test_the_scale_of_the_vectors_does_not_matter(seed: int, stored: int, asked: int) -> None:
    """Up to the ends of float32, whose squares it cannot hold."""
    rng = np.random.default_rng(seed)
    x_ND, query_D = rng.normal(size=(8, 5)), rng.normal(size=5)
    segment = flat((x_ND * 10.0**stored).astype(np.float32))
    check(find(segment, (query_D * 10.0**asked).astype(np.float32), 8), cosines(x_ND, query_D), 8, np.arange(8))


@given(collections())
def test_unit_vectors_have_length_one_or_stay_zero(x_ND: np.ndarray) -> None:
    before = x_ND.copy()
    unit_ND = unit(x_ND)
    assert unit_ND.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(unit_ND, axis=1), x_ND.any(axis=1).astype(float), atol=1e-6)
    np.testing.assert_array_equal(x_ND, before)


def test_a_zero_vector_is_like_nothing() -> None:
    segment = flat(np.array([[0, 0], [1, 0], [-1, 0]], np.float32))
    assert find(segment, np.array([3.0, 0.0]), 3) == [(1, 1.0), (0, 0.0), (2, -1.0)]
    assert find(segment, np.zeros(2), 3) == [(0, 0.0), (1, 0.0), (2, 0.0)]


def test_doubles_are_all_found_in_order_of_their_numbers() -> None:
    x_ND = np.tile(np.array([[1, 0.5]], np.float32), (20, 1))
    x_ND[::2] *= 7
    assert [number for number, _ in find(flat(x_ND), x_ND[0], 20)] == list(range(20))


def test_vectors_of_any_layout_and_type_are_taken() -> None:
    x_ND = np.random.default_rng(0).normal(size=(6, 4))
    expected = find(flat(x_ND.astype(np.float32)), x_ND[2], 6)
    assert find(flat(np.asfortranarray(x_ND)), x_ND[2], 6) == expected
    assert find(flat(np.repeat(x_ND, 2, axis=1)[:, ::2]), x_ND[2], 6) == expected


def test_an_empty_segment_finds_nothing() -> None:
    segment = flat(np.zeros((0, 3), np.float32))
    assert find(segment, np.ones(3), 5) == []
    assert find(segment, np.ones(3), 5, np.array([], np.int64)) == []


# -- kinds -------------------------------------------------------------------------------------------------------------


def clustered(n: int) -> np.ndarray:
    """Vectors around forty centres, as tracks lie around genres."""
    rng = np.random.default_rng(7)
    return (rng.normal(size=(40, 16))[rng.integers(0, 40, n)] + 0.3 * rng.normal(size=(n, 16))).astype(np.float32)


N = 3000


@pytest.fixture(scope="module")
def segments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Segment, dict[str, Any], Path]]:
    """The same vectors in every kind."""
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kinds, "FLAT_LIMIT", N - 1)
        for kind in INDEXED:
            folder = tmp_path_factory.mktemp("segments") / kind
            made[kind] = (*built(folder, clustered(N), kind), folder)
    return made


def recall(segment: Segment, allowed: np.ndarray | None = None, k: int = 10) -> float:
    hits = []
    x_ND = np.asarray(segment.vectors)
    for query_D in x_ND[:: len(x_ND) // 100]:
        found = find(segment, query_D, k, allowed)
        similarity_N = cosines(x_ND, query_D)
        np.testing.assert_allclose([s for _, s in found], similarity_N[[n for n, _ in found]], atol=1e-5)
        assert allowed is None or {n for n, _ in found} <= set(allowed.tolist())
        pool = np.arange(len(x_ND)) if allowed is None else allowed
        assert len(found) == min(k, len(pool))
        # Two that are alike to the last digit of single precision may change places.
        least = np.sort(similarity_N[pool])[-len(found)] - 1e-6
        hits.append(np.mean([similarity_N[n] >= least for n, _ in found]))
    return float(np.mean(hits))


@pytest.mark.parametrize("kind", INDEXED)
def test_it_finds_as_much_as_its_card_says(segments: dict, kind: str) -> None:
    segment, card, _ = segments[kind]
    assert card["kind"] == segment.kind == kind
    assert not segment.exact
    assert card["recall"] >= 0.95
    assert abs(recall(segment) - card["recall"]) < 0.03
    assert [row["share"] for row in card["filtered"]] == [0.5, 0.1, 0.01]
    assert min(row["recall"] for row in card["filtered"]) >= 0.95
    assert card["searched_bytes_per_vector"] < card["bytes_per_vector"]


@pytest.mark.parametrize("kind", ["ivf-sq8", "hnsw"])
def test_of_copies_any_is_a_neighbour(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of thirty copies of a sound, the ten that an index finds need not be the ten that exact search finds."""
    monkeypatch.setattr(kinds, "FLAT_LIMIT", 0)
    x_ND = np.repeat(np.random.default_rng(0).standard_normal((40, 16), np.float32), 30, axis=0)
    segment, card = built(tmp_path / kind, x_ND, kind)
    assert card["recall"] == 1.0
    assert segment.plan.probes(10, len(segment)) < 64


@pytest.mark.parametrize("kind", INDEXED)
def test_what_a_filter_lets_through_is_found(segments: dict, kind: str) -> None:
    segment, _, _ = segments[kind]
    assert recall(segment, np.arange(0, N, 3)) >= 0.95
    assert recall(segment, np.arange(0, N, 100)) >= 0.99


@pytest.mark.parametrize("kind", INDEXED)
@pytest.mark.parametrize("k", [1, 10, N - 1, N, N + 2000])
def test_as_many_come_back_as_there_are(segments: dict, kind: str, k: int) -> None:
    segment, _, _ = segments[kind]
    assert len(find(segment, clustered(1)[0], k)) == min(k, N)


@given(st.sets(st.integers(0, N - 1), max_size=40), st.integers(1, 50), st.integers(0, N - 1))
def test_few_allowed_vectors_of_an_inverted_file_are_searched_exactly(
    segments: dict, allowed: set[int], k: int, query: int
) -> None:
    segment, _, _ = segments["ivf-sq8"]
    among = np.array(sorted(allowed), np.int64)
    x_ND = np.asarray(segment.vectors)
    check(find(segment, x_ND[query], k, among), cosines(x_ND, x_ND[query]), k, among)


def test_an_inverted_file_looks_at_some_cells_only(segments: dict) -> None:
    """Else it would be exact search with more steps."""
    segment, _, _ = segments["ivf-sq8"]
    assert 0 < segment.plan.probes(10, 10**6) < segment.faiss.nlist / 2


@pytest.mark.parametrize("kind", INDEXED)
def test_the_same_vectors_give_the_same_files(segments: dict, kind: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(kinds, "FLAT_LIMIT", N - 1)
    _, card, folder = segments[kind]
    _, other = built(tmp_path / "again", clustered(N), kind)
    for path in folder.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name
    untimed = [{k: v for k, v in c.items() if k not in ("milliseconds", "filtered")} for c in (card, other)]
    assert untimed[0] == untimed[1]


@pytest.mark.parametrize("kind", [kinds.FLAT, *INDEXED])
def test_a_segment_is_written_again_without_some_vectors(segments: dict, kind: str, tmp_path: Path) -> None:
    x_ND = clustered(N)
    if kind == kinds.FLAT:
        built(tmp_path / "flat", x_ND, kind)
        like, folder = Segment.read(tmp_path / "flat", {"kind": kind, "n": N}), tmp_path / "flat"
    else:
        _, card, folder = segments[kind]
        like = Segment.read(folder, card)
    gone = {f"d:{n}" for n in range(0, N, 7)}
    keep = np.setdiff1d(np.arange(N), like.tracks.numbers_of(pa.array(sorted(gone))))
    (tmp_path / "rest").mkdir()
    rest = building.again(like, keep)
    card = building.build(tmp_path / "rest", rest, len(keep), 16, shown, BuildPlan(like=like))
    segment = Segment.read(tmp_path / "rest", card)
    assert set(segment.tracks.ids().to_pylist()) == set(names(N)) - gone
    by_id = {track_id: number for number, track_id in enumerate(segment.tracks.ids().to_pylist())}
    for n in (1, 500, N - 1):
        np.testing.assert_array_equal(segment.vectors[by_id[f"d:{n}"]], unit(x_ND[n][None])[0])
        assert segment.tracks.shards()[by_id[f"d:{n}"]] == (n >= N // 2)
    assert recall(segment) >= 0.95
    assert recall(segment, np.arange(0, len(keep), 3)) >= 0.95


def test_few_vectors_are_never_indexed(tmp_path: Path) -> None:
    segment, card = built(tmp_path / "few", clustered(100), "ivf-sq8")
    assert segment.exact
    assert (card["kind"], card["recall"]) == ("flat", 1.0)


# -- tracks ------------------------------------------------------------------------------------------------------------


def stored(folder: Path, track_ids: list[str]) -> Tracks:
    folder.mkdir(exist_ok=True)
    ids = pa.chunked_array([pa.array(track_ids, pa.string())])
    tracks.write(folder, ids, np.arange(len(track_ids), dtype=np.int32), shown(ids))
    return Tracks.read(folder)


@settings(max_examples=50)
@given(st.lists(st.text(max_size=4), unique=True, max_size=20), st.text(max_size=4))
def test_ids_are_found_by_number_and_numbers_by_id(
    tmp_path_factory: pytest.TempPathFactory, track_ids: list[str], other: str
) -> None:
    for known in (
        stored(tmp_path_factory.mktemp("tracks"), track_ids),
        Tracks.of(pa.array(track_ids, pa.string()), np.zeros(len(track_ids), np.int32)),
    ):
        assert known.ids().to_pylist() == list(map(known.id, range(len(known)))) == track_ids
        assert [known.number(track_id) for track_id in track_ids] == list(range(len(known)))
        assert known.number(other) == (track_ids.index(other) if other in track_ids else None)


def test_more_tracks_than_fit_a_batch_are_mapped_and_not_read(tmp_path: Path) -> None:
    n = tracks.ROWS + 10
    stored(tmp_path / "t", names(n))
    before = pa.total_allocated_bytes()
    known = Tracks.read(tmp_path / "t")
    assert known.number(f"d:{n - 1}") == n - 1
    assert known.shown(n - 2) == (f"d:{n - 2}", f"d:{n - 2}", None)
    assert pa.total_allocated_bytes() - before < 10_000


@pytest.mark.parametrize("name", [tracks.TRACKS, tracks.ORDER])
@pytest.mark.parametrize("content", [b"", b"[1", None])
def test_damaged_tracks_are_refused(tmp_path: Path, name: str, content: bytes | None) -> None:
    stored(tmp_path / "t", names(5))
    if content is None:
        (tmp_path / "t" / name).unlink()
    else:
        (tmp_path / "t" / name).write_bytes(content)
    with pytest.raises((OSError, ValueError)):
        Tracks.read(tmp_path / "t")


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
        library.load_faiss()
    assert "faiss-cpu 1.15.1 and faiss-gpu 1.15.1" in str(caught.value)


def test_no_distribution_of_faiss_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    with pytest.raises(PhonolakeError, match=r"FAISS is not installed: `pip install phonolake\[cpu\]`"):
        library.load_faiss()


@pytest.mark.parametrize("name", ["faiss-cpu", "faiss-gpu"])
def test_either_distribution_will_do(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    installed(monkeypatch, name)
    assert library.load_faiss().IndexFlatIP(3).d == 3
