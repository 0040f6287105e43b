"""Partitions as actors on Ray. One that is lost is restarted, and asked again."""

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from phonolake import execution
from phonolake.errors import PhonolakeError
from phonolake.lookup.partitions import Filter, Found, Partition, SegmentQuestion
from phonolake.store.place import Place


class PartitionActor:
    """A process that searches."""

    def __init__(self, place: Place) -> None:
        self._partition = Partition(place)

    def find(self, question: SegmentQuestion, names: list[str], *among: Filter) -> list[Found]:
        """As `Partition.find`; Ray resolves references only among the arguments themselves."""
        return self._partition.find(question, names, among)


class RayPartitions:
    """Actors with a core each, which end with this process.

    Parameters
    ----------
    place : Place
        Where the lake lies.
    n : int
        How many.
    gpus : float
        The part of a GPU that each has.
    """

    def __init__(self, place: Place, n: int, gpus: float = 0) -> None:
        import ray

        actor: Any = ray.remote(PartitionActor).options(
            num_cpus=1, num_gpus=gpus, max_restarts=-1, max_task_retries=execution.CRASHES
        )
        self._actors = [actor.remote(place) for _ in range(n)]
        # A filter is sent once, and read where it lies.
        self._sent: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self._actors)

    def ask(
        self, question: SegmentQuestion, names: Sequence[list[str]], among: Sequence[list[Filter]]
    ) -> Callable[[], Sequence[list[Found]]]:
        """As `phonolake.lookup.partitions.Partitions.ask`.

        Raises
        ------
        PhonolakeError
            By the result: when a partition cannot open a segment, or is lost again and again.
        """
        waiting = [
            actor.find.remote(question, own, *map(self._send, allowed))
            for actor, own, allowed in zip(self._actors, names, among, strict=False)
        ]
        return lambda: _answers(waiting)

    def _send(self, allowed: Filter) -> Any:
        import ray

        if allowed is None:
            return None
        if allowed not in self._sent:
            self._sent[allowed] = ray.put(allowed)
        return self._sent[allowed]


def _answers(waiting: list[Any]) -> list[list[Found]]:
    import ray

    try:
        return list(ray.get(waiting))
    except ray.exceptions.RayTaskError as error:
        raise error.cause if isinstance(error.cause, Exception) else PhonolakeError(str(error)) from error
    except ray.exceptions.RayError as error:
        raise PhonolakeError(f"a partition was lost {execution.CRASHES + 1} times: try again") from error
