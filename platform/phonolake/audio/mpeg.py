"""Frames of MPEG audio, found by their headers: the content of an MP3, whatever its first frame claims.

The frame header is that of ISO/IEC 11172-3 and 13818-3. The first frame of many files holds no sound but a Xing, Info
or VBRI header, which counts the frames, and LAME's tag, which says how many samples the encoder put before and behind.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np

from phonolake.audio import asides
from phonolake.audio.encoded import AT_ONCE, Encoded
from phonolake.errors import AudioError
from phonolake.records import Hertz

# kbit/s by [MPEG 1, or 2 and 2.5][layer - 1][index]; 0 where there is none, or a free one.
KILOBITS = np.array(
    [
        [
            [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448, 0],
            [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 0],
            [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0],
        ],
        [
            [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256, 0],
            [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0],
            [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0],
        ],
    ]
)
# Hz by [version field][index]: 0 is MPEG 2.5, 1 is reserved.
RATES = np.array([[11025, 12000, 8000, 0], [0, 0, 0, 0], [22050, 24000, 16000, 0], [44100, 48000, 32000, 0]])
# Samples in a frame by [MPEG 1, or 2 and 2.5][layer - 1].
SAMPLES = np.array([[384, 1152, 1152], [384, 1152, 576]])
LONGEST_FRAME = 1 << 12
# This many frames in a row are not a coincidence.
IN_A_ROW = 3
DECODERS = {1: "mp1float", 2: "mp2float", 3: "mp3float"}
# Delay of a layer III decoder.
DECODER_DELAY = 529
# Unknown bytes before the first and after the last frame to tolerate.
FOREIGN = 1 << 16
# Limit of those between two recordings, as sound.
FOREIGN_SECONDS = 0.1


def _frame_lengths() -> np.ndarray:
    """Bytes of a frame by the second and third byte of its header; 0 where they are no header."""
    lengths = np.zeros((256, 256), np.int64)
    for second in range(0xE0, 0x100):
        version, layer = second >> 3 & 3, 4 - (second >> 1 & 3)
        if version == 1 or layer == 4:
            continue
        for third in range(256):
            sr = int(RATES[version, third >> 2 & 3])
            bits = 1000 * int(KILOBITS[int(version != 3), layer - 1, third >> 4])
            if sr and bits:
                slot = 4 if layer == 1 else 1
                samples = int(SAMPLES[int(version != 3), layer - 1])
                lengths[second, third] = (samples // 8 * bits // sr // slot + (third >> 1 & 1)) * slot
    return lengths.ravel()


LENGTHS = _frame_lengths()


@dataclass(frozen=True, slots=True)
class Kind:
    """What does not change from one frame of a recording to the next."""

    version: int
    layer: int
    sr: Hertz

    @property
    def samples(self) -> int:
        """Samples per channel in a frame."""
        return int(SAMPLES[int(self.version != 3), self.layer - 1])


@dataclass(frozen=True, slots=True)
class Run:
    """Frames of one kind, one behind the other: where each begins, and how long it is, in bytes."""

    kind: Kind
    starts: np.ndarray
    lengths: np.ndarray

    @property
    def stop(self) -> int:
        """Where the last frame ends."""
        return int(self.starts[-1] + self.lengths[-1])


@dataclass(frozen=True, slots=True)
class HeaderClaim:
    """What a first frame without sound says: frames behind it, bytes with it, and samples to leave out."""

    frames: int | None = None
    bytes: int | None = None
    before: int = 0
    behind: int = 0


@dataclass(frozen=True, slots=True)
class MpegRecording:
    """One recording in a file: where it begins, its frames with sound, and what the frame before them claimed."""

    start: int
    run: Run
    claim: HeaderClaim | None

    @property
    def n_samples(self) -> int:
        """Samples per channel, those that an encoder added taken off."""
        return max(0, len(self.run.starts) * self.run.kind.samples - sum(self.margins))

    @property
    def margins(self) -> tuple[int, int]:
        """Samples to leave out before and behind."""
        if self.claim is None or not self.claim.before:
            return 0, 0
        return self.claim.before + DECODER_DELAY, max(0, self.claim.behind - DECODER_DELAY)


@dataclass(frozen=True, slots=True)
class MpegStream:
    """All recordings in a file, and missing parts."""

    songs: tuple[MpegRecording, ...]
    fault: AudioError | None

    @property
    def stated(self) -> bool:
        """Whether it is one recording whose own count of frames is that of its frames, or hardly above."""
        claim = self.songs[0].claim if len(self.songs) == 1 else None
        n = len(self.songs[0].run.starts) if self.songs else 0
        return claim is not None and claim.frames is not None and n <= claim.frames <= n + 1


def examine(data: Encoded) -> MpegStream:
    """Find all frames of a file.

    Parameters
    ----------
    data : Encoded
        The file. It is read in pieces, and the result takes 16 bytes per frame.
    """
    found = list(_joined(_runs(data)))
    if len(found) == 1 and (song := _song(data, found[0])).claim is not None:
        alone = MpegStream((song,), None)
        if alone.stated:
            return alone
    songs = tuple(_song(data, part) for run in found for part in _parted(data, run))
    songs = tuple(song for song in songs if len(song.run.starts))
    return MpegStream(songs, _fault(data, songs))


def _song(data: Encoded, run: Run) -> MpegRecording:
    start = int(run.starts[0])
    claim = _claim(data[start : start + int(run.lengths[0])])
    return MpegRecording(start, run if claim is None else Run(run.kind, run.starts[1:], run.lengths[1:]), claim)


def _joined(runs: Iterator[Run]) -> Iterator[Run]:
    """The runs, with those joined that follow each other without a gap."""
    held: list[Run] = []
    for run in runs:
        if held and (held[-1].kind, held[-1].stop) != (run.kind, int(run.starts[0])):
            yield _join(held)
            held = []
        held.append(run)
    if held:
        yield _join(held)


def _join(runs: list[Run]) -> Run:
    return Run(runs[0].kind, np.concatenate([r.starts for r in runs]), np.concatenate([r.lengths for r in runs]))


def _parted(data: Encoded, run: Run) -> Iterator[Run]:
    """A run, parted before each frame that begins another recording."""
    places: set[int] = set()
    for start in range(int(run.starts[0]), run.stop, AT_ONCE):
        piece = data[start : min(run.stop, start + AT_ONCE + 3)]
        for mark in (b"Xing", b"Info", b"VBRI"):
            at = piece.find(mark)
            while at >= 0:
                places.add(start + at)
                at = piece.find(mark, at + 1)
    frames = {int(np.searchsorted(run.starts, place, "right")) - 1 for place in places}
    firsts = [i for i in sorted(frames) if i and _claim(data[int(run.starts[i]) : int(run.starts[i]) + 64])]
    for first, last in zip([0, *firsts], [*firsts, len(run.starts)], strict=True):
        yield Run(run.kind, run.starts[first:last], run.lengths[first:last])


def _fault(data: Encoded, songs: tuple[MpegRecording, ...]) -> AudioError | None:
    """The first fault: bytes without frames, or missing frames that the header counts."""
    if not songs:
        return AudioError("not-audio", "there are no MPEG frames inside")
    place = 0
    for song in songs:
        foreign = song.start - asides.skip(data, place, song.start)
        per_second = song.run.lengths.mean() * song.run.kind.sr / song.run.kind.samples
        if foreign > (FOREIGN_SECONDS * per_second if place else FOREIGN):
            return AudioError("corrupt", f"{foreign} bytes before byte {song.start} hold no MPEG frames")
        missing = _uncounted(song, last=song is songs[-1])
        if missing:
            return missing
        place = song.run.stop
    foreign = len(data) - asides.skip(data, place, len(data))
    if foreign > FOREIGN:
        return AudioError("corrupt", f"the last {foreign} bytes hold no MPEG frames")
    return None


def _uncounted(song: MpegRecording, *, last: bool) -> AudioError | None:
    """Whether a header counts frames that are not there, which the bytes that it counts do not disprove."""
    n, claim, kind = len(song.run.starts), song.claim, song.run.kind
    if claim is None or not (claim.frames or claim.bytes):
        return None
    size = song.run.stop - song.start
    if claim.bytes and claim.bytes < size + int(song.run.lengths.max()):
        return None
    if not claim.frames:
        return AudioError("truncated", f"the header promises {claim.bytes} bytes, and {size} are there")
    if (claim.frames - n) * kind.samples < kind.sr / 10:
        return None
    found, promised = (count * kind.samples / kind.sr for count in (n, claim.frames))
    where = "" if last else ", and another recording follows"
    return AudioError("truncated", f"{found:.2f} s of {promised:.2f} s are there{where}")


# -- frames ------------------------------------------------------------------------------------------------------------


def _runs(data: Encoded) -> Iterator[Run]:
    """Frames of a stream in their order, piece by piece."""
    place, key = 0, -1
    while place < len(data):
        stop = min(len(data), place + AT_ONCE)
        found = _Headers(data[place : stop + IN_A_ROW * LONGEST_FRAME], place, len(data))
        while place < stop:
            i = found.next(place, key)
            if i is None:
                place, key = stop, -1
                break
            chain = found.chain(i, stop)
            starts, lengths = found.places[chain], found.lengths[chain]
            last = int(starts[-1] + lengths[-1])
            yield Run(found.kind(i), starts, lengths)
            # A last frame that nothing follows may be cut short, with others beginning inside.
            goes_on = last >= stop or found.followed[chain[-1]]
            place, key = (last, int(found.keys[i])) if goes_on else (int(starts[-1]) + 4, -1)


class _Headers:
    """All that looks like a frame header in a piece of a file."""

    def __init__(self, piece: bytes, offset: int, end: int) -> None:
        bytes_ = np.frombuffer(piece, np.uint8)
        at = np.flatnonzero(bytes_[: max(0, len(bytes_) - 3)] == 0xFF)
        second, third = bytes_[at + 1], bytes_[at + 2]
        lengths = LENGTHS[second.astype(np.intp) << 8 | third]
        usable = np.flatnonzero(lengths)
        at, second, third, self.lengths = at[usable], second[usable], third[usable], lengths[usable]
        self.places, self.end = at + offset, end
        # Version, layer and rate: what the frames of a recording share.
        self.keys = (second & 0x1E) << 1 | third >> 2 & 3
        after = self.places + self.lengths
        self.following = np.searchsorted(self.places, after)
        there = np.minimum(self.following, max(0, len(at) - 1))
        self.followed = (self.places[there] == after) & (self.keys[there] == self.keys) if len(at) else usable > 0
        self.ends = after >= end

    def kind(self, i: int) -> Kind:
        """Kind of one of the frames."""
        key = int(self.keys[i])
        version = key >> 4 & 3
        return Kind(version, 4 - (key >> 2 & 3), Hertz(int(RATES[version, key & 3])))

    def next(self, place: int, key: int) -> int | None:
        """The first frame from a place on: right there if it is of the kind that was, or one that others follow."""
        n = len(self.places)
        i = int(np.searchsorted(self.places, place))
        if key >= 0 and i < n and self.places[i] == place and self.keys[i] == key:
            return i
        for j in (i + np.flatnonzero(self.followed[i:])).tolist():
            k = j
            for _ in range(IN_A_ROW - 1):
                if not self.followed[k]:
                    break
                k = int(self.following[k])
            else:
                return j
            if self.ends[k]:
                return j
        return None

    def chain(self, i: int, stop: int) -> np.ndarray:
        """Frames from one on that follow each other and begin before `stop`."""
        following, followed = self.following.tolist(), self.followed.tolist()
        before = int(np.searchsorted(self.places, stop))
        chain = [i]
        while followed[i]:
            i = following[i]
            if i >= before:
                break
            chain.append(i)
        return np.array(chain)


def _claim(frame: bytes) -> HeaderClaim | None:
    """What the header in a first frame claims, or None for a frame that has sound."""
    found = re.search(rb"Xing|Info", frame[:64])
    if not found:
        if frame[36:40] != b"VBRI":
            return None
        return HeaderClaim(int.from_bytes(frame[50:54], "big"), int.from_bytes(frame[46:50], "big"))
    flags = int.from_bytes(frame[found.end() : found.end() + 4], "big")
    place = found.end() + 4
    before, behind = _paddings(frame)
    frames = int.from_bytes(frame[place : place + 4], "big") if flags & 1 else None
    place += 4 * (flags & 1)
    bytes_ = int.from_bytes(frame[place : place + 4], "big") if flags & 2 else None
    return HeaderClaim(frames, bytes_, before, behind)


def _paddings(frame: bytes) -> tuple[int, int]:
    """Samples that an encoder put before and behind the sound, by LAME's tag."""
    tag = re.search(rb"LAME|Lavc|Lavf", frame)
    field = frame[tag.start() + 21 : tag.start() + 24] if tag else b""
    if len(field) < 3:
        return 0, 0
    return field[0] << 4 | field[1] >> 4, (field[1] & 15) << 8 | field[2]


def packets(data: Encoded, run: Run) -> Iterator[av.Packet]:
    """The frames of a run, for a decoder."""
    i = 0
    while i < len(run.starts):
        # One read for many frames: each may be a call of the operating system.
        stop = int(np.searchsorted(run.starts, run.starts[i] + AT_ONCE))
        origin = int(run.starts[i])
        piece = data[origin : int(run.starts[stop - 1] + run.lengths[stop - 1])]
        for start, length in zip(run.starts[i:stop].tolist(), run.lengths[i:stop].tolist(), strict=True):
            yield av.Packet(piece[start - origin : start - origin + length])
        i = stop
