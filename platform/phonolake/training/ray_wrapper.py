"""Several workers that train one model together, started, watched and restarted by Ray Train.

Separate from the loop, which needs no Ray: this module joins the workers in PyTorch's process group, which the loop
uses. The state of the training is in the loop's own checkpoint, so that a group that lost a worker continues from the
last finished epoch.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from phonolake.errors import PhonolakeError, whole_reason

# Restarts of a lost group before giving up.
RESTARTS = 2
# How often Ray Train checks the workers; its default of two seconds would delay a short training.
GLANCE_SECONDS = 0.5


def together(work: Callable[[], None], *, workers: int, cpus: int, gpu: bool, storage: Path) -> None:
    """Run `work` in `workers` processes that are joined in a process group.

    Parameters
    ----------
    work : callable
        The same for all; it gets its rank from `phonolake.training.group`.
    cpus : int
        Cores for each worker.
    gpu : bool
        Whether each gets a GPU.
    storage : Path
        Folder for Ray Train's files while it runs; all nodes must see it.

    Raises
    ------
    PhonolakeError
        The error of `work`, or the loss of a worker more than two times.
    """
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", str(GLANCE_SECONDS))
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.train.v2.api.exceptions import TrainingFailedError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # On the driver's node, because the driver is lost with it in any case.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    board: Any = ray.remote(_Board).options(num_cpus=0, scheduling_strategy=here).remote()
    folder = storage / f"ray-{uuid4().hex[:8]}"
    trainer = TorchTrainer(
        _take_part,
        train_loop_config={"work": work, "board": board},
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu, resources_per_worker=_resources(cpus, gpu)),
        # A new name each time: there is no state of Ray to resume, only the loop's checkpoint.
        run_config=RunConfig(
            name="group", storage_path=str(folder), failure_config=FailureConfig(max_failures=RESTARTS)
        ),
    )
    try:
        trainer.fit()
    except TrainingFailedError as error:
        raise PhonolakeError(
            f"the group of {workers} workers was lost {RESTARTS + 1} times ({whole_reason(error)}): "
            "run the same command again"
        ) from error
    except ray.exceptions.RayError as error:  # the controller of the group was lost itself
        raise PhonolakeError(
            f"what watched over the {workers} workers was lost ({whole_reason(error)}): the same command goes on from "
            "the last finished epoch"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if (raised := _pinned(board)) is not None:
        raise raised


def _resources(cpus: int, gpu: bool) -> dict[str, float]:
    return {"CPU": cpus, "GPU": 1} if gpu else {"CPU": cpus}


class _Board:
    """Where a worker pins what its work raised: that is final, while the loss of a worker is not."""

    def __init__(self) -> None:
        self._raised: Exception | None = None

    def pin(self, error: Exception) -> None:
        self._raised = self._raised or error

    def read(self) -> Exception | None:
        return self._raised


def _pinned(board: Any) -> Exception | None:
    """What is on the board; nothing on one that is gone, without which the training does as well."""
    import ray

    try:
        found: Exception | None = ray.get(board.read.remote())
    except ray.exceptions.RayError:
        return None
    return found


def _take_part(config: dict[str, Any]) -> None:
    """What each worker runs."""
    import ray
    from torch import distributed

    board = config["board"]
    try:
        config["work"]()
    except Exception as error:
        # PyTorch says RuntimeError when another worker has gone; why it went is on the board, or it was killed.
        if type(error) is not RuntimeError and not isinstance(error, distributed.DistError):
            with suppress(ray.exceptions.RayError):
                ray.get(board.pin.remote(error))
        if _pinned(board) is None:
            raise
        # Those that wait for this worker learn that it is gone.
        distributed.destroy_process_group()
