"""What files say about themselves: tags written by mutagen and read back, and tags that are broken."""

import dataclasses
import io
from pathlib import Path

import av
import mutagen
import numpy as np
import pytest
import soundfile as sf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutagen.apev2 import APEv2
from mutagen.asf import ASF
from mutagen.id3 import APIC, ID3, TALB, TCON, TDRC, TIT2, TPE1
from mutagen.mp4 import MP4

from phonolake.audio.decode import probe
from phonolake.audio.tags import FileTags, read_tags, split_genres

pytestmark = pytest.mark.timeout(30)

KINDS = ("mp3", "ogg", "opus", "flac", "m4a", "wav", "aiff")
FRAMES = {"title": TIT2, "artist": TPE1, "album": TALB, "date": TDRC, "genre": TCON}
WRITTEN = {"title": "Für Elise", "artist": "Бетховен", "album": "バガテル", "date": "1810-04-27", "genre": "Classical"}
READ = FileTags("Für Elise", "Бетховен", "バガテル", 1810, ("Classical",))
NOISE = np.random.default_rng(0).uniform(-0.3, 0.3, 24_000).astype(np.float32)


def encode(kind: str, folder: Path) -> bytes:
    """One second of noise."""
    if kind == "m4a":
        path = folder / "a.m4a"
        with av.open(path, "w", format="ipod") as container:
            stream = container.add_stream("aac", rate=24_000, layout="mono")
            for start in range(0, len(NOISE), 1024):
                frame = av.AudioFrame.from_ndarray(NOISE[None, start : start + 1024], format="fltp", layout="mono")
                frame.sample_rate, frame.pts = 24_000, start
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path.read_bytes()
    buffer = io.BytesIO()
    form = {"opus": ("OGG", "OPUS"), "ogg": ("OGG", "VORBIS"), "mp3": ("MP3", None)}.get(kind, (kind, "PCM_16"))
    sf.write(buffer, NOISE, 24_000, format=form[0], subtype=form[1])
    return buffer.getvalue()


