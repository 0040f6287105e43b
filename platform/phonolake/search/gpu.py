"""What FAISS compares, on a GPU: for searchers that stay open, where faiss-gpu is installed and finds one.

A flat segment has its vectors there, an inverted file its centres and codes. Candidates are reranked by the stored
vectors as without a GPU. Most filtered searches stay with the processor, which compares only the allowed vectors.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from phonolake.errors import whole_reason
from phonolake.progress import say
from phonolake.search.library import load_faiss
from phonolake.search.segment import Segment
from phonolake.search.vectors import in_order


def placed(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """The segments, on the first GPU if there is one; those that FAISS cannot put there stay as they are.

    They share memory for intermediate results, so only one may be searched at a time.
    """
    faiss = load_faiss()
    if not faiss.get_num_gpus():
        return tuple(segments)
    resources = faiss.StandardGpuResources()
    return tuple(_placed(faiss, resources, segment) for segment in segments)


def _placed(faiss: Any, resources: Any, segment: Segment) -> Segment:
    if not isinstance(segment.vectors, np.ndarray):
        # Of an index of an earlier format.
        return segment
    try:
        return replace(segment, device=_index(faiss, resources, segment))
    except RuntimeError as error:
        # FAISS knows no such kind on a GPU, or memory is short.
        say(f"{len(segment):,} vectors ({segment.kind}) are searched without the GPU ({whole_reason(error)}).")
        return segment


def _index(faiss: Any, resources: Any, segment: Segment) -> Any:
    if not segment.exact:
        return faiss.index_cpu_to_gpu(resources, 0, segment.faiss)
    index = faiss.GpuIndexFlatIP(resources, segment.vectors.shape[1])
    for _, x_BD in in_order(segment.vectors):
        index.add(x_BD)
    return index
