"""One publication of a lake, open for questions about neighbours."""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import duckdb
import numpy as np

from phonolake.errors import PhonolakeError, UsageError
from phonolake.lookup import indexed, runs
from phonolake.lookup.partitions import Partitions
from phonolake.lookup.searched import Hit, Searched
from phonolake.search import index as faiss_index
from phonolake.search.allowed import Allowed
from phonolake.store import query
from phonolake.store.lake import Lake

# A table of a connection that conditions are joined with.
INDEXED = "indexed_tracks"
# Interval of checks for a new index without a new publication.
LOOK_SECONDS = 1.0
# Cached conditions, and cached tracks outside the index, until the next publication.
CONDITIONS, REMEMBERED = 32, 10_000


class Publication:
    """One publication of a lake: a connection to it, and the requested embeddings."""

    def __init__(
        self,
        lake: Lake,
        published: tuple[int, int] | None,
        *,
        files: bool = True,
        seconds: float | None = None,
        partitions: Partitions | None = None,
        on_gpu: bool = False,
    ) -> None:
        self.lake, self.files, self._seconds = lake, files, seconds
        self._partitions, self._on_gpu = partitions, on_gpu
        self.published = published
        self._runs: list[runs.ModelRun] | None = None
        self._chosen: dict[tuple[str | None, bool], str] = {}
        self._looked = 0.0
        self._searched: dict[str, Searched] = {}
        self._readers: dict[str, Callable[[str], np.ndarray]] = {}
        self._shown: dict[str, tuple[str | None, ...]] = {}

    @cached_property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection for SQL, which an indexed query does not need."""
        return query.connect(self.lake)

    def close(self) -> None:
        """Let go of the connection."""
        if "connection" in self.__dict__:
            self.connection.close()

    def choose(self, model_or_run: str | None, *, text: bool = False) -> str:
        """The run of the embeddings; with `text` one whose model reads texts."""
        asked = model_or_run, text
        if asked not in self._chosen:
            self._chosen[asked] = self._choose(*asked)
        return self._chosen[asked]

    def _choose(self, model_or_run: str | None, text: bool) -> str:
        embedded = indexed.runs(self.lake)
        if model_or_run is None and len(embedded) == 1 and not text:
            return embedded[0]
        if self._runs is None:
            self._runs = [run for run in runs.model_runs(self.connection) if run.run_id in embedded]
        if text:
            found = runs.find(self._runs, model_or_run, what="model that reads texts", among=lambda run: run.reads_text)
        else:
            found = runs.find(self._runs, model_or_run, what="model with embeddings")
        if found is None and text:
            raise PhonolakeError(
                "no model with embeddings in the lake reads texts: `phonolake models import transformers DIR` takes "
                "one with a text tower, such as CLAP, and `phonolake score` computes its embeddings"
            )
        if found is None:
            raise PhonolakeError("the lake has no embeddings yet: run `phonolake run` or `phonolake score`")
        return found.run_id

    def searched(self, run_id: str) -> Searched:
        """The embeddings of a run with its current index."""
        known = self._searched.get(run_id)
        # An index that is built is published soon after: to look at each question would take longer than the rest.
        if known is not None and time.monotonic() < self._looked + LOOK_SECONDS:
            return known
        self._looked = time.monotonic()
        if known is None or known.stamp != faiss_index.stamp(indexed.folder(self.lake, run_id)):
            known = Searched(self.lake, run_id, partitions=self._partitions, on_gpu=self._on_gpu)
            self._searched[run_id] = known
        return known

    def text_reader(self, run_id: str) -> Callable[[str], np.ndarray]:
        """A function from a text to its vector by the model of a run, which stays in memory."""
        if run_id not in self._readers:
            from phonolake.inference import embedding  # late: this brings torch

            self._readers[run_id] = embedding.text_reader(self.lake, run_id)
        return self._readers[run_id]

    def among(self, searched: Searched, where: str | None) -> list[Allowed | None]:
        """The vectors whose tracks meet a condition, for each searched part; None if all are allowed.

        Raises
        ------
        UsageError
            For an invalid SQL condition.
        """
        if where is None:
            return searched.among(None)
        if where not in searched.conditions:
            numbers = self._fulfilling(searched, where)
            if len(searched.conditions) >= CONDITIONS:
                searched.conditions.clear()
            searched.conditions[where] = searched.among(numbers)
        return searched.conditions[where]

    def _fulfilling(self, searched: Searched, where: str) -> np.ndarray:
        if not where.strip():
            raise UsageError('an empty condition: leave --where out, or give one such as "year > 2000"')
        self.connection.register(INDEXED, searched.table())
        matching = f"SELECT track_id FROM tracks WHERE (\n{where}\n)"
        sql = f"SELECT number FROM {INDEXED} SEMI JOIN ({matching}) USING (track_id)"
        with query.limited(self.connection, self._seconds):
            return np.sort(query.arrow(query.select(self.connection, sql))["number"].to_numpy())

    def shown(self, found: Iterable[Hit]) -> dict[str, tuple[str | None, ...]]:
        """Title, artist and labels of some tracks."""
        shown, rest = {}, []
        for f in found:
            facts = f.piece.shown(f) or self._shown.get(f.track_id)
            if facts is None:
                rest.append(f.track_id)
            else:
                shown[f.track_id] = facts
        if rest:
            if len(self._shown) >= REMEMBERED:
                self._shown.clear()
            self._shown |= _look_up(self.connection, rest)
            shown |= {track_id: self._shown[track_id] for track_id in rest}
        return shown


def _look_up(connection: duckdb.DuckDBPyConnection, ids: Sequence[str]) -> dict[str, tuple[str | None, ...]]:
    rows = connection.execute(
        "SELECT t.track_id, any_value(t.title), any_value(t.artist), "
        "string_agg(DISTINCT l.label, ', ' ORDER BY l.label) FROM tracks t "
        "LEFT JOIN labels l ON l.track_id = t.track_id AND l.value = 1 AND l.source = 'dataset' "
        "WHERE t.track_id IN (SELECT unnest($1::VARCHAR[])) GROUP BY t.track_id",
        [list(ids)],
    ).fetchall()
    return dict.fromkeys(ids, (None, None, None)) | {track_id: tuple(rest) for track_id, *rest in rows}
