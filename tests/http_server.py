"""A local HTTP server that answers as it is told: with ranges, slowly, cut short, or not at all."""

import sys
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """How the next request for a path is met; `cut` ends the body after so many bytes, `slow` is seconds a KiB."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    slow: float = 0.0
    body: bytes | None = None


class Server(ThreadingHTTPServer):
    """Serves `files` by path; `script` holds answers that come first, then `always` those that stay."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.script: dict[str, deque[Answer]] = defaultdict(deque)
        self.always: dict[str, Answer] = {}
        self.requests: list[tuple[str, str | None, float]] = []
        self.sent: Counter[str] = Counter()
        self.ranges = True
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def asked(self, path: str) -> int:
        return sum(1 for found, *_ in self.requests if found == path)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the tests."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server, path, asked = self.server, self.path, self.headers.get("Range")
        with server.lock:
            server.requests.append((path, asked, time.time()))
            waiting = server.script[path]
            answer = waiting.popleft() if waiting else server.always.get(path, Answer())
        data = server.files.get(path)
        if answer.status != 200 or (data is None and answer.body is None):
            self._say(answer.status if answer.status != 200 else 404, answer)
            return
        data = answer.body if answer.body is not None else data
        assert data is not None
        first = 0
        tag = f'"{hash(data)}"'
        if asked and server.ranges and self.headers.get("If-Range", tag) == tag:
            low, _, high = asked.removeprefix("bytes=").partition("-")
            first, last = int(low), int(high) if high else len(data) - 1
            if first >= len(data):
                self._say(416, answer)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
            body = data[first : last + 1]
        else:
            self.send_response(200)
            body = data
        kind = "audio/x-wav" if path.endswith((".wav", ".flac")) else "application/octet-stream"
        for name, value in {"Content-Type": kind, "Accept-Ranges": "bytes", "ETag": tag, **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self._send(body if answer.cut is None else body[: max(0, answer.cut - first)], answer)
        if answer.cut is not None:
            self.close_connection = True

    def _send(self, body: bytes, answer: Answer) -> None:
        step = 1024 if answer.slow else 1 << 16
        for start in range(0, len(body), step):
            piece = body[start : start + step]
            self.wfile.write(piece)
            with self.server.lock:
                self.server.sent[self.path] += len(piece)
            if answer.slow:
                time.sleep(answer.slow)

    def _say(self, status: int, answer: Answer) -> None:
        text = answer.body or b"no"
        self.send_response(status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Server]:
    """A server that runs while the block does."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
