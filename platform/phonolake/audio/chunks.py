"""Check the lengths of samples in WAV, RF64, Wave64, AIFF, AU and CAF headers against the actual bytes.

Writers that were stopped, or wrote into a pipe, leave 0 or the largest number as the length of the samples: these last
to the end of the file. After the samples come other chunks, tags, padding, or another recording; anything else means
lost audio that the decoder would skip silently.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from phonolake.audio import asides
from phonolake.audio.encoded import Encoded, EncodedPart, find
from phonolake.errors import AudioError

# Real files have a dozen; wrong lengths may lead through the samples in steps of a few bytes.
MOST_CHUNKS = 10_000
# Lengths from here on mean that the writer did not know: some programs leave a little room below the largest number.
UNKNOWN_32, UNKNOWN_64 = 0x7FFFF000, 1 << 62
# A length that counts headers, too, is a little too large.
HEADERS = 12
# Tolerated unknown bytes after the samples, in seconds of sound.
FORGIVEN_SECONDS = 0.1
# Where nothing tells how many bytes a second has.
USUAL_RATE = 16_000
W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
W64_RIFF = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")
AU_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}


@dataclass(frozen=True, slots=True)
class ChunkFormat:
    """How a container writes its chunks: sizes in bytes, and whether a chunk's size counts its own header."""

    magic: bytes
    kind: bytes
    kind_at: int
    first: int
    name: int
    size: int
    order: Literal["little", "big"]
    samples: bytes
    aligned: int = 2
    counts_header: bool = False


