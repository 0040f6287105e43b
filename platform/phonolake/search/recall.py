"""Tune the search depth of an index for the required recall, and measure the recall against exact search.

Queries are vectors that the index was not trained on; none counts as its own neighbour. One half of them tunes the
depth, the other one measures the result.

Shape suffixes: Q queries, K neighbours, C cells.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from phonolake.search.allowed import Allowed
from phonolake.search.probing import Plan
from phonolake.search.segment import Segment
from phonolake.search.vectors import let_go, nearest_of_all, similarities

WANTED, K = 0.98, 10
# Queries of each half, and for each filter.
QUERIES, FILTERED = 192, 48
# Numbers of neighbours to measure, the last for 10 and the query under .3 %, and the shares of filters.
DEPTHS = (10, 20, 50, 100, 200, 500, 1200, 4000)
SHARES = (0.5, 0.1, 0.01, 0.001, 0.0001)
# Queries after which their vectors are released from memory.
LOOKED_AT = 16
REFINE = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
# Less than this is no gain.
GAIN = 0.001
EFFORTS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
# Part of the allowed misses for cells that are not searched; the rest is for inexact codes.
CELLS_SHARE = (0.75, 0.5, 0.25, 0.1, 0.0)


def queries(n: int, seed: int) -> np.ndarray:
    """Rows of the query vectors, in no order; at most half of all."""
    return np.random.default_rng(seed).permutation(n)[: min(2 * QUERIES, n // 2)]


def measure(
    opened: Callable[[], Segment], number_Q: np.ndarray, wanted: float, seed: int
) -> tuple[Plan, dict[str, Any]]:
    """The search depth, and the facts for the card.

    Parameters
    ----------
    opened : callable
        Opens the segment. Measuring filters opens it again, to release memory.
    number_Q : ndarray
        Numbers of the query vectors.
    wanted : float
        Recall of the 10 nearest.
    """
    tuned, stated = np.array_split(number_Q, 2)
    segment = opened()
    if segment.exact:
        found = _Asked.nearest(segment, stated[:FILTERED], K)
        return Plan(), {"recall": 1.0, **found.latency(segment)}
    plan = _chosen(segment, _Asked.nearest(segment, tuned, DEPTHS[-1]), wanted)
    planned = replace(segment, plan=plan)
    facts: dict[str, Any] = {"wanted": wanted, **_Asked.nearest(segment, stated, K).stated(planned)}
    del segment, planned
    facts["filtered"] = list(_filtered(replace(opened(), plan=plan), stated[:FILTERED], seed))
    return plan, facts


class _Asked:
    """Queries with their true neighbours."""

    def __init__(self, number_Q: np.ndarray, truth_QK: np.ndarray, among: Allowed | None = None) -> None:
        self.number_Q, self.truth_QK, self.among = number_Q, truth_QK, among

    @classmethod
    def nearest(cls, segment: Segment, number_Q: np.ndarray, k: int, among: Allowed | None = None) -> "_Asked":
        """The k nearest of each, by exact search; -1 if there are fewer."""
        query_QD = np.ascontiguousarray(segment.vectors[number_Q])
        found_QK = nearest_of_all(segment.vectors, query_QD, k + 1, None if among is None else among.numbers)
        others_QK = found_QK != number_Q[:, None]
        # If a query is not among the results, drop the last one.
        others_QK[others_QK.all(axis=1), -1] = False
        return cls(number_Q, found_QK[others_QK].reshape(len(number_Q), k), among)

    def recalls(self, segment: Segment) -> tuple[np.ndarray, np.ndarray]:
        """Recall of the 10 nearest and seconds, for each query."""
        recall_Q, seconds_Q = np.ones(len(self.number_Q)), np.zeros(len(self.number_Q))
        for q, number in enumerate(self.number_Q):
            query_D = np.asarray(segment.vectors[number])
            start = time.perf_counter()
            found, similarity = segment.search(query_D, K + 1, among=self.among)
            seconds_Q[q] = time.perf_counter() - start
            truth = self.truth_QK[q, :K]
            truth = truth[truth >= 0]
            if len(truth):
                # Others that are as near are as good: of copies of one sound, any is found.
                least = similarities(segment.vectors, truth, query_D).min()
                recall_Q[q] = (similarity[found != number][: len(truth)] >= least).sum() / len(truth)
            if q % LOOKED_AT == LOOKED_AT - 1:
                let_go(segment.vectors)
        return recall_Q, seconds_Q

    def stated(self, segment: Segment) -> dict[str, float]:
        """Mean recall, its standard deviation over the queries, and the time per query."""
        recall_Q, seconds_Q = self.recalls(segment)
        return {
            "recall": round(float(recall_Q.mean()), 4),
            "recall_std": round(float(recall_Q.std()), 4),
            "milliseconds": round(float(np.median(seconds_Q)) * 1e3, 3),
        }

    def latency(self, segment: Segment) -> dict[str, float]:
        """Time per query."""
        return {"milliseconds": self.stated(segment)["milliseconds"]} if len(self.number_Q) else {}


def _chosen(segment: Segment, asked: _Asked, wanted: float) -> Plan:
    """The least effort that reaches the required recall, or the greatest."""
    depths = [k for k in DEPTHS if k <= len(segment) - 1]
    if segment.bounds is None:
        return _graph(segment, asked, wanted, depths)
    index, truth_QK = segment.faiss, asked.truth_QK[:, : depths[-1]]
    _, order_QC = index.quantizer.search(np.ascontiguousarray(segment.vectors[asked.number_Q]), index.nlist)
    rank_QC = np.empty_like(order_QC)
    np.put_along_axis(rank_QC, order_QC, np.arange(index.nlist)[None], axis=1)
    cell_QK = np.searchsorted(segment.bounds, truth_QK, side="right") - 1
    rank_QK = np.take_along_axis(rank_QC, cell_QK, axis=1)
    plan = Plan()
    for share in CELLS_SHARE:
        held = wanted + (1 - wanted) * (1 - share)
        measured = tuple((k, _enough(rank_QK[:, :k], held)) for k in depths)
        before = 0.0
        for refine in REFINE:
            plan = Plan(measured, refine)
            found = float(asked.recalls(replace(segment, plan=plan))[0].mean())
            let_go(segment.vectors)
            if found >= wanted:
                return plan
            if found - before < GAIN:
                # The missing neighbours are in other cells.
                break
            before = found
    return plan


def _enough(rank_QK: np.ndarray, share: float) -> int:
    """The fewest cells that contain the required share of neighbours, by the ranks of their cells."""
    return int(np.sort(rank_QK, axis=None)[int(np.ceil(share * rank_QK.size)) - 1]) + 1


def _graph(segment: Segment, asked: _Asked, wanted: float, depths: list[int]) -> Plan:
    """Candidates of a graph: the same multiple of every depth."""
    plan = Plan()
    for effort in EFFORTS:
        plan = Plan(tuple((k, max(effort, k * effort // K // 4)) for k in depths), 4)
        if asked.recalls(replace(segment, plan=plan))[0].mean() >= wanted:
            break
    return plan


def _filtered(segment: Segment, number_Q: np.ndarray, seed: int) -> Any:
    """Recall under random filters of some shares."""
    rng = np.random.default_rng(seed)
    for share in SHARES:
        m = int(len(segment) * share)
        if m < K:
            continue
        among = Allowed(np.sort(rng.choice(len(segment), m, replace=False)))
        yield {"share": share, **_Asked.nearest(segment, number_Q, K, among).stated(segment)}
        let_go(segment.vectors)
