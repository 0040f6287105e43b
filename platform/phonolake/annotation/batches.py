"""The journal of a rater on object storage, where appending is impossible: an object for each batch of answers.

    LAKE/annotations/RATER/000000017.jsonl

Batches are numbered and only one writer can create each, so that they are read in the order of the answers.
Concatenated, they equal a journal in a folder: lines that are never moved.
"""

from collections.abc import Callable, Iterator

from phonolake.store.objects import TakenError
from phonolake.store.place import Place

# Windows of one rater that answer at once; each round one of them succeeds.
MOST = 100


def read(place: Place, folder: str) -> tuple[bytes, int]:
    """All lines of a journal, and the number of its last batch."""
    names = [entry.name for entry in place.list(folder)]
    return b"".join(place.read(name) for name in names), _number(names[-1]) if names else 0


def append(place: Place, folder: str, data: bytes, *, after: int | None = None) -> bool:
    """Add a batch of whole lines after the last one.

    Parameters
    ----------
    after : int, optional
        Only after the batch of this number; False if there is another one by now.

    Raises
    ------
    TakenError
        When other writers are faster again and again.
    """
    for n in range(1, MOST + 1):
        last = after if after is not None else max((_number(entry.name) for entry in place.list(folder)), default=0)
        name = f"{folder}{last + 1:09d}.jsonl"
        try:
            place.put(name, data, create=True)
            return True
        except TakenError:
            # The response to a first try may have been lost.
            if place.read(name) == data:
                return True
            if after is not None:
                return False
            if n == MOST:
                raise
    raise AssertionError("the last attempt raises")


def wipe(place: Place, folder: str, about: Callable[[bytes], Iterator[tuple[int, int]]]) -> int:
    """Overwrite lines with spaces in place; `about` gives their starts and lengths. Returns their number."""
    wiped = 0
    for entry in place.list(folder):
        while True:
            data, tag = place.read_tagged(entry.name)
            spans = list(about(data))
            for start, length in spans:
                data = data[:start] + b" " * length + data[start + length :]
            try:
                if spans:
                    place.put(entry.name, data, match=tag)
            except TakenError:
                continue  # somebody else wipes
            wiped += len(spans)
            break
    return wiped


def _number(name: str) -> int:
    return int(name.rpartition("/")[2].partition(".")[0])
