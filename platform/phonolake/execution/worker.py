"""The worker's side: one call with as many threads as it has cores, and a count of steps."""

import os
import sys
from collections.abc import Callable
from typing import TypeVar

Payload = TypeVar("Payload")
Result = TypeVar("Result")

# Called for every step of the work in this process, if progress is watched.
_on_step: Callable[[int], None] | None = None


def tick(n: int = 1) -> None:
    """Report `n` more steps; for work functions, and without effect if progress is not watched."""
    if _on_step is not None:
        _on_step(n)


def call(
    function: Callable[[Payload], Result], payload: Payload, on_step: Callable[[int], None] | None = None
) -> Result:
    """Run `function`; its calls of `tick` go to `on_step`."""
    global _on_step
    _on_step = on_step
    take_threads()
    return function(payload)


def take_threads() -> None:
    """Give libraries as many threads as OMP_NUM_THREADS says, because the last bits of sums depend on it.

    They read the variable once, on import, which may have been for other work.
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
