"""Export embeddings of a lake to a file for other programs; `phonolake embeddings import` reads each format."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from phonolake.errors import PhonolakeError, UsageError, unknown
from phonolake.files import here, replacing
from phonolake.lookup import embeddings, licences, runs


@dataclass(frozen=True, slots=True)
class ExportedEmbeddings:
    """The export and its licence; `kind` is one of `licences.KINDS`."""

    run_id: str
    model: str
    tracks: int
    numbers: int
    bytes: int
    licence: str | None
    kind: str


@dataclass(frozen=True, slots=True)
class _Vectors:
    """Vectors E_ND of tracks, and what is known of them."""

    track_ids: tuple[str, ...]
    E_ND: np.ndarray
    about: dict[str, str]


def export(
    connection: duckdb.DuckDBPyConnection,
    file: str,
    *,
    model_or_run: str | None = None,
    dataset: str | None = None,
) -> ExportedEmbeddings:
    """Write the embeddings of a run to a file, completely or not at all.

    Parameters
    ----------
    file : str
        Its ending says how: ``.parquet`` (track_id and a list), ``.npz`` (``track_ids`` and ``embeddings``), ``.npy``
        with the ids one a line in a ``.txt`` of the same name, or ``.csv`` (a column for each number).
    model_or_run : str, optional
        The newest by default.

    Raises
    ------
    UsageError
        For another ending, or a model without embeddings.
    PhonolakeError
        When there are none (of the dataset).
    """
    path = here(file)
    if path.suffix.lower() not in _WRITERS:
        raise unknown("ending of a file of embeddings", path.suffix, _WRITERS)
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent} for {path.name}")
    run = runs.find(runs.with_embeddings(connection), model_or_run, what="model with embeddings")
    rows = connection.execute("SELECT track_id FROM tracks WHERE $1 IS NULL OR dataset = $1", [dataset]).fetchall()
    found = None
    if run is not None:
        found = embeddings.read(connection, [track_id for (track_id,) in rows], model=run.run_id)
    if run is None or found is None:
        of = f" for tracks of {dataset!r}" if dataset else ""
        raise PhonolakeError(f"the lake has no embeddings{of} yet: run `phonolake score`")
    stated = licences.of_runs(connection)[run.run_id]
    about = {
        "run_id": run.run_id,
        "model": run.model,
        "licence": stated.licence or licences.NOT_STATED,
        "origin": stated.origin or "",
    }
    _WRITERS[path.suffix.lower()](path, _Vectors(found.track_ids, found.E_ND, about))
    n_tracks, n_numbers = found.E_ND.shape
    return ExportedEmbeddings(
        run.run_id, run.model, n_tracks, n_numbers, path.stat().st_size, stated.licence, stated.kind
    )


def _parquet(path: Path, vectors: _Vectors) -> None:
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.E_ND.reshape(-1)), vectors.E_ND.shape[1])
    table = pa.table({"track_id": vectors.track_ids, "embedding": lists})
    with replacing(path) as temporary:
        pq.write_table(table.replace_schema_metadata(vectors.about), temporary)


def _npz(path: Path, vectors: _Vectors) -> None:
    with replacing(path) as temporary, temporary.open("wb") as stream:
        about: dict[str, Any] = {name: np.array(text) for name, text in vectors.about.items()}
        np.savez(stream, track_ids=np.array(vectors.track_ids), embeddings=vectors.E_ND, **about)


def _npy(path: Path, vectors: _Vectors) -> None:
    with replacing(path.with_suffix(".txt")) as temporary:
        temporary.write_text("".join(f"{track_id}\n" for track_id in vectors.track_ids), encoding="utf-8")
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, vectors.E_ND)


def _csv(path: Path, vectors: _Vectors) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["track_id", *(f"x{k}" for k in range(vectors.E_ND.shape[1]))])
        for track_id, vector_D in zip(vectors.track_ids, vectors.E_ND, strict=True):
            # As few digits as tell a float32 from its neighbours.
            writer.writerow([track_id, *map(str, vector_D)])


_WRITERS: dict[str, Callable[[Path, _Vectors], None]] = {
    ".csv": _csv,
    ".npy": _npy,
    ".npz": _npz,
    ".parquet": _parquet,
}
