"""The schedule of a training: the best epoch, drops of the learning rate, and the end."""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from phonolake.training.recipe import Recipe

Verdict = Literal["go on", "restart", "stop"]


@dataclass(slots=True)
class Schedule:
    """The state of the schedule.

    Parameters
    ----------
    lr : float
        Learning rate of the next epoch, before the decay per update.
    stage : int
        From 1.
    best_epoch : int
        Epoch whose weights count so far; 0 before the first.
    best_figure : float
        The monitored figure of that epoch, with its sign such that more is better.
    waited_from : int
        Epoch from which patience is counted.
    lowest_loss, waited : float, int
        ``plateau``: the lowest validation loss, and the epochs since.
    """

    lr: float
    stage: int = 1
    best_epoch: int = 0
    best_figure: float = -math.inf
    waited_from: int = 0
    lowest_loss: float = math.inf
    waited: int = 0

    def after(self, epoch: int, loss: float, figure: float, recipe: Recipe) -> Verdict:
        """Judge an epoch by its validation loss and its monitored figure; `best_epoch == epoch` if it is the best."""
        goodness = -figure if recipe.monitor == "loss" else figure
        if goodness > self.best_figure:
            self.best_epoch, self.best_figure, self.waited_from = epoch, goodness, epoch
        if epoch - self.waited_from >= recipe.patience:
            return self._out_of_patience(epoch, recipe)
        if recipe.schedule == "plateau":
            self._look_for_plateau(loss, recipe)
        return "go on"

    def _out_of_patience(self, epoch: int, recipe: Recipe) -> Verdict:
        if recipe.schedule != "staged" or self.stage == recipe.n_stages:
            return "stop"
        self.stage += 1
        self.lr *= recipe.lr_factor
        self.waited_from = epoch
        return "restart"

    def _look_for_plateau(self, loss: float, recipe: Recipe) -> None:
        if loss < self.lowest_loss:
            self.lowest_loss, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited > recipe.lr_patience:
            self.lr, self.waited = max(recipe.lr_min, self.lr * recipe.lr_factor), 0

    def state(self) -> dict[str, Any]:
        """Plain values from which `of` restores the schedule."""
        return asdict(self)

    @classmethod
    def of(cls, state: dict[str, Any]) -> "Schedule":
        """The schedule from the result of `state`."""
        return cls(**{field.name: state[field.name] for field in fields(cls)})
