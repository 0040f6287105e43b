"""Gradient steps and validation of one epoch: a model on its device, its optimizer, and its figures.

Shape suffixes: B batch, N tracks, W windows of a track, K classes.
"""

import math
from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from phonolake.errors import PhonolakeError, UsageError
from phonolake.inference.prefetch import prefetched
from phonolake.inference.transforms import Transforms
from phonolake.metrics import classification
from phonolake.training import group, losses
from phonolake.training.augmentation import BatchAugmentation
from phonolake.training.recipe import Hardware, Recipe

Batch = tuple[np.ndarray, np.ndarray]
Ready = tuple[Tensor, np.ndarray]

# Steps between two reads of the losses on a GPU, each of which waits for it.
GLANCE_STEPS = 20


class Trainer:
    """A model in training.

    Parameters
    ----------
    model : nn.Module
        Moved to the device.
    recipe : Recipe
    hardware : Hardware
    device : torch.device
    class_weights : ndarray or None
        Weights_K.
    transforms : Transforms, optional
        Applied to batches on the device, before the model.
    augmentation : BatchAugmentation, optional
        Applied to training batches after that.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        hardware: Hardware,
        device: torch.device,
        class_weights: np.ndarray | None,
        transforms: Transforms | None = None,
        augmentation: BatchAugmentation | None = None,
    ) -> None:
        self.model = model.to(device)
        self.transforms = transforms or Transforms()
        self.augmentation = augmentation or BatchAugmentation()
        self.recipe = recipe
        self.device = device
        self.dtype = _compute_type(hardware.precision, device)
        if device.type == "cuda":
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._network = cast(nn.Module, torch.compile(model)) if hardware.compile else model
        self._shared = group.share_gradients(self._network, device)
        self._weights_K = None if class_weights is None else torch.from_numpy(class_weights).to(device)
        self.begin_again()

    def begin_again(self) -> None:
        """Reset the optimizer's momentum and the number of updates."""
        self.updates = 0
        self.optimizer = _optimizer(self.model, self.recipe)

    def train(self, batches: Iterable[Batch], epoch: int, lr: float) -> float:
        """Train on every batch; the mean loss over the examples of all workers, each before its gradient step."""
        self.model.train()
        tally = _Tally(self.device, f"training loss in epoch {epoch}")
        for x, y in prefetched(batches, self._ready):
            for parameters in self.optimizer.param_groups:
                parameters["lr"] = lr / (1 + self.recipe.update_decay * self.updates)
            self.optimizer.zero_grad()
            loss_B = self._losses(x, y)
            n_together = group.total(len(y), self.device)
            # Workers' gradients are averaged, so each counts its examples as often as there are workers.
            loss = loss_B.sum() * (group.size() / n_together) + self._penalty()
            loss.backward()
            self.optimizer.step()
            self.updates += 1
            tally.add(loss_B.detach())
        if not group.total(tally.n, self.device):
            raise UsageError(f"epoch {epoch} has no training examples; check the split and its labels.")
        return tally.mean()

    @torch.no_grad()
    def validate(self, batches: Iterable[Batch], epoch: int) -> tuple[float, dict[str, float]]:
        """Mean loss over the windows, and the figures by name over the tracks, of all workers together."""
        group.agree(self.model)
        self.model.eval()
        tally = _Tally(self.device, f"validation loss in epoch {epoch}")
        scored: list[Tensor] = []
        labels: list[np.ndarray] = []
        for x, y in prefetched(batches, self._ready):
            logits_BK = self._logits(self._network, self._read(x))
            tally.add(self._loss_of(logits_BK, y))
            scored.append(self._probabilities(logits_BK, many=y.ndim == 2))
            labels.append(y)
        own = (torch.cat(scored).cpu().numpy(), np.concatenate(labels)) if scored else None
        parts = [part for part in group.gather(own) if part is not None]
        if not parts:
            raise UsageError("there are no validation examples; pass valid=None to train without.")
        loss = tally.mean()
        p_NK, y_N = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return loss, self._figures(p_NK, y_N)

    def weights(self) -> dict[str, Tensor]:
        """A copy of the model's current weights."""
        return {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def state(self) -> dict[str, Any]:
        """Tensors and plain values that `restore` takes."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "updates": self.updates}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a result of `state`."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.updates = state["updates"]

    def _ready(self, batch: Batch) -> Ready:
        """A batch as tensors; in pinned memory, from which a GPU reads while it computes."""
        x, y = batch
        # PyTorch shares memory with the array, which therefore must be writable; Arrow's arrays are not.
        tensor = torch.from_numpy(np.require(x, None, ["C", "W"]))
        return (tensor.pin_memory() if self.device.type == "cuda" else tensor), y

    def _penalty(self) -> Tensor | float:
        penalty = getattr(self.model, "penalty", lambda: None)()
        return 0.0 if penalty is None else penalty

    def _losses(self, x: Tensor, y: np.ndarray) -> Tensor:
        x, mix = self.augmentation(self._read(x))
        logits_BK = self._logits(self._shared, x)
        loss_B = self._loss_of(logits_BK, y)
        if mix is None:
            return loss_B
        return mix.share * loss_B + (1 - mix.share) * self._loss_of(logits_BK, y[mix.partners])

    def _read(self, x: Tensor) -> Tensor:
        return self.transforms(x.to(self.device, non_blocking=True).float())

    def _logits(self, network: nn.Module, x: Tensor) -> Tensor:
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            logits_BK: Tensor = network(x)
        return logits_BK

    def _loss_of(self, logits_BK: Tensor, y: np.ndarray) -> Tensor:
        losses.check_fit(self.recipe.loss, tuple(logits_BK.shape), y)
        kind = np.int64 if y.ndim == 1 else np.float32
        labels = torch.from_numpy(np.require(y, kind, ["C", "W"])).to(self.device, non_blocking=True)
        return losses.per_example(self.recipe.loss, logits_BK, labels, self._weights_K)

    def _probabilities(self, logits_BK: Tensor, *, many: bool) -> Tensor:
        activation = self.recipe.activation or ("sigmoid" if many else "softmax")
        logits_BK = logits_BK.float()
        return logits_BK.sigmoid() if activation == "sigmoid" else logits_BK.softmax(dim=1)

    def _figures(self, p_MK: np.ndarray, y_M: np.ndarray) -> dict[str, float]:
        n_windows = self.recipe.crops_per_track
        p_NK = p_MK.reshape(-1, n_windows, p_MK.shape[1]).mean(axis=1)
        figures = classification.overall(y_true=y_M[::n_windows], scores=p_NK)
        if self.recipe.monitor not in {"loss", *figures}:
            raise UsageError(
                f"recipe: monitor={self.recipe.monitor!r} is not measured for many labels; choose loss, "
                f"{' or '.join(figures)}."
            )
        return figures


class _Tally:
    """Sums losses on their device, and checks now and then whether they are finite."""

    def __init__(self, device: torch.device, what: str) -> None:
        self.n = 0
        self._what = what
        self._device = device
        self._total = torch.zeros((), dtype=torch.float64, device=device)
        self._steps = 0

    def add(self, loss_B: Tensor) -> None:
        self.n += len(loss_B)
        self._total += loss_B.sum(dtype=torch.float64)
        self._steps += 1
        if self._device.type == "cpu" or self._steps % GLANCE_STEPS == 0:
            self._check()

    def mean(self) -> float:
        """The mean over the examples of all workers."""
        self._check()
        return group.total(self._total.item(), self._device) / group.total(self.n, self._device)

    def _check(self) -> None:
        value = self._total.item()
        if not math.isfinite(value):
            raise PhonolakeError(
                f"the {self._what} is {value} at step {self._steps}. Look for NaN or infinite values in the input; if "
                f"there are none, lower the learning rate."
            )


def _compute_type(precision: str, device: torch.device) -> torch.dtype:
    if precision == "auto":
        precision = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    return torch.bfloat16 if precision == "bf16" else torch.float32


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if recipe.optimizer == "sgd-nesterov":
        return torch.optim.SGD(
            trained, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay, nesterov=True
        )
    return torch.optim.Adam(trained, lr=recipe.lr, weight_decay=recipe.weight_decay)
