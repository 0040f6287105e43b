"""The states of a wanted clip, and how messages of yt-dlp and HTTP statuses map to them.

The messages are those of YouTube's player as yt-dlp passes them on (2026.10). A message that says nothing about the
clip itself is a network fault, which is retried, rather than a loss, which never is.
"""

import re

WANTED, FETCHED = "wanted", "fetched"
REMOVED, PRIVATE, AGE, REGION = "removed", "private", "age-bound", "region-bound"
BLOCKED, NETWORK = "blocked", "network-fault"
DECODE, SHORT, SILENT, DUPLICATE = "decode-fault", "too-short", "silent", "duplicate"

# Every state, with what it means.
STATES = {
    WANTED: "not tried yet",
    FETCHED: "the wanted seconds lie in a file",
    REMOVED: "taken down, or its account closed",
    PRIVATE: "for some viewers only: private, for members, to be paid for",
    AGE: "needs an account that is old enough",
    REGION: "not shown in this country",
    BLOCKED: "the server refuses this machine for now: too many requests, a suspected robot",
    NETWORK: "the connection or the server failed",
    DECODE: "the download contains no decodable audio",
    SHORT: "ends before the wanted seconds, or too soon within them",
    SILENT: "the wanted seconds are silent",
    DUPLICATE: "the same samples as another clip that was fetched",
}
# Those that a retry on the same machine may change.
HEALS = frozenset({BLOCKED, NETWORK, DECODE})

# In this order: a message may hold the words of several.
WORDS = (
    (
        BLOCKED,
        r"not a bot|rate.?limit|try again later|too many requests|captcha|likely being blocked|drm protect",
    ),
    (NETWORK, r"http error 5\d\d|timed? ?out|connection|resolve|incomplete|bytes read|ssl|temporar"),
    (DECODE, r"no video formats|requested format|unsupported url|unable to extract"),
    (AGE, r"confirm your age|age.?restricted|age.?verif|inappropriate for some users"),
    (PRIVATE, r"private video|video is private|members.only|channel's members|join this channel|purchase|payment"),
    (REGION, r"in your country|geo.?restrict|your location|your region"),
    (PRIVATE, r"registered users|log.?in required|sign in to view"),
    (
        REMOVED,
        r"removed|terminated|no longer available|unavailable|not available|does ?n.t exist|deleted|was closed",
    ),
)


# No server was reached that could say anything about a clip, as without a network.
UNREACHED = re.compile(
    r"name or service not known|name resolution|failed to resolve|could not resolve|nodename nor servname|getaddrinfo|"
    r"no address associated|network is unreachable|no route to host|connection refused",
    re.IGNORECASE,
)


def is_unreached(state: str, detail: str) -> bool:
    """Whether an attempt says nothing about its clip, because no server was reached."""
    return state == NETWORK and UNREACHED.search(detail) is not None


def of_words(message: str) -> str | None:
    """The state for a message of yt-dlp; None for an unknown message."""
    text = message.lower().replace("\u2019", "'")
    return next((state for state, pattern in WORDS if re.search(pattern, text)), None)


def of_status(code: int) -> str:
    """The state for an HTTP status."""
    if code in (404, 410):
        return REMOVED
    if code == 401:
        return PRIVATE
    if code == 451:
        return REGION
    if code in (403, 429):
        return BLOCKED
    # The server may answer differently tomorrow.
    return NETWORK
