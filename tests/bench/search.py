"""How long questions for neighbours take, and what an index takes: on lakes of made tracks around planted centres.

    python tests/bench/search.py                          overhead: a question by an open lake beside FAISS's own call
    python tests/bench/search.py --scale                  time and memory of building, growing and searching
    python tests/bench/search.py --partitions 2           one process beside partitions on Ray

`--tracks N` and `--values D` say how large; `--keep FOLDER` keeps the lake for the next run. Memory is the peak of the
resident set of a process of its own, and of what of it is not a file that is looked at where it lies.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import made_lakes
import numpy as np

import phonolake
from phonolake import execution
from phonolake.analysis.collection.neighbours import Searcher
from phonolake.lookup import indexed
from phonolake.search import index as searching
from phonolake.search import kinds
from phonolake.search.library import loaded
from phonolake.search.segment import Segment
from phonolake.serve.partitions import RayPartitions
from phonolake.stages import index
from phonolake.store.lake import Lake

ROUNDS, WARMING = 5, 3000
RERANKED = "FAISS, reranked (IndexRefineFlat)"
FILTERS = {"50 %": "year % 2 = 0", "10 %": "year % 10 = 3", "1 %": "year % 125 = 7", "0.1 %": "track_id LIKE '%777'"}
ANSWERED = """
import sys, time, json
start = float(sys.argv[2])
import phonolake
found = phonolake.open(sys.argv[1]).similar("made:000000007")
print(json.dumps({"rows": len(found), "seconds": time.time() - start, "processor": time.process_time()}))
"""


def lake_at(root: Path, n: int, d: int) -> Lake:
    """The lake that is kept there, or a new one."""
    if root.exists():
        return Lake.open(root)
    start = time.perf_counter()
    lake = made_lakes.make(root, n, d)
    print(f"made {n:,} tracks of {d} values in {time.perf_counter() - start:.0f} s", flush=True)
    return lake


def faiss_calls(segments: Sequence[Segment], k: int, *, again: bool) -> Callable[[np.ndarray], object]:
    """FAISS's own calls for the k nearest of a vector in each segment, as far as the index looks.

    With `again` FAISS ranks what it finds by the vectors themselves too (`IndexRefineFlat`), as the index does.
    """
    faiss = loaded()

    def call(segment: Segment) -> Callable[[np.ndarray], object]:
        if segment.exact:
            lying_ND = np.asarray(segment.vectors)
            return lambda query_1D: faiss.knn(query_1D, lying_ND, k, faiss.METRIC_INNER_PRODUCT)
        parameters = faiss.SearchParametersIVF(nprobe=segment.plan.probes(k, segment.faiss.nlist))
        if not again:
            return lambda query_1D: segment.faiss.search(query_1D, k, params=parameters)
        index = faiss.IndexRefineFlat(segment.faiss, faiss.swig_ptr(np.asarray(segment.vectors)))
        refine = faiss.IndexRefineSearchParameters(k_factor=segment.plan.refine, base_index_params=parameters)
        return lambda query_1D: index.search(query_1D, k, params=refine)

    calls = [call(segment) for segment in segments]
    return lambda query_D: [ask(query_D[None]) for ask in calls]


def faiss_for_a_track(segments: Sequence[Segment], k: int) -> Callable[[str], object]:
    """What a question for a track takes in FAISS alone: its vector by its id, the nearest in all segments, their ids.

    FAISS reranks and merges (`IndexShards`); a dictionary and a list in memory hold the ids.
    """
    faiss = loaded()
    shards = faiss.IndexShards(segments[0].vectors.shape[1], False, True)
    for segment in segments:
        lying_ND = np.asarray(segment.vectors)
        if segment.exact:
            index = faiss.IndexFlatIP(lying_ND.shape[1])
            index.add(lying_ND)
        else:
            segment.faiss.nprobe = segment.plan.probes(k, segment.faiss.nlist)
            index = faiss.IndexRefineFlat(segment.faiss, faiss.swig_ptr(lying_ND))
            index.k_factor = segment.plan.refine
        shards.add_shard(index)
    ids = [track_id for segment in segments for track_id in segment.tracks.ids().to_pylist()]
    number = dict(zip(ids, range(len(ids)), strict=True))
    first_ND = np.asarray(segments[0].vectors)

    def ask(track_id: str) -> list[tuple[str, float]]:
        similarity_1K, number_1K = shards.search(first_ND[number[track_id]][None], k)
        found = zip(number_1K[0].tolist(), similarity_1K[0].tolist(), strict=True)
        return [(ids[n], similarity) for n, similarity in found if ids[n] != track_id][: k - 1]

    return ask


def overhead(lake: Lake, repeats: int) -> None:
    """Print the median of the ways to ask, in turn, with filters and without."""
    folder = indexed.folder(lake, made_lakes.RUN)
    if searching.read_card(folder) is None:
        index.run(index.Config(str(lake.root)))
    opened, searcher, stored = phonolake.open(lake.root), Searcher(lake), searching.load(folder)
    segment = stored.segments[0]
    sizes = " + ".join(f"{len(each):,}" for each in stored.segments)
    print(f"{sizes} x {segment.vectors.shape[1]}, {segment.kind}, recall@10 {stored.card.recall:.3f}")
    bare, refined = (faiss_calls(stored.segments, 11, again=again) for again in (False, True))
    whole = faiss_for_a_track(searching.load(folder).segments, 11)
    lying_ND = np.asarray(segment.vectors)
    ways: dict[str, Callable[[int], object]] = {
        "FAISS, not reranked": lambda q: bare(lying_ND[q]),
        RERANKED: lambda q: refined(lying_ND[q]),
        "the same, merged, with ids": lambda q: whole(made_lakes.track_id(q)),
        "segments": lambda q: [each.search(lying_ND[q], 11) for each in stored.segments],
        "Searcher.nearest (ids and similarities)": lambda q: searcher.nearest(made_lakes.track_id(q)),
        "Searcher.similar": lambda q: searcher.similar(made_lakes.track_id(q)),
        "phonolake.open(L).similar (a data frame)": lambda q: opened.similar(made_lakes.track_id(q)),
    }
    ways |= {f"Searcher.similar, filter of {share}": partial(_filtered, searcher, w) for share, w in FILTERS.items()}
    rng = np.random.default_rng(1)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    # Pages of files that a process reads for the first time take longer.
    for q in rng.integers(0, len(segment), WARMING).tolist():
        searcher.similar(made_lakes.track_id(q))
    for _ in range(ROUNDS):
        for name, ask in ways.items():
            # Several in a row: a question that is asked now and then finds nothing in the processor's caches.
            taken[name] += seconds(ask, rng.integers(0, len(segment), repeats))[5:]
    print("ms of processor time, and times FAISS that reranks: median, and fastest tenth, least disturbed by others")
    faiss = np.percentile(taken[RERANKED], [50, 10])
    for name, found in taken.items():
        mid, fast = np.percentile(found, [50, 10])
        print(f"{name:40} {mid * 1e3:8.3f} {mid / faiss[0]:5.2f} x   {fast * 1e3:8.3f} {fast / faiss[1]:5.2f} x")


def partitioned(lake: Lake, n: int, repeats: int) -> None:
    """Print the times of one process and of partitions of the same segments, twice as many, in turn.

    They are searched exactly, so that a question takes long with few vectors. FAISS has one thread everywhere, as in
    `phonolake serve`.
    """
    loaded().omp_set_num_threads(1)
    rows = sum(source.rows or 0 for source in indexed.published(lake, made_lakes.RUN).values())
    index.run(index.Config(str(lake.root), kind=kinds.FLAT, partition=max(1, rows // (2 * n))))
    card = searching.read_card(indexed.folder(lake, made_lakes.RUN))
    assert card is not None
    print(f"{len(card.parts)} segments of {max(part.n for part in card.parts):,}: {card.kinds}")
    with execution.session():
        execution.connect(workers=n)
        ways = {
            "one process": Searcher(lake),
            f"{n} partitions": Searcher(lake, partitions=RayPartitions(lake.place, n)),
        }
        numbers = np.random.default_rng(1).integers(0, rows, ROUNDS * repeats).tolist()
        for where in (None, FILTERS["10 %"]):
            taken: dict[str, list[float]] = {name: [] for name in ways}
            for number in numbers:
                found = []
                for name, searcher in ways.items():
                    start = time.perf_counter()
                    ids, similarity = searcher.nearest(made_lakes.track_id(number), where=where)
                    taken[name].append(time.perf_counter() - start)
                    found.append((ids, similarity.tolist()))
                assert found[0] == found[1]
            for name, seconds in taken.items():
                # The first ones open files and evaluate the condition.
                mid, fast = np.percentile(seconds[5:], [50, 10]) * 1e3
                print(
                    f"{where or 'no filter':15} {name:15} median {mid:8.2f} ms   fastest tenth {fast:8.2f} ms",
                    flush=True,
                )


def _filtered(searcher: Searcher, where: str, number: int) -> object:
    return searcher.similar(made_lakes.track_id(number), where=where)


def seconds(ask: Callable[[int], object], numbers: np.ndarray) -> list[float]:
    """Processor time of each of several questions, on one thread: on a busy machine the clock says little."""
    loaded().omp_set_num_threads(1)
    found = []
    for number in numbers.tolist():
        start = time.thread_time()
        ask(number)
        found.append(time.thread_time() - start)
    return found


# -- time and memory ---------------------------------------------------------------------------------------------------


def in_a_process(action: str, lake: Path, *arguments: str) -> str:
    """Do something in a process of its own; its time and memory."""
    command = [sys.executable, __file__, "--keep", str(lake), "--do", action, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip().splitlines()[-1]


def memory() -> str:
    """Peak of the resident set, and of it what is no file."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak, anonymous = (int(lines[name].split()[0]) / 1024 for name in ("VmHWM", "RssAnon"))
    return f"peak {peak:,.0f} MiB resident, {anonymous:,.0f} MiB at the end without files"


