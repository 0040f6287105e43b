"""What runs where work is done: one call with as many threads as it has cores, and steps that are counted."""

import os
import sys
from collections.abc import Callable
from typing import TypeVar

Payload = TypeVar("Payload")
Result = TypeVar("Result")

# Told of every step of the work that this process does, where somebody watches.
_on_step: Callable[[int], None] | None = None


def tick(n: int = 1) -> None:
    """Say that `n` more steps are done; for work functions, and without effect where nobody watches."""
    if _on_step is not None:
        _on_step(n)


def call(
    function: Callable[[Payload], Result], payload: Payload, on_step: Callable[[int], None] | None = None
) -> Result:
    """Run `function`, where `tick` then tells `on_step`."""
    global _on_step
    _on_step = on_step
    take_threads()
    return function(payload)


def take_threads() -> None:
    """Let libraries have as many threads as OMP_NUM_THREADS says: the last bits of sums depend on it.

    They read it once, when they are imported, which may have been for other work.
    """
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if not threads.isdigit():
        return
    if "numpy" in sys.modules:
        from threadpoolctl import threadpool_limits

        threadpool_limits(int(threads))
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(int(threads))
