"""Decoding by FFmpeg, through PyAV: whole files of the containers that it demultiplexes, and bare MPEG frames."""

from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from typing import cast

import av
import numpy as np

from phonolake.audio import asides, mpeg
from phonolake.audio.encoded import Encoded, opened
from phonolake.audio.reading import Header, Reading
from phonolake.errors import AudioError
from phonolake.records import Hertz

# FFmpeg also knows playlists, which name other files and hosts: a music file must not make it open them.
OPTIONS = {
    "format_whitelist": "aac,ac3,aiff,ape,asf,au,caf,eac3,flac,matroska,mov,mp3,mpc,mpc8,ogg,tak,tta,w64,wav,wv",
    "protocol_whitelist": "none",
}
# FFmpeg's names of containers that have another one here.
NAMES = {"MOV": "MP4", "MPC8": "MPC"}
# Bare streams, whose length FFmpeg guesses from their first bit rate.
GUESSED = {"AAC", "AC3", "EAC3"}
# Containers that hold one stream and nothing else but tags.
BARE = GUESSED | {"APE", "TAK", "TTA", "WV"}


def open_file(data: Encoded) -> Reading:
    """Open a file in any of the containers in `OPTIONS`.

    Raises
    ------
    AudioError
        ``not-audio``, when none of them is inside.
    """
    try:
        container = av.open(opened(data), mode="r", metadata_errors="ignore", options=OPTIONS)
        streams = container.streams.audio
    except (av.FFmpegError, ValueError) as error:
        raise AudioError("not-audio", "no decoder recognises the content") from error
    name = container.format.name.split(",")[0].upper()
    if name == "MP3":
        container.close()
        return open_songs(data, mpeg.examine(data))
    # FFmpeg lists streams of codecs that it cannot decode, too: they have no context.
    context = streams[0].codec_context if streams else None
    if context is None or not context.sample_rate:
        container.close()
        raise AudioError("not-audio", "there is no audio stream inside that can be decoded")
    sr = Hertz(context.sample_rate)
    header = Header(
        NAMES.get(name, name),
        context.codec.canonical_name.upper(),
        sr,
        context.channels,
        None if name in GUESSED else _expected(container, streams[0], sr),
    )
    reading = Reading(header, n_streams=len(container.streams))
    reading.pieces = _pieces(data, container, streams[0], reading)
    return reading


def _expected(container: av.container.InputContainer, stream: av.AudioStream, sr: Hertz) -> int | None:
    if stream.duration and stream.time_base:
        return round(float(stream.duration * stream.time_base) * sr)
    return round(container.duration / av.time_base * sr) if container.duration else None


def _pieces(
    data: Encoded, container: av.container.InputContainer, stream: av.AudioStream, reading: Reading
) -> Iterator[tuple[Hertz, np.ndarray]]:
    """Decode packet by packet; what cannot be decoded in a bare stream may be a tag, and is counted if it is none."""
    bare = reading.header.container in BARE
    with closing(container):
        interleave = Interleaver()
        for packet in _packets(container.demux(stream), data if bare else b"", reading):
            if packet.size and packet.pos is not None:
                reading.stop = max(reading.stop, packet.pos + packet.size)
                reading.n_bytes += packet.size
            try:
                blocks = [
                    (Hertz(frame.sample_rate), block_TC)
                    for frame in stream.decode(packet)
                    for block_TC in interleave(frame)
                ]
            except (av.FFmpegError, ValueError) as error:
                # FFmpeg joins what lies behind the last frame of AC-3 to it; in AAC such a packet is a frame cut short.
                if not bare or packet.pos is None or reading.header.container == "AAC":
                    raise _stopped(error) from error
                stop = packet.pos + len(bytes(packet).rstrip(b"\0"))
                reading.n_lost += max(0, stop - asides.skip(data, packet.pos, stop))
                continue
            yield from blocks


def open_songs(data: Encoded, stream: mpeg.MpegStream) -> Reading:
    """Open the recordings in a file of MPEG frames, one behind the other."""
    if not stream.songs:
        raise AudioError("not-audio", "no decoder recognises the content")
    first = stream.songs[0].run.kind
    channels = next((x_TC.shape[1] for _, x_TC in _song(data, stream.songs[0])), 0)
    if not channels:
        raise AudioError("corrupt", "none of the MPEG frames can be decoded")
    n = sum(round(song.n_samples * first.sr / song.run.kind.sr) for song in stream.songs)
    pieces = (piece for song in stream.songs for piece in _song(data, song))
    return Reading(Header("MP3", f"MP{first.layer}", first.sr, channels, n), pieces, stream.fault)


def _song(data: Encoded, song: mpeg.MpegRecording) -> Iterator[tuple[Hertz, np.ndarray]]:
    """Samples of one recording, without those that its encoder added; frames that cannot be decoded are left out."""
    kind = song.run.kind
    context = cast(av.AudioCodecContext, av.CodecContext.create(mpeg.DECODERS[kind.layer], "r"))
    interleave = Interleaver()
    skip, left = song.margins[0], song.n_samples
    for packet in chain(mpeg.packets(data, song.run), [None]):
        try:
            blocks = [block_TC for frame in context.decode(packet) for block_TC in interleave(frame)]
        except (av.FFmpegError, ValueError):
            continue
        for block_TC in blocks:
            wanted_TC = block_TC[skip : skip + left]
            skip, left = max(0, skip - len(block_TC)), left - len(wanted_TC)
            if len(wanted_TC):
                yield kind.sr, wanted_TC


class Interleaver:
    """Frames to float32 of shape (n, channels); the number of channels may change on the way.

    Frames are interleaved by FFmpeg, since PyAV reads past the end of the planes of more than 8 channels.
    """

    def __init__(self) -> None:
        self._resamplers: dict[tuple[str, str, int], av.AudioResampler] = {}

    def __call__(self, frame: av.AudioFrame) -> Iterator[np.ndarray]:
        kind = frame.format.name, frame.layout.name, frame.sample_rate
        if kind not in self._resamplers:
            self._resamplers[kind] = av.AudioResampler(format="flt")
        for part in self._resamplers[kind].resample(frame):
            if part.samples:
                yield part.to_ndarray().reshape(-1, part.layout.nb_channels)


def _packets(packets: Iterator[av.Packet], data: Encoded, reading: Reading) -> Iterator[av.Packet]:
    try:
        yield from packets
    except av.FFmpegError as error:
        # Tags behind a bare stream are no damage.
        if not data or asides.skip(data, reading.stop, len(data)) < len(data):
            raise _stopped(error) from error


def _stopped(error: Exception) -> AudioError:
    return AudioError("corrupt", f"decoding stopped: {getattr(error, 'strerror', None) or error}")
