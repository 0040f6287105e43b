"""The loop: it learns, it stops, it repeats itself to the bit, and it says what went wrong."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from phonolake.errors import PhonolakeError, UsageError
from phonolake.models import k2c2
from phonolake.training.loop import Batch, EpochReport, Hardware, Recipe, TrainingResult, fit


def always(*batches: Batch) -> Callable[..., Iterator[Batch]]:
    return lambda *_: iter(batches)


def line(n_in: int = 1, n_out: int = 2) -> nn.Linear:
    model = nn.Linear(n_in, n_out)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    return model


def ones(labels: list[int]) -> Batch:
    return np.ones((len(labels), 1), np.float32), np.array(labels)


def doubtful() -> tuple[nn.Linear, TrainingResult, Batch]:
    """Training data are sure of class 1, validation data only to 75 %: the loss there falls, then rises."""
    model, check = line(), ones([1, 1, 1, 0])
    recipe = Recipe(lr=0.05, max_epochs=60, patience=6, lr_patience=50)
    return model, fit(model, always(ones([1, 1])), always(check), recipe=recipe), check


@pytest.mark.long
def test_k2c2_learns_one_batch_by_heart() -> None:
    rng = np.random.default_rng(0)
    batch = rng.normal(-40, 15, (8, 96, 24)).astype(np.float32), np.arange(8) % 4
    model = k2c2.build(4, n_frames=24, seed=0)
    result = fit(model, always(batch), None, recipe=Recipe(lr=5e-3, max_epochs=25))
    assert result.curve[0].train_loss > 1
    assert result.curve[-1].train_loss < 0.05
    assert result.best_epoch == len(result.curve) == 25


@pytest.mark.long
def test_many_labels_are_learned_by_heart() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 20)).astype(np.float32), rng.integers(0, 2, (12, 5)).astype(np.float32)
    recipe = Recipe(lr=0.1, max_epochs=80, patience=80)
    result = fit(line(20, 5), always((x, y)), always((x, y)), recipe=recipe)
    assert result.curve[0].train_loss == pytest.approx(math.log(2), rel=1e-5)
    assert result.curve[-1].valid == {"roc-auc": 1, "pr-auc": 1}


def test_losses_and_accuracies_are_means_over_examples() -> None:
    """Not over batches, which may differ in size."""
    model = line()
    with torch.no_grad():
        model.bias.copy_(torch.tensor([0.0, math.log(3)]))  # P(class 1) = 3/4
    seen = ones([1, 1, 1]), ones([0])
    recipe = Recipe(lr=1e-12, max_epochs=1)
    report = fit(model, always(*seen), always(*seen), recipe=recipe).curve[0]
    expected = -(3 * math.log(3 / 4) + math.log(1 / 4)) / 4
    assert report.train_loss == pytest.approx(expected, rel=1e-5)
    assert report.valid_loss == pytest.approx(expected, rel=1e-5)
    assert report.valid["accuracy"] == 0.75


def test_early_stopping_puts_the_best_weights_back() -> None:
    model, result, (x, y) = doubtful()
    losses = [report.valid_loss for report in result.curve if report.valid_loss is not None]
    best = int(np.argmin(losses))
    assert 0 < best < len(losses) - 1
    assert result.best_epoch == result.curve[best].epoch == best + 1
    assert len(losses) == result.best_epoch + 6
    with torch.no_grad():
        loss = nn.functional.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y))
    assert loss.item() == pytest.approx(losses[best], rel=1e-6)
    assert losses[best] == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25), abs=2e-3)


def test_the_learning_rate_drops_on_a_plateau() -> None:
    recipe = Recipe(lr=0.2, max_epochs=12, patience=12, lr_patience=1, lr_factor=0.1)
    curve = fit(line(), always(ones([1, 1])), always(ones([0, 0])), recipe=recipe).curve
    # The validation loss only rises after epoch 1: two such epochs are one more than is tolerated.
    assert [report.lr for report in curve[:6]] == pytest.approx([0.2, 0.2, 0.2, 0.02, 0.02, 0.002])


def test_without_validation_the_last_epoch_counts() -> None:
    model = line()
    result = fit(model, always(ones([1])), None, recipe=Recipe(lr=0.1, max_epochs=7, patience=1, lr_patience=0))
    assert result.best_epoch == len(result.curve) == 7
    assert {(report.valid_loss, report.lr) for report in result.curve} == {(None, 0.1)}
    assert all(report.valid == {} for report in result.curve)
    assert model.bias[1] - model.bias[0] > 1
    assert not model.training


def test_reports_come_after_each_epoch_and_epochs_count_from_one() -> None:
    asked: list[int] = []
    reports: list[EpochReport] = []

    def batches(epoch: int) -> Iterator[Batch]:
        asked.append(epoch)
        assert len(reports) == epoch - 1
        yield ones([1])

    result = fit(line(), batches, None, recipe=Recipe(max_epochs=3), on_epoch=reports.append)
    assert asked == [report.epoch for report in reports] == [1, 2, 3]
    assert tuple(reports) == result.curve


def dropping(seed: int) -> tuple[dict[str, torch.Tensor], TrainingResult]:
    """Train with dropout, and see that PyTorch's random state is left alone."""
    rng = np.random.default_rng(0)
    batch = rng.normal(size=(16, 6)).astype(np.float32), rng.integers(0, 2, 16)
    model = nn.Sequential(nn.Dropout(0.5), line(6, 2))
    before = torch.get_rng_state()
    result = fit(model, always(batch, batch), always(batch), recipe=Recipe(lr=0.05, max_epochs=4), seed=seed)
    assert torch.equal(torch.get_rng_state(), before)
    return model.state_dict(), result


