"""Requests to object storage: retried if possible, and errors are one line without secrets.

Every function takes the address of a place, such as ``s3://bucket/prefix``, and names below it. Credentials and
endpoints come from the environment, by the names of each cloud: ``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL``,
``GOOGLE_APPLICATION_CREDENTIALS``, ``AZURE_STORAGE_ACCOUNT_NAME`` ...; those of S3 also from profiles, see
`store.profiles`.
"""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cache
from io import RawIOBase
from pathlib import Path
from typing import Any, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import from_url

from phonolake.errors import PhonolakeError, UsageError
from phonolake.store import profiles

Found = TypeVar("Found")

# Objects of at least twice this size are uploaded in parts of this size.
PART = 16 << 20
# The library retries each request, after 0.1, 0.2, 0.4 ... seconds, if that can help.
RETRIES: Any = {"max_retries": 8}
# Objects per response of a listing.
PAGE = 1000
TIMEOUTS: Any = {"timeout": "120s", "connect_timeout": "10s"}
# It does not retry when a connection breaks during a response: we retry idempotent requests this often.
READINGS = 5
# Not accessible to this user, or archived.
REFUSED = ("AccessDenied", "InvalidObjectState", "BlobArchived")
DENIED = ("403 ", "401 ", "Expired", "InvalidAccessKey", "Unauthenticated", "credential")


class StorageError(PhonolakeError):
    """A request to object storage failed.

    A retry may help if it is `passing`; `refused` is the reason if only this object is not available.
    """

    passing = True
    refused = ""


class TakenError(StorageError):
    """An object to create exists already, or an object to replace has changed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a place: its name, bytes, time of the last write, and a tag that changes with every write."""

    name: str
    size: int
    modified: datetime
    tag: str


def read(address: str, name: str) -> tuple[bytes, Entry]:
    """The content of an object and its entry; `FileNotFoundError` if it does not exist."""

    def whole() -> tuple[bytes, Entry]:
        found = obstore.get(client(address), name)
        return bytes(found.bytes()), _entry(found.meta)

    return again(address, name, whole)


def entry(address: str, name: str) -> Entry:
    """The entry of an object; `FileNotFoundError` if it does not exist."""
    return again(address, name, lambda: _entry(obstore.head(client(address), name)))


def part(address: str, name: str, start: int, end: int, tag: str | None = None) -> bytes:
    """Some bytes of an object; with a tag a `TakenError` if it has changed."""
    options: Any = {"range": (start, end)} | ({"if_match": tag} if tag else {})

    def some() -> bytes:
        found = bytes(obstore.get(client(address), name, options=options).bytes())
        if len(found) != end - start:
            raise OSError("the object is shorter than its stated size")
        return found

    return again(address, name, some)


def facts(address: str, name: str) -> tuple[int, dict[str, str]]:
    """Size of an object and its metadata; `FileNotFoundError` if it does not exist."""
    with _asking(address, name):
        found = obstore.get(client(address), name, options={"head": True})
        return found.meta["size"], {str(key): str(value) for key, value in found.attributes.items()}


def put(
    address: str, name: str, data: bytes | Path, *, create: bool, match: str | None, kept: Mapping[str, str]
) -> None:
    """Write an object as a whole.

    Raises
    ------
    TakenError
        If it exists and should be created, or its tag differs from `match`.
    """
    mode: Any = "create" if create else _version(address, name, match) if match is not None else "overwrite"
    size = data.stat().st_size if isinstance(data, Path) else len(data)
    options: Any = {"mode": mode, "attributes": dict(kept), "chunk_size": PART}

    def whole() -> None:
        obstore.put(client(address), name, data, use_multipart=mode == "overwrite" and size > 2 * PART, **options)

    if mode == "overwrite":
        again(address, name, whole)
        return
    with _asking(address, name):
        whole()


def _version(address: str, name: str, tag: str) -> dict[str, str]:
    """What a put is bound to that may replace an object with this tag alone."""
    if not address.startswith("gs://"):
        return {"e_tag": tag}

    # Google binds puts to numbers of generations, which listings do not tell, and only reads to tags.
    def there() -> Any:
        return obstore.head(client(address), name)

    try:
        found = again(address, name, there)
    except FileNotFoundError:
        found = None
    if found is None or _entry(found).tag != tag:
        raise _taken(f"{address}/{name}")
    return {"e_tag": tag, "version": found["version"]}


def listed(address: str, prefix: str, after: str) -> Iterator[Entry]:
    """Objects below a prefix, in order of their names, after a given name."""

    def all_of_them() -> list[Any]:
        return [meta for some in obstore.list(client(address), prefix, offset=after or None) for meta in some]

    for meta in sorted(again(address, prefix, all_of_them), key=lambda meta: meta["path"]):
        if meta["path"].startswith(prefix):
            yield _entry(meta)


def streamed(address: str, prefix: str) -> Iterator[Entry]:
    """Objects below a prefix as they are listed, for any number of them; some come twice after an interruption.

    Raises
    ------
    StorageError
    """
    for n in range(1, READINGS + 1):
        try:
            with _asking(address, prefix):
                for some in obstore.list(client(address), prefix or None, chunk_size=PAGE):
                    for meta in some:
                        if meta["path"].startswith(prefix):
                            yield _entry(meta)
                return
        except StorageError as error:
            if n == READINGS or not error.passing:
                raise
        time.sleep(0.1 * 2**n)


def delete(address: str, names: Sequence[str]) -> None:
    """Delete objects; missing ones are ignored."""

    def each() -> None:
        for name in names:
            with suppress(FileNotFoundError):
                obstore.delete(client(address), name)

    def all_of_them() -> None:
        try:
            obstore.delete(client(address), list(names))
        except FileNotFoundError:  # Azure says so, and S3 does not
            each()

    if names:
        again(address, names[0], all_of_them)