def tagged(data: bytes, values: dict[str, str]) -> bytes:
    buffer = io.BytesIO(data)
    file = mutagen.File(buffer, easy=True)
    if file.tags is None:
        file.add_tags()
    for key, value in values.items():
        if isinstance(file.tags, ID3):
            file.tags.add(FRAMES[key](encoding=3, text=value))
        else:
            file[key] = value
    buffer.seek(0)
    file.save(buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("tags")
    return {kind: encode(kind, folder) for kind in KINDS}


@pytest.fixture(scope="module")
def full(plain: dict[str, bytes]) -> dict[str, bytes]:
    return {kind: tagged(data, WRITTEN) for kind, data in plain.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_tags_are_read_as_they_were_written(full: dict[str, bytes], kind: str) -> None:
    assert read_tags(full[kind]) == READ


@pytest.mark.parametrize("kind", KINDS)
def test_tags_do_not_touch_the_sound(plain: dict[str, bytes], full: dict[str, bytes], kind: str) -> None:
    assert probe(full[kind]) == probe(plain[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_file_without_tags_says_nothing(plain: dict[str, bytes], kind: str) -> None:
    assert read_tags(plain[kind]) == FileTags()


@pytest.mark.parametrize("kind", KINDS)
def test_missing_tags_are_none(plain: dict[str, bytes], kind: str) -> None:
    assert read_tags(tagged(plain[kind], {"title": "Alone"})) == FileTags(title="Alone")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("date", "year"), [("1999", 1999), ("2003-07-01", 2003), ("2010-01", 2010)])
def test_year_is_what_the_date_begins_with(plain: dict[str, bytes], kind: str, date: str, year: int) -> None:
    assert read_tags(tagged(plain[kind], {"date": date})).year == year


@pytest.mark.parametrize("kind", ["wav", "aiff"])
def test_a_genre_by_number_is_read_by_its_name(plain: dict[str, bytes], kind: str) -> None:
    assert read_tags(tagged(plain[kind], {"genre": "(32)"})).genres == ("Classical",)


# ID3 keeps nothing in a date but a date.
@pytest.mark.parametrize("kind", ["ogg", "flac", "m4a"])
@pytest.mark.parametrize("date", ["unknown", "99", "0000", "12345", "0000-00-00", "3003", "20031301", ""])
def test_date_without_a_year_gives_none(plain: dict[str, bytes], kind: str, date: str) -> None:
    assert read_tags(tagged(plain[kind], {"date": date})).year is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blank", ["", "   ", "\t\n"])
def test_blank_tags_are_none(plain: dict[str, bytes], kind: str, blank: str) -> None:
    assert read_tags(tagged(plain[kind], {"title": blank, "genre": blank})) == FileTags()


@pytest.mark.parametrize("kind", KINDS)
def test_space_around_a_tag_is_dropped(plain: dict[str, bytes], kind: str) -> None:
    assert read_tags(tagged(plain[kind], {"artist": "  Nina Simone \n"})).artist == "Nina Simone"


@pytest.mark.parametrize("kind", KINDS)
def test_every_value_of_a_genre_counts_once_and_as_it_is_stored(plain: dict[str, bytes], kind: str) -> None:
    values = ["Jazz", "Blues", "Rock; Pop / Indie", "Jazz"]
    buffer = io.BytesIO(plain[kind])
    file = mutagen.File(buffer, easy=True)
    if file.tags is None:
        file.add_tags()
    if isinstance(file.tags, ID3):
        file.tags.add(TCON(encoding=3, text=values))
    else:
        file["genre"] = values
    buffer.seek(0)
    file.save(buffer)
    found = read_tags(buffer.getvalue()).genres
    assert found == ("Jazz", "Blues", "Rock; Pop / Indie")
    assert split_genres(found) == ("Jazz", "Blues", "Rock", "Pop", "Indie")


def with_id3(data: bytes, *frames: object) -> bytes:
    tags = ID3()
    for frame in frames:
        tags.add(frame)
    buffer = io.BytesIO(data)
    tags.save(buffer)
    return buffer.getvalue()


def frame(name: bytes, text: bytes) -> bytes:
    """An ID3v2.3 frame in Latin-1, whatever stands in it."""
    return name + (len(text) + 1).to_bytes(4, "big") + bytes(3) + text


def with_frames(data: bytes, *frames: bytes, version: int = 3) -> bytes:
    body = b"".join(frames)
    size = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3" + bytes([version, 0, 0]) + size + body + data


DATES = ("{y}", "{y}-05", "{y}0501", "{y}05", "03/05/{y}", "1.5.{y}", "{y}-05-01T10:00:00", " {y} ", "{y}/05", "©{y}")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(year=st.integers(1000, 2999), form=st.sampled_from(DATES))
def test_years_are_found_in_every_spelling(plain: dict[str, bytes], year: int, form: str) -> None:
    date = form.format(y=year)
    for version, name in ((3, b"TYER"), (4, b"TDRC"), (3, b"TDRC"), (3, b"TDRL")):
        data = with_frames(plain["mp3"], frame(name, date.encode("latin-1")), version=version)
        assert read_tags(data).year == year, (version, name)
    for kind, key in (("flac", "date"), ("flac", "YEAR"), ("ogg", "year"), ("ogg", "Date")):
        buffer = io.BytesIO(plain[kind])
        file = mutagen.File(buffer)
        file[key] = date
        buffer.seek(0)
        file.save(buffer)
        assert read_tags(buffer.getvalue()).year == year, (kind, key)


def test_a_year_of_zeros_is_none_and_does_not_hide_another_one(plain: dict[str, bytes]) -> None:
    assert read_tags(with_frames(plain["mp3"], frame(b"TYER", b"0000"))).year is None
    both = frame(b"TYER", b"0000"), frame(b"TDRL", b"1971")
    assert read_tags(with_frames(plain["mp3"], *both)).year == 1971


@pytest.mark.parametrize("version", [3, 4])
def test_id3_genres_between_nuls_are_several_and_between_slashes_one(plain: dict[str, bytes], version: int) -> None:
    data = with_frames(plain["mp3"], frame(b"TCON", b"Techno\0House"), version=version)
    assert read_tags(data).genres == ("Techno", "House")
    data = with_frames(plain["mp3"], frame(b"TCON", b"Techno/House"), version=version)
    assert read_tags(data).genres == ("Techno/House",)


def ape(**values: str) -> bytes:
    buffer = io.BytesIO()
    tags = APEv2()
    tags.update(values)
    tags.save(buffer)
    return buffer.getvalue()


def test_apev2_behind_an_mp3_is_read(plain: dict[str, bytes]) -> None:
    tags = ape(Title="Für Elise", Artist="Бетховен", Album="バガテル", Year="1810", Genre="Classical\0Piano")
    expected = FileTags("Für Elise", "Бетховен", "バガテル", 1810, ("Classical", "Piano"))
    assert read_tags(plain["mp3"] + tags) == expected
    # ID3v2 is believed before it, and it before ID3v1, which has room for thirty letters.
    data = with_id3(plain["mp3"], TIT2(encoding=3, text=["ID3"])) + tags
    assert read_tags(data) == dataclasses.replace(expected, title="ID3")
    old = b"TAG" + b"Fur El".ljust(30, b"\0") + bytes(60) + b"1999" + bytes(30) + b"\x11"
    assert read_tags(plain["mp3"] + tags + old) == expected
    assert read_tags(plain["mp3"] + ape(Replaygain_Track_Gain="-3 dB") + old).title == "Fur El"


def encoded(form: str, codec: str, ending: str, folder: Path, **said: str) -> bytes:
    """A second of noise by FFmpeg, with what it is to say."""
    path = folder / f"a.{ending}"
    with av.open(path, "w", format=form) as container:
        container.metadata.update(said)
        stream = container.add_stream(codec, rate=48_000, layout="mono", bit_rate=64_000)
        size = stream.codec_context.frame_size or 1024
        for start in range(0, 48_000 - size, size):
            frame = av.AudioFrame(format=stream.codec_context.format.name, layout="mono", samples=size)
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.sample_rate, frame.pts = 48_000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path.read_bytes()


FFMPEG = {"wma": ("asf", "wmav2"), "webm": ("webm", "libopus"), "wav": ("wav", "pcm_s16le")}


@pytest.mark.parametrize("ending", FFMPEG)
def test_what_ffmpeg_writes_by_itself_is_read(ending: str, tmp_path: Path) -> None:
    said = {"title": "Für Elise", "artist": "Бетховен", "album": "バガテル", "date": "1810", "genre": "Classical"}
    assert read_tags(encoded(*FFMPEG[ending], ending, tmp_path, **said)) == READ


def test_wma_with_several_genres_and_a_year_as_a_number(tmp_path: Path) -> None:
    buffer = io.BytesIO(encoded(*FFMPEG["wma"], "wma", tmp_path))
    file = ASF(buffer)
    file["WM/Genre"], file["WM/Year"] = ["Blues", "Soul"], 1980
    buffer.seek(0)
    file.save(buffer)
    assert read_tags(buffer.getvalue()) == FileTags(year=1980, genres=("Blues", "Soul"))


def info(**values: bytes) -> bytes:
    body = b"INFO"
    for name, text in values.items():
        body += name.encode() + len(text).to_bytes(4, "little") + text + bytes(len(text) % 2)
    return b"LIST" + len(body).to_bytes(4, "little") + body


@pytest.mark.parametrize("title", ["Café".encode(), "Café".encode("cp1252"), "Café".encode() + b"\0"])
def test_riff_info_before_and_behind_the_samples(plain: dict[str, bytes], title: bytes) -> None:
    listed = info(INAM=title, IART=b"Her", IPRD=b"LP", ICRD=b"1999-01", IGNR=b"Rock")
    expected = FileTags("Café", "Her", "LP", 1999, ("Rock",))
    wav = plain["wav"]
    for data in (wav[:36] + listed + wav[36:], wav + listed):
        whole = data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:]
        assert read_tags(whole) == expected
    # ID3 in a WAV says what INFO does not, and is believed first.
    both = tagged(whole, {"title": "ID3", "genre": "Dub"})
    assert read_tags(both) == dataclasses.replace(expected, title="ID3", genres=("Dub",))


def test_a_list_chunk_that_is_no_info_says_nothing(plain: dict[str, bytes]) -> None:
    data = plain["wav"] + b"LIST" + (8).to_bytes(4, "little") + b"adtl" + bytes(4)
    assert read_tags(data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:]) == FileTags()


@given(st.lists(st.text("ab ;/,|\\&-'", max_size=12), max_size=4))
def test_split_genres_are_words_without_a_separator(stored: list[str]) -> None:
    found = split_genres(tuple(stored))
    assert len(set(found)) == len(found)
    assert all(word == word.strip() != "" and not set(word) & set(";/,|\\") for word in found)
    assert split_genres(found) == found


def test_numbered_id3_genres_have_names(plain: dict[str, bytes]) -> None:
    # ID3v1 numbers its genres, and ID3v2 still lets people write the number.
    assert read_tags(with_id3(plain["mp3"], TCON(encoding=3, text=["(17)"]))).genres == ("Rock",)
    assert read_tags(with_id3(plain["mp3"], TCON(encoding=3, text=["8"]))).genres == ("Jazz",)


def test_id3v1_alone_is_read(plain: dict[str, bytes]) -> None:
    tag = b"TAG" + b"Title".ljust(30, b"\0") + b"Artist".ljust(30, b"\0") + b"Album".ljust(30, b"\0") + b"1984"
    tag += bytes(30) + b"\x11"
    assert read_tags(plain["mp3"] + tag) == FileTags("Title", "Artist", "Album", 1984, ("Rock",))


@pytest.mark.parametrize("encoding", [0, 1, 2, 3])
def test_every_id3_encoding(plain: dict[str, bytes], encoding: int) -> None:
    frames = [frame(encoding=encoding, text=["Café"]) for frame in (TIT2, TPE1, TALB)]
    tags = read_tags(with_id3(plain["mp3"], *frames, TDRC(encoding=0, text=["1999"])))
    assert tags == FileTags("Café", "Café", "Café", 1999)


def test_a_large_picture_does_no_harm(plain: dict[str, bytes]) -> None:
    picture = APIC(encoding=0, mime="image/jpeg", type=3, desc="", data=bytes(500_000))
    data = with_id3(plain["mp3"], TIT2(encoding=3, text=["Cover"]), picture)
    assert read_tags(data).title == "Cover"
    assert probe(data, extension="mp3").n_samples == probe(plain["mp3"]).n_samples


def test_tags_of_mp4_that_are_no_text_do_no_harm(plain: dict[str, bytes]) -> None:
    buffer = io.BytesIO(plain["m4a"])
    file = MP4(buffer)
    if file.tags is None:
        file.add_tags()
    file.tags["trkn"], file.tags["cpil"], file.tags["\xa9nam"] = [(1, 2)], True, ["Title"]
    buffer.seek(0)
    file.save(buffer)
    assert read_tags(buffer.getvalue()) == FileTags(title="Title")


# -- broken ones ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"\0", b"ID3", b"OggS", b"fLaC", b"<!DOCTYPE html>", bytes(5000)])
def test_bytes_that_are_no_audio_say_nothing(data: bytes) -> None:
    assert read_tags(data) == FileTags()


def test_header_that_is_too_short_says_nothing() -> None:
    # An Ogg page with the first twelve of the nineteen bytes that begin an Opus stream; mutagen raises a struct.error.
    page = b"OggS\0\2" + bytes(8) + b"\1\0\0\0" + bytes(8) + b"\1\x0c" + b"OpusHead\1\2\0\0"
    assert read_tags(page) == FileTags()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [5, 20, 100, 300, 700])
