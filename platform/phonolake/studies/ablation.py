"""Ablations: a user's own grid, with every arm compared with the first and untrained networks as the lower bound."""

import tomllib
from dataclasses import fields
from itertools import product
from pathlib import Path
from typing import Any

from phonolake.errors import UsageError, unknown
from phonolake.studies import grid
from phonolake.studies.cells import TrainingCell
from phonolake.studies.contract import StudyCard
from phonolake.studies.evidence import Arm, Claim
from phonolake.studies.grid import Facts, StudyPart

METRICS = ("accuracy", "macro-f1", "roc-auc", "pr-auc")
# Settings that are equal in all arms are omitted from the rows.
VARIED = tuple(f.name for f in fields(TrainingCell) if f.name not in ("seed", "fold", "search", "listen"))


def read(path: Path) -> grid.GridStudy:
    """The study that a TOML file describes.

    ``[grid]`` has a value or a list of values for each of `VARIED`: all combinations are trained, and the first of each
    list makes the reference arm. ``metric`` says what is compared: by default accuracy for classes, the ROC-AUC for
    tags. ``floor = false`` leaves untrained networks out.

    Raises
    ------
    UsageError
        For a file that is no such grid.
    """
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} is not TOML ({error})") from error
    for name in given:
        if name not in ("grid", "metric", "floor", "name"):
            raise unknown(f"setting of {path.name}", name, ("grid", "metric", "floor", "name"))
    metric, wanted = given.get("metric"), given.get("grid")
    if metric is not None and metric not in METRICS:
        raise unknown("metric", str(metric), METRICS)
    if not isinstance(wanted, dict) or "model" not in wanted:
        raise UsageError(f"{path} needs a table [grid] with the key model, such as model = ['k2c2', 'random-forest']")
    arms = _cells(wanted, path)
    floor = bool(given.get("floor", True))
    card = StudyCard("ablate", str(given.get("name", path.stem)), "A grid of the user's own.", "A lake with labels.")
    return grid.GridStudy(card, (), ("ablation",), lambda facts: [_part(facts, arms, metric, floor)], (), given)


def _cells(wanted: dict[str, Any], path: Path) -> list[tuple[str, TrainingCell]]:
    """Every combination, with what tells it from the others."""
    for name in wanted:
        if name not in VARIED:
            raise unknown(f"key of [grid] in {path.name}", name, VARIED)
    axes = {name: _values(name, value) for name, value in wanted.items()}
    several = [name for name, values in axes.items() if len(values) > 1] or ["model"]
    found = []
    for combination in product(*axes.values()):
        chosen = dict(zip(axes, combination, strict=True))
        row = ", ".join(f"{name}={_said(chosen[name])}" for name in several)
        try:
            found.append((row, TrainingCell(**chosen)))
        except TypeError as error:
            raise UsageError(f"{path}: {row} has a value of the wrong type ({error})") from error
    return found


def _values(name: str, given: Any) -> list[Any]:
    """The values of one key: a list of them, or one. Of augment each is a list, of settings a table."""
    if name == "augment":
        nested = given if given and isinstance(given, list) and isinstance(given[0], list) else [given]
        return [tuple(one) if isinstance(one, list) else (one,) for one in nested]
    values = given if isinstance(given, list) else [given]
    if name == "settings":
        values = [tuple(sorted(one.items())) if isinstance(one, dict) else one for one in values]
    if not values:
        raise UsageError(f"[grid] {name} has no value")
    return values


def _said(value: Any) -> str:
    return "+".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)


def _part(facts: Facts, cells: list[tuple[str, TrainingCell]], metric: str | None, floor: bool) -> StudyPart:
    measured = metric or ("roc-auc" if facts.many else "accuracy")
    arms = [Arm("ablation", row, cell, measured) for row, cell in cells]
    if floor:
        for model in grid.networks_among([cell.model for _, cell in cells]):
            own = next(cell for _, cell in cells if cell.model == model)
            cell = TrainingCell(model, input=own.input, labels=own.labels, split=own.split, trained=False)
            arms.append(Arm("ablation", f"{model}, untrained", cell, measured))
    distinct = list({arm.cell: arm for arm in arms}.values())
    first, *others = distinct
    if measured == "macro-f1":
        return StudyPart("ablation", tuple(distinct))
    claims = tuple(Claim(f"{arm.row} reaches more than {first.row}.", ((arm, 1.0), (first, -1.0))) for arm in others)
    return StudyPart("ablation", tuple(distinct), claims)
