"""Identify a file by its first and last bytes, before decoding."""

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
    "spx": "OGG",
    "m4a": "MP4",
    "m4b": "MP4",
    "m4r": "MP4",
    "mp4": "MP4",
    "aac": "AAC",
    "aif": "AIFF",
    "aiff": "AIFF",
    "aifc": "AIFF",
    "au": "AU",
    "snd": "AU",
    "wma": "ASF",
    "asf": "ASF",
    "webm": "MATROSKA",
    "mka": "MATROSKA",
    "mp2": "MP3",
    "mpga": "MP3",
    "wave": "WAV",
    "bwf": "WAV",
    "rf64": "WAV",
    "w64": "W64",
    "caf": "CAF",
    "ac3": "AC3",
    "ec3": "EAC3",
    "eac3": "EAC3",
    "ape": "APE",
    "tta": "TTA",
    "wv": "WV",
    "tak": "TAK",
    "mpc": "MPC",
}
# Endings of sound that is not read: for other programs, protected, or notes without sound.
# fmt: off
OTHER_AUDIO = {
    "aa", "aax", "amr", "cda", "dff", "dsf", "dss", "dts", "gsm", "kar", "m4p", "mid", "midi", "mlp", "mod", "ofr",
    "opx", "pcm", "qcp", "ra", "ram", "raw", "rm", "s3m", "sd2", "sf", "sfark", "shn", "sid", "sln", "sph", "spc",
    "swa", "thd", "truehd", "voc", "vox", "vqf", "wvc", "xm", "3ga", "3gp", "8svx", "669", "it", "med",
}
# fmt: on

# Real files have a dozen; wrong lengths may lead through the samples in steps of a few bytes.
MOST_CHUNKS = 10_000


def sniff(data: Encoded) -> str | None:
    """Container named by the magic bytes, or None when they name none (a bare MPEG stream may start anywhere)."""
    head = data[:16]
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return "WAV"
    if head[:4] == b"FORM" and head[8:11] == b"AIF":
        return "AIFF"
    if head[4:8] == b"ftyp":
        return "MP4"
    magics = {
        b"fLaC": "FLAC",
        b"OggS": "OGG",
        b".snd": "AU",
        b"riff": "W64",
        b"caff": "CAF",
        b"MAC ": "APE",
        b"TTA1": "TTA",
        b"wvpk": "WV",
        b"tBaK": "TAK",
        b"MPCK": "MPC",
        b"\x30\x26\xb2\x75": "ASF",
        b"\x1a\x45\xdf\xa3": "MATROSKA",
    }
    return magics.get(head[:4])


def check_container(data: Encoded, extension: str) -> None:
    """Raise an `AudioError` for bytes that are not audio, or not of the type of the file name.

    Parameters
    ----------
    data : Encoded
        The whole file.
    extension : str
        Its file extension without the dot; an unknown extension is not checked.

    Raises
    ------
    AudioError
        ``empty`` for no bytes at all, ``wrong-extension`` when another container is inside.
    """
    if not data:
        raise AudioError("empty", "the file has no bytes")
    check_promise(sniff(data), extension)


def check_promise(found: str | None, extension: str) -> None:
    """Raise ``wrong-extension`` if the file name has the extension of another container."""
    promised = EXTENSIONS.get(extension.lower())
    if promised and found in EXTENSIONS.values() and promised != found:
        raise AudioError("wrong-extension", f"{found} data under the name .{extension}: rename the file to ingest it")


def chunks(data: Encoded, container: str) -> Iterator[bytes]:
    """Names of the chunks of a WAV or AIFF file, four bytes each, as far as their lengths lead."""
    start = 12
    for _ in range(MOST_CHUNKS):
        if start + 8 > len(data):
            return
        yield data[start : start + 4]
        size = int.from_bytes(data[start + 4 : start + 8], "little" if container == "WAV" else "big")
        start += 8 + size + size % 2
