"""What the first and last bytes of a file say about it, before any decoder looks."""

from collections.abc import Iterator

from phonolake.audio.encoded import Encoded
from phonolake.errors import AudioError

# Families of file name endings by the container that belongs inside.
EXTENSIONS = {
    "mp3": "MP3",
    "wav": "WAV",
    "flac": "FLAC",
    "ogg": "OGG",
    "oga": "OGG",
    "opus": "OGG",
    "m4a": "MP4",
    "mp4": "MP4",
    "aac": "AAC",
    "aif": "AIFF",
    "aiff": "AIFF",
    "au": "AU",
    "snd": "AU",
    "wma": "ASF",
    "webm": "MATROSKA",
    "mka": "MATROSKA",
}

# Real files have a dozen; wrong lengths may lead through the samples in steps of a few bytes.
MOST_CHUNKS = 10_000


def sniff(data: Encoded) -> str | None:
    """Container named by the magic bytes, or None when they name none (a bare MPEG stream may start anywhere)."""
    head = data[:16]
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "WAV"
    if head[:4] == b"FORM" and head[8:11] == b"AIF":
        return "AIFF"
    if head[4:8] == b"ftyp":
        return "MP4"
    magics = {
        b"fLaC": "FLAC",
        b"OggS": "OGG",
        b".snd": "AU",
        b"\x30\x26\xb2\x75": "ASF",
        b"\x1a\x45\xdf\xa3": "MATROSKA",
    }
    return magics.get(head[:4])


def check_container(data: Encoded, extension: str) -> None:
    """Raise an `AudioError` for bytes that are no audio, or not of the kind that the file name promises.

    Parameters
    ----------
    data : Encoded
        The whole file.
    extension : str
        Ending of its name without the dot; an unknown ending promises nothing.

    Raises
    ------
    AudioError
        ``empty`` for no bytes at all, ``wrong-extension`` when another container is inside.
    """
    if not data:
        raise AudioError("empty", "the file has no bytes")
    check_promise(sniff(data), extension)


def check_promise(found: str | None, extension: str) -> None:
    """Raise ``wrong-extension`` when a file name promises another container than was found."""
    promised = EXTENSIONS.get(extension.lower())
    if promised and found in EXTENSIONS.values() and promised != found:
        raise AudioError("wrong-extension", f"{found} data under the name .{extension}: rename the file to take it in")


def chunks(data: Encoded, container: str) -> Iterator[bytes]:
    """Names of the chunks of a WAV or AIFF file, four bytes each, as far as their lengths lead."""
    start = 12
    for _ in range(MOST_CHUNKS):
        if start + 8 > len(data):
            return
        yield data[start : start + 4]
        size = int.from_bytes(data[start + 4 : start + 8], "little" if container == "WAV" else "big")
        start += 8 + size + size % 2
