"""Pages of Ogg files (RFC 3533): the bounds of recordings, and damage."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from phonolake.audio.encoded import AT_ONCE, Encoded
from phonolake.errors import AudioError

CONTINUED, FIRST, LAST = 1, 2, 4
HEADER = 27
LONGEST_PAGE = HEADER + 255 + 255 * 255
# Bytes with their bits in the opposite order: zlib computes the checksum of Ogg from the other end.
MIRRORED = bytes(int(f"{i:08b}"[::-1], 2) for i in range(256))
NO_SUM = bytes(4)


@dataclass(frozen=True, slots=True)
class Page:
    """A page: where it lies, what it says of itself, and whether its bytes are what was written."""

    start: int
    stop: int
    flags: int
    position: int
    serial: bytes
    whole: bool


def pages(data: Encoded, *, check: bool) -> Iterator[Page]:
    """All pages of a file, whatever lies between them; checksums are only computed with `check`."""
    place = 0
    while place < len(data):
        origin = place
        piece = data[origin : origin + AT_ONCE + LONGEST_PAGE]
        ends = origin + len(piece) >= len(data)
        while True:
            at = piece.find(b"OggS", place - origin)
            if at < 0:
                place = len(data) if ends else origin + len(piece) - 3
                break
            if at > AT_ONCE and not ends:
                place = origin + at
                break
            page = _page(piece, at, origin, check=check)
            if page is None:
                place = len(data)
                break
            yield page
            # What is no whole page may hide the beginning of one.
            place = page.stop if page.whole else page.start + 4


def _page(piece: bytes, at: int, origin: int, *, check: bool) -> Page | None:
    """The page that begins at a place of a piece; None where not even its header is there."""
    sizes = piece[at + HEADER : at + HEADER + piece[at + 26]] if at + HEADER <= len(piece) else b""
    if at + HEADER > len(piece) or len(sizes) < piece[at + 26]:
        return None
    stop = at + HEADER + len(sizes) + sum(sizes)
    whole = stop <= len(piece) and not piece[at + 4]
    if whole and check:
        whole = checksum(piece[at : at + 22] + NO_SUM + piece[at + 26 : stop]) == piece[at + 22 : at + 26]
    position = int.from_bytes(piece[at + 6 : at + 14], "little", signed=True)
    return Page(origin + at, origin + stop, piece[at + 5], position, piece[at + 14 : at + 18], whole)


def checksum(page: bytes) -> bytes:
    """The four bytes of the checksum of a page in which they are zero."""
    mirrored = zlib.crc32(page.translate(MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return mirrored.to_bytes(4, "big").translate(MIRRORED)


def links(data: Encoded, *, check: bool) -> tuple[list[int], AudioError | None]:
    """The start of each recording of a chain, and the first fault of the pages.

    Parameters
    ----------
    data : Encoded
        The file.
    check : bool
        Whether to compute checksums, and so to find damage; without it only the beginnings are found.
    """
    begins: list[int] = []
    fault: AudioError | None = None
    before: Page | None = None
    # How far each stream has got; decoders stop where the last page says.
    reached: dict[bytes, int] = {}
    for page in pages(data, check=check):
        if not page.whole:
            fault = fault or _damaged(page, data)
            continue
        if page.flags & FIRST and (before is None or not before.flags & FIRST):
            fault = fault or (_open_ended(before) if before else None)
            begins.append(page.start)
            reached = {}
        elif not begins:
            fault = fault or AudioError("corrupt", f"the Ogg page at byte {page.start} has no first page before it")
        if page.position >= 0:
            if page.position < reached.get(page.serial, 0):
                fault = fault or AudioError("corrupt", f"the Ogg page at byte {page.start} goes back in time")
            reached[page.serial] = page.position
        before = page
    return begins, fault or _open_ended(before)


def _damaged(page: Page, data: Encoded) -> AudioError:
    if page.stop > len(data):
        return AudioError("truncated", f"the Ogg stream has no last page: the one at byte {page.start} is cut")
    return AudioError("corrupt", f"the Ogg page at byte {page.start} fails its checksum")


def _open_ended(last: Page | None) -> AudioError | None:
    """A link whose last page does not close it; its length field went with the missing pages."""
    if last is not None and last.flags & LAST:
        return None
    where = f" behind byte {last.stop}" if last else ""
    return AudioError("truncated", f"the Ogg stream has no last page{where}")
