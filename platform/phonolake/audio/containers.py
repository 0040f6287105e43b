"""What the first and last bytes of a file say about it, before any decoder looks."""

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


def sniff(data: bytes) -> str | None:
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


def check_container(data: bytes, extension: str) -> None:
    """Raise an `AudioError` for bytes that are no audio, or not of the kind that the file name promises.

    Parameters
    ----------
    data : bytes
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
    promised, found = EXTENSIONS.get(extension.lower()), sniff(data)
    if promised and found and promised != found:
        raise AudioError("wrong-extension", f"{found} data under the name .{extension}: rename the file to take it in")


def check_ogg_ends(data: bytes) -> None:
    """Raise ``truncated`` when the last Ogg page does not close its stream (RFC 3533, header flag 0x04).

    Decoders read such a file short in silence, and its length field went with the missing pages.
    """
    start = data.rfind(b"OggS")
    header = data[start : start + 27]
    complete = False
    if len(header) == 27:
        sizes = data[start + 27 : start + 27 + header[26]]
        complete = len(sizes) == header[26] and len(data) >= start + 27 + header[26] + sum(sizes)
    if not complete or not header[5] & 0x04:
        raise AudioError("truncated", "the Ogg stream has no last page")


def check_riff_length(data: bytes) -> None:
    """Raise ``truncated`` when a RIFF header promises more bytes than there are (0 and -1 mean unknown)."""
    promised = int.from_bytes(data[4:8], "little")
    if promised not in (0, 0xFFFFFFFF) and promised + 8 > len(data) + 1:
        raise AudioError("truncated", f"the header promises {promised + 8} bytes, the file has {len(data)}")
