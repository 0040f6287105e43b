"""Every file of the zoo is decoded to its end, or rejected for a reason that is right. `pytest -s` prints the table."""

import numpy as np
import pytest

from phonolake.audio.decode import decode, probe
from phonolake.errors import AudioError

from .situations import Situation, all_of_them, chained, flac, lengths, mp3
from .sounds import by_ffmpeg, heard

SR = 16_000
# Encoders fill up their last frame, and some begin with a frame of silence.
TOLERANCE = 0.12


def verdict(case: Situation) -> tuple[str, bool]:
    """What came of a file, and whether it is right."""
    try:
        facts = probe(case.data, extension=case.ending)
    except AudioError as error:
        return f"{error.reason}: {error.detail}", error.reason in case.reasons
    y_T = decode(case.data, sr=SR)
    tones = heard(y_T, SR, case.seconds or 1)
    got = f"{facts.duration:.2f} s, tones {tones}"
    if case.seconds is None:
        return got, False
    right = abs(facts.duration - case.seconds) < TOLERANCE * (1 + case.seconds / 3) and tones == list(
        range(case.seconds)
    )
    return got, right and abs(len(y_T) / SR - facts.duration) < 0.01


def visit(cases: list[Situation]) -> None:
    wrong = []
    for case in cases:
        got, right = verdict(case)
        expected = " or ".join(filter(None, [f"{case.seconds} s" if case.seconds else "", *case.reasons]))
        reference = by_ffmpeg(case.data)
        said = "nothing" if reference is None else f"{reference:.2f} s"
        line = f"{case.kind:10}| {case.about:36}| {expected:40}| {said:8}| {got}"
        print(line if right else f"WRONG {line}")
        wrong += [] if right else [line]
    assert not wrong, "\n".join(["kind | situation | expected | FFmpeg | got", *wrong])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_whole_zoo() -> None:
    visit(list(all_of_them()))


@pytest.mark.long
def test_a_walk_through_the_zoo() -> None:
    visit([*mp3()][::3] + [*lengths()][::4] + [*chained()][::4] + [*flac()][::3])


@pytest.mark.parametrize("channels", [1, 2])
def test_the_zoo_can_hear(channels: int) -> None:
    from .sounds import tones

    x_T = tones(3, first=1, sr=SR, channels=channels)[:, 0]
    assert heard(x_T, SR, 3) == [1, 2, 3]
    assert heard(np.concatenate([x_T[:SR], x_T[:SR], x_T[:SR]]), SR, 3) == [1, 1, 1]
