"""Estimate the time of cells here: each kind of training is timed on a few tracks."""

from collections.abc import Sequence

from phonolake import execution
from phonolake.studies import cell_fits
from phonolake.studies.cells import Work

# Training tracks that a rate is measured on; what a training costs besides is part of it, and counted too often.
FEW = 8


def hours_of(work: Sequence[Work]) -> float:
    """Hours of one core for cells that are to be done: at most, since trainings stop early."""
    rates: dict[tuple[object, ...], float] = {}
    seconds = 0.0
    for unit in work:
        cell = unit.cell
        kind = (cell.model, unit.task.input, cell.preprocessing, cell.augment, cell.trained, cell.search)
        if kind not in rates:
            rates[kind] = _rate(unit)
        seconds += rates[kind] * unit.n_taught * (unit.task.epochs if cell.trained else 1)
    return seconds / 3600


def _rate(unit: Work) -> float:
    """Seconds for a training track and epoch, on one core."""
    few = cell_fits.on_few(unit, FEW)
    ((_, seconds),) = execution.imap(cell_fits.timed, [few], seconds=1.0)
    return seconds / max(1, few.n_taught)
