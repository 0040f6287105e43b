"""The routes of the service: their parameters, who may use them, and how large a request may be."""

import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import PurePath
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, File, HTTPException, Query, Response, UploadFile
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from pydantic import BaseModel, Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phonolake.lineage import CODE_VERSION
from phonolake.serve.answers import MOST_ROWS, ServiceAnswer, ServiceConfig

# Requests that a replica answers.
Ask = Callable[[str, dict[str, Any]], Awaitable[ServiceAnswer]]
# Paths that need no token: they reveal nothing about the lake.
OPEN = frozenset({"/health", "/docs", "/openapi.json"})
MOST_NEIGHBOURS, MOST_NAMED, MOST_TEXT = 1000, 100, 20_000
# For a request without a file, and for the rest of a request with one.
PLAIN_BYTES = 64 << 10
BEARER = HTTPBearer(auto_error=False, description="The token that the service was started with.")

Names = Annotated[list[str], Query(max_length=MOST_NAMED)]
Neighbours = Annotated[int, Query(ge=1, le=MOST_NEIGHBOURS, description="How many neighbours.")]
Text = Annotated[str | None, Query(max_length=MOST_TEXT)]
Upload = Annotated[UploadFile, File(description="Encoded audio.")]


class SqlQuestion(BaseModel):
    """A SELECT over the tables and macros of the lake."""

    query: str = Field(max_length=MOST_TEXT)
    rows: int = Field(1000, ge=1, le=MOST_ROWS)


def application(ask: Ask, config: ServiceConfig) -> FastAPI:
    """The routes, over a callable that answers.

    Parameters
    ----------
    ask : callable
        Gives `phonolake.serve.answers.LakeAnswers.answer`, from wherever.
    """
    app = FastAPI(title="Phonolake", version=CODE_VERSION, redoc_url=None, dependencies=[Depends(BEARER)])
    metrics = _Metrics()
    app.add_middleware(_Guard, config=config, metrics=metrics)
    _add_questions(app, ask)
    if config.sql:

        @app.post("/sql", summary="Run a SELECT")
        async def sql(question: SqlQuestion) -> Response:
            return _response(await ask("sql", {"text": question.query, "rows": question.rows}))

    @app.get("/health", summary="Whether the service answers")
    async def health() -> Response:
        return _response(await ask("health", {}))

    @app.get("/metrics", summary="Number and time of requests, for Prometheus")
    async def count() -> Response:
        return Response(generate_latest(metrics.registry), media_type="text/plain; version=0.0.4")

    return app


def _add_questions(app: FastAPI, ask: Ask) -> None:
    @app.get("/similar", summary="Tracks that sound alike")
    async def similar(
        track_id: Names,
        unlike: Names = [],  # noqa: B006  FastAPI copies it
        k: Neighbours = 10,
        where: Text = None,
        model: Text = None,
        combine: Literal["centroid", "best"] = "centroid",
        per_artist: Annotated[int | None, Query(ge=1)] = None,
        start: Annotated[float | None, Query(ge=0, description="Compare a part, from this second on.")] = None,
        end: Annotated[float | None, Query(gt=0, description="Up to this second.")] = None,
    ) -> Response:
        span = None if start is None and end is None else (start or 0.0, float("inf") if end is None else end)
        return _response(
            await ask(
                "similar",
                {
                    "like": tuple(track_id),
                    "unlike": tuple(unlike),
                    "k": k,
                    "where": where,
                    "model_or_run": model,
                    "combine": combine,
                    "per_artist": per_artist,
                    "span": span,
                },
            )
        )

    @app.post("/similar", summary="Tracks that sound like an upload, which is not kept")
    async def similar_to_upload(file: Upload, k: Neighbours = 10, model: Text = None) -> Response:
        asked = {"data": await file.read(), "extension": _extension(file), "k": k, "model": model}
        return _response(await ask("similar_to_upload", asked))

    @app.post("/tag", summary="Tags of an upload, which is not kept")
    async def tag(file: Upload, top: Annotated[int, Query(ge=1, le=MOST_NEIGHBOURS)] = 5) -> Response:
        asked = {"data": await file.read(), "extension": _extension(file), "top": top}
        return _response(await ask("tag", asked))

    @app.get("/tracks/{track_id:path}", summary="Metadata of a track")
    async def track(track_id: str) -> Response:
        return _response(await ask("track", {"track_id": track_id}))


def _response(answer: ServiceAnswer) -> JSONResponse:
    return JSONResponse(answer.body, answer.status)


def _extension(file: UploadFile) -> str:
    return PurePath(file.filename or "").suffix[1:]


class _Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("phonolake_requests", "Requests answered.", ["path", "status"], registry=self.registry)
        self.seconds = Histogram(
            "phonolake_request_seconds", "From a request to its answer.", ["path"], registry=self.registry
        )


class _Guard:
    """Refuses requests without the token before their bodies are read, and bodies that are too large; counts all."""

    def __init__(self, app: ASGIApp, config: ServiceConfig, metrics: _Metrics) -> None:
        self._app, self._config, self._metrics = app, config, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        headers = {name.lower(): value for name, value in scope["headers"]}
        try:
            if (refused := self._refused(scope, headers)) is not None:
                await _refuse(sending, *refused)
            else:
                await self._app(scope, self._bounded(receive, self._most(headers)), sending)
        finally:
            route = scope.get("route")
            path = getattr(route, "path_format", "other")
            self._metrics.requests.labels(path, status).inc()
            self._metrics.seconds.labels(path).observe(time.monotonic() - began)

    def _refused(self, scope: Scope, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        if scope["path"] not in OPEN and not self._may(headers):
            return 401, "a token is required: Authorization: Bearer TOKEN"
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._most(headers):
            return 413, self._too_large(headers)
        return None

    def _may(self, headers: dict[bytes, bytes]) -> bool:
        if self._config.token_sha256 is None:
            return True
        kind, _, token = headers.get(b"authorization", b"").partition(b" ")
        given = hashlib.sha256(token.strip()).hexdigest()
        return kind.lower() == b"bearer" and hmac.compare_digest(given, self._config.token_sha256)

    def _most(self, headers: dict[bytes, bytes]) -> int:
        brings = headers.get(b"content-type", b"").startswith(b"multipart/")
        return PLAIN_BYTES + (self._config.upload_bytes if brings else 0)

    def _too_large(self, headers: dict[bytes, bytes]) -> str:
        return f"a request of this kind may have at most {self._most(headers):,} bytes"

    def _bounded(self, receive: Receive, most: int) -> Receive:
        """Stop reading a body without a stated length when it is too long."""
        had = 0

        async def receiving() -> Message:
            nonlocal had
            message = await receive()
            had += len(message.get("body", b""))
            if had > most:
                raise HTTPException(413, f"a request of this kind may have at most {most:,} bytes")
            return message

        return receiving


async def _refuse(send: Send, status: int, detail: str) -> None:
    headers = [(b"content-type", b"application/json")] + ([(b"www-authenticate", b"Bearer")] if status == 401 else [])
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"detail": detail}).encode()})