LAYOUTS = {
    "WAV": ChunkFormat(b"RIFF", b"WAVE", 8, 12, 4, 4, "little", b"data"),
    "RF64": ChunkFormat(b"RF64", b"WAVE", 8, 12, 4, 4, "little", b"data"),
    "BW64": ChunkFormat(b"BW64", b"WAVE", 8, 12, 4, 4, "little", b"data"),
    "W64": ChunkFormat(W64_RIFF, b"wave" + W64_TAIL, 24, 40, 16, 8, "little", b"data" + W64_TAIL, 8, True),
    "AIFF": ChunkFormat(b"FORM", b"AIF", 8, 12, 4, 4, "big", b"SSND"),
    "CAF": ChunkFormat(b"caff", b"\0\1", 4, 8, 4, 8, "big", b"data", 1),
    "AU": ChunkFormat(b".snd", b"", 4, 0, 0, 4, "big", b""),
}


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk: its name, where its size stands, where its body begins, and how long it claims to be."""

    name: bytes
    size_at: int
    body: int
    size: int


@dataclass(slots=True)
class FoundChunks:
    """The recordings in a file, and the first fault of their lengths."""

    parts: list[Encoded] = field(default_factory=list)
    fault: AudioError | None = None

    def blame(self, reason: str, detail: str) -> None:
        """Keep the first thing that is wrong."""
        self.fault = self.fault or AudioError(reason, detail)


def named(data: Encoded, start: int = 0) -> str | None:
    """Name of the layout of a file that begins at a place."""
    head = data[start : start + 40]
    for name, layout in LAYOUTS.items():
        if head.startswith(layout.magic) and head[layout.kind_at :].startswith(layout.kind):
            return name
    return None


def chunks(data: Encoded, layout: ChunkFormat, start: int = 0) -> Iterator[Chunk]:
    """Chunks of a file, found by following their lengths."""
    place = start + layout.first
    for _ in range(MOST_CHUNKS):
        chunk = _chunk(data, layout, place)
        if chunk is None:
            return
        yield chunk
        place = _end(chunk, layout, start)


def _chunk(data: Encoded, layout: ChunkFormat, place: int) -> Chunk | None:
    head = data[place : place + layout.name + layout.size]
    if len(head) < layout.name + layout.size:
        return None
    size = int.from_bytes(head[layout.name :], layout.order)
    if layout.counts_header:
        size = max(0, size - len(head))
    return Chunk(head[: layout.name], place + layout.name, place + len(head), size)


def _end(chunk: Chunk, layout: ChunkFormat, start: int) -> int:
    return chunk.body + chunk.size + (start - chunk.body - chunk.size) % layout.aligned


def examine(data: Encoded) -> FoundChunks:
    """All recordings in a file, each with a length that matches its bytes.

    Parameters
    ----------
    data : Encoded
        A file that `named` knows.
    """
    found = FoundChunks()
    start: int | None = 0
    while start is not None and len(found.parts) < MOST_CHUNKS:
        start = _examine_one(data, start, found)
    return found


def _examine_one(data: Encoded, start: int, found: FoundChunks) -> int | None:
    """Take in the recording that begins at a place; returns where the next one begins, if any."""
    name = named(data, start)
    assert name is not None
    layout = LAYOUTS[name]
    samples, known = (_au(data, start), {}) if name == "AU" else _samples(data, layout, start)
    if samples is None:
        found.parts.append(EncodedPart(data, start, len(data)))
        found.blame("truncated", "the file ends before any samples")
        return None
    size, put = samples.size, {}
    if b"ds64" in known and size == 0xFFFFFFFF:
        size = int.from_bytes(data[known[b"ds64"].body + 8 : known[b"ds64"].body + 16], "little")
    there = len(data) - samples.body
    per_second = _bytes_a_second(data, name, known, start)
    if _is_unknown(data, layout, samples, size, there, start):
        size = (_next(data, layout, samples.body) or len(data)) - samples.body
        put = _put(layout, samples, known, size, start)
    elif size > there + HEADERS:
        promised = f"{size} bytes of samples ({size / per_second:.2f} s)"
        found.blame("truncated", f"the header promises {promised}, and {there} are there")
    end = samples.body + min(size, there)
    stop, following = _what_follows(data, layout, end, start)
    unread = (len(data) if following is None else following) - stop
    if unread > FORGIVEN_SECONDS * per_second:
        left = f"{unread} bytes from byte {stop} on ({unread / per_second:.2f} s) are no chunk"
        found.blame("undecoded", f"the header counts {size / per_second:.2f} s; {left}")
    # libsndfile reads everything after the header of a Wave64 file as samples.
    end = end if name == "W64" else len(data) if following is None else stop
    untouched = not start and end == len(data) and not put
    found.parts.append(data if untouched else EncodedPart(data, start, end, put))
    return following


def _next(data: Encoded, layout: ChunkFormat, place: int) -> int | None:
    """Where another recording begins behind a place."""
    return next((at for at in find(data, layout.magic, place) if named(data, at)), None)


def _samples(data: Encoded, layout: ChunkFormat, start: int) -> tuple[Chunk | None, dict[bytes, Chunk]]:
    """The chunk with the samples, and those before it by name."""
    known: dict[bytes, Chunk] = {}
    for chunk in chunks(data, layout, start):
        if chunk.name == layout.samples:
            return chunk, known
        known.setdefault(chunk.name[:4], chunk)
    return None, known


def _au(data: Encoded, start: int) -> Chunk | None:
    """What stands for a chunk in AU: the header tells where the samples begin, and how many bytes they have."""
    head = data[start : start + 12]
    if len(head) < 12:
        return None
    offset, size = (int.from_bytes(head[i : i + 4], "big") for i in (4, 8))
    return Chunk(b"", start + 8, min(start + offset, len(data)), size)


def _is_unknown(data: Encoded, layout: ChunkFormat, samples: Chunk, size: int, there: int, start: int) -> bool:
    """Whether the writer did not know the number of samples."""
    if size > there + HEADERS:
        return size >= (UNKNOWN_32 if layout.size == 4 else UNKNOWN_64)
    lead = 8 if layout.samples == b"SSND" else 4 if layout.magic == b"caff" else 0
    if size > lead or there <= lead:
        return False
    # Nothing at all, and then other chunks: that is an empty recording.
    return _what_follows(data, layout, samples.body + size, start)[0] < len(data)


def _put(layout: ChunkFormat, samples: Chunk, known: dict[bytes, Chunk], size: int, start: int) -> dict[int, bytes]:
    """Bytes that make the header say how many samples there are."""
    claimed = size + (layout.name + layout.size if layout.counts_header else 0)
    most = (1 << 8 * layout.size) - 1
    if b"ds64" not in known:
        return {samples.size_at - start: min(claimed, most).to_bytes(layout.size, layout.order)}
    place = known[b"ds64"].body + 8 - start
    return {samples.size_at - start: most.to_bytes(layout.size, layout.order), place: size.to_bytes(8, layout.order)}


def _what_follows(data: Encoded, layout: ChunkFormat, place: int, start: int) -> tuple[int, int | None]:
    """The end of the known data after the samples, and the start of another recording after them.

    The first is the length of the file, or the second, where all of it is.
    """
    place += (start - place) % layout.aligned
    for _ in range(MOST_CHUNKS):
        if place >= len(data):
            return len(data), None
        after = asides.skip(data, place, len(data))
        for begin in (place, place - 1, after):
            if named(data, begin):
                return begin, begin
        if after > place:
            place = after
            continue
        chunk = _chunk(data, layout, place) if layout.name else None
        if chunk is None or not _is_plausible(chunk, layout) or chunk.body + chunk.size > len(data) + HEADERS:
            break
        place = _end(chunk, layout, start)
    return place, _next(data, layout, place)


def _is_plausible(chunk: Chunk, layout: ChunkFormat) -> bool:
    return all(32 <= byte < 127 for byte in chunk.name[:4]) and chunk.name != layout.samples


def _bytes_a_second(data: Encoded, name: str, known: dict[bytes, Chunk], start: int) -> float:
    """Bytes that a second of sound takes, as the header says; a usual value where it does not, or cannot be right."""
    rate: float = 0
    if b"fmt " in known:
        at = known[b"fmt "].body + 8
        rate = int.from_bytes(data[at : at + 4], "little")
    elif b"COMM" in known and len(comm := data[known[b"COMM"].body : known[b"COMM"].body + 18]) == 18:
        exponent, mantissa = int.from_bytes(comm[8:10], "big"), int.from_bytes(comm[10:18], "big")
        hertz = mantissa * 2.0 ** ((exponent & 0x7FFF) - 16383 - 63)
        rate = hertz * int.from_bytes(comm[:2], "big") * ((int.from_bytes(comm[6:8], "big") + 7) // 8)
    elif b"desc" in known and len(desc := data[known[b"desc"].body : known[b"desc"].body + 32]) == 32:
        hertz, _, _, per_packet, frames, *_ = struct.unpack(">d4sIIIII", desc)
        rate = hertz * per_packet / frames if frames else 0
    elif name == "AU" and len(head := data[start : start + 24]) == 24:
        code, hertz, channels = struct.unpack(">III", head[12:])
        rate = AU_BYTES.get(code, 0) * hertz * channels
    return rate if 1000 < rate < 1e9 else USUAL_RATE
