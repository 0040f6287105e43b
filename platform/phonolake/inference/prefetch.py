"""Prepare the next batches while the network is busy with this one."""

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, Full, Queue
from typing import Any, TypeVar

Item = TypeVar("Item")
Ready = TypeVar("Ready")

# Maximum number of prepared batches.
DEPTH = 3
# How often a waiting thread looks whether it is still needed.
GLANCE_SECONDS = 0.1


def prefetched(items: Iterable[Item], prepare: Callable[[Item], Ready]) -> Iterator[Ready]:
    """Prepare `items` in a thread and yield them in order.

    Errors of the thread are raised here, at their item. A caller that stops early stops the thread.
    """
    queue: Queue[tuple[Any, BaseException | None]] = Queue(DEPTH)
    stopped = threading.Event()
    thread = threading.Thread(target=_fill, args=(items, prepare, queue, stopped), daemon=True)
    thread.start()
    try:
        while True:
            item, error = queue.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stopped.set()
        while thread.is_alive():
            _drop_one(queue)
            thread.join(GLANCE_SECONDS)


_END = object()


def _fill(items: Iterable[Any], prepare: Callable[[Any], Any], queue: Queue, stopped: threading.Event) -> None:
    try:
        for item in items:
            if not _put(queue, (prepare(item), None), stopped):
                return
        _put(queue, (_END, None), stopped)
    except BaseException as error:  # passed to the waiting thread
        _put(queue, (None, error), stopped)


def _put(queue: Queue, entry: tuple[Any, BaseException | None], stopped: threading.Event) -> bool:
    """Wait for a free place; False if the caller has stopped."""
    while not stopped.is_set():
        try:
            queue.put(entry, timeout=GLANCE_SECONDS)
        except Full:
            continue
        return True
    return False


def _drop_one(queue: Queue) -> None:
    try:
        queue.get_nowait()
    except Empty:
        return
