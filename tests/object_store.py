"""An S3 server of the tests' own on this machine: SeaweedFS, one process that keeps its objects in a folder."""

import json
import random
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

from phonolake.store import objects
from phonolake.store import place as places

from .cli.processes import end_with_the_tests

KEY, SECRET = "tests-key", "tests-secret-that-nobody-may-see"
BUCKET = "music"
START_SECONDS = 60


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve what is put into a folder; gives the endpoint."""
    identity = {"name": "tests", "credentials": [{"accessKey": KEY, "secretKey": SECRET}]}
    identity["actions"] = ["Admin", "Read", "Write", "List", "Tagging"]
    (folder / "data").mkdir(parents=True)
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    master, volume, filer, s3 = free_ports(4)
    command = [str(Path(sys.executable).with_name("weed")), "server", f"-dir={folder / 'data'}"]
    command += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-master.port={master}", f"-volume.port={volume}"]
    command += ["-master.volumeSizeLimitMB=64", "-volume.max=30", "-master.telemetry=false"]
    command += ["-filer", f"-filer.port={filer}", "-s3", f"-s3.port={s3}", f"-s3.config={folder / 's3.json'}"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, preexec_fn=end_with_the_tests)
        try:
            endpoint = f"http://127.0.0.1:{s3}"
            _wait(endpoint, folder / "log")
            yield endpoint
        finally:
            server.kill()
            server.wait()


def settings(endpoint: str) -> dict[str, str]:
    """What the environment says of the server, by the names of the ecosystem."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }


@contextmanager
def using(endpoint: str, cache: Path, url: str | None = None) -> Iterator[str]:
    """Let this process and its children use a server; gives `url`, or that of a prefix that nobody else uses."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings(endpoint).items():
            patch.setenv(name, value)
        patch.setenv(places.CACHE, str(cache))
        objects.forget_clients()
        yield url or f"s3://{BUCKET}/{uuid.uuid4().hex[:12]}"
    objects.forget_clients()


@contextmanager
def emulating(command: list[str], folder: Path) -> Iterator[pytest.MonkeyPatch]:
    """Run the server of another cloud, which ends with the tests; gives what sets the environment meanwhile."""
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, cwd=folder, stdout=quiet, stderr=quiet, preexec_fn=end_with_the_tests)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(places.CACHE, str(folder / "cache"))
            objects.forget_clients()
            yield patch
    finally:
        server.kill()
        server.wait()
        objects.forget_clients()


def free_ports(n: int) -> list[int]:
    """Ports on which nothing listens, nor 10,000 above, where the parts of the server speak with each other."""
    found: list[int] = []
    with ExitStack() as stack:
        while len(found) < n:
            port = random.randint(20_000, 50_000)
            try:
                for number in (port, port + 10_000):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", number))
            except OSError:
                continue
            found.append(port)
    return found


def _wait(endpoint: str, log: Path) -> None:
    store = S3Store(
        BUCKET,
        endpoint=endpoint,
        access_key_id=KEY,
        secret_access_key=SECRET,
        region="us-east-1",
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            obstore.put(store, "awake", b"yes", use_multipart=False)
            return
        except Exception:
            if time.monotonic() > until:
                raise AssertionError(log.read_text(errors="replace")[-2000:]) from None
            time.sleep(0.1)
