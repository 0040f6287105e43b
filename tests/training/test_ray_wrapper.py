"""Several workers that train together: the same loss as one, and what happens when one of them goes.

What runs on workers is defined inside functions: it travels by value, since a worker cannot import a test module.
"""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phonolake.errors import PhonolakeError
from phonolake.training import ray_wrapper

pytestmark = [pytest.mark.usefixtures("ray_session"), pytest.mark.timeout(300)]


def write_spectrograms(path: Path, n_tracks: int) -> dict[str, int]:
    rng = np.random.default_rng(0)
    rows = []
    for n in range(n_tracks):
        values = rng.normal(n % 3, 1, (4, 8)).astype("<f2")
        rows.append({"track_id": f"t{n:03d}", "n_bands": 4, "n_frames": 8, "data": values.tobytes()})
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=7)
    return {row["track_id"]: n % 3 for n, row in enumerate(rows)}


def training(folder: Path, name: str, *, kill_in_epoch: int = 0) -> Callable[[], None]:
    """Work that trains a linear network and writes its curve; the second worker may be killed once, in an epoch."""
    shard = folder / "spectrograms.parquet"
    targets = write_spectrograms(shard, 50)

    def work() -> None:
        import torch
        from torch import nn

        from phonolake.inference.series_inputs import StoredSpectrogram
        from phonolake.training import group
        from phonolake.training.batches import TrackBatches
        from phonolake.training.checkpoint import Checkpoint
        from phonolake.training.loop import Recipe, fit

        def batches_for_epoch(epoch: int):
            marker = folder / f"{name}.killed"
            if epoch == kill_in_epoch and group.rank() == 1 and not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return source.training(epoch)

        source = TrackBatches([shard], targets, kind=StoredSpectrogram("mel-96-12k"), n_steps=5, batch_size=9, seed=0)
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(20, 3))
        result = fit(
            model,
            batches_for_epoch,
            source.validation,
            recipe=Recipe(lr=0.05, max_epochs=4),
            checkpoint=Checkpoint(folder / name / "checkpoint.pt"),
        )
        if group.rank() == 0:
            curve = [(p.train_loss, p.valid_loss, p.valid["accuracy"]) for p in result.curve]
            (folder / f"{name}.json").write_text(json.dumps([group.size(), curve]))

    return work


def trained(folder: Path, name: str, workers: int, **more: int) -> list[list[float]]:
    ray_wrapper.together(training(folder, name, **more), workers=workers, cpus=1, gpu=False, storage=folder / "ray")
    size, curve = json.loads((folder / f"{name}.json").read_text())
    assert size == workers
    assert not list((folder / "ray").glob("*")), "what Ray Train keeps goes with it"
    return curve


@pytest.mark.slow
def test_two_workers_learn_what_one_learns(tmp_path: Path) -> None:
    one, two = (trained(tmp_path, str(workers), workers) for workers in (1, 2))
    assert len(one) == 4
    np.testing.assert_allclose(two, one, rtol=1e-5)
    assert one[-1][0] < one[0][0]


@pytest.mark.slow
def test_the_loss_of_a_worker_changes_nothing(tmp_path: Path) -> None:
    training(tmp_path, "alone")()
    _, alone = json.loads((tmp_path / "alone.json").read_text())
    two = trained(tmp_path, "two", 2, kill_in_epoch=3)
    assert (tmp_path / "two.killed").exists()
    np.testing.assert_allclose(two, alone, rtol=1e-5)


@pytest.mark.slow
def test_what_the_work_raises_is_final(tmp_path: Path) -> None:
    def work() -> None:
        from torch import distributed

        with open(tmp_path / f"rank{distributed.get_rank()}", "a", encoding="utf-8") as attempts:
            attempts.write("x")
        if distributed.get_rank() == 1:
            raise PhonolakeError("the loss is nan")
        distributed.barrier()

    with pytest.raises(PhonolakeError, match=r"^the loss is nan$"):
        ray_wrapper.together(work, workers=2, cpus=1, gpu=False, storage=tmp_path / "ray")
    assert (tmp_path / "rank1").read_text() == "x"


@pytest.mark.slow
def test_training_does_without_the_actor_that_holds_what_was_raised(tmp_path: Path) -> None:
    """As when its node is lost: the workers kill it, and learn all the same."""

    def work() -> None:
        import gc

        import ray
        from torch import distributed

        if distributed.get_rank() == 0:
            boards = [o for o in gc.get_objects() if isinstance(o, ray.actor.ActorHandle) and "_Board" in repr(o)]
            for board in boards:
                ray.kill(board)
            (tmp_path / "killed").write_text(str(len(boards)))
        distributed.barrier()

    ray_wrapper.together(work, workers=2, cpus=1, gpu=False, storage=tmp_path / "ray")
    assert int((tmp_path / "killed").read_text()) > 0
