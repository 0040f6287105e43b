"""Bytes of a file without audio: tags before, between and after it, and padding."""

from phonolake.audio.encoded import AT_ONCE, Encoded


def skip(data: Encoded, place: int, stop: int) -> int:
    """The end of tags and padding that begin at a position; the position itself if there are none.

    Known are ID3v2 and ID3v1 (with TAG+ in front of it), APEv1 and APEv2, Lyrics3, and bytes that are all 0 or 255.
    """
    while place < stop:
        after = min(stop, _skip_one(data, place, stop))
        if after <= place:
            break
        place = after
    return place


def id3_end(data: Encoded) -> int:
    """Length of the ID3v2 tags at the beginning of a file."""
    place = 0
    while after := _id3(data[place : place + 10]):
        place += after
    return min(place, len(data))


def _skip_one(data: Encoded, place: int, stop: int) -> int:
    head = data[place : place + 32]
    if after := _id3(head):
        return place + after
    if head[:4] == b"TAG+":
        return place + 227
    if head[:3] == b"TAG":
        return place + 128
    if head[:8] == b"APETAGEX":
        # The size counts a footer, not a header; what begins here is either.
        is_header = head[23:24] > b"\x1f" and bool(head[23] & 0x20)
        return place + 32 + (int.from_bytes(head[12:16], "little") if is_header else 0)
    if head[:11] == b"LYRICSBEGIN":
        text = data[place : min(stop, place + (1 << 17))]
        end = max(text.find(mark) for mark in (b"LYRICS200", b"LYRICSEND"))
        return place + end + 9 if end >= 0 else place
    return _skip_filling(data, place, stop)


def _id3(head: bytes) -> int:
    """Length of the ID3v2 tag that begins with these bytes, or 0; its size has seven bits to the byte."""
    if len(head) < 10 or head[:3] not in (b"ID3", b"3DI") or not 2 <= head[3] <= 4 or max(head[6:10]) > 127:
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    if head[:3] == b"3DI":
        return 10
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _skip_filling(data: Encoded, place: int, stop: int) -> int:
    first = data[place : place + 1]
    if first not in (b"\0", b"\xff"):
        return place
    while place < stop:
        piece = data[place : min(stop, place + AT_ONCE)]
        rest = piece.lstrip(first)
        place += len(piece) - len(rest)
        if rest:
            break
    return place
