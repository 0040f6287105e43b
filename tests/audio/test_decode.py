"""Bytes to samples: every format, every way in which a file is broken, and bytes that nobody meant to be audio."""

import http.server
import io
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile as sf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phonolake.audio import mpeg
from phonolake.audio.decode import decode, probe
from phonolake.errors import AudioError

pytestmark = pytest.mark.timeout(60)

SR = 44_100
DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
REASONS = {"empty", "not-audio", "wrong-extension", "truncated", "corrupt", "undecoded", "not-finite"}
# Format and subtype in soundfile's words, ending of the name, container and codec that the lake names.
SOUNDFILE = {
    "wav-8": ("WAV", "PCM_U8", "wav", "WAV", "PCM_U8"),
    "wav-16": ("WAV", "PCM_16", "wav", "WAV", "PCM_16"),
    "wav-24": ("WAV", "PCM_24", "wav", "WAV", "PCM_24"),
    "wav-float": ("WAV", "FLOAT", "wav", "WAV", "FLOAT"),
    "flac": ("FLAC", "PCM_16", "flac", "FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS", "ogg", "OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III", "mp3", "MP3", "MPEG_LAYER_III"),
    "aiff": ("AIFF", "PCM_16", "aiff", "AIFF", "PCM_16"),
    "au": ("AU", "PCM_16", "au", "AU", "PCM_16"),
}
LOSSLESS = {"wav-8": 2**-7, "wav-16": 2**-15, "wav-24": 2**-22, "wav-float": 1e-7, "flac": 2**-15, "aiff": 2**-15}
LOSSLESS |= {"au": 2**-15, "alac": 2**-15}


def sine(hertz: float, *, seconds: float = 1.0, sr: int = SR, amplitude: float = 0.5) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * sr)) / sr)).astype(np.float32)


def chord(seconds: float = 1.0, sr: int = SR) -> np.ndarray:
    """Two channels that differ, faded in and out since lossy codecs ring at hard edges."""
    fade = np.minimum(
        1, 20 * np.minimum(np.linspace(0, 1, round(seconds * sr)), np.linspace(1, 0, round(seconds * sr)))
    )
    left, right = sine(440, seconds=seconds, sr=sr), sine(660, seconds=seconds, sr=sr, amplitude=0.3)
    return (np.stack([left, right], axis=1) * fade[:, None]).astype(np.float32)


def encode(x_TC: np.ndarray, sr: int, kind: str) -> bytes:
    format_, subtype, *_ = SOUNDFILE[kind]
    buffer = io.BytesIO()
    sf.write(buffer, x_TC, sr, format=format_, subtype=subtype)
    return buffer.getvalue()


