"""The licence and origin of a model, its vectors and its predictions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from phonolake.errors import UsageError, unknown

PERMISSIVE, NON_COMMERCIAL, OTHER, NOT_STATED = "permissive", "non-commercial", "other", "not stated"
KINDS = (PERMISSIVE, NON_COMMERCIAL, OTHER, NOT_STATED)
# Models trained here on the user's own music are the user's.
OWN = "own"
# Kinds of cards of imports.
BROUGHT = ("vectors", "predictions")

_NON_COMMERCIAL = re.compile(r"\bnc\b|non-?\s?commercial|research (use )?only|academic", re.IGNORECASE)
# Licences that allow every use of the results, at most with attribution.
_PERMISSIVE = re.compile(
    r"^\s*(own\b|mit\b|isc\b|bsd\b|apache\b|cc0\b|cc[- ]?by(?!\s*[- ]\s*(sa|nd|nc))\b|unlicense\b|zlib\b|0bsd\b"
    r"|public domain\b|mpl\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ModelLicence:
    """The licence of a run's model, vectors and predictions.

    Parameters
    ----------
    licence : str or None
        As stated; ``own`` for models trained in the lake; None if not stated.
    kind : str
        One of `KINDS`.
    origin : str or None
        Address, paper or model of its origin.
    """

    run_id: str
    model: str
    licence: str | None
    kind: str
    origin: str | None


def kind_of(licence: str | None) -> str:
    """What a licence allows: one of `KINDS`."""
    if not licence or not licence.strip():
        return NOT_STATED
    # Licences are spelt in many ways: CC-BY-NC 4.0, CC BY NC, by_nc.
    parted = re.sub(r"[_/]+", "-", licence)
    if _NON_COMMERCIAL.search(parted.replace("-", " ")) or _NON_COMMERCIAL.search(parted):
        return NON_COMMERCIAL
    return PERMISSIVE if _PERMISSIVE.match(parted) else OTHER


def of_card(card: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Licence and origin on a model's card."""
    weights = card.get("weights") or {}
    licence, origin = card.get("licence") or weights.get("licence"), card.get("origin") or weights.get("url")
    if licence is None and not weights and card.get("kind") not in BROUGHT:
        return OWN, origin
    return licence, origin


def of_runs(connection: duckdb.DuckDBPyConnection) -> dict[str, ModelLicence]:
    """The licence of every run with a model, by its id, in the order of the models' names."""
    rows = connection.execute(
        "SELECT run_id, model, licence, origin FROM model_licences ORDER BY model, run_id"
    ).fetchall()
    return {
        run_id: ModelLicence(run_id, model, licence, kind_of(licence), origin)
        for run_id, model, licence, origin in rows
    }


def check_card(model: str, card: Mapping[str, Any], wanted: str | None) -> None:
    """Raise a `UsageError` if a model outside lakes has a licence of another kind than `wanted`."""
    if wanted is None:
        return
    check_kind(wanted)
    stated, _ = of_card(card)
    if (kind := kind_of(stated)) != wanted:
        raise UsageError(f"{model} has a licence of the kind {kind!r} ({stated or NOT_STATED})")


def check_kind(wanted: str) -> None:
    """Raise a `UsageError` that lists the kinds, unless `wanted` is one."""
    if wanted not in KINDS:
        raise unknown("kind of licence", wanted, KINDS)
