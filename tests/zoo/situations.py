"""Files as they really lie about: joined, with headers that claim too much or too little, with junk, of every kind."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from phonolake.audio import ogg

from .sounds import encoded, ending

JUNK = np.random.default_rng(0).bytes(60_000)
ID3 = b"ID3\x04\0\0\0\0\x07\x68" + bytes(1000)
ID3V1 = b"TAG" + b"some title".ljust(125, b"\0")
APE = b"APETAGEX\xd0\x07\0\0" + struct.pack("<II", 32 + 60, 1) + b"\0\0\0\x80" + bytes(8)
APE = b"APETAGEX\xd0\x07\0\0" + struct.pack("<III", 92, 1, 0xA0000000) + bytes(8) + bytes(60) + APE


@dataclass(frozen=True, slots=True)
class Situation:
    """A file and what is right for it.

    Parameters
    ----------
    about : str
        What is the matter with it.
    kind : str
        Kind of file, as in `sounds`.
    data : bytes
        The file.
    seconds : int or None
        Seconds of sound, each with the tone of its number; None where only a reject is right.
    reasons : tuple of str
        Reasons of rejects that are right, too.
    """

    about: str
    kind: str
    data: bytes
    seconds: int | None
    reasons: tuple[str, ...] = ()

    @property
    def ending(self) -> str:
        """Ending of the file's name."""
        return ending(self.kind)


def put(data: bytes, at: int, bytes_: bytes) -> bytes:
    """A file with other bytes at a place."""
    return data[:at] + bytes_ + data[at + len(bytes_) :]


def all_of_them() -> Iterator[Situation]:
    """The whole zoo."""
    yield from plain()
    yield from mp3()
    yield from joined()
    yield from chained()
    yield from lengths()
    yield from flac()
    yield from junk()


def plain() -> Iterator[Situation]:
    """Every kind as it should be, in two rates and one or two channels."""
    kinds = (
        "wav wav-float rf64 w64 aiff au caf flac ogg mp3 mp3-bare mp2 aac m4a m4b alac wma mka ac3 eac3 wv tta oggflac"
    )
    for kind in [*kinds.split(), "caf-alac", "wav-mp3", "wav-adpcm"]:
        for sr, channels in ((44_100, 2), (32_000, 1)):
            about = f"plain, {sr} Hz, {channels} ch"
            yield Situation(about, kind, encoded(kind, sr=sr, channels=channels), 2)
    for kind in ("opus", "webm"):
        yield Situation("plain, 48000 Hz, 2 ch", kind, encoded(kind, sr=48_000), 2)