class Parts(RawIOBase):
    """An object of known size that is read part by part."""

    def __init__(self, address: str, name: str, size: int) -> None:
        super().__init__()
        self._address, self._name, self._size, self._at = address, name, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._size, self._at + len(buffer))
        if end <= self._at:
            return 0
        found = part(self._address, self._name, self._at, end)
        buffer[: len(found)] = found
        self._at = end
        return len(found)


@cache
def client(address: str) -> Any:
    """The library's client of an address, one for this process."""
    found = profiles.access() if address.startswith("s3://") else profiles.Access()
    settings: dict[str, Any] = {}
    if found.keys is not None and found.keys.expires_at is not None:
        found, settings = replace(found, keys=None), {"credential_provider": _renewed}
    settings["config"] = {name.lower(): value for name, value in found.options().items()}
    # Options of ours hide this one of the environment from the library.
    client_options = TIMEOUTS | {"allow_http": _is_plain(found.endpoint) or _says_yes("GOOGLE_ALLOW_HTTP")}
    try:
        return from_url(address, retry_config=RETRIES, client_options=client_options, **settings)
    except (BaseError, OSError, ValueError) as error:
        raise UsageError(f"{address} cannot be opened ({complaint(error)}): name another place") from None


def options(address: str) -> dict[str, str]:
    """Options for other libraries about an address, in addition to those in the environment."""
    if not address.startswith("s3://"):
        return {}
    found = profiles.access()
    return found.options() | ({"AWS_ALLOW_HTTP": "true"} if _is_plain(found.endpoint) else {})


def forget_clients() -> None:
    """Read the environment again at the next use of an address."""
    client.cache_clear()


def complaint(error: Exception) -> str:
    """The error of object storage on one line, without addresses and requests."""
    text = str(error)
    code = re.search(r"<Code>([A-Za-z0-9]+)</Code>", text)
    status = re.search(r"status code: (\d+ [A-Za-z ]+)", text)
    if status:
        return status[1].strip() + (f": {code[1]}" if code else "")
    # Another library appends the cause below, with colours.
    last = re.sub(r"\x1b\[\d*m|↳", "", text.split("\n\n")[0]).strip().split("\n")[-1].strip()
    return re.sub(r"https?://\S+", "...", last.rpartition(": ")[2] or last)[:120]


def again(address: str, name: str, ask: Callable[[], Found], also: type[Exception] = BaseError) -> Found:
    """The result of an idempotent request, repeated after broken connections.

    Parameters
    ----------
    also : type
        Error class of another library for errors of object storage; its other errors are passed on.

    Raises
    ------
    StorageError
    """
    for n in range(1, READINGS + 1):
        try:
            with _asking(address, name):
                return ask()
        except also as error:
            failed = failure(f"{address}/{name}", error)
            if not is_of_storage(error):
                raise
        except StorageError as error:
            failed = error
        if n == READINGS or not failed.passing:
            raise failed from None
        time.sleep(0.1 * 2**n)
    raise AssertionError("the last reading raises")


def failure(where: str, error: Exception) -> StorageError:
    """The error for a failure of object storage: one line, with advice."""
    way_out, passing = _way_out(str(error))
    failed = StorageError(f"object storage failed at {where} ({complaint(error)}): {way_out}")
    failed.passing = passing
    failed.refused = complaint(error) if any(word in str(error) for word in REFUSED) else ""
    return failed


def is_of_storage(error: Exception) -> bool:
    """Whether an error of another library comes from object storage or the network."""
    return bool(re.search(r"Generic (S3|GCS|MicrosoftAzure) error|ObjectStore|object store|status code", str(error)))


def _taken(where: str) -> TakenError:
    return TakenError(f"another job wrote {where} meanwhile: run the command again")


@contextmanager
def _asking(address: str, name: str) -> Iterator[None]:
    """Turn errors of object storage into one line, without debugging details."""
    where = f"{address}/{name}"
    try:
        yield
    except (AlreadyExistsError, PreconditionError):
        raise _taken(where) from None
    except FileNotFoundError:
        raise FileNotFoundError(2, "no such object", where) from None
    except (BaseError, OSError, ValueError) as error:
        raise failure(where, error) from None


def _renewed() -> Any:
    """Temporary credentials, which the library requests repeatedly."""
    keys = profiles.access().keys
    assert keys is not None, "a profile gave credentials once but not again"
    return asdict(keys)


def _is_plain(endpoint: str | None) -> bool:
    """Whether to use S3 without TLS, if the endpoint says so."""
    named = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    return named.startswith("http://") or _says_yes("AWS_ALLOW_HTTP")


def _says_yes(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in ("1", "true")


def _entry(meta: Any) -> Entry:
    tag = meta["e_tag"] or ""
    # Listings of Azure omit the quotes that a condition needs.
    quoted = tag if not tag or tag.startswith(('"', "W/")) else f'"{tag}"'
    return Entry(meta["path"], meta["size"], meta["last_modified"], quoted)


def _way_out(said: str) -> tuple[str, bool]:
    """Advice for the user, and whether a retry may help."""
    # The response to a HEAD has no message.
    wordless = "400 Bad Request" in said and "<Code>" not in said
    if wordless or any(word in said for word in DENIED):
        return "check the credentials of the environment, and whether they may read and write there", False
    if "NoSuchBucket" in said or "ContainerNotFound" in said:
        return "make the bucket first, or name another one", False
    return "check the address and the network, and run the command again", True
