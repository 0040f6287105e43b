"""Credentials of S3 out of the files of AWS: in the order of its tools, and never said."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.object_store import KEY, SECRET, using

from phonolake.cli.main import main
from phonolake.errors import UsageError
from phonolake.store import objects, profiles, query, schema
from phonolake.store.lake import Change, Lake
from phonolake.store.profiles import Access, Keys
from phonolake.store.shards import write_rows

TERMS = schema.table("vocabulary")
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes `config` and `credentials` into an `.aws` that is the only thing that says anything of S3."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()

    def files(**texts: str) -> Path:
        for name, text in texts.items():
            (tmp_path / ".aws" / name).write_text(text)
        profiles._held.clear()
        objects.forget_clients()
        return tmp_path

    yield files
    profiles._held.clear()
    objects.forget_clients()


CREDENTIALS = "[default]\naws_access_key_id = a\naws_secret_access_key = b%c#d\n[dev]\naws_access_key_id=e\n"
CREDENTIALS += "aws_secret_access_key=f\naws_session_token=g==\n"
CONFIG = """
# Who works here.
[default]
region = eu-central-1
output = json
[profile dev]
region = us-west-2
endpoint_url = https://all.example
services = own
s3 =
  max_concurrent_requests = 20
[profile "all alone"]
aws_access_key_id = h
aws_secret_access_key = i
[services own]
dynamodb =
  endpoint_url = https://tables.example
s3 =
  endpoint_url = https://objects.example
  addressing_style = path
"""


def test_the_order_is_that_of_the_tools_of_aws(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    assert profiles.access() == Access()
    write(config=CONFIG, credentials=CREDENTIALS)
    assert profiles.access() == Access(Keys("a", "b%c#d"), "eu-central-1")
    monkeypatch.setenv("AWS_PROFILE", "dev")
    assert profiles.access() == Access(Keys("e", "f", "g=="), "us-west-2", "https://objects.example")
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    assert profiles.access().endpoint is None
    monkeypatch.delenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
    # The environment goes first, each setting for itself.
    for name, value in {"AWS_REGION": "x", "AWS_ENDPOINT_URL": "https://y.example", "AWS_ACCESS_KEY_ID": "z"}.items():
        monkeypatch.setenv(name, value)
    assert profiles.access() == Access()
    for name in ("AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_PROFILE", "all alone")
    assert profiles.access() == Access(Keys("h", "i"))
    # A pod has a role of its own, whatever lies in its home.
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/secrets/token")
    assert profiles.access() == Access()


def test_the_files_may_lie_elsewhere(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    home = write(credentials=CREDENTIALS)
    (home / ".aws" / "credentials").rename(home / "keys")
    assert profiles.access() == Access()
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "keys"))
    assert profiles.access().keys == Keys("a", "b%c#d")
    (home / "own").write_text("[default]\nregion = here\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", "~/own")
    assert profiles.access().region == "here"


def test_a_program_is_asked_until_its_credentials_expire(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    home = write()
    (home / "ask.py").write_text(
        "import json, pathlib, sys\n"
        "path = pathlib.Path(sys.argv[1]); n = len(path.read_text()) if path.exists() else 0\n"
        "path.write_text('x' * (n + 1))\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': f'id{n}', 'SecretAccessKey': 's', 'Expiration': sys.argv[2]}))"
    )

    def until(minutes: int) -> Access:
        when = (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
        write(config=f'[default]\ncredential_process = {sys.executable} "{home}/ask.py" {home}/asked {when}\n')
        profiles.access()
        return profiles.access()

    soon, late = until(1).keys, until(60).keys
    assert soon is not None
    assert soon.access_key_id == "id1"
    assert late is not None
    assert late.access_key_id == "id2"
    assert late.expires_at is not None
    assert timedelta(minutes=58) < late.expires_at - datetime.now(UTC) < timedelta(minutes=61)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("[profile other]\nregion = x\n", "AWS_PROFILE names 'dev', which is neither"),
        ("[profile dev]\naws_access_key_id = SECRET\n", "no aws_secret_access_key"),
        ("[profile dev]\nSECRET\n", "cannot be read as profiles of AWS"),
        ("SECRET = 1\n[profile dev]\n", "cannot be read as profiles of AWS"),
        ("[profile dev]\ncredential_process = no-such-program SECRET\n", "gives no credentials: run it by hand"),
        ("[profile dev]\ncredential_process = echo SECRET\n", "gives no credentials: run it by hand"),
        ("[profile dev]\ncredential_process = 'SECRET\n", "gives no credentials: run it by hand"),
        ("[profile dev]\nsso_session = SECRET\nsso_account_id = 1\n", "phonolake[aws]"),
        ("[profile dev]\nrole_arn = arn:aws:iam::SECRET:role/x\nsource_profile = base\n", "export-credentials"),
    ],
)
def test_what_cannot_be_is_one_line_without_what_the_files_hold(
    config: str, said: str, write: Write, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    write(config=config)
    monkeypatch.setenv("AWS_PROFILE", "dev")
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(UsageError):
        profiles.access()
    assert main(["sql", "SELECT 1", "--lake", "s3://nowhere/lake"]) == 2
    told = capfd.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert "SECRET" not in told


def test_keys_do_not_show_themselves() -> None:
    assert "secret" not in f"{Access(Keys('key', 'secret'))!r} {Keys('key', 'secret')} {[Keys('key', 'secret')]}"


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.long
def test_a_lake_is_written_and_read_with_a_profile(
    asked: bool, objects_server: str, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By all libraries that ask the storage; the environment says nothing but the profile's name."""
    with using(objects_server, tmp_path / "cache") as url:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_PROFILE", "dev")
        keys = f"aws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
        if asked:
            until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
            said = {"Version": 1, "AccessKeyId": KEY, "SecretAccessKey": SECRET, "Expiration": until}
            (tmp_path / "said.json").write_text(json.dumps(said))
            keys = f"credential_process = cat {tmp_path}/said.json\n"
        write(config=f"[profile dev]\nregion = us-east-1\nendpoint_url = {objects_server}\n{keys}")
        lake = Lake.create(url)
        row = {"dataset": "d", "label": "a", "source_id": "a", "parents": [], "n_rated": None, "n_true": None}
        lake.commit({"vocabulary": Change(TERMS, [write_rows(lake.path("vocabulary", "a"), TERMS.arrow, [row])])})
        with query.connect(lake) as connection:
            assert connection.execute("SELECT label FROM vocabulary").fetchall() == [("a",)]
        words = [sys.executable, "-m", "phonolake.cli.main", "sql", "SELECT label FROM vocabulary", "--lake", url]
        done = subprocess.run([*words, "--format", "json"], capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == [{"label": "a"}]
        for entry in lake.place.list(""):
            data = lake.place.read(entry.name)
            assert SECRET.encode() not in data, entry.name
            assert KEY.encode() not in data, entry.name
        for path in lake.root.rglob("*"):
            assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
