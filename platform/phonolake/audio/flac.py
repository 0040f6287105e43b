"""Frames of FLAC (RFC 9639): how long a recording really is, and where the next one in the file begins."""

from collections.abc import Iterator

from phonolake.audio.encoded import AT_ONCE, Encoded, EncodedPart, find
from phonolake.errors import AudioError

MAGIC = b"fLaC"
STREAM_INFO = 34
# Place of the five bytes whose last 36 bits are the number of samples, behind the magic and the block's header.
COUNT = 4 + 4 + 13
# Samples by the code in a frame header; 6 and 7 stand for one and two bytes behind it.
BLOCKS = {1: 192} | {c: 576 << (c - 2) for c in range(2, 6)} | {c: 256 << (c - 8) for c in range(8, 16)}


def begins(data: Encoded, start: int = 0) -> list[int]:
    """Where each recording of a file begins: the magic, then a block of stream info of its fixed length."""
    return [at for at in find(data, MAGIC, start) if _is_info(data[at + 4 : at + 8])]


def _is_info(head: bytes) -> bool:
    return len(head) == 4 and not head[0] & 0x7F and int.from_bytes(head[1:], "big") == STREAM_INFO


def put_right(data: Encoded) -> tuple[Encoded, AudioError | None]:
    """A recording with the number of samples that its last frame shows, and what is missing of those it promises.

    Parameters
    ----------
    data : Encoded
        A file that begins with the magic and holds one recording.
    """
    info = data[8 : 8 + STREAM_INFO]
    promised = int.from_bytes(info[13:18], "big") & (1 << 36) - 1
    sr = int.from_bytes(info[10:13], "big") >> 4
    there = _last_sample(data, info)
    if there is None or there == promised or not sr:
        return data, None
    if promised - there > sr / 10:
        fault = AudioError("truncated", f"{there / sr:.2f} s of {promised / sr:.2f} s are there")
        return data, fault
    count = (info[13] >> 4 << 36 | there).to_bytes(5, "big")
    return EncodedPart(data, 0, len(data), {COUNT: count}), None


def _last_sample(data: Encoded, info: bytes) -> int | None:
    """Number of samples up to the end of the last frame, or None where no frame is found."""
    longest = int.from_bytes(info[7:10], "big") or 1 << 16
    stop = len(data)
    # The last frame lies near the end; what lies behind it may be tags and pictures.
    for reach in (2 * longest + 4096, AT_ONCE, 8 * AT_ONCE):
        start = max(0, stop - reach)
        found = [end for end in _frame_ends(data[start:stop], info) if end]
        if found:
            return found[-1]
        if not start:
            break
    return None


def _frame_ends(piece: bytes, info: bytes) -> Iterator[int]:
    """For each frame header in a piece, the number of samples from the beginning of the recording to its end."""
    at = piece.find(b"\xff")
    while at >= 0:
        if piece[at + 1 : at + 2] in (b"\xf8", b"\xf9"):
            end = _frame_end(piece[at : at + 16], info)
            if end is not None:
                yield end
        at = piece.find(b"\xff", at + 1)


def _frame_end(head: bytes, info: bytes) -> int | None:
    """Samples up to the end of the frame with this header, or None where it is none that fits the stream info."""
    if len(head) < 6 or head[3] & 1 or not _fits(head, info):
        return None
    # A number as in UTF-8, of up to seven bytes.
    n_more = next((n for n in range(8) if not head[4] << n & 0x80), 8) - 1
    if n_more in (0, 7):
        return None
    place = 5 + max(0, n_more)
    number = head[4] & 0x7F if n_more < 0 else head[4] & (0x3F >> n_more)
    for byte in head[5:place]:
        number = number << 6 | byte & 0x3F
    code = head[2] >> 4
    if code in (6, 7):
        block = int.from_bytes(head[place : place + code - 5], "big") + 1
        place += code - 5
    elif code in BLOCKS:
        block = BLOCKS[code]
    else:
        return None
    place += {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if len(head) <= place or _crc8(head[:place]) != head[place]:
        return None
    varies = head[1] & 1
    return (number if varies else number * int.from_bytes(info[2:4], "big")) + block


def _fits(head: bytes, info: bytes) -> bool:
    """Whether a frame has as many channels as the stream info says, and no reserved rate."""
    channels = (info[12] >> 1 & 7) + 1
    code = head[3] >> 4
    return head[2] & 15 != 15 and (code + 1 == channels if code < 8 else code < 11 and channels == 2)


def _crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ (0x07 if value & 0x80 else 0)) & 0xFF
    return value
