"""One file over HTTP: resumed where it stopped, checked, and renamed into place when it is whole."""

import email.utils
import hashlib
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonolake.errors import PhonolakeError, UsageError
from phonolake.files import take_place

BLOCK = 1 << 20
PART, ORIGIN = ".part", ".origin"
CHECKSUMS = ("sha256", "sha1", "md5")
# Status codes that a retry may change (RFC 9110; 429 is RFC 6585).
PASSING = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try.

    Parameters
    ----------
    tries : int
        Maximum number of consecutive attempts without a byte.
    first_wait, longest_wait : float
        Seconds before the second attempt, doubled each time; if a server asks for more than `longest_wait`, it ends.
    timeout : float
        Seconds without a byte after which an attempt ends.
    """

    tries: int = 5
    first_wait: float = 1.0
    longest_wait: float = 600.0
    timeout: float = 60.0

    def wait(self, attempt: int, asked: float | None) -> float:
        """Seconds to wait after the failed attempt of this number (from 1), if the server asked for `asked`."""
        return min(self.longest_wait, max(asked or 0.0, self.first_wait * 2 ** (attempt - 1)))


class RefusedError(PhonolakeError):
    """A server's refusal, with its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class _PassingError(Exception):
    """A failure that a retry may fix; `asked` is the server's Retry-After in seconds."""

    def __init__(self, reason: str, asked: float | None = None) -> None:
        super().__init__(reason)
        self.asked = asked


def fetch(
    url: str,
    target: Path,
    *,
    size: int | None = None,
    checksum: str | None = None,
    headers: Mapping[str, str] | None = None,
    patience: Patience = Patience(),
    on_bytes: Callable[[int], None] | None = None,
) -> bool:
    """Download `url` to `target`, unless it is there already.

    Received bytes are kept beside the target under a hidden name, and not requested again: the next attempt, in this
    process or a later one, continues after them (``Range``), if the server still has the same file (``If-Range``).

    Parameters
    ----------
    size : int, optional
        Required size of the file in bytes.
    checksum : str, optional
        ``"sha256:..."``, ``"sha1:..."`` or ``"md5:..."`` in hexadecimal digits.
    headers : mapping, optional
        Additional HTTP headers.
    on_bytes : callable, optional
        Called with the size of each piece as it comes.

    Returns
    -------
    bool
        Whether anything was downloaded; False if the whole file was there.

    Raises
    ------
    UsageError
        For a URL or a checksum of an unknown kind.
    PhonolakeError
        When the server refuses, gives up, or sends something else than expected.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"only http and https URLs can be fetched, received {url!r}")
    if target.is_file():
        _check(target, url, size, checksum)
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}{PART}")
    failed = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _receive(url, part, headers or {}, patience.timeout, on_bytes)
            break
        except _PassingError as error:
            now = part.stat().st_size if part.exists() else 0
            failed = 1 if now > before else failed + 1
            if failed >= patience.tries:
                raise PhonolakeError(
                    f"{url}: {error}, {failed} times in a row; run the command again to continue after byte {now}"
                ) from error
            if error.asked is not None and error.asked > patience.longest_wait:
                raise PhonolakeError(
                    f"{url}: {error}, and the server asks to wait {error.asked:.0f} s: come back then"
                ) from error
            time.sleep(patience.wait(failed, error.asked))
    try:
        _check(part, url, size, checksum)
    except PhonolakeError:
        # Do not resume a file that is wrong as a whole.
        forget(target)
        raise
    take_place(part, target)
    forget(target)
    return True


def forget(target: Path) -> None:
    """Remove the rest of an unfinished download of `target`."""
    for ending in (PART, ORIGIN):
        target.with_name(f".{target.name}{ending}").unlink(missing_ok=True)


def _receive(
    url: str, part: Path, headers: Mapping[str, str], timeout: float, on_bytes: Callable[[int], None] | None
) -> None:
    """One attempt: request the missing part and append it, to the end of the file."""
    origin = part.with_name(part.name.removesuffix(PART) + ORIGIN)
    have = part.stat().st_size if part.exists() else 0
    asked = {"User-Agent": "phonolake"} | dict(headers) | {"Accept-Encoding": "identity"} | _range(url, have, origin)
    try:
        answer: Any = urllib.request.urlopen(urllib.request.Request(url, headers=asked), timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:  # the part is as long as the file, or longer: it belongs to another one
                part.unlink(missing_ok=True)
                raise _PassingError("the server has fewer bytes than were received") from error
            if error.code in PASSING:
                raise _PassingError(f"HTTP {error.code}", retry_after(error.headers.get("Retry-After"))) from error
            raise RefusedError(f"{url}: the server says HTTP {error.code} {error.reason}", error.code) from error
    except (OSError, http.client.HTTPException) as error:
        raise _PassingError(_said(error)) from error
    with answer:
        resumed = answer.status == 206 and (answer.headers.get("Content-Range") or "").startswith(f"bytes {have}-")
        total = _length(answer, have if resumed else 0)
        origin.write_text(json.dumps({"url": url, "validator": _validator(answer), "total": total}), encoding="utf-8")
        with open(part, "ab" if resumed else "wb") as file:
            try:
                while block := answer.read(BLOCK):
                    file.write(block)
                    if on_bytes is not None:
                        on_bytes(len(block))
            except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
                raise _PassingError(_said(error)) from error
            found = file.tell()
        if total is not None and found < total:
            raise _PassingError(f"the connection ended at byte {found} of {total}")


def _range(url: str, have: int, origin: Path) -> dict[str, str]:
    """Headers that request the rest, if the part is known to belong to the same file."""
    try:
        known = json.loads(origin.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not have or known.get("url") != url or not known.get("validator") or have == known.get("total"):
        return {}
    return {"Range": f"bytes={have}-", "If-Range": known["validator"]}


def _validator(answer: Any) -> str | None:
    """Identifies the file: a strong entity tag, else the date of its last change."""
    tag = answer.headers.get("ETag")
    strong: str | None = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified")
    return strong


def _length(answer: Any, before: int) -> int | None:
    stated = answer.headers.get("Content-Length")
    return before + int(stated) if stated is not None and stated.isdigit() else None


def retry_after(value: str | None) -> float | None:
    """Seconds that a ``Retry-After`` header asks for: a number, or a date; None if there is none."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


def _check(path: Path, url: str, size: int | None, checksum: str | None) -> None:
    found = path.stat().st_size
    if size is not None and found != size:
        raise PhonolakeError(f"{url} has {found} bytes instead of {size}: remove {path} if it exists")
    if checksum is None:
        return
    kind, _, expected = checksum.partition(":")
    if kind not in CHECKSUMS:
        raise UsageError(f"checksum {checksum!r} is of an unknown kind: {', '.join(CHECKSUMS)}")
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, kind).hexdigest()
    if digest != expected.lower():
        raise PhonolakeError(f"{url} has the {kind} {digest}, and not {expected}: remove {path} if it exists")


def _said(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return f"{type(reason).__name__}: {reason}" if str(reason) else type(reason).__name__
