"""Indexes on the disk: what the card names is opened; indexes of before answer; what is damaged is named."""

import json
from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pytest

from phonolake.errors import PhonolakeError
from phonolake.search import building, kinds, tracks
from phonolake.search.allowed import Allowed
from phonolake.search.building import Block, BuildPlan
from phonolake.search.index import CARD, Card, IndexSegment, SourceShard, load, read_card, stamp, write_card
from phonolake.search.segment import VECTORS, Segment
from phonolake.search.vectors import unit

N, D = 3000, 16


def vectors() -> np.ndarray:
    """Around forty centres, of length one."""
    rng = np.random.default_rng(7)
    return unit(rng.normal(size=(40, D))[rng.integers(0, 40, N)] + 0.3 * rng.normal(size=(N, D)))


def names() -> list[str]:
    return [f"d:{number}" for number in range(N)]


# -- of before -------------------------------------------------------------------------------------------------------


def early(folder: Path, kind: str, version: int) -> Path:
    """An index as it was written until December 2026: one FAISS file, ids in JSON or Arrow, a card."""
    folder.mkdir()
    x_ND = vectors()
    card = {"run_id": "r", "files": ["s.parquet"], "kind": kind, "n": N, "d": D}
    if kind == "flat":
        index = faiss.IndexFlatIP(D)
    else:
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(D), D, 32, faiss.METRIC_INNER_PRODUCT)
        index.train(x_ND)
    index.add(x_ND)
    if version == 1:
        (folder / "ids.json").write_text(json.dumps(names()))
    else:
        card["format"] = 2
        if kind == "ivf":
            index.make_direct_map(True)
            card["probes"] = [[10, 4], [20, 5], [50, 8], [1000, 32]]
        schema = pa.schema([pa.field("track_id", pa.large_string(), False), pa.field("by_id", pa.int64(), False)])
        columns = [pa.array(names(), pa.large_string()), pa.array(np.argsort(names()))]
        with pa.OSFile(str(folder / "ids.arrow"), "wb") as file, pa.ipc.new_file(file, schema) as writer:
            writer.write_batch(pa.record_batch(columns, schema=schema))
    faiss.write_index(index, str(folder / "index.faiss"))
    (folder / CARD).write_text(json.dumps(card))
    return folder


