"""What a network's card says about how to train it: plain values, so that JSON keeps them with the model."""

import math
from dataclasses import dataclass

from phonolake.errors import UsageError, unknown

OPTIMIZERS = ("adam", "sgd-nesterov")
SCHEDULES = ("plateau", "staged", "constant")
LOSSES = (
    "auto",
    "cross-entropy",
    "binary-cross-entropy",
    "binary-cross-entropy-on-softmax",
    "cross-entropy-on-sigmoid",
)
CLASS_WEIGHTS = ("none", "balanced")
# What may decide about the best epoch; of all but the loss, more is better.
MONITORS = ("loss", "accuracy", "macro-f1", "roc-auc", "pr-auc")
PRECISIONS = ("auto", "float32", "bf16")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    Parameters
    ----------
    optimizer : {"adam", "sgd-nesterov"}
        Adam (Kingma and Ba, 2015), or gradient descent with Nesterov's momentum.
    lr : float
        Learning rate at the start, > 0.
    momentum : float
        Of ``sgd-nesterov``, in (0, 1).
    update_decay : float
        After u updates since the start (or since the last stage began) the rate is ``lr / (1 + update_decay * u)``,
        >= 0: what Keras calls ``decay``.
    weight_decay : float
        L2 penalty on every weight: adds ``weight_decay * w`` to its gradient, >= 0.
    loss : str
        ``"cross-entropy"`` (softmax) for one label per example, ``"binary-cross-entropy"`` (sigmoid) for many,
        ``"auto"`` for whichever of the two fits; or one of two mixtures that were published for one label:
        ``"binary-cross-entropy-on-softmax"``, ``"cross-entropy-on-sigmoid"`` (outputs divided by their sum).
    class_weights : {"none", "balanced"}
        ``balanced``: an example of class k counts N / (K n_k); for many labels, a positive of class k counts as much
        as its negatives together, (N - n_k) / n_k.
    max_epochs : int
        Epochs at most, >= 1.
    monitor : {"loss", "accuracy", "macro-f1", "roc-auc", "pr-auc"}
        The validation figure that decides which epoch was the best.
    patience : int
        Stop, or with ``staged`` begin the next stage, after this many epochs without a better one, >= 1.
    schedule : {"plateau", "staged", "constant"}
        ``plateau`` lowers the learning rate when the validation loss stands still. ``staged`` goes back to the best
        weights, lowers it, and begins with a fresh optimizer, `n_stages` times in all.
    lr_factor : float
        Multiply the learning rate by this, in (0, 1), at each drop.
    lr_patience : int
        ``plateau``: drop after more than this many epochs, >= 0, without a lower validation loss.
    lr_min : float
        ``plateau``: no drop goes below this, >= 0.
    n_stages : int
        ``staged``: number of stages, the first included, >= 1.
    batch_size : int
        Examples per step over all workers, at most, >= 1. An epoch is dealt into batches of nearly equal size.
    crops_per_track : int
        Random crops of each track in an epoch, >= 1; validation takes as many windows, side by side at even
        distances, and judges a track by the mean over them.

    Raises
    ------
    UsageError
        If a value is out of its range, or a name is not known.
    """

    optimizer: str = "adam"
    lr: float = 1e-3
    momentum: float = 0.9
    update_decay: float = 0.0
    weight_decay: float = 0.0
    loss: str = "auto"
    class_weights: str = "none"
    max_epochs: int = 40
    monitor: str = "loss"
    patience: int = 8
    schedule: str = "plateau"
    lr_factor: float = 0.5
    lr_patience: int = 3
    lr_min: float = 0.0
    n_stages: int = 5
    batch_size: int = 16
    crops_per_track: int = 1

    def __post_init__(self) -> None:
        names = {
            "optimizer": OPTIMIZERS,
            "loss": LOSSES,
            "class_weights": CLASS_WEIGHTS,
            "monitor": MONITORS,
            "schedule": SCHEDULES,
        }
        for name, known in names.items():
            if getattr(self, name) not in known:
                raise unknown(name, getattr(self, name), known)
        allowed = {
            "lr": 0 < self.lr < math.inf,
            "momentum": 0 < self.momentum < 1,
            "update_decay": 0 <= self.update_decay < math.inf,
            "weight_decay": 0 <= self.weight_decay < math.inf,
            "max_epochs": self.max_epochs >= 1,
            "patience": self.patience >= 1,
            "lr_factor": 0 < self.lr_factor < 1,
            "lr_patience": self.lr_patience >= 0,
            "lr_min": 0 <= self.lr_min < math.inf,
            "n_stages": self.n_stages >= 1,
            "batch_size": self.batch_size >= 1,
            "crops_per_track": self.crops_per_track >= 1,
        }
        for name, is_allowed in allowed.items():
            if not is_allowed:
                raise UsageError(f"recipe: {name}={getattr(self, name)} is out of range.")

    @property
    def activation(self) -> str | None:
        """The function from logits to probabilities: ``softmax``, ``sigmoid``, or None if the labels decide."""
        if self.loss == "auto":
            return None
        return "sigmoid" if self.loss in ("binary-cross-entropy", "cross-entropy-on-sigmoid") else "softmax"


@dataclass(frozen=True, slots=True)
class Hardware:
    """What to train on. It is not part of the identity of a training, which may continue elsewhere.

    Parameters
    ----------
    workers : int, optional
        Processes that share each batch, started by Ray Train, >= 1. None: one, in a plain task, which starts faster.
    device : str
        Such as ``"cpu"`` or ``"cuda"``.
    precision : {"auto", "float32", "bf16"}
        Precision of multiplications in networks; ``auto`` uses bf16 on GPUs that support it. Weights and losses stay in
        float32.
    compile : bool
        Whether to compile the network with `torch.compile` first: minutes at the start for less time per step.

    Raises
    ------
    UsageError
        If there is no such precision, or no worker.
    """

    workers: int | None = None
    device: str = "cpu"
    precision: str = "auto"
    compile: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise unknown("precision", self.precision, PRECISIONS)
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"training needs at least 1 worker, received {self.workers}.")
