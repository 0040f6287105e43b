"""A training that was killed goes on from its checkpoint, and ends as if nothing had happened."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from phonolake.errors import PhonolakeError, UsageError
from phonolake.training.checkpoint import Checkpoint
from phonolake.training.loop import Batch, EpochReport, Recipe, TrainingResult, fit
from phonolake.training.schedule import Schedule

RECIPES = {
    "adam and plateau": Recipe(lr=0.05, max_epochs=9, patience=9, lr_patience=0, update_decay=0.01),
    "staged": Recipe(
        optimizer="sgd-nesterov", lr=0.5, schedule="staged", n_stages=3, patience=1, max_epochs=9, lr_factor=0.2
    ),
}


class KilledError(Exception):
    """Stands for a kill: nothing of the training is left but its checkpoint."""


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.4), nn.Linear(8, 3))


def batches(epoch: int) -> Iterator[Batch]:
    rng = np.random.default_rng(epoch)
    for _ in range(3):
        y = rng.integers(0, 3, 8)
        yield (rng.normal(size=(8, 6)) + y[:, None]).astype(np.float32), y


def train(
    recipe: Recipe, checkpoint: Checkpoint | None, on_epoch: Callable[[EpochReport], None] | None = None
) -> tuple[nn.Module, TrainingResult]:
    model = network()
    result = fit(model, batches, lambda: batches(0), recipe=recipe, seed=5, checkpoint=checkpoint, on_epoch=on_epoch)
    return model, result


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(RECIPES))
@pytest.mark.parametrize("killed_after", [1, 4, 9])
def test_the_same_to_the_bit(name: str, killed_after: int, tmp_path: Path) -> None:
    undisturbed, expected = train(RECIPES[name], None)
    killed_after = min(killed_after, len(expected.curve))

    def kill(report: EpochReport) -> None:
        if report.epoch == killed_after:
            raise KilledError

    checkpoint = Checkpoint(tmp_path / "hidden" / "checkpoint.pt")
    with pytest.raises(KilledError):
        train(RECIPES[name], checkpoint, kill)
    seen: list[int] = []
    model, result = train(RECIPES[name], checkpoint, lambda report: seen.append(report.epoch))
    assert result == expected
    assert seen == [report.epoch for report in expected.curve]
    for key, value in undisturbed.state_dict().items():
        assert torch.equal(value, model.state_dict()[key]), key
    assert [path.name for path in (tmp_path / "hidden").iterdir()] == ["checkpoint.pt"]


def test_stages_go_back_to_the_best_weights_and_lower_the_rate() -> None:
    _, result = train(RECIPES["staged"], None)
    rates = [report.lr for report in result.curve]
    assert rates == sorted(rates, reverse=True)
    assert set(np.round(rates, 9)) <= {0.5, 0.1, 0.02}
    assert len(set(rates)) > 1
    losses = [report.valid_loss for report in result.curve if report.valid_loss is not None]
    assert result.best_epoch == int(np.argmin(losses)) + 1


def test_the_course_of_stages() -> None:
    recipe = Recipe(schedule="staged", lr=1.0, lr_factor=0.1, n_stages=2, patience=2, monitor="accuracy")
    course = Schedule(recipe.lr)
    accuracies = [0.5, 0.6, 0.6, 0.4, 0.7, 0.7, 0.7]
    verdicts = [course.after(epoch, 1.0, a, recipe) for epoch, a in enumerate(accuracies, start=1)]
    assert verdicts == ["go on", "go on", "go on", "restart", "go on", "go on", "stop"]
    assert course.best_epoch == 5
    assert course.lr == pytest.approx(0.1)


def test_a_floor_for_the_learning_rate() -> None:
    recipe = Recipe(lr=1.0, lr_factor=0.1, lr_patience=0, lr_min=0.05, patience=9)
    course = Schedule(recipe.lr)
    rates = []
    for epoch in range(1, 5):
        course.after(epoch, float(epoch), float(epoch), recipe)
        rates.append(course.lr)
    assert rates == pytest.approx([1.0, 0.1, 0.05, 0.05])


def test_the_monitored_figure_decides() -> None:
    recipe = Recipe(monitor="accuracy", patience=5)
    course = Schedule(recipe.lr)
    for epoch, (loss, accuracy) in enumerate([(1.0, 0.5), (0.5, 0.4), (2.0, 0.6), (0.1, float("nan"))], start=1):
        course.after(epoch, loss, accuracy, recipe)
    assert course.best_epoch == 3


def test_stages_need_validation() -> None:
    with pytest.raises(UsageError, match="no validation examples"):
        fit(network(), batches, None, recipe=RECIPES["staged"])


def test_many_labels_have_no_accuracy_to_monitor() -> None:
    hot = [(np.ones((2, 6), np.float32), np.eye(3, dtype=np.float32)[:2])]
    with pytest.raises(UsageError, match="monitor='accuracy' is not measured for many labels"):
        fit(network(), lambda _: hot, lambda: hot, recipe=Recipe(monitor="accuracy", max_epochs=1))


def test_a_checkpoint_of_another_model_or_a_damaged_one_is_named(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt")
    train(RECIPES["staged"], checkpoint)
    with pytest.raises(PhonolakeError, match=r"checkpoint\.pt belongs to another model"):
        fit(nn.Linear(6, 3), batches, lambda: batches(0), recipe=RECIPES["staged"], checkpoint=checkpoint)
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:200])
    with pytest.raises(PhonolakeError, match=r"checkpoint\.pt cannot be read"):
        train(RECIPES["staged"], checkpoint)


def test_a_checkpoint_that_would_run_code_is_not_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return print, ("sprung",)

    torch.save({"course": Trap()}, tmp_path / "checkpoint.pt")
    with pytest.raises(PhonolakeError, match="cannot be read"):
        Checkpoint(tmp_path / "checkpoint.pt").load()


def test_a_penalty_draws_weights_to_zero() -> None:
    class Penalised(nn.Linear):
        def penalty(self) -> torch.Tensor:
            return 10.0 * self.weight.square().sum()

    norms = []
    for kind in (nn.Linear, Penalised):
        torch.manual_seed(0)
        model = kind(6, 3)
        fit(model, batches, None, recipe=Recipe(lr=0.05, max_epochs=5))
        norms.append(float(model.weight.detach().norm()))
    assert norms[1] < 0.5 * norms[0]


def test_the_decay_per_update_is_that_of_keras() -> None:
    """One weight, gradient 1 at every step, plain steps: the weight is minus the sum of the rates."""

    class Slope(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

        def penalty(self) -> torch.Tensor:
            return self.weight

    model = Slope()
    data = [(np.zeros((1, 2), np.float32), np.array([0]))] * 5
    recipe = Recipe(optimizer="sgd-nesterov", momentum=1e-9, lr=0.1, update_decay=0.5, max_epochs=2)
    fit(model, lambda _: data, None, recipe=recipe)
    assert model.weight.item() == pytest.approx(-sum(0.1 / (1 + 0.5 * u) for u in range(10)), rel=1e-5)
