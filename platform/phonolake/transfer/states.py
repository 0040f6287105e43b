"""What can become of a wanted clip, and how the words of yt-dlp and the numbers of HTTP are understood.

The words are those of YouTube's player as yt-dlp hands them on (2026.10). What says nothing of the clip itself is a
network fault, which may heal, rather than a loss, which would never be looked at again.
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
    DECODE: "what came is no sound that can be decoded",
    SHORT: "ends before the wanted seconds, or too soon within them",
    SILENT: "the wanted seconds are silent",
    DUPLICATE: "the same samples as another clip that was fetched",
}
# Those that another try on the same machine may change.
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


# Nobody was reached who could have said anything of a clip, as without a network.
UNREACHED = re.compile(
    r"name or service not known|name resolution|failed to resolve|could not resolve|nodename nor servname|getaddrinfo|"
    r"no address associated|network is unreachable|no route to host|connection refused",
    re.IGNORECASE,
)


def is_unreached(state: str, detail: str) -> bool:
    """Whether an attempt says nothing of its clip, since nobody was reached."""
    return state == NETWORK and UNREACHED.search(detail) is not None


def of_words(message: str) -> str | None:
    """The state that a message of yt-dlp stands for; None where no words are known."""
    text = message.lower().replace("\u2019", "'")
    return next((state for state, pattern in WORDS if re.search(pattern, text)), None)


def of_status(code: int) -> str:
    """The state that an HTTP status stands for."""
    if code in (404, 410):
        return REMOVED
    if code == 401:
        return PRIVATE
    if code == 451:
        return REGION
    if code in (403, 429):
        return BLOCKED
    # What the server will say tomorrow is open.
    return NETWORK
