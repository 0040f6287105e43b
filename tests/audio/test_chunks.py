"""Chunks of RIFF and AIFF files, by which it is known whether a file may have tags."""

import io

import numpy as np
import pytest
import soundfile as sf
from mutagen.wave import WAVE

from phonolake.audio.containers import chunks


@pytest.mark.parametrize("container", ["WAV", "AIFF"])
@pytest.mark.parametrize("n", [0, 1, 7, 1000])
def test_the_chunks_of_a_file_are_named(container: str, n: int) -> None:
    buffer = io.BytesIO()
    sf.write(
        buffer, np.zeros(n, np.float32), 8000, format=container, subtype="PCM_U8" if container == "WAV" else "PCM_S8"
    )
    names = list(chunks(buffer.getvalue(), container))
    assert {"WAV": [b"fmt ", b"data"], "AIFF": [b"COMM", b"SSND"]}[container] == [
        n for n in names if n not in (b"PEAK", b"fact")
    ]


def test_tags_in_a_wav_show_as_a_chunk(tmp_path) -> None:
    sf.write(tmp_path / "a.wav", np.zeros(101, np.float32), 8000, subtype="PCM_U8")
    assert b"ID3 " not in {name.upper() for name in chunks((tmp_path / "a.wav").read_bytes(), "WAV")}
    tagged = WAVE(tmp_path / "a.wav")
    tagged.add_tags()
    tagged.save()
    assert b"ID3 " in {name.upper() for name in chunks((tmp_path / "a.wav").read_bytes(), "WAV")}


@pytest.mark.parametrize("size", [0, 3, 0xFFFFFFFF])
def test_wrong_lengths_come_to_an_end(size: int) -> None:
    data = b"RIFF\0\0\0\0WAVE" + (b"junk" + size.to_bytes(4, "little")) * 50
    assert len(list(chunks(data, "WAV"))) <= 50
