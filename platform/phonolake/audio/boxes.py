"""Recordings in MP4, ASF and Matroska files, by the outermost boxes: several may have been joined."""

from collections.abc import Iterator
from dataclasses import dataclass

from phonolake.audio.encoded import Encoded

ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
EBML_HEADER = b"\x1a\x45\xdf\xa3"
MOST_BOXES = 1 << 20


@dataclass(frozen=True, slots=True)
class Box:
    """An outermost box: its name, and where it begins and ends; `stop` may lie behind the end of the file."""

    name: bytes
    start: int
    stop: int


def boxes(data: Encoded, container: str) -> Iterator[Box]:
    """Outermost boxes as far as their lengths lead."""
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
    size = int.from_bytes(head[16:24], "little")
    # Data whose length was not known lasts to the end.
    return Box(head[:16], place, place + size if size >= 24 else end) if len(head) >= 24 else None


def _ebml(head: bytes, place: int, end: int) -> Box | None:
    size_at = 9 - head[0].bit_length() if head and head[0] else 0
    if not size_at or len(head) <= size_at or not head[size_at]:
        return None
    n = 9 - head[size_at].bit_length()
    size = int.from_bytes(head[size_at : size_at + n], "big") - (1 << 7 * n)
    unknown = size == (1 << 7 * n) - 1
    return Box(head[:size_at], place, end if unknown else place + size_at + n + size)


def begins(data: Encoded, container: str) -> list[int]:
    """Where each recording in a file begins."""
    found = []
    before: set[bytes] = set()
    for box in boxes(data, container):
        first = box.name in (ASF_HEADER, EBML_HEADER) or (box.name == b"ftyp" and (not before or b"moov" in before))
        if first:
            found.append(box.start)
            before = set()
        before.add(box.name)
    return found or [0]


def samples_bytes(data: Encoded) -> int:
    """Bytes in the boxes of an MP4 file that hold its samples."""
    return sum(min(box.stop, len(data)) - box.start - 8 for box in boxes(data, "MP4") if box.name == b"mdat")
