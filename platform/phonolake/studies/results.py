"""The printed results of a study, stored in its lake for SQL and the dashboard."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from phonolake.lineage import digest
from phonolake.store import schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import SEPARATOR, keep_rows
from phonolake.studies.contract import ClaimRow, Row

ROWS, CLAIMS = "study_rows", "study_claims"
_RENAMED = {"table": "table_name", "row": "row_name"}


def changes(
    lake: Lake,
    study: str,
    asked: Mapping[str, Any],
    rows: Sequence[Row],
    claims: Sequence[ClaimRow],
    models_read: Sequence[str],
) -> dict[str, Change]:
    """Changes that replace the rows and claims of an earlier, identical request.

    Parameters
    ----------
    asked : mapping
        What sets the request apart from others of the study.
    models_read : sequence of str
        Models that gave what was measured: ``embeddings:RUN`` of the lake, ``home:NAME`` of the model home.
    """
    study_run = f"{study}-{digest(asked)}"
    found = {}
    printed: dict[str, Sequence[Row | ClaimRow]] = {ROWS: rows, CLAIMS: claims}
    for name, items in printed.items():
        table = schema.table(name)
        listed = [
            {"study_run": study_run, "position": n, "study": study, "models_read": list(models_read)}
            | _plain(asdict(item))
            for n, item in enumerate(items, start=1)
        ]
        file = lake.path(name, f"{study_run}{SEPARATOR}{digest(listed)}")
        before = [one for one in lake.shards(name) if one.startswith(study_run + SEPARATOR) and one != file.name]
        if file.name not in lake.shards(name) or before:
            found[name] = Change(table, [keep_rows(file, table.arrow, listed)], before)
    return found


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    """Columns as the tables call them; what is no number is missing."""
    return {
        _RENAMED.get(name, name): None if isinstance(value, float) and np.isnan(value) else value
        for name, value in item.items()
    }