def test_cut_tags_say_what_is_left_or_nothing(full: dict[str, bytes], kind: str, kept: int) -> None:
    tags = read_tags(full[kind][:kept])
    for found, written in zip(
        (tags.title, tags.artist, tags.album, tags.year, *(tags.genres or (None,))),
        (READ.title, READ.artist, READ.album, READ.year, *READ.genres),
        strict=True,
    ):
        assert found in (None, written)


def test_id3_size_that_reaches_beyond_the_file(plain: dict[str, bytes]) -> None:
    data = bytearray(with_id3(plain["mp3"], TIT2(encoding=3, text=["Title"])))
    data[6:10] = b"\x7f\x7f\x7f\x7f"
    assert read_tags(bytes(data)).title in (None, "Title")


def test_text_that_is_no_utf_8_can_still_be_stored(full: dict[str, bytes]) -> None:
    for kind, written in {
        "ogg": "Für Elise".encode(),
        "flac": "Für Elise".encode(),
        "m4a": "Für Elise".encode(),
    }.items():
        data = full[kind].replace(written, b"\xff\xfe\xc3" + written[3:])
        assert data != full[kind]
        title = read_tags(data).title
        assert title is None or title.encode("utf-8")


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(KINDS),
    flips=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=20),
    kept=st.one_of(st.none(), st.integers(0, 2000)),
)
def test_broken_tags_never_raise(
    full: dict[str, bytes], kind: str, flips: list[tuple[int, int]], kept: int | None
) -> None:
    data = bytearray(full[kind])
    for at, value in flips:
        data[at % len(data)] = value
    tags = read_tags(bytes(data[:kept]))
    for text in (tags.title, tags.artist, tags.album, *tags.genres):
        assert text is None or text.encode("utf-8")
    assert tags.year is None or 1000 <= tags.year <= 2999


@settings(max_examples=100)
@given(st.binary(max_size=500))
def test_arbitrary_bytes_never_raise(data: bytes) -> None:
    read_tags(data)