def recall(segment: Segment, among: np.ndarray | None = None) -> float:
    x_ND, hits = vectors(), 0
    pool = np.arange(N) if among is None else among
    for query in range(0, N, N // 50):
        best = pool[np.argsort(-(x_ND[pool] @ x_ND[query]), kind="stable")[:10]]
        numbers, similarity = segment.search(x_ND[query], 10, among=None if among is None else Allowed(among))
        np.testing.assert_allclose(similarity, x_ND[numbers] @ x_ND[query], atol=1e-6)
        hits += len(set(numbers.tolist()) & set(best.tolist()))
    return hits / (10 * len(range(0, N, N // 50)))


@pytest.mark.parametrize("kind", ["flat", "ivf"])
@pytest.mark.parametrize("version", [1, 2])
def test_an_index_of_before_answers(kind: str, version: int, tmp_path: Path) -> None:
    index = load(early(tmp_path / "run", kind, version))
    (segment,) = index.segments
    assert (index.card.format, index.card.n, index.card.kinds) == (version, N, kind)
    assert index.card.recall is None, "nobody measured it"
    assert index.card.parts[0].shards == (SourceShard("s.parquet"),)
    assert segment.tracks.number("d:2999") == 2999
    assert segment.tracks.number("d:3000") is None
    np.testing.assert_array_equal(segment.vectors[7], vectors()[7])
    assert recall(segment) >= (1 if kind == "flat" else 0.9)
    assert recall(segment, np.arange(0, N, 3)) == 1, "filters are exact"
    numbers, _ = segment.search_many(vectors()[:3], 5)
    assert numbers.tolist() == [segment.search(vectors()[q], 5)[0].tolist() for q in range(3)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("index.faiss", b"no index at all, but long enough to be looked at"),
        ("index.faiss", None),
        ("ids.json", b"[1, 2]"),
        ("ids.json", b"{}"),
        ("ids.json", None),
        ("ids.json", json.dumps(["d:1"]).encode()),
    ],
)
def test_a_damaged_one_of_before_is_named(name: str, content: bytes | None, tmp_path: Path) -> None:
    folder = early(tmp_path / "run", "flat", 1)
    damage(folder / name, content)
    with pytest.raises(PhonolakeError, match=r"index at .*run .*: run `phonolake index --again`"):
        load(folder)


def damage(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


# -- of today --------------------------------------------------------------------------------------------------------


def nothing(track_ids: pa.ChunkedArray) -> Iterator[pa.RecordBatch]:
    for chunk in track_ids.chunks:
        yield pa.record_batch([pa.nulls(len(chunk), pa.string())] * 3, names=list(tracks.SHOWN))


def stored(folder: Path, kind: str = "ivf-sq8") -> Path:
    """An index of one segment."""
    (folder / "one").mkdir(parents=True)
    blocks = [Block(pa.array(names()), vectors(), 0)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kinds, "FLAT_LIMIT", 0)
        facts = building.build(folder / "one", blocks, N, D, nothing, BuildPlan(kind))
    part = IndexSegment("one", (SourceShard("s.parquet", N, 1),), {"tracks": (SourceShard("t.parquet", N, 2),)}, facts)
    write_card(folder, Card("r", (part,), {"kind": kind, "recall": 0.98, "seed": 0}))
    return folder


def test_what_the_card_names_is_opened(tmp_path: Path) -> None:
    folder = stored(tmp_path / "run")
    card = read_card(folder)
    assert card is not None
    assert (card.n, card.kinds, card.settings["recall"]) == (N, "ivf-sq8", 0.98)
    assert card.recall is not None
    assert card.recall >= 0.97
    index = load(folder)
    assert index.card == card
    assert sorted(index.track_ids()) == sorted(names())
    before = stamp(folder)
    write_card(folder, card)
    assert stamp(folder) != before, "another card is another index"


def test_no_index_is_said_with_the_way_to_one(tmp_path: Path) -> None:
    assert read_card(tmp_path / "run") is None
    assert stamp(tmp_path / "run") is None
    with pytest.raises(PhonolakeError, match=r"no index at .*run: run `phonolake index`"):
        load(tmp_path / "run")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b'"flat"', b"null", b"{}", b'{"kind": "other"}'])
def test_a_damaged_card_is_no_index(content: bytes, tmp_path: Path) -> None:
    (tmp_path / CARD).write_bytes(content)
    assert read_card(tmp_path) is None


@pytest.mark.parametrize("name", [VECTORS, tracks.TRACKS, tracks.ORDER, kinds.FAISS, kinds.LISTS, kinds.BOUNDS])
def test_damaged_files_are_named_with_the_way_out(name: str, tmp_path: Path) -> None:
    folder = stored(tmp_path / "run")
    path = folder / "one" / name
    whole = path.read_bytes()
    for content in (None, b"", b"no such file, but long enough to be looked at", whole[:-10], whole[: len(whole) // 2]):
        path.write_bytes(whole)
        damage(path, content)
        with pytest.raises(PhonolakeError, match=r"index at .*run cannot be read .*: run `phonolake index --again`"):
            load(folder)


def test_a_reader_that_is_open_goes_on_when_its_segments_go(tmp_path: Path) -> None:
    folder = stored(tmp_path / "run")
    (segment,) = load(folder).segments
    expected = segment.search(vectors()[0], 10)[0].tolist()
    for path in (folder / "one").iterdir():
        path.unlink()
    assert segment.search(vectors()[0], 10)[0].tolist() == expected
    assert segment.search(vectors()[5], 10, among=Allowed(np.arange(0, N, 2)))[0].size == 10