def do(action: str, lake: Path, more: int, d: int) -> None:
    """One action of `in_a_process`."""
    start, processor = time.perf_counter(), time.process_time()
    if action == "index":
        index.run(index.Config(str(lake)))
    elif action == "grow":
        opened = Lake.open(lake)
        made_lakes.add(opened, 10**8 + int(time.time()), more, d)
        start, processor = time.perf_counter(), time.process_time()
        index.run(index.Config(str(lake)))
    else:
        searcher = Searcher(Lake.open(lake))
        card = searching.read_card(indexed.folder(Lake.open(lake), made_lakes.RUN))
        assert card is not None
        rng = np.random.default_rng(3)
        taken = []
        for number in rng.integers(0, max(part.n for part in card.parts), more).tolist():
            begin = time.perf_counter()
            assert len(searcher.similar(made_lakes.track_id(number))) == 10
            taken.append(time.perf_counter() - begin)
        tail = np.percentile(taken, [50, 99]) * 1e3
        print(f"{more:,} questions: median {tail[0]:.2f} ms, 99th percentile {tail[1]:.2f} ms, {memory()}")
        return
    spent = f"{time.perf_counter() - start:.1f} s, {time.process_time() - processor:.1f} s of processor time"
    print(f"{spent}, {memory()}")


