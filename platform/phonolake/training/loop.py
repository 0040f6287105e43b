"""The training loop: gradient steps over batches, validation after each epoch, the best weights in the end.

It knows nothing of where batches come from; callers hand over functions that yield numpy arrays.

Shape suffixes: B batch, K classes.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from phonolake.errors import PhonolakeError, UsageError, unknown
from phonolake.models.devices import find_device

Batch = tuple[np.ndarray, np.ndarray]

OPTIMIZERS = {"adam": torch.optim.Adam}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    Parameters
    ----------
    optimizer : str
        ``"adam"`` (Kingma and Ba, 2015).
    lr : float
        Learning rate at the start, > 0.
    weight_decay : float
        L2 penalty, >= 0.
    max_epochs : int
        Epochs at most, >= 1.
    patience : int
        Stop after this many epochs without a lower validation loss, >= 1.
    batch_size : int
        Examples per batch, >= 1; for those who make the batches, the loop takes them as they come.
    lr_factor : float
        Multiply the learning rate by this, in (0, 1), ...
    lr_patience : int
        ... after more than this many epochs, >= 0, without a lower validation loss.

    Raises
    ------
    UsageError
        If a value is out of its range, or there is no such optimizer.
    """

    optimizer: str = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    max_epochs: int = 40
    patience: int = 8
    batch_size: int = 16
    lr_factor: float = 0.5
    lr_patience: int = 3

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise unknown("optimizer", self.optimizer, OPTIMIZERS)
        allowed = {
            "lr": 0 < self.lr < math.inf,
            "weight_decay": 0 <= self.weight_decay < math.inf,
            "max_epochs": self.max_epochs >= 1,
            "patience": self.patience >= 1,
            "batch_size": self.batch_size >= 1,
            "lr_factor": 0 < self.lr_factor < 1,
            "lr_patience": self.lr_patience >= 0,
        }
        for name, is_allowed in allowed.items():
            if not is_allowed:
                raise UsageError(f"recipe: {name}={getattr(self, name)} is out of range.")


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One point of the learning curve.

    Parameters
    ----------
    epoch : int
        Counted from 1.
    train_loss : float
        Mean over the epoch's examples in nats, each taken just before the step that learned from it.
    valid_loss : float or None
        Mean over the validation examples after the epoch, in nats; None without validation data.
    valid_accuracy : float or None
        Share of validation examples whose highest logit is the right one; for multi-hot labels the share of
        (example, class) pairs that are on the right side of probability 0.5. In [0, 1].
    lr : float
        Learning rate during the epoch.
    """

    epoch: int
    train_loss: float
    valid_loss: float | None
    valid_accuracy: float | None
    lr: float


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What came of it: the learning curve, and the epoch (from 1) whose weights the model has now."""

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
    device: str = "cpu",
) -> TrainingResult:
    """Train a model in place.

    With validation data, training stops early and the weights of the epoch with the lowest validation loss are put
    back. Without, it runs to `max_epochs` at a constant learning rate and the last weights count.

    Parameters
    ----------
    model : nn.Module
        Gives logits_BK. It is left on `device` and in evaluation mode.
    batches_for_epoch : callable
        From the epoch, counted from 1, to its batches (x, y): x of float32 as the model reads it, y either of class
        numbers (B,), for softmax cross-entropy, or multi-hot (B, K) in [0, 1], for binary cross-entropy.
    valid : callable or None
        Gives the validation batches, each time it is called.
    recipe : Recipe
        How to train.
    on_epoch : callable, optional
        Called after each epoch.
    seed : int
        Decides what the model draws, such as dropout. PyTorch's random state is left as it was. On a CPU, the same
        weights, batches, seed and number of threads give the same result to the bit.
    device : str
        Such as ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    UsageError
        If an epoch has no batches, labels do not fit the logits, or there is no such device.
    PhonolakeError
        If the loss becomes infinite or not a number.
    """
    target = find_device(device)
    model.to(target)
    with _seeded(seed, target):
        return _fit(model, batches_for_epoch, valid, recipe, on_epoch, target)