def encode_pyav(
    x_TC: np.ndarray, sr: int, path: Path, *, codec: str = "aac", format_: str = "ipod", **options: str
) -> bytes:
    """Encode by FFmpeg; it wants a real file, to go back and fill the header in."""
    layout = {1: "mono", 2: "stereo", 16: "hexadecagonal"}[x_TC.shape[1]]
    with av.open(path, "w", format=format_, options=options) as container:
        mapping = {"mapping_family": "255"} if x_TC.shape[1] > 8 else {}
        stream = container.add_stream(codec, rate=sr, layout=layout, options=mapping)
        stream.bit_rate = 64_000 * x_TC.shape[1]
        size = {"aac": 1024, "libopus": 960, "wmav2": 2048}.get(codec, 4096)
        resampler = av.AudioResampler(format=stream.format.name)
        for start in range(0, len(x_TC), size):
            interleaved = np.ascontiguousarray(x_TC[start : start + size]).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(interleaved, format="flt", layout=layout)
            frame.sample_rate, frame.pts = sr, start
            for part in resampler.resample(frame):
                container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path.read_bytes()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One second of the chord in every format."""
    folder = tmp_path_factory.mktemp("formats")
    x_TC = chord()
    found = {kind: encode(x_TC, SR, kind) for kind in SOUNDFILE}
    found["m4a"] = encode_pyav(x_TC, SR, folder / "plain.m4a")
    # The table of contents at the end is what most writers leave; at the start it survives a broken download.
    found["m4a-streaming"] = encode_pyav(x_TC, SR, folder / "fast.m4a", movflags="faststart")
    found["alac"] = encode_pyav(x_TC, SR, folder / "alac.m4a", codec="alac")
    found["aac"] = encode_pyav(x_TC, SR, folder / "bare.aac", format_="adts")
    found["webm"] = encode_pyav(chord(sr=48_000), 48_000, folder / "a.webm", codec="libopus", format_="webm")
    found["wma"] = encode_pyav(x_TC, SR, folder / "a.wma", codec="wmav2", format_="asf")
    return found


def dbfs(amplitude: float) -> float:
    return 20 * np.log10(amplitude)


def frequency(y: np.ndarray, sr: int) -> float:
    """The loudest frequency, in hertz."""
    spectrum = np.abs(np.fft.rfft(y * np.hanning(len(y))))
    return float(np.argmax(spectrum) * sr / len(y))


def attempt(work: Callable[[], Any]) -> Any:
    """What `work` returns, or the `AudioError` that it raises; anything else is a failure."""
    try:
        with np.errstate(all="ignore"):
            return work()
    except AudioError as error:
        return error


def reason(data: bytes, extension: str = "") -> str:
    with pytest.raises(AudioError) as caught:
        probe(data, extension=extension)
    assert caught.value.reason in REASONS
    assert caught.value.detail
    return caught.value.reason


# -- facts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SOUNDFILE)
def test_facts_are_those_that_numpy_finds_in_the_same_samples(files: dict[str, bytes], kind: str) -> None:
    _, _, extension, container, codec = SOUNDFILE[kind]
    facts = probe(files[kind], extension=extension)
    x_TC, sr = sf.read(io.BytesIO(files[kind]), dtype="float32", always_2d=True)
    assert (facts.container, facts.codec) == (container, codec)
    assert (facts.sr, facts.channels, facts.n_samples) == (sr, 2, len(x_TC)) == (SR, 2, SR)
    assert facts.duration == 1.0
    assert facts.peak_dbfs == pytest.approx(dbfs(np.abs(x_TC).max()), abs=1e-6)
    assert facts.rms_dbfs == pytest.approx(dbfs(np.sqrt(np.mean(x_TC.astype(np.float64) ** 2))), abs=1e-6)
    # And the codec left the sound as it was.
    assert facts.peak_dbfs == pytest.approx(dbfs(0.5), abs=0.5)
    assert facts.rms_dbfs == pytest.approx(dbfs(np.sqrt(np.mean(chord() ** 2))), abs=0.1)


@pytest.mark.parametrize(
    ("kind", "extension", "container", "codec"),
    [
        ("m4a", "m4a", "MP4", "AAC"),
        ("m4a-streaming", "mp4", "MP4", "AAC"),
        ("alac", "m4a", "MP4", "ALAC"),
        ("aac", "aac", "AAC", "AAC"),
        ("webm", "webm", "MATROSKA", "OPUS"),
        ("wma", "wma", "ASF", "WMAV2"),
    ],
)
def test_what_ffmpeg_decodes_has_the_same_facts(
    files: dict[str, bytes], kind: str, extension: str, container: str, codec: str
) -> None:
    facts = probe(files[kind], extension=extension)
    assert (facts.container, facts.codec, facts.channels) == (container, codec, 2)
    assert facts.sr == (48_000 if kind == "webm" else SR)
    # Codecs of blocks fill the last one up, and encoders start with up to one block of silence.
    assert facts.duration == pytest.approx(1.0, abs=3 * 2048 / SR)
    assert facts.rms_dbfs == pytest.approx(dbfs(np.sqrt(np.mean(chord() ** 2))), abs=0.3)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_formats_give_the_samples_back(files: dict[str, bytes], kind: str) -> None:
    y_T = decode(files[kind], sr=SR)
    np.testing.assert_allclose(y_T, chord().mean(axis=1), atol=LOSSLESS[kind])
    assert y_T.dtype == np.float32


def test_silence_is_200_below_full_scale() -> None:
    facts = probe(encode(np.zeros((100, 1), np.float32), 8000, "wav-16"))
    assert (facts.peak_dbfs, facts.rms_dbfs) == (-200.0, -200.0)


def test_levels_cover_all_channels_and_all_blocks() -> None:
    # Longer than one block of decoding, and the only loud sample is the last one of the second channel.
    x_TC = np.zeros((300_000, 2), np.float32)
    x_TC[-1, 1] = -0.5
    facts = probe(encode(x_TC, SR, "wav-16"))
    assert facts.n_samples == 300_000
    assert facts.peak_dbfs == pytest.approx(dbfs(0.5))
    assert facts.rms_dbfs == pytest.approx(dbfs(0.5 / np.sqrt(600_000)))


# -- decoding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*SOUNDFILE, "m4a", "alac", "aac", "webm", "wma"])
@pytest.mark.parametrize("sr", [12_000, 48_000])
def test_another_rate_keeps_duration_and_pitch(files: dict[str, bytes], kind: str, sr: int) -> None:
    facts = probe(files[kind])
    y_T = decode(files[kind], sr=sr)
    assert len(y_T) == pytest.approx(facts.duration * sr, abs=1)
    assert frequency(y_T, sr) == pytest.approx(440, abs=1.5)


def test_resampling_does_not_alias() -> None:
    # 9 kHz does not exist at 12 kHz; folded down it would be heard at 3 kHz.
    y_T = decode(encode(sine(9000)[:, None], SR, "wav-float"), sr=12_000)
    assert np.abs(y_T[500:-500]).max() < 1e-4


def test_channels_are_averaged() -> None:
    left, right = sine(440), sine(660)
    y_T = decode(encode(np.stack([left, right], axis=1), SR, "wav-float"), sr=SR)
    np.testing.assert_allclose(y_T, (left + right) / 2, atol=1e-7)


@pytest.mark.parametrize("kind", ["wav-16", "flac", "alac"])
def test_opposite_channels_give_silence(tmp_path: Path, kind: str) -> None:
    x_TC = np.stack([sine(440), -sine(440)], axis=1)
    data = encode_pyav(x_TC, SR, tmp_path / "a.m4a", codec="alac") if kind == "alac" else encode(x_TC, SR, kind)
    assert np.abs(decode(data, sr=SR)).max() <= 2**-15


@pytest.mark.parametrize("kind", ["wav-16", "alac"])
def test_equal_channels_stay_as_loud_as_one(tmp_path: Path, kind: str) -> None:
    # FFmpeg's own down-mix would come out 3 dB louder.
    x_TC = np.stack([sine(440), sine(440)], axis=1)
    data = encode_pyav(x_TC, SR, tmp_path / "a.m4a", codec="alac") if kind == "alac" else encode(x_TC, SR, kind)
    assert np.abs(decode(data, sr=SR)).max() == pytest.approx(0.5, abs=2**-14)


@pytest.mark.parametrize(("sr", "channels"), [(8_000, 1), (11_025, 2), (96_000, 2), (192_000, 6)])
def test_any_rate_and_number_of_channels(sr: int, channels: int) -> None:
    x_TC = np.repeat(sine(440, sr=sr)[:, None], channels, axis=1)
    data = encode(x_TC, sr, "flac")
    facts = probe(data, extension="flac")
    assert (facts.sr, facts.channels, facts.duration) == (sr, channels, 1.0)
    y_T = decode(data, sr=12_000)
    assert len(y_T) == pytest.approx(12_000, abs=1)
    assert frequency(y_T, 12_000) == pytest.approx(440, abs=1.5)
    assert np.abs(y_T[200:-200]).max() == pytest.approx(0.5, abs=0.01)


def test_blocks_join_without_a_seam() -> None:
    # Eight seconds are more than one block; resampled in one piece or in several they are the same.
    x_T = sine(440, seconds=8)
    y_T = decode(encode(x_T[:, None], SR, "wav-float"), sr=12_000)
    difference_T = y_T - (0.5 * np.sin(2 * np.pi * 440 * np.arange(len(y_T)) / 12_000))
    assert np.abs(difference_T[500:-500]).max() < 1e-3


def test_one_sample() -> None:
    data = encode(np.full((1, 1), 0.25, np.float32), SR, "wav-16")
    facts = probe(data, extension="wav")
    assert (facts.n_samples, facts.duration) == (1, 1 / SR)
    assert facts.peak_dbfs == pytest.approx(dbfs(0.25))
    np.testing.assert_array_equal(decode(data, sr=SR), [0.25])
    assert len(decode(data, sr=12_000)) <= 1


@pytest.mark.parametrize("kind", ["wav-16", "aiff", "au"])
def test_no_samples(kind: str) -> None:
    data = encode(np.zeros((0, 2), np.float32), SR, kind)
    facts = probe(data)
    assert (facts.n_samples, facts.duration, facts.peak_dbfs) == (0, 0.0, -200.0)
    assert decode(data, sr=12_000).shape == (0,)


# -- lengths that the container does not tell, or tells wrong ---------------------------------------------------------


def bare_mp3(x_T: np.ndarray) -> bytes:
    """A stream of variable bit rate without the first frame, which says how many there are."""
    buffer = io.BytesIO()
    sf.write(buffer, x_T, SR, format="MP3", bitrate_mode="VARIABLE")
    data = buffer.getvalue()
    return data[data.index(b"\xff\xfb", data.index(b"Xing")) :]


@pytest.mark.parametrize("loud_first", [True, False])
def test_mp3_that_does_not_state_its_length_is_read_to_its_end(loud_first: bool) -> None:
    # Decoders guess the length from the first frames: far too short, or far too long, when the bit rate changes.
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 6 * SR).astype(np.float32)
    (noise[6 * SR // 2 :] if loud_first else noise[: 6 * SR // 2])[:] = 0
    data = bare_mp3(noise)
    assert not mpeg.examine(data).stated
    facts = probe(data, extension="mp3")
    assert (facts.container, facts.codec) == ("MP3", "MP3")
    assert facts.duration == pytest.approx(6, abs=0.1)
    assert len(decode(data, sr=12_000)) == pytest.approx(facts.duration * 12_000, abs=1)


def test_tags_behind_an_mp3_are_no_damage(files: dict[str, bytes]) -> None:
    tag = b"TAG" + bytes(125)
    bare = bare_mp3(chord(3).mean(axis=1))
    assert probe(bare + tag).n_samples == probe(bare).n_samples
    assert probe(files["mp3"] + tag).n_samples == SR


def test_mp3_header_is_found_behind_a_picture(files: dict[str, bytes]) -> None:
    size = 200_000
    tag = b"ID3\x04\0\0" + bytes((size >> shift) & 127 for shift in (21, 14, 7, 0)) + bytes(size)
    assert mpeg.examine(tag + files["mp3"]).stated
    facts = probe(tag + files["mp3"], extension="mp3")
    assert (facts.n_samples, facts.codec) == (SR, "MPEG_LAYER_III")


def test_bare_aac_of_changing_bit_rate_is_read_to_its_end(tmp_path: Path) -> None:
    # Its length, too, is only guessed: from three seconds of silence FFmpeg concludes that it lasts for a minute.
    x_T = np.concatenate([np.zeros(3 * SR, np.float32), sine(440, seconds=3)])
    facts = probe(encode_pyav(x_T[:, None], SR, tmp_path / "a.aac", format_="adts"), extension="aac")
    assert facts.duration == pytest.approx(6, abs=0.1)


def test_flac_of_unknown_length(files: dict[str, bytes]) -> None:
    # Encoders that write into a pipe cannot go back: 36 bits of the stream info stay zero.
    data = bytearray(files["flac"])
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    facts = probe(bytes(data), extension="flac")
    assert (facts.container, facts.n_samples) == ("FLAC", SR)
    np.testing.assert_allclose(decode(bytes(data), sr=SR), chord().mean(axis=1), atol=2**-15)


def test_wave_written_into_a_pipe(files: dict[str, bytes]) -> None:
    data = bytearray(files["wav-16"])
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    assert probe(bytes(data), extension="wav").n_samples == SR


# -- broken files -----------------------------------------------------------------------------------------------------

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000002000001e221bc33"
    "0000000049454e44ae426082"
)
NO_AUDIO = {
    "text": b"All work and no play makes Jack a dull boy.\n" * 200,
    "html": b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body>Not found</body></html>\n",
    "png": PNG,
    "zeros": bytes(100_000),
    "one byte": b"\xff",
    "pdf": b"%PDF-1.7\n" + bytes(range(256)) * 20,
    "zip": b"PK\x03\x04" + bytes(2000),
    "subtitles": b"1\n00:00:01,000 --> 00:00:02,000\nHello\n\n" * 50,
}


def test_no_bytes_are_empty() -> None:
    assert reason(b"", "mp3") == "empty"
    with pytest.raises(AudioError, match="not-audio"):
        decode(b"", sr=12_000)


@pytest.mark.parametrize("kind", NO_AUDIO)
@pytest.mark.parametrize("extension", ["mp3", "wav", "m4a", ""])
def test_what_is_no_audio(kind: str, extension: str) -> None:
    assert reason(NO_AUDIO[kind], extension) == "not-audio"
    with pytest.raises(AudioError, match="not-audio"):
        decode(NO_AUDIO[kind], sr=12_000)


@pytest.mark.parametrize("kind", [*SOUNDFILE, "m4a", "m4a-streaming", "alac", "aac", "webm", "wma"])
@pytest.mark.parametrize("kept", [0.001, 0.01, 0.1, 0.3, 0.5, 0.8])
def test_cut_files_are_never_taken_for_whole(files: dict[str, bytes], kind: str, kept: float) -> None:
    data = files[kind][: max(1, int(kept * len(files[kind])))]
    assert reason(data) in {"truncated", "corrupt", "not-audio"}


@pytest.mark.parametrize("kind", ["wav-16", "wav-float", "aiff", "au", "ogg", "mp3"])
def test_cut_files_with_a_sound_header_are_called_truncated(files: dict[str, bytes], kind: str) -> None:
    assert reason(files[kind][: len(files[kind]) // 2], SOUNDFILE[kind][2]) == "truncated"


def test_missing_padding_byte_is_forgiven(files: dict[str, bytes]) -> None:
    assert probe(files["wav-8"][:-1]).n_samples in (SR - 1, SR)


@pytest.mark.parametrize(
    ("kind", "extension"),
    [
        ("wav-16", "mp3"),
        ("ogg", "mp3"),
        ("m4a", "mp3"),
        ("mp3", "wav"),
        ("mp3", "m4a"),
        ("flac", "OGG"),
        ("aac", "mp3"),
    ],
)
def test_name_that_promises_another_container(files: dict[str, bytes], kind: str, extension: str) -> None:
    assert reason(files[kind], extension) == "wrong-extension"
    # The samples are all there: only the name is wrong.
    assert len(decode(files[kind], sr=12_000)) > 11_000


@pytest.mark.parametrize("extension", ["", "dat", "MP3"])
def test_unknown_ending_promises_nothing_and_case_does_not_count(files: dict[str, bytes], extension: str) -> None:
    assert probe(files["mp3"], extension=extension).n_samples == SR


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(value: float) -> None:
    x_T = sine(440)
    x_T[-1] = value
    assert reason(encode(x_T[:, None], SR, "wav-float"), "wav") == "not-finite"


@pytest.mark.parametrize("rate", [1, 100, 2**31 - 1])
def test_absurd_rates_are_refused_before_anything_is_resampled(files: dict[str, bytes], rate: int) -> None:
    data = bytearray(files["wav-16"])
    data[24:28] = struct.pack("<I", rate)
    assert reason(bytes(data), "wav") == "corrupt"
    with pytest.raises(AudioError, match="corrupt"):
        decode(bytes(data), sr=12_000)


def test_garbage_in_the_middle_of_an_mp3(files: dict[str, bytes]) -> None:
    data = bytearray(encode(chord(4), SR, "mp3"))
    third = len(data) // 3
    data[third : third + 3000] = np.random.default_rng(0).bytes(3000)
    found = attempt(lambda: probe(bytes(data), extension="mp3"))
    if isinstance(found, AudioError):
        assert found.reason in {"truncated", "corrupt"}
    else:
        assert 3.5 < found.duration < 4.5


def test_rate_that_changes_on_the_way(files: dict[str, bytes], tmp_path: Path) -> None:
    slow = encode_pyav(chord(sr=22_050), 22_050, tmp_path / "slow.aac", format_="adts")
    facts = probe(files["aac"] + slow, extension="aac")
    assert (facts.sr, facts.duration) == (SR, pytest.approx(2, abs=0.2))
    y_T = decode(files["aac"] + slow, sr=SR)
    for half_T in (y_T[: len(y_T) // 2], y_T[len(y_T) // 2 :]):
        assert frequency(half_T, SR) == pytest.approx(440, abs=1.5)


def test_channels_that_change_on_the_way(files: dict[str, bytes], tmp_path: Path) -> None:
    mono = encode_pyav(sine(440)[:, None], SR, tmp_path / "mono.aac", format_="adts")
    facts = probe(files["aac"] + mono, extension="aac")
    assert facts.duration == pytest.approx(2, abs=0.2)
    y_T = decode(files["aac"] + mono, sr=SR)
    # Both halves sound as they should.
    for half_T in (y_T[: len(y_T) // 2], y_T[len(y_T) // 2 :]):
        assert frequency(half_T, SR) == pytest.approx(440, abs=1.5)


def test_sixteen_channels(tmp_path: Path) -> None:
    # PyAV reads past the end of more than 8 planes, which crashes the process sooner or later.
    x_TC = np.outer(sine(440, sr=48_000), np.tile([0.5, 1.0], 8)).astype(np.float32)
    data = encode_pyav(x_TC, 48_000, tmp_path / "a.webm", codec="libopus", format_="webm")
    facts = probe(data, extension="webm")
    assert (facts.channels, facts.n_samples) == (16, 48_000)
    y_T = decode(data, sr=48_000)
    assert len(y_T) == 48_000
    assert np.abs(y_T[2000:-2000]).max() == pytest.approx(0.75 * 0.5, abs=0.02)


@pytest.fixture
def web_server() -> Iterator[tuple[int, list[str]]]:
    """A server on this machine, and the requests that it received."""
    requests: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, requests
        server.shutdown()


@pytest.mark.timeout(15)
def test_playlists_open_no_other_file_and_no_connection(
    files: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    web_server: tuple[int, list[str]],
) -> None:
    port, requests = web_server
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.wav").write_bytes(files["wav-16"])
    (tmp_path / "secret.mp3").write_bytes(files["mp3"])
    hls = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10,\n{}\n#EXT-X-ENDLIST\n"
    playlists = [
        "ffconcat version 1.0\nfile secret.wav\n",
        f"ffconcat version 1.0\nfile {tmp_path}/secret.wav\n",
        hls.format("secret.mp3"),
        hls.format(f"file://{tmp_path}/secret.mp3"),
        hls.format(f"http://127.0.0.1:{port}/secret.mp3"),
        f"http://127.0.0.1:{port}/secret.mp3\n",
        # This one made FFmpeg wait for packets from the network.
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    ]
    for playlist in playlists:
        assert reason(playlist.encode(), "mp3") == "not-audio", playlist
    assert requests == []


# -- bytes that nobody thought of -------------------------------------------------------------------------------------


def survives(data: bytes, extension: str = "") -> None:
    """Hold both functions against their promise: a sensible result, or an `AudioError` with a known reason."""
    facts = attempt(lambda: probe(data, extension=extension))
    if isinstance(facts, AudioError):
        assert facts.reason in REASONS
    else:
        assert facts.n_samples >= 0
        assert facts.sr > 0
        assert facts.channels > 0
        assert np.isfinite([facts.peak_dbfs, facts.rms_dbfs]).all()
        assert facts.peak_dbfs >= facts.rms_dbfs - 1e-6
    y_T = attempt(lambda: decode(data, sr=12_000))
    if isinstance(y_T, AudioError):
        assert y_T.reason in REASONS
    else:
        assert (y_T.dtype, y_T.ndim) == (np.float32, 1)


MAGICS = [b"", b"RIFF\x24\0\0\0WAVEfmt ", b"fLaC\0\0\0\x22", b"OggS\0\2", b"ID3\4\0\0\0\0\0\0", b"\xff\xfb\x90\0"]
MAGICS += [
    b"FORM\0\0\0\x80AIFFCOMM",
    b".snd\0\0\0\x18",
    b"\0\0\0\x20ftypM4A ",
    b"\x1a\x45\xdf\xa3",
    b"\xff\xf1\x50\x80",
]
MAGICS += [b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"caff\0\1\0\0", b"riff\x2e\x91\xcf\x11"]


@settings(max_examples=200)
@given(
    magic=st.sampled_from(MAGICS), tail=st.binary(max_size=2000), extension=st.sampled_from(["", "mp3", "wav", "ogg"])
)
def test_arbitrary_bytes_raise_nothing_but_audio_errors(magic: bytes, tail: bytes, extension: str) -> None:
    survives(magic + tail, extension)


@pytest.mark.long
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from([*SOUNDFILE, "m4a", "m4a-streaming", "alac", "aac", "webm", "wma"]),
    seed=st.integers(0, 2**32),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
    n_flips=st.integers(0, 40),
    reach=st.sampled_from([64, 512, 1 << 20]),
    hole=st.integers(0, 3000),
)
def test_cut_and_corrupted_files_raise_nothing_but_audio_errors(
    files: dict[str, bytes], kind: str, seed: int, kept: float, n_flips: int, reach: int, hole: int
) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(files[kind][: int(kept * len(files[kind]))])
    if data:
        # Headers are the most delicate part, so that many flips fall into them.
        for at in rng.integers(min(reach, len(data)), size=n_flips):
            data[at] = rng.integers(256)
        at = int(rng.integers(len(data)))
        data[at : at + hole] = rng.bytes(int(rng.choice([0, hole, hole // 2])))
    survives(bytes(data))


# -- real recordings --------------------------------------------------------------------------------------------------

RECORDINGS = sorted((DATA / "cc_music").glob("*.ogg"))


@pytest.mark.skipif(not RECORDINGS, reason=f"the real recordings are not at {DATA / 'cc_music'}")
@pytest.mark.parametrize("path", sorted(RECORDINGS, key=lambda p: p.stat().st_size)[:4], ids=lambda p: p.name[:24])
def test_real_recordings_agree_with_soundfile(path: Path) -> None:
    data = path.read_bytes()
    facts = probe(data, extension="ogg")
    with sf.SoundFile(path) as file:
        assert (facts.container, facts.codec) == ("OGG", "VORBIS")
        assert (facts.sr, facts.channels, facts.n_samples) == (file.samplerate, file.channels, file.frames)
        x_TC = file.read(dtype="float32", always_2d=True)
    assert facts.peak_dbfs == pytest.approx(dbfs(np.abs(x_TC).max()), abs=1e-6)
    np.testing.assert_allclose(decode(data, sr=facts.sr), x_TC.mean(axis=1), atol=1e-6)
    assert len(decode(data, sr=12_000)) == pytest.approx(facts.duration * 12_000, abs=1)
    # A recording that stops half-way is noticed although the Vorbis decoder reads it in silence.
    assert reason(data[: len(data) // 2], "ogg") == "truncated"


@pytest.mark.skipif(not (DATA / "fma").is_dir(), reason=f"the FMA clip is not at {DATA / 'fma'}")
def test_real_fma_clip() -> None:
    data = (DATA / "fma" / "fma_small" / "000" / "000002.mp3").read_bytes()
    facts = probe(data, extension="mp3")
    assert (facts.container, facts.codec) == ("MP3", "MPEG_LAYER_III")
    assert facts.duration == pytest.approx(30, abs=0.2)
    with av.open(io.BytesIO(data)) as container:
        assert facts.n_samples == pytest.approx(sum(f.samples for f in container.decode(audio=0)), abs=2 * 1152)
    assert len(decode(data, sr=12_000)) == pytest.approx(facts.duration * 12_000, abs=1)
    assert reason(data[: len(data) // 2], "mp3") == "truncated"
