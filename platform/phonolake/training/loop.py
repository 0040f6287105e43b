"""The training loop: gradient steps over batches, validation after each epoch, the best weights at the end.

It does not know where batches come from; callers pass functions that yield numpy arrays. If several workers train
together (see `phonolake.training.group`), each gets its own share of every batch.

Shape suffixes: B batch, N examples, K classes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from phonolake.errors import PhonolakeError, UsageError
from phonolake.inference.transforms import Transforms
from phonolake.models.devices import find_device
from phonolake.training import group
from phonolake.training.augmentation import BatchAugmentation
from phonolake.training.checkpoint import Checkpoint
from phonolake.training.recipe import Hardware, Recipe
from phonolake.training.schedule import Schedule
from phonolake.training.steps import Batch, Trainer

__all__ = ["Batch", "EpochReport", "Hardware", "Recipe", "TrainingResult", "fit"]


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One point of the learning curve.

    Parameters
    ----------
    epoch : int
        Counted from 1.
    train_loss : float
        Mean over the epoch's examples in nats, each computed just before the gradient step on it.
    valid_loss : float or None
        Mean over the validation windows after the epoch, in nats; None without validation data.
    valid : mapping
        Validation figures by name: for one label per track accuracy, macro-f1, roc-auc and pr-auc, for many the last
        two (macro means). The prediction for a track is the mean probability over its windows.
    lr : float
        Learning rate at the start of the epoch.
    """

    epoch: int
    train_loss: float
    valid_loss: float | None
    valid: Mapping[str, float]
    lr: float


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The learning curve, and the epoch (from 1) whose weights the model has now."""

    curve: tuple[EpochReport, ...]
    best_epoch: int


def fit(
    model: nn.Module,
    batches_for_epoch: Callable[[int], Iterable[Batch]],
    valid: Callable[[], Iterable[Batch]] | None,
    *,
    recipe: Recipe,
    on_epoch: Callable[[EpochReport], None] | None = None,
    seed: int = 0,
    hardware: Hardware | None = None,
    class_weights: np.ndarray | None = None,
    checkpoint: Checkpoint | None = None,
    transforms: Transforms | None = None,
    augmentation: BatchAugmentation | None = None,
) -> TrainingResult:
    """Train a model in place.

    With validation data, training stops early and the weights of the best epoch are restored. Without, it runs to
    `max_epochs` at a constant learning rate and keeps the last weights.

    Parameters
    ----------
    model : nn.Module
        Gives logits_BK. It is left on the device and in evaluation mode.
    batches_for_epoch : callable
        From the epoch, counted from 1, to its batches (x, y): x as the model reads it, cast to float32, y either of
        class numbers (B,), or multi-hot (B, K) in [0, 1].
    valid : callable or None
        Gives the validation batches, each time it is called: `recipe.crops_per_track` windows of a track in turn.
    recipe : Recipe
        How to train.
    on_epoch : callable, optional
        Called after each epoch, and at the start for the epochs of a checkpoint.
    seed : int
        Decides random draws of the model, such as dropout: each epoch starts with a random state of its own. PyTorch's
        random state is left as it was. On a CPU, the same weights, batches, seed and number of threads give a
        bit-identical result, whether or not the training was interrupted.
    hardware : Hardware, optional
        What to train on; the CPU by default.
    class_weights : ndarray, optional
        See `phonolake.training.losses.balanced`.
    checkpoint : Checkpoint, optional
        Written after each epoch by the first worker; training continues from its content.
    transforms : Transforms, optional
        Applied to x on the device before the model reads it.
    augmentation : BatchAugmentation, optional
        Applied to training batches after that.

    Raises
    ------
    UsageError
        If an epoch has no batches, labels do not fit the logits, there is no such device, or the recipe needs
        validation data and there are none.
    PhonolakeError
        If the loss becomes infinite or not a number, or the checkpoint belongs to another model.
    """
    if valid is None and recipe.schedule == "staged":
        raise UsageError("recipe: stages end by validation, but there are no validation examples.")
    hardware = hardware or Hardware()
    device = find_device(hardware.device)
    with _random_state(device):
        trainer = Trainer(model, recipe, hardware, device, class_weights, transforms, augmentation)
        training = _Training(trainer, recipe, checkpoint)
        for report in training.curve:
            if on_epoch is not None:
                on_epoch(report)
        while not training.over:
            training.one_epoch(batches_for_epoch, valid, seed)
            if on_epoch is not None:
                on_epoch(training.curve[-1])
        training.put_best_back()
    model.eval()
    return TrainingResult(tuple(training.curve), best_epoch=training.schedule.best_epoch or len(training.curve))


class _Training:
    """A training between two epochs."""

    def __init__(self, trainer: Trainer, recipe: Recipe, checkpoint: Checkpoint | None) -> None:
        self.trainer = trainer
        self.recipe = recipe
        self.checkpoint = checkpoint
        self.schedule = Schedule(recipe.lr)
        self.curve: list[EpochReport] = []
        self.best: dict[str, Tensor] | None = None
        self.over = False
        state = checkpoint.load() if checkpoint else None
        if state is not None:
            self._restore(state)

    def one_epoch(
        self,
        batches_for_epoch: Callable[[int], Iterable[Batch]],
        valid: Callable[[], Iterable[Batch]] | None,
        seed: int,
    ) -> None:
        epoch, lr = len(self.curve) + 1, self.schedule.lr
        _seed_epoch(seed, epoch)
        train_loss = self.trainer.train(batches_for_epoch(epoch), epoch, lr)
        loss, figures = (None, {}) if valid is None else self.trainer.validate(valid(), epoch)
        self.curve.append(EpochReport(epoch, train_loss, loss, figures, lr))
        self.over = epoch == self.recipe.max_epochs
        if loss is not None:
            self._judge(epoch, loss, figures)
        if self.checkpoint is not None and group.rank() == 0:
            self.checkpoint.save(self._state())

    def _judge(self, epoch: int, loss: float, figures: Mapping[str, float]) -> None:
        figure = loss if self.recipe.monitor == "loss" else figures[self.recipe.monitor]
        verdict = self.schedule.after(epoch, loss, figure, self.recipe)
        if self.schedule.best_epoch == epoch:
            self.best = self.trainer.weights()
        if verdict == "restart":
            self.put_best_back()
            self.trainer.begin_again()
        self.over = self.over or verdict == "stop"

    def put_best_back(self) -> None:
        if self.best is not None:
            self.trainer.model.load_state_dict(self.best)

    def _state(self) -> dict[str, Any]:
        return {
            "course": self.schedule.state(),
            "curve": [asdict(report) for report in self.curve],
            "best": self.best,
            "over": self.over,
            "trainer": self.trainer.state(),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        try:
            self.schedule = Schedule.of(state["course"])
            self.curve = [EpochReport(**report) for report in state["curve"]]
            self.best, self.over = state["best"], state["over"]
            self.trainer.restore(state["trainer"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            assert self.checkpoint is not None
            raise PhonolakeError(
                f"the checkpoint {self.checkpoint.path} belongs to another model ({error}): delete it to start again"
            ) from error


def _seed_epoch(seed: int, epoch: int) -> None:
    drawn = np.random.SeedSequence([seed, epoch, group.rank()]).generate_state(1, np.uint64)[0]
    torch.manual_seed(int(drawn >> np.uint64(1)))


@contextmanager
def _random_state(device: torch.device) -> Iterator[None]:
    """Leave PyTorch's random state as it was."""
    on_cuda = device.type == "cuda"
    gpus = [torch.cuda.current_device() if device.index is None else device.index] if on_cuda else []
    with torch.random.fork_rng(devices=gpus):
        yield
