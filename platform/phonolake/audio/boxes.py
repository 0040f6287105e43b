"""Recordings in MP4, ASF and Matroska files, by the outermost boxes: several may have been joined."""

from collections.abc import Iterator
from dataclasses import dataclass

from phonolake.audio.encoded import Encoded

ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
EBML_HEADER = b"\x1a\x45\xdf\xa3"
# The header, a segment, nothing, and a checksum.
EBML_OUTERMOST = (EBML_HEADER, b"\x18\x53\x80\x67", b"\xec", b"\xbf")
MOST_BOXES = 1 << 20


@dataclass(frozen=True, slots=True)
class Box:
    """An outermost box: its name, and where it begins and ends; `stop` may lie behind the end of the file."""

    name: bytes
    start: int
    stop: int


def boxes(data: Encoded, container: str) -> Iterator[Box]:
    """Outermost boxes, found by following their lengths."""
    place = 0
    read = {"MP4": _mp4, "ASF": _asf, "MATROSKA": _ebml}[container]
    for _ in range(MOST_BOXES):
        box = read(data[place : place + 32], place, len(data)) if place < len(data) else None
        if box is None or box.stop <= place:
            return
        yield box
        place = box.stop


def _mp4(head: bytes, place: int, end: int) -> Box | None:
    if len(head) < 8 or not all(32 <= byte < 127 or byte == 0xA9 for byte in head[4:8]):
        return None
    size = int.from_bytes(head[:4], "big")
    if size == 1:
        size = int.from_bytes(head[8:16], "big")
    return Box(head[4:8], place, place + size if size else end)


def _asf(head: bytes, place: int, end: int) -> Box | None:
    if len(head) < 24:
        return None
    size = int.from_bytes(head[16:24], "little")
    if head[:16] not in (ASF_HEADER, ASF_DATA):
        return Box(head[:16], place, place + size) if place + size <= end else None
    # Data whose length was not known lasts to the end.
    return Box(head[:16], place, place + size if size >= 24 else end)


def _ebml(head: bytes, place: int, end: int) -> Box | None:
    size_at = 9 - head[0].bit_length() if head and head[0] else 0
    if not size_at or len(head) <= size_at or not head[size_at]:
        return None
    if head[:size_at] not in EBML_OUTERMOST:
        return None
    n = 9 - head[size_at].bit_length()
    size = int.from_bytes(head[size_at : size_at + n], "big") - (1 << 7 * n)
    unknown = size == (1 << 7 * n) - 1
    return Box(head[:size_at], place, end if unknown else place + size_at + n + size)


def extents(data: Encoded, container: str) -> list[tuple[int, int]]:
    """Start and end of each recording in a file; empty if no box can be read."""
    found: list[tuple[int, int]] = []
    before: set[bytes] = set()
    for box in boxes(data, container):
        first = box.name in (ASF_HEADER, EBML_HEADER) or (box.name == b"ftyp" and b"moov" in before)
        start = box.start if first or not found else found.pop()[0]
        before = {box.name} if first else before | {box.name}
        found.append((start, min(box.stop, len(data))))
    return found


def samples_bytes(data: Encoded) -> int:
    """Bytes in the boxes of an MP4 file that hold its samples."""
    return sum(min(box.stop, len(data)) - box.start - 8 for box in boxes(data, "MP4") if box.name == b"mdat")
