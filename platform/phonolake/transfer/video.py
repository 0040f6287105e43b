"""Find the audio stream of a page with yt-dlp's Python API."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from phonolake.transfer import states
from phonolake.transfer.http import retry_after


@dataclass(frozen=True, slots=True)
class MediaStream:
    """A readable stream: its address and request headers."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)


class UnavailableError(Exception):
    """A clip that was not obtained: its state (`states.STATES`), the message, and the seconds to wait."""

    def __init__(self, state: str, detail: str, asked: float | None = None) -> None:
        super().__init__(f"{state}: {detail}")
        self.state = state
        self.detail = " ".join(detail.split())[:500]
        self.asked = asked

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.state, self.detail, self.asked)


def locate(url: str, *, timeout: float = 30.0) -> MediaStream:
    """Let yt-dlp find the best audio of a page, without downloading it.

    Raises
    ------
    UnavailableError
        With the state for the error.
    """
    import yt_dlp  # imported late: half a second of start-up

    options = {
        "format": "bestaudio/best",
        "noplaylist": True,
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "logger": _Silence(),
        "socket_timeout": timeout,
        # Attempts are counted and dated by the caller.
        "retries": 0,
        "extractor_retries": 0,
        "cachedir": False,
        "js_runtimes": {"deno": {}, "node": {}},
    }
    try:
        with yt_dlp.YoutubeDL(options) as downloader:
            info = downloader.extract_info(url, download=False)
    except yt_dlp.utils.YoutubeDLError as error:
        raise understand(error) from error
    entry = _only(info)
    if not entry.get("url"):
        raise UnavailableError(states.DECODE, "yt-dlp finds no stream on the page")
    return MediaStream(entry["url"], dict(entry.get("http_headers") or {}))


def understand(error: BaseException) -> UnavailableError:
    """The state that an error of yt-dlp means: by its type, by an HTTP status that it names, else by its message."""
    from yt_dlp.networking.exceptions import HTTPError
    from yt_dlp.utils import GeoRestrictedError, UnavailableVideoError

    said = str(error).removeprefix("ERROR: ")
    causes = list(_causes(error))
    if any(isinstance(cause, GeoRestrictedError) for cause in causes):
        return UnavailableError(states.REGION, said)
    # The player's own message takes precedence over a failed request on the way to it.
    if "HTTP Error" in said:
        for cause in causes:
            if isinstance(cause, HTTPError):
                asked = retry_after(cause.response.headers.get("Retry-After"))
                return UnavailableError(states.of_status(cause.status), said, asked)
    if state := states.of_words(said):
        return UnavailableError(state, said)
    gone = any(isinstance(cause, UnavailableVideoError) for cause in causes)
    return UnavailableError(states.REMOVED if gone else states.NETWORK, said)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all its causes, each once."""
    todo: list[Any] = [error]
    seen: set[int] = set()
    while todo:
        found = todo.pop(0)
        if isinstance(found, BaseException) and id(found) not in seen:
            seen.add(id(found))
            yield found
            with_info = getattr(found, "exc_info", None) or (None, None, None)
            todo += [getattr(found, "cause", None), with_info[1], found.__cause__, found.__context__]


def _only(info: Any) -> dict[str, Any]:
    """The only entry of a page that yt-dlp treats as a list."""
    while info and info.get("entries"):
        info = next(iter(info["entries"]), None)
    return info or {}


class _Silence:
    """Discards yt-dlp's messages: its exceptions contain them."""

    def debug(self, message: str) -> None:
        """Discard the message."""

    info = warning = error = debug