def scale(lake: Lake, d: int) -> None:
    """Print what building, growing and searching take."""
    folder = indexed.folder(lake, made_lakes.RUN)
    if searching.read_card(folder) is None:
        print("built:", in_a_process("index", lake.root), flush=True)
    card = searching.read_card(folder)
    assert card is not None
    print(json.dumps([part.facts for part in card.parts], indent=1))
    print("first answer of a process:", first_answer(lake.root), flush=True)
    print("searched:", in_a_process("search", lake.root, "--more", "1000"), flush=True)
    for _ in range(3):
        print("1,000 tracks more:", in_a_process("grow", lake.root, "--more", "1000", "--values", str(d)), flush=True)
    print("first answer after that:", first_answer(lake.root))


def first_answer(lake: Path) -> str:
    """How long a process takes from its start to its first answer."""
    found = []
    for _ in range(3):
        command = [sys.executable, "-c", ANSWERED, str(lake), str(time.time())]
        found.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    return ", ".join(f"{row['seconds']:.2f} s ({row['processor']:.2f} s of processor time)" for row in found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=100_000)
    parser.add_argument("--values", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--scale", action="store_true")
    parser.add_argument("--partitions", type=int)
    parser.add_argument("--do", help=argparse.SUPPRESS)
    parser.add_argument("--more", type=int, default=1000, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with TemporaryDirectory() as scratch:
        place = chosen.keep or Path(scratch) / "lake"
        if chosen.do:
            do(chosen.do, place, chosen.more, chosen.values)
        elif chosen.partitions:
            partitioned(lake_at(place, chosen.tracks, chosen.values), chosen.partitions, chosen.repeats)
        elif chosen.scale:
            scale(lake_at(place, chosen.tracks, chosen.values), chosen.values)
        else:
            overhead(lake_at(place, chosen.tracks, chosen.values), chosen.repeats)
