"""What yt-dlp says, and the state that it stands for: messages as its issue tracker and its code show them."""

import io
import pickle
import sys

import pytest
from yt_dlp.networking import Response
from yt_dlp.networking.exceptions import HTTPError, IncompleteRead, TransportError
from yt_dlp.utils import DownloadError, ExtractorError, GeoRestrictedError, UnavailableVideoError

from phonolake.transfer import states
from phonolake.transfer.video import UnavailableError, understand

SAID = {
    "Private video. Sign in if you've been granted access to this video": states.PRIVATE,
    "This video is available to this channel's members on level: X. Join this channel to get access": states.PRIVATE,
    "Sign in to confirm your age. This video may be inappropriate for some users": states.AGE,
    "Sign in to confirm you\u2019re not a bot. Use --cookies-from-browser": states.BLOCKED,
    "Video unavailable. This content isn\u2019t available, try again later. The current session has been "
    "rate-limited": states.BLOCKED,
    "Video unavailable. The uploader has not made this video available in your country": states.REGION,
    "Video unavailable. This video contains content from X, who has blocked it in your country on copyright "
    "grounds": states.REGION,
    "Video unavailable. This video is no longer available due to a copyright claim by WMG": states.REMOVED,
    "Video unavailable. This video is no longer available because the YouTube account associated with this video has "
    "been terminated.": states.REMOVED,
    "Video unavailable. This video has been removed by the uploader": states.REMOVED,
    "This video has been removed for violating YouTube's policy on hate speech": states.REMOVED,
    "Video unavailable": states.REMOVED,
    "Unsupported URL: http://127.0.0.1/x": states.DECODE,
    "Requested format is not available. Use --list-formats": states.DECODE,
    "The read operation timed out": states.NETWORK,
    "Remote end closed connection without response": states.NETWORK,
    "Something that nobody has seen yet": states.NETWORK,
}


def raised(cause: Exception) -> DownloadError:
    """The error as `YoutubeDL.extract_info` raises it."""
    try:
        raise cause
    except Exception:
        return DownloadError(f"ERROR: {cause}", sys.exc_info())


@pytest.mark.parametrize(("message", "state"), SAID.items())
def test_the_words_of_the_player(message: str, state: str) -> None:
    found = understand(raised(ExtractorError(message, expected=True, video_id="-abcdefghij", ie="youtube")))
    assert found.state == state
    assert "ERROR" not in found.detail


@pytest.mark.parametrize(
    ("status", "state"),
    [(401, "private"), (403, "blocked"), (404, "removed"), (410, "removed"), (429, "blocked"), (451, "region-bound")]
    + [(status, "network-fault") for status in (400, 408, 500, 502, 503)],
)
def test_the_numbers_of_http(status: int, state: str) -> None:
    answer = Response(io.BytesIO(), "http://127.0.0.1/", {"Retry-After": "7"}, status=status)
    error = HTTPError(answer)
    wrapped = raised(ExtractorError(f"Unable to download webpage: {error}", cause=error, expected=True))
    found = understand(wrapped)
    assert (found.state, found.asked) == (state, 7.0)


def test_types_of_errors() -> None:
    assert understand(raised(GeoRestrictedError("not here", countries=["DE"]))).state == states.REGION
    assert understand(raised(UnavailableVideoError())).state == states.REMOVED
    for error in (TransportError("reset"), IncompleteRead(5, 10)):
        assert understand(raised(ExtractorError("cannot", cause=error))).state == states.NETWORK


def test_every_state_is_explained_and_what_is_final_does_not_heal() -> None:
    assert set(states.STATES) > states.HEALS
    assert not states.HEALS & {states.FETCHED, states.REMOVED, states.PRIVATE, states.AGE, states.DUPLICATE}
    assert set(SAID.values()) <= states.STATES.keys()


def test_the_error_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(UnavailableError(states.BLOCKED, "too many", 3.0)))
    assert (error.state, error.detail, error.asked) == (states.BLOCKED, "too many", 3.0)
