"""The answers of the service: plain values in and out, with an HTTP status."""

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from phonolake.analysis.collection import similar_sql
from phonolake.analysis.collection.neighbours import Searcher, SimilarityQuestion
from phonolake.errors import AudioError, PhonolakeError, UsageError
from phonolake.inference.outside import Upload
from phonolake.inference.predictor import Predictor
from phonolake.inference.tagging import most_probable
from phonolake.lineage import CODE_VERSION
from phonolake.lookup import answers, browse, licences, licensed, runs
from phonolake.lookup.partitions import Partitions
from phonolake.models import home
from phonolake.records import plain
from phonolake.store import query, trained
from phonolake.store.place import Place

# Limits of a condition or a query: time and size of the result.
MOST_SECONDS, MOST_ROWS, MOST_BYTES = 30.0, 10_000, 16 << 20


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """What the service serves, and its limits.

    Parameters
    ----------
    lake : Place
        Where the lake lies.
    sql : bool
        Whether queries are answered.
    tagger : str, optional
        Network of the model home that tags uploads; by default the newest suitable network of the lake.
    replicas : int
        Processes that answer.
    partitions : int
        Processes that search the segments of indexes for each of them; with 1 it searches them itself.
    queue : int
        Requests that may wait for one of them; more are refused with 503.
    upload_bytes : int
        The largest upload.
    token_sha256 : str, optional
        Checksum of the token that requests must carry; None for none.
    licence : str, optional
        Only models, vectors and predictions under licences of this kind.
    """

    lake: Place
    sql: bool = False
    tagger: str | None = None
    replicas: int = 1
    partitions: int = 1
    queue: int = 256
    upload_bytes: int = 30 << 20
    token_sha256: str | None = None
    licence: str | None = None


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """An HTTP status, and a body of plain values."""

    status: int
    body: Any


class LakeAnswers:
    """Answers requests about one lake, in its published state at the time of the request. Thread-safe."""

    def __init__(self, config: ServiceConfig, partitions: Partitions | None = None) -> None:
        self._config = config
        self._lake = licensed.opened(config.lake, config.licence)
        self._searcher = Searcher(self._lake, files=False, seconds=MOST_SECONDS, partitions=partitions, on_gpu=True)
        self._tagging = threading.Lock()
        self._taggers: dict[str, Predictor] = {}
        self._ways: dict[str, Callable[..., Any]] = {
            "similar": self._similar,
            "similar_to_upload": self._similar_to_upload,
            "tag": self._tag,
            "track": self._track,
            "sql": self._sql,
            "health": self._health,
        }

    def answer(self, what: str, asked: dict[str, Any]) -> ServiceAnswer:
        """The answer to a request, or a one-line error: 404 for something that does not exist, 400 for a wrong request.

        Parameters
        ----------
        what : {"similar", "similar_to_upload", "tag", "track", "sql", "health"}
        asked : dict
            Arguments of the method of that name.
        """
        try:
            return ServiceAnswer(200, plain(self._ways[what](**asked)))
        except UsageError as error:
            return ServiceAnswer(404 if what == "track" else 400, {"detail": str(error)})
        except PhonolakeError as error:
            return ServiceAnswer(500, {"detail": str(error)})

    def _similar(self, **question: Any) -> list[dict[str, Any]]:
        return [asdict(neighbour) for neighbour in self._searcher.ask(SimilarityQuestion(**question))]

    def _similar_to_upload(self, data: bytes, extension: str, k: int, model: str | None) -> list[dict[str, Any]]:
        found = self._searcher.similar_to_upload(data, extension=extension, k=k, model_or_run=model)
        return [asdict(neighbour) for neighbour in found]

    def _tag(self, data: bytes, extension: str, top: int) -> list[dict[str, Any]]:
        with self._tagging:
            tagger = self._tagger()
            try:
                found = list(most_probable(tagger, Upload(data, extension), top))
            except AudioError as error:
                raise UsageError(f"the upload cannot be used ({error})") from error
        return [{"rank": rank, "tag": tag, "probability": p} for rank, (tag, p) in enumerate(found, start=1)]

    def _tagger(self) -> Predictor:
        name = self._config.tagger or self._newest()
        if name not in self._taggers:
            load = home.load(name) if self._config.tagger else None
            if load is not None:
                licences.check_card(name, load.card, self._config.licence)
            loaded = Predictor.load(trained.weights(self._lake.place, name)) if load is None else Predictor.of(load)
            self._taggers = {name: loaded}
        return self._taggers[name]

    def _newest(self) -> str:
        with query.connect(self._lake) as connection:
            found = next((run.run_id for run in runs.model_runs(connection) if run.has_weights and run.labels), None)
        if found is None:
            raise UsageError("the lake has no model that can tag: train one, or serve with --tagger")
        return found

    def _track(self, track_id: str) -> dict[str, Any]:
        with query.connect(self._lake) as connection:
            return asdict(browse.facts(connection, track_id))

    def _sql(self, text: str, rows: int) -> dict[str, Any]:
        with similar_sql.connecting(self._lake, files=False) as connection:
            found = answers.ask(
                connection, text, max_rows=min(rows, MOST_ROWS), max_seconds=MOST_SECONDS, max_bytes=MOST_BYTES
            )
        columns = found.rows.column_names
        values = [list(row.values()) for row in found.rows.to_pylist()]
        return {"columns": columns, "rows": values, "complete": found.complete}

    def _health(self) -> dict[str, Any]:
        self._lake.publication()
        return {"status": "ok", "version": CODE_VERSION}