def mp3() -> Iterator[Situation]:
    """Headers that count MPEG frames wrongly, or not at all."""
    whole = encoded("mp3", 3)
    mark = next(at for name in (b"Xing", b"Info") if (at := whole.find(name)) >= 0)
    flags, count, size = mark + 4, mark + 8, mark + 12
    n = int.from_bytes(whole[count:size], "big")
    for frames in (0, 1, n // 3, n - 1, n + 1):
        yield Situation(f"Xing counts {frames} of {n} frames", "mp3", put(whole, count, frames.to_bytes(4, "big")), 3)
    for frames in (2 * n, 2**32 - 1):
        data = put(whole, count, frames.to_bytes(4, "big"))
        yield Situation(f"Xing counts {frames} of {n} frames", "mp3", data, 3, ("truncated",))
    yield Situation("Xing without flags", "mp3", put(whole, flags, bytes(4)), 3)
    yield Situation("Xing without the number of frames", "mp3", put(whole, flags, b"\0\0\0\x0e"), 3)
    yield Situation("Xing counts 0 frames and 0 bytes", "mp3", put(whole, count, bytes(8)), 3)
    yield Situation("Xing counts too few bytes", "mp3", put(whole, size, (5000).to_bytes(4, "big")), 3)
    vbri = put(put(whole, mark, b"\0\0\0\0"), whole.find(b"\xff\xfb") + 36, b"VBRI" + bytes(14))
    yield Situation("VBRI of 0 frames", "mp3", vbri, 3)
    yield Situation("cut in the middle", "mp3", whole[: len(whole) // 2], None, ("truncated",))
    bare = encoded("mp3-bare", 3)
    yield Situation("bare, first frame cut", "mp3", bare[200:], 3)
    for between, name in ((b"", "nothing"), (ID3, "ID3v2"), (ID3V1, "ID3v1"), (ID3V1 + ID3, "both"), (APE, "APE")):
        for kind in ("mp3", "mp3-bare"):
            yield Situation(
                f"two joined, {name} between", "mp3", encoded(kind) + between + encoded(kind, 1, first=2), 3
            )
    yield Situation("joined, 44.1 and 22.05 kHz", "mp3", encoded("mp3") + encoded("mp3", 1, first=2, sr=22_050), 3)
    yield Situation(
        "joined, 32 and 48 kHz, ID3", "mp3", encoded("mp3", sr=32_000) + ID3 + encoded("mp3", 1, first=2, sr=48_000), 3
    )
    yield Situation("joined, mono and stereo", "mp3", encoded("mp3", channels=1) + encoded("mp3", 1, first=2), 3)
    yield Situation("three joined", "mp3", b"".join(encoded("mp3", 1, first=k) for k in range(3)), 3)
    yield Situation("joined, the first one cut", "mp3", encoded("mp3")[:-12_000] + encoded("mp3"), None, ("truncated",))


def joined() -> Iterator[Situation]:
    """Two whole files one behind the other."""
    others = ("undecoded", "truncated", "corrupt", "not-audio")
    for kind in (
        "wav",
        "wav-float",
        "rf64",
        "w64",
        "aiff",
        "au",
        "caf",
        "flac",
        "aac",
        "mp2",
        "m4a",
        "alac",
        "mka",
        "wma",
    ):
        right = (
            ()
            if kind in ("wav", "wav-float", "rf64", "w64", "aiff", "au", "caf", "flac", "aac", "mp2", "m4a")
            else others
        )
        yield Situation("two joined", kind, encoded(kind) + encoded(kind, 1, first=2), 3, right)
    for kind in ("wv", "tta", "ac3", "eac3"):
        yield Situation("two joined", kind, encoded(kind) + encoded(kind, 1, first=2), 3, others)
    for kind in ("wav", "aiff", "flac", "aac"):
        data = encoded(kind) + encoded(kind, 1, first=2, sr=22_050, channels=1)
        yield Situation("joined, another rate, mono", kind, data, 3)
    yield Situation("two of the same length joined", "flac", encoded("flac") + encoded("flac", first=2), 4)
    yield Situation("three joined, the first longest", "flac", encoded("flac", 3) + encoded("flac", 1, first=3) * 1, 4)


def chained() -> Iterator[Situation]:
    """Ogg files of several links."""
    for kind, sr in (("ogg", 44_100), ("opus", 48_000), ("oggflac", 44_100)):
        second = encoded(kind, 1, first=2, sr=sr)
        yield Situation("chain of two", kind, encoded(kind, sr=sr) + second, 3)
        yield Situation("chain of two, mono first", kind, encoded(kind, sr=sr, channels=1) + second, 3)
        yield Situation("chain, junk between", kind, encoded(kind, sr=sr) + JUNK[:5000] + second, 3)
        yield Situation(
            "chain, the last one cut", kind, encoded(kind, sr=sr) + second[:-300], None, ("truncated", "corrupt")
        )
        yield Situation(
            "chain, the first one cut", kind, encoded(kind, sr=sr)[:-300] + second, None, ("truncated", "corrupt")
        )
    yield Situation("chain of two rates", "ogg", encoded("ogg") + encoded("ogg", 1, first=2, sr=22_050), 3)
    yield Situation("chain of Vorbis and Opus", "ogg", encoded("ogg") + encoded("opus", 1, first=2, sr=48_000), 3)
    whole = encoded("ogg", 8)
    last = list(ogg.pages(whole, check=True))[-1]
    page = put(whole[last.start :], 6, (1000).to_bytes(8, "little"))
    page = put(put(page, 22, bytes(4)), 22, ogg.checksum(put(page, 22, bytes(4))))
    yield Situation("last page claims position 1000", "ogg", whole[: last.start] + page, 8, ("corrupt",))
    yield Situation("a byte of a page flipped", "ogg", put(whole, len(whole) // 2, b"\x55\xaa"), None, ("corrupt",))


def lengths() -> Iterator[Situation]:
    """Lengths in headers that are 0, -1, too small or too large."""
    wav, aiff, au = encoded("wav"), encoded("aiff"), encoded("au")
    at, n = wav.index(b"data") + 4, len(wav) - 44
    for size in (0, 8, len(wav), len(wav) + 100, 2**31, 2**32 - 1):
        yield Situation(f"RIFF size {size}", "wav", put(wav, 4, struct.pack("<I", size)), 2)
    for size in (0, n + 8, 0x7FFFF024, 2**31, 2**32 - 1, 2**32 - 37):
        yield Situation(f"data size {size} of {n}", "wav", put(wav, at, struct.pack("<I", size)), 2)
    for size in (8, 1000, n // 2):
        yield Situation(f"data size {size} of {n}", "wav", put(wav, at, struct.pack("<I", size)), 2, ("undecoded",))
    yield Situation("data size 2 n", "wav", put(wav, at, struct.pack("<I", 2 * n)), 2, ("truncated",))
    both = put(put(wav, at, bytes(4)), 4, bytes(4))
    yield Situation("both sizes 0", "wav", both, 2)
    yield Situation("both 0, then a whole one", "wav", both + encoded("wav", 1, first=2), 3)
    listed = wav + b"LIST\x1a\0\0\0INFOIART\x0e\0\0\0An artist here"
    yield Situation("LIST behind the samples", "wav", listed, 2)
    yield Situation("BW64", "wav", b"BW64" + encoded("rf64")[4:], 2)
    rf64 = encoded("rf64")
    for size in (0, 2**64 - 1):
        data = put(rf64, rf64.index(b"ds64") + 16, struct.pack("<Q", size))
        yield Situation(f"ds64 size {size}", "rf64", data, 2)
    w64 = encoded("w64")
    for size in (0, 24, 2**63 - 1, 2**64 - 1):
        yield Situation(f"data size {size}", "w64", put(w64, w64.index(b"data") + 16, struct.pack("<Q", size)), 2)
    ssnd = aiff.index(b"SSND") + 4
    for size in (0, 8, 2**32 - 1):
        yield Situation(f"SSND size {size}", "aiff", put(aiff, ssnd, struct.pack(">I", size)), 2)
    for size in (0, 100, 2**32 - 1):
        yield Situation(f"FORM size {size}", "aiff", put(aiff, 4, struct.pack(">I", size)), 2)
        yield Situation(f"COMM frames {size}", "aiff", put(aiff, aiff.index(b"COMM") + 10, struct.pack(">I", size)), 2)
    for size in (0, 2**32 - 1):
        yield Situation(f"size {size}", "au", put(au, 8, struct.pack(">I", size)), 2)
    caf = encoded("caf")
    for size in (0, 4, 2**63 - 1, 2**64 - 1):
        yield Situation(f"data size {size}", "caf", put(caf, caf.index(b"data") + 4, struct.pack(">Q", size)), 2)
    for kind, place, form in (("aiff", ssnd, ">I"), ("au", 8, ">I"), ("caf", caf.index(b"data") + 4, ">Q")):
        data = put(encoded(kind), place, struct.pack(form, 1000))
        yield Situation("size 1000", kind, data, 2, ("undecoded",))
    for kind in ("wav", "rf64", "w64", "aiff", "au", "caf"):
        yield Situation("cut in the middle", kind, encoded(kind)[:-90_000], None, ("truncated",))


def flac() -> Iterator[Situation]:
    """FLAC with another number of samples in its header, and tags around it."""
    whole = encoded("flac")
    n = 2 * 44_100
    for count in (0, 1000, n - 1, n + 1):
        yield Situation(f"{count} samples of {n}", "flac", put(whole, 22, struct.pack(">I", count)), 2)
    for count in (2 * n, 2**32 - 1):
        yield Situation(f"{count} samples of {n}", "flac", put(whole, 22, struct.pack(">I", count)), 2, ("truncated",))
    yield Situation("0 samples, ID3 before, TAG behind", "flac", ID3 + put(whole, 22, bytes(4)) + ID3V1, 2)
    yield Situation("cut in the middle", "flac", whole[: len(whole) // 2], None, ("truncated", "corrupt"))


def junk() -> Iterator[Situation]:
    """Tags, padding and rubbish before, behind and between."""
    undecoded = ("undecoded", "corrupt")
    for kind in ("mp3", "mp3-bare", "flac", "wav", "aiff", "aac", "ogg", "m4a", "wv", "ac3", "mka", "wma"):
        whole = encoded(kind)
        yield Situation(
            "ID3v2 before", kind, ID3 + whole, 2, () if kind in ("mp3", "mp3-bare", "flac", "wav") else ("not-audio",)
        )
        yield Situation("zeros behind", kind, whole + bytes(50_000), 2)
        yield Situation("ID3v1 behind", kind, whole + ID3V1, 2, ("truncated",) if kind == "ogg" else ())
        yield Situation("junk behind", kind, whole + JUNK, 2, undecoded)
        if kind not in ("wav", "aiff", "ogg", "m4a", "mka", "wma"):
            yield Situation("junk before", kind, JUNK[:3000] + whole, 2, ("not-audio", *undecoded))
            data = whole + JUNK + encoded(kind, 1, first=2)
            yield Situation("junk between two", kind, data, 3, ("not-audio", "truncated", *undecoded))
    yield Situation("random bytes", "mp3", JUNK, None, ("not-audio",))
    yield Situation("zeros", "wav", bytes(50_000), None, ("not-audio",))
