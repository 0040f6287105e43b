"""A proxy on this machine that stands before an S3 server and lets things go wrong, as networks and servers do."""

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# What can happen to a request.
PASS, ERROR, SLOW_DOWN, RESET, LOST, CUT, TORN, LATE, EXPIRED = (
    "pass", "error", "slow down", "reset", "lost answer", "cut answer", "torn upload", "late", "expired",
)  # fmt: skip
LATE_SECONDS = 2.0
ANSWERS = {ERROR: (500, "InternalError"), SLOW_DOWN: (503, "SlowDown"), EXPIRED: (400, "ExpiredToken")}


@dataclass
class Faults:
    """What goes wrong: `choose` is asked about each request, by its method and path."""

    choose: Callable[[str, str], str] = lambda method, path: PASS
    happened: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)


class Forwarding(BaseHTTPRequestHandler):
    """Hands each request to the server `behind`, and its answer back."""

    behind: tuple[str, int]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        pass

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def handle_one(self) -> None:
        self.forward(self.body(), PASS)

    def do_GET(self) -> None:
        self.handle_one()

    do_PUT = do_POST = do_DELETE = do_HEAD = do_GET  # noqa: N815

    def reset(self) -> None:
        # Without waiting: the other side sees that the connection is reset, not that it has ended.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def forward(self, body: bytes, fault: str) -> None:
        behind = http.client.HTTPConnection(*self.behind, timeout=60)
        behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            behind.putheader(name, value)
        behind.endheaders()
        if fault == TORN:
            # Half of an upload, and then nothing more.
            behind.send(body[: len(body) // 2])
            behind.close()
            self.reset()
            return
        behind.send(body)
        answer = behind.getresponse()
        data = answer.read()
        behind.close()
        if fault == LOST:
            self.reset()
            return
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = answer.headers.get("Content-Length") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        if fault == CUT:
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self.reset()
        else:
            self.wfile.write(data)

    def handle(self) -> None:
        with suppress(ConnectionError, BrokenPipeError):
            super().handle()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


@contextmanager
def served(handler: type[Forwarding]) -> Iterator[str]:
    """Answer requests while the block runs; gives the endpoint."""
    with Server(("127.0.0.1", 0), handler) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{proxy.server_port}"
        proxy.shutdown()
        thread.join()


@contextmanager
def standing_before(endpoint: str) -> Iterator[tuple[str, Faults]]:
    """Gives the endpoint of the proxy, and what its tests set."""
    faults, server = Faults(), urlsplit(endpoint)

    class Handler(Forwarding):
        behind = (server.hostname or "", server.port or 80)

        def handle_one(self) -> None:
            body = self.body()
            faults.seen.append(f"{self.command} {self.path} {dict(self.headers)}")
            fault = faults.choose(self.command, self.path)
            if fault != PASS:
                faults.happened.append(fault)
            if fault in ANSWERS:
                self.refuse(*ANSWERS[fault])
            elif fault == RESET:
                self.reset()
            else:
                if fault == LATE:
                    time.sleep(LATE_SECONDS)
                self.forward(body, fault)

        def refuse(self, status: int, code: str) -> None:
            text = f"<Error><Code>{code}</Code><Message>As the test wants it.</Message></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)

    with served(Handler) as standing:
        yield standing, faults
