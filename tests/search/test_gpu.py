"""A GPU finds what the processor finds; where there is none, or it cannot hold a segment, the processor searches."""

from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest

from phonolake.search import gpu, kinds
from phonolake.search.allowed import Allowed
from phonolake.search.segment import DEVICE_MOST, Segment
from phonolake.search.vectors import unit

from .test_segments import INDEXED, built, clustered

N = 3000
needs_gpu = pytest.mark.skipif(not faiss.get_num_gpus(), reason="no GPU here")
HELD = (kinds.FLAT, "ivf-sq8")


@pytest.fixture(scope="module")
def segments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Segment]:
    """The same vectors in the kinds that a GPU can hold."""
    folder, found = tmp_path_factory.mktemp("segments"), {}
    with pytest.MonkeyPatch.context() as patch:
        for kind in HELD:
            patch.setattr(kinds, "FLAT_LIMIT", N if kind == kinds.FLAT else N - 1)
            found[kind] = built(folder / kind, clustered(N), kind)[0]
    return found


@pytest.mark.skipif(faiss.get_num_gpus(), reason="a GPU is here")
def test_without_a_gpu_the_processor_searches(segments: dict[str, Segment]) -> None:
    assert gpu.placed(segments.values()) == tuple(segments.values())


@pytest.mark.parametrize("kind", HELD)
def test_the_index_of_a_gpu_is_asked_for_as_much_as_it_can_give(segments: dict[str, Segment], kind: str) -> None:
    """An index of FAISS that holds only some of the vectors takes its place: what is found says who was asked."""
    segment = segments[kind]
    held = np.arange(0, N, 2)
    if kind == kinds.FLAT:
        index = faiss.IndexIDMap(faiss.IndexFlatIP(16))
    else:
        # Its lists are in another file.
        index = faiss.read_index(str(Path(segment.vectors.filename).with_name(kinds.FAISS)))
    index.add_with_ids(np.ascontiguousarray(segment.vectors[held]), held)
    placed = replace(segment, device=index)
    query_D = np.asarray(segment.vectors[1])
    for numbers in (placed.search(query_D, 10)[0], placed.search_many(query_D[None], 10)[0][0]):
        assert len(numbers) == 10
        assert set(numbers % 2) == {0}
    for k in (DEVICE_MOST + 1, N):
        np.testing.assert_array_equal(placed.search(query_D, k)[0], segment.search(query_D, k)[0])
    odd = Allowed(np.arange(1, N, 10))
    np.testing.assert_array_equal(placed.search(query_D, 5, among=odd)[0], segment.search(query_D, 5, among=odd)[0])


@needs_gpu
@pytest.mark.parametrize("kind", HELD)
def test_a_gpu_finds_what_exact_search_finds(segments: dict[str, Segment], kind: str) -> None:
    segment = segments[kind]
    (placed,) = gpu.placed([segment])
    assert placed.device is not None
    x_ND = np.asarray(segment.vectors)
    query_QD = unit(x_ND[::30] + 0.01)
    many_QK, _ = placed.search_many(query_QD, 10)
    hits = []
    for q, query_D in enumerate(query_QD):
        numbers, similarity = placed.search(query_D, 10)
        exact = x_ND.astype(np.float64) @ query_D.astype(np.float64)
        np.testing.assert_array_equal(similarity, np.vecdot(x_ND[numbers].astype(float), query_D.astype(float)))
        least = np.sort(exact)[-10] - 1e-6
        hits += [exact[numbers] >= least, exact[many_QK[q]] >= least]
    assert np.mean(hits) >= (1 if kind == kinds.FLAT else 0.95)


@needs_gpu
@pytest.mark.parametrize("kind", [kind for kind in INDEXED if kind not in HELD])
def test_a_kind_that_no_gpu_can_hold_stays(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kinds, "FLAT_LIMIT", N - 1)
    segment, _ = built(tmp_path / kind, clustered(N), kind)
    assert gpu.placed([segment]) == (segment,)
    assert f"3,000 vectors ({kind}) are searched without the GPU" in capsys.readouterr().err
