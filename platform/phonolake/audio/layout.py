"""The structure of a file: one recording, or several joined ones, whatever its headers claim."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from phonolake.audio import asides, boxes, chunks, containers, flac, ogg
from phonolake.audio.encoded import Encoded, EncodedPart
from phonolake.errors import AudioError

# Unknown bytes after a recording to tolerate.
FOREIGN = 1 << 12


@dataclass(frozen=True, slots=True)
class FileLayout:
    """The recordings in a file, each for a decoder, and missing or damaged parts."""

    container: str | None
    parts: Sequence[Encoded]
    fault: AudioError | None = None


def examine(data: Encoded, *, check: bool = False) -> FileLayout:
    """Find the recordings in a file.

    Parameters
    ----------
    data : Encoded
        The file as received.
    check : bool
        Whether to look for damage as well, which takes a little longer.
    """
    container = containers.sniff(data)
    if container is None and (start := asides.id3_end(data)):
        # Some programs put a tag in front of any file.
        inner = EncodedPart(data, start, len(data))
        if containers.sniff(inner) is not None:
            return examine(inner, check=check)
    if container == "OGG":
        begins, fault = ogg.links(data, check=check)
        return FileLayout(container, _parts(data, begins), fault)
    if container == "FLAC":
        return _flac(data)
    if container in ("MP4", "ASF", "MATROSKA"):
        return _boxed(data, container)
    if chunks.named(data):
        found = chunks.examine(data)
        return FileLayout(container, found.parts, found.fault)
    return FileLayout(container, [data])


def _flac(data: Encoded) -> FileLayout:
    """FLAC is only searched for joined recordings where its last frame is not the one that its header promises."""
    right, fault = flac.put_right(data)
    if right is data and fault is None:
        return FileLayout("FLAC", [data])
    parts = _parts(data, flac.begins(data))
    if len(parts) == 1:
        return FileLayout("FLAC", [right], fault)
    righted = [flac.put_right(part) for part in parts]
    return FileLayout("FLAC", [part for part, _ in righted], next((f for _, f in righted if f), None))


def _boxed(data: Encoded, container: str) -> FileLayout:
    extents = boxes.extents(data, container)
    stop = extents[-1][1] if extents else len(data)
    if stop == len(data) and len(extents) < 2:
        return FileLayout(container, [data])
    foreign = len(data) - asides.skip(data, stop, len(data))
    fault = AudioError("undecoded", f"the last {foreign} bytes are no part of the {container} file before them")
    parts = [EncodedPart(data, start, stop) for start, stop in extents]
    return FileLayout(container, parts, fault if foreign > FOREIGN else None)


def _parts(data: Encoded, begins: list[int]) -> list[Encoded]:
    if len(begins) < 2 and begins in ([], [0]):
        return [data]
    return [EncodedPart(data, start, stop) for start, stop in pairwise([*begins, len(data)])]