def _fit(
    model: nn.Module,
    batches_for_epoch: Callable[[int], Iterable[Batch]],
    valid: Callable[[], Iterable[Batch]] | None,
    recipe: Recipe,
    on_epoch: Callable[[EpochReport], None] | None,
    device: torch.device,
) -> TrainingResult:
    optimizer = OPTIMIZERS[recipe.optimizer](model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=recipe.lr_factor, patience=recipe.lr_patience, threshold=0.0
    )
    best = _Best()
    curve: list[EpochReport] = []
    for epoch in range(1, recipe.max_epochs + 1):
        lr = optimizer.param_groups[0]["lr"]
        train_loss = _train(model, batches_for_epoch(epoch), optimizer, epoch, device)
        loss, accuracy = (None, None) if valid is None else _validate(model, valid(), epoch, device)
        curve.append(EpochReport(epoch, train_loss, loss, accuracy, lr))
        if on_epoch is not None:
            on_epoch(curve[-1])
        if loss is not None:
            best.consider(loss, epoch, model)
            if epoch - best.epoch >= recipe.patience:
                break
            plateau.step(loss)
    best.restore(model)
    model.eval()
    return TrainingResult(tuple(curve), best_epoch=best.epoch or len(curve))


class _Best:
    """The weights of the epoch with the lowest validation loss so far."""

    def __init__(self) -> None:
        self.loss = math.inf
        self.epoch = 0
        self.weights: dict[str, Tensor] | None = None

    def consider(self, loss: float, epoch: int, model: nn.Module) -> None:
        if loss < self.loss:
            self.loss, self.epoch = loss, epoch
            self.weights = {name: value.detach().clone() for name, value in model.state_dict().items()}

    def restore(self, model: nn.Module) -> None:
        if self.weights is not None:
            model.load_state_dict(self.weights)


def _train(
    model: nn.Module, batches: Iterable[Batch], optimizer: torch.optim.Optimizer, epoch: int, device: torch.device
) -> float:
    model.train()
    total, n_examples = 0.0, 0
    for x, y in batches:
        optimizer.zero_grad()
        logits_BK = model(_tensor(x, np.float32, device))
        loss = _loss(logits_BK, y, device)
        total += len(y) * _finite(loss, f"training loss in epoch {epoch}")
        n_examples += len(y)
        loss.backward()
        optimizer.step()
    if n_examples == 0:
        raise UsageError(f"epoch {epoch} has no training examples; check the split and its labels.")
    return total / n_examples


@torch.no_grad()
def _validate(model: nn.Module, batches: Iterable[Batch], epoch: int, device: torch.device) -> tuple[float, float]:
    model.eval()
    total, right, n_examples = 0.0, 0.0, 0
    for x, y in batches:
        logits_BK = model(_tensor(x, np.float32, device))
        total += len(y) * _finite(_loss(logits_BK, y, device), f"validation loss in epoch {epoch}")
        right += len(y) * _accuracy(logits_BK.cpu().numpy(), y)
        n_examples += len(y)
    if n_examples == 0:
        raise UsageError("there are no validation examples; pass valid=None to train without.")
    return total / n_examples, right / n_examples


def _loss(logits_BK: Tensor, y: np.ndarray, device: torch.device) -> Tensor:
    n_examples, n_classes = logits_BK.shape
    if y.shape == (n_examples,) and y.dtype.kind in "iu":
        if y.min() < 0 or y.max() >= n_classes:
            raise UsageError(f"class numbers {y.min()} to {y.max()} do not fit {n_classes} logits.")
        return nn.functional.cross_entropy(logits_BK, _tensor(y, np.int64, device))
    if y.shape == (n_examples, n_classes):
        return nn.functional.binary_cross_entropy_with_logits(logits_BK, _tensor(y, np.float32, device))
    raise UsageError(
        f"labels of shape {y.shape} and type {y.dtype} do not fit logits of shape {(n_examples, n_classes)}; expected "
        f"integer class numbers ({n_examples},) or multi-hot ({n_examples}, {n_classes})."
    )


def _accuracy(logits_BK: np.ndarray, y: np.ndarray) -> float:
    right = logits_BK.argmax(axis=1) == y if y.ndim == 1 else (logits_BK > 0) == (y > 0.5)
    return float(right.mean())


def _finite(loss: Tensor, what: str) -> float:
    value = loss.item()
    if not math.isfinite(value):
        raise PhonolakeError(
            f"the {what} is {value}. Look for NaN or infinite values in the input; if there are none, lower the "
            f"learning rate."
        )
    return value


def _tensor(array: np.ndarray, dtype: type, device: torch.device) -> Tensor:
    # PyTorch shares memory with the array, which therefore must be writable; Arrow's arrays are not.
    return torch.from_numpy(np.require(array, dtype, ["C", "W"])).to(device)


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    on_cuda = device.type == "cuda"
    gpus = [torch.cuda.current_device() if device.index is None else device.index] if on_cuda else []
    with torch.random.fork_rng(devices=gpus):
        torch.default_generator.manual_seed(seed)
        for gpu in gpus:
            torch.cuda.default_generators[gpu].manual_seed(seed)
        yield