def test_a_seed_decides_everything() -> None:
    weights, result = dropping(seed=1)
    torch.rand(5)
    again, result_again = dropping(seed=1)
    other, _ = dropping(seed=2)
    assert result == result_again
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert not all(torch.equal(weights[name], other[name]) for name in weights)


def test_k2c2_repeats_itself_to_the_bit() -> None:
    rng = np.random.default_rng(0)
    batch = rng.normal(-40, 15, (6, 96, 30)).astype(np.float32), np.arange(6) % 3
    runs = []
    for _ in range(2):
        model = k2c2.build(3, n_frames=30, seed=4)
        curve = fit(model, always(batch), always(batch), recipe=Recipe(lr=5e-3, max_epochs=3)).curve
        runs.append((curve, model.state_dict()))
    assert runs[0][0] == runs[1][0]
    assert all(torch.equal(value, runs[1][1][name]) for name, value in runs[0][1].items())


@pytest.mark.filterwarnings("error")
def test_arrays_that_cannot_be_written_to_are_read() -> None:
    x, y = ones([1, 0])
    x.flags.writeable = y.flags.writeable = False
    fit(line(), always((x, y)), always((x, y)), recipe=Recipe(max_epochs=1))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["training", "validation"])
def test_a_loss_that_is_no_number_names_the_epoch_and_the_way_out(bad: float, where: str) -> None:
    def batches(epoch: int) -> Iterator[Batch]:
        x, y = ones([1, 0])
        yield (np.full_like(x, bad) if epoch == 2 else x), y

    calls = iter(range(1, 9))
    good = always(ones([1, 0]))
    train, valid = (batches, good) if where == "training" else (good, lambda: batches(next(calls)))
    message = rf"the {where} loss in epoch 2 is (nan|inf) at step 1\. Look for NaN .* lower the learning rate"
    with pytest.raises(PhonolakeError, match=message):
        fit(line(), train, valid, recipe=Recipe(max_epochs=3))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.array([0, 2]), "class numbers 0 to 2 do not fit 2 logits"),
        (np.array([-1, 1]), "class numbers -1 to 1 do not fit 2 logits"),
        (np.array([0.0, 1.0]), r"labels of shape \(2,\) and type float64 do not fit"),
        (np.array([0, 1, 1]), r"labels of shape \(3,\)"),
        (np.zeros((2, 3)), r"labels of shape \(2, 3\)"),
    ],
)
def test_labels_that_do_not_fit(y: np.ndarray, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fit(line(), always((np.ones((2, 1), np.float32), y)), None, recipe=Recipe())


def test_no_examples() -> None:
    with pytest.raises(UsageError, match="epoch 1 has no training examples"):
        fit(line(), always(), None, recipe=Recipe())
    with pytest.raises(UsageError, match="no validation examples"):
        fit(line(), always(ones([1])), always(), recipe=Recipe())


def test_no_such_device() -> None:
    with pytest.raises(UsageError, match="no such device: 'abacus'"):
        fit(line(), always(ones([1])), None, recipe=Recipe(), hardware=Hardware(device="abacus"))
    with pytest.raises(UsageError, match="PyTorch sees"):
        fit(line(), always(ones([1])), None, recipe=Recipe(), hardware=Hardware(device="cuda:99"))


def test_bf16_learns_the_same_within_its_precision() -> None:
    batch = ones([1, 1, 0])
    recipe = Recipe(lr=0.1, max_epochs=5)
    exact, rough = (
        fit(line(), always(batch), always(batch), recipe=recipe, hardware=Hardware(precision=precision)).curve
        for precision in ("float32", "bf16")
    )
    losses = [report.valid_loss for report in rough]
    assert losses == pytest.approx([report.valid_loss for report in exact], rel=2e-2)
    assert losses != [report.valid_loss for report in exact]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_compiled_network_learns_the_same() -> None:
    rng = np.random.default_rng(0)
    batch = rng.normal(-40, 15, (6, 96, 24)).astype(np.float32), np.arange(6) % 3
    curves = []
    for compiled in (False, True):
        model = k2c2.build(3, n_frames=24, seed=4)
        hardware = Hardware(compile=compiled)
        result = fit(model, always(batch), always(batch), recipe=Recipe(lr=5e-3, max_epochs=2), hardware=hardware)
        curves.append([report.train_loss for report in result.curve])
    assert curves[0] == pytest.approx(curves[1], rel=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_learns_the_same() -> None:
    batch = ones([1, 1, 0])
    recipe = Recipe(lr=0.1, max_epochs=5)
    on_cpu = fit(line(), always(batch), always(batch), recipe=recipe).curve
    before = torch.cuda.get_rng_state()
    on_gpu = fit(line(), always(batch), always(batch), recipe=recipe, hardware=Hardware(device="cuda")).curve
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert [report.valid_loss for report in on_gpu] == pytest.approx([report.valid_loss for report in on_cpu], rel=1e-4)


@pytest.mark.parametrize(
    "bad",
    [
        {"lr": 0.0},
        {"lr": math.nan},
        {"weight_decay": -1.0},
        {"max_epochs": 0},
        {"patience": 0},
        {"batch_size": 0},
        {"lr_factor": 1.0},
        {"lr_patience": -1},
        {"momentum": 1.0},
        {"update_decay": -1.0},
        {"lr_min": -1.0},
        {"n_stages": 0},
        {"crops_per_track": 0},
    ],
    ids=str,
)
def test_recipes_out_of_range(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"recipe: {next(iter(bad))}="):
        dataclasses.replace(Recipe(), **bad)


@pytest.mark.parametrize("name", ["loss", "class_weights", "monitor", "schedule"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(UsageError, match=f"unknown {name} 'sometimes'"):
        dataclasses.replace(Recipe(), **{name: "sometimes"})
    with pytest.raises(UsageError, match="unknown precision 'half'"):
        Hardware(precision="half")
    with pytest.raises(UsageError, match="at least 1 worker"):
        Hardware(workers=0)


def test_an_unknown_optimizer() -> None:
    with pytest.raises(UsageError, match=r"unknown optimizer 'adamm'\. Did you mean 'adam'"):
        Recipe(optimizer="adamm")
