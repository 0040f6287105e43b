"""Evaluate the search for wrong labels on collections with known truth."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from phonolake.analysis.labels import noise_rates, noise_suspects
from phonolake.analysis.labels.noise_counts import MOST_COUNTED, count_wrong
from phonolake.errors import UsageError
from phonolake.lookup.held_out import HeldOut
from phonolake.metrics.classification import average_precision
from phonolake.store import mirror

DEPTHS = (10, 20, 50, 100)


@dataclass(frozen=True, slots=True)
class Grade:
    """One figure.

    Parameters
    ----------
    measure : str
        ``precision at k`` (share of wrong labels among the first k suspects), ``expected at k`` (the same as
        `LabelSuspect.p_wrong` foretells it, beside what it is), ``average precision`` of the whole ranking, ``false
        rate`` or ``missing rate`` (see `noise_rates.NoiseRate`), with the ends of their intervals.
    about : str
        Kind of suspect, or a label.
    k : int or None
        Suspects that were looked at.
    value : float
        The precision reached, or the rate that was estimated.
    reference : float
        What a random order reaches, what the precision is, or the true rate.
    low, high : float or None
        95 % interval of what is expected, or of an estimated rate.
    """

    measure: str
    about: str
    k: int | None
    value: float
    reference: float
    low: float | None = None
    high: float | None = None


def grade(held: HeldOut, true_NL: np.ndarray, *, depths: Sequence[int] = DEPTHS) -> list[Grade]:
    """Compare suspects and estimated rates with the truth.

    Parameters
    ----------
    true_NL : ndarray of bool
        True labels, in the rows and columns of `held`.
    depths : sequence of int
        Numbers of first suspects to evaluate; the number of wrong labels is added.

    Raises
    ------
    UsageError
        If the shapes differ.
    """
    true = np.asarray(true_NL, bool)
    if true.shape != held.Y_NL.shape:
        raise UsageError(f"expected true labels of shape {held.Y_NL.shape}, received {true.shape}")
    grades = []
    noise = noise_rates.estimate(held)
    for kind in noise_suspects.KINDS:
        ranked = noise_suspects.rank(held, kind=kind)
        wrong = np.array([held.Y_NL[n, c] != true[n, c] for n, c, _ in ranked], bool)
        if not len(wrong):
            continue
        chance = float(wrong.mean())
        rows, columns = (np.array(places) for places in zip(*[place[:2] for place in ranked], strict=True))
        counts = count_wrong(noise, rows, columns, most=min(MOST_COUNTED, max(*depths, int(wrong.sum()))))
        for k in sorted({k for k in (*depths, int(wrong.sum())) if 0 < k <= len(wrong)}):
            precision = precision_at(wrong, k)
            grades.append(Grade("precision at k", kind, k, precision, chance))
            if not noise.errs_when_sure and k <= len(counts):
                expected, low, high = (count / k for count in counts[k - 1])
                grades.append(Grade("expected at k", kind, k, expected, precision, low, high))
        if wrong.any():
            scores = np.array([doubt for *_, doubt in ranked])
            found = average_precision(y_true=wrong.astype(int)[:, None], scores=scores[:, None])[0]
            grades.append(Grade("average precision", kind, None, float(found), chance))
    for guess, known in zip(noise.rates, noise_rates.truly(held.labels, held.Y_NL, true), strict=True):
        about = guess.label or "all labels"
        for name in ("false", "missing"):
            value, low, high = (getattr(guess, f"{name}_{part}") for part in ("rate", "low", "high"))
            grades.append(Grade(f"{name} rate", about, None, value, getattr(known, f"{name}_rate"), low, high))
    return grades


def precision_at(wrong: Sequence[bool] | np.ndarray, k: int) -> float:
    """Share of wrong labels among the first k suspects; 0 where there are none."""
    first = wrong[:k]
    return float(np.mean(first)) if len(first) else 0.0


def read_truth(path: str | Path) -> dict[str, set[str]]:
    """True labels by track from a CSV file.

    The file has the column ``track_id`` and either ``genre_true`` (the `truth.csv` of `phonolake synth`) or ``label``,
    with one line for each label of a track and perhaps a ``value`` of 1 or 0.

    Raises
    ------
    UsageError
        If the file is missing or lacks a column.
    """
    with mirror.brought(path) as brought:
        try:
            text = brought.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read ({error})") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    names = reader.fieldnames or ()
    column = next((name for name in ("genre_true", "label") if name in names), None)
    if column is None or "track_id" not in names:
        raise UsageError(f"{path} has no truth: it needs track_id and genre_true, or track_id and label")
    truth: dict[str, set[str]] = {}
    for row in reader:
        mine = truth.setdefault(row["track_id"], set())
        if (row.get("value") or "1").strip() != "0":
            mine.add(row[column])
    return truth


def align_truth(
    connection: duckdb.DuckDBPyConnection, held: HeldOut, truth: Mapping[str, Iterable[str]]
) -> tuple[HeldOut, np.ndarray]:
    """Align the truth with the rows and columns of `held`, and leave out tracks without truth.

    Tracks are found by their id, or by their name in the dataset, whose leading zeros do not count: ``2`` is
    ``fma:000002``.

    Raises
    ------
    UsageError
        If the truth contains none of the tracks.
    """
    rows = connection.execute(
        "SELECT track_id, source_id FROM tracks WHERE track_id IN (SELECT unnest($1))", [list(held.track_ids)]
    ).fetchall()
    by_name = {name.lstrip("0"): labels for name, labels in truth.items()}
    source = {track_id: by_name.get(source_id.lstrip("0")) for track_id, source_id in rows}
    known = [truth.get(track_id, source.get(track_id)) for track_id in held.track_ids]
    kept = [n for n, labels in enumerate(known) if labels is not None]
    if not kept:
        raise UsageError(f"the truth tells about none of the tracks, such as {held.track_ids[0]!r}")
    place = {label: c for c, label in enumerate(held.labels)}
    true_NL = np.zeros((len(kept), len(held.labels)), bool)
    for row, n in enumerate(kept):
        for label in known[n] or ():
            if label in place:
                true_NL[row, place[label]] = True
    some = held.of(kept)
    if not some.Y_NL.any(axis=0).all():
        raise UsageError("the truth leaves out every track of a label: give the truth of all tracks")
    return some, true_NL
