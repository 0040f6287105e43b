"""Clips fetched for real: yt-dlp's generic extractor, FFmpeg and a server on this machine that answers badly."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from tests.http_server import Answer, Server, serving

from phonolake.acquisition import answers, clips
from phonolake.acquisition import ledger as clip_ledger
from phonolake.acquisition.ledger import WantedClip
from phonolake.audio import cut, samples
from phonolake.audio.decode import probe
from phonolake.errors import PhonolakeError
from phonolake.records import Seconds
from phonolake.store import query
from phonolake.store.lake import Lake
from phonolake.store.verify import verify
from phonolake.transfer import states
from phonolake.transfer.http import Patience

pytestmark = pytest.mark.timeout(120)
SR = 8000
QUICK = Patience(tries=3, first_wait=0.05, longest_wait=3, timeout=3)


def tone(seconds: float, *, seed: int = 0, gain: float = 0.3) -> bytes:
    """A video's sound: noise that grows a second at a time, so that a place in it can be told."""
    level = np.repeat(np.arange(1, int(seconds) + 2) / (seconds + 1), SR)[: int(seconds * SR)]
    y = gain * level * np.random.default_rng(seed).uniform(-1, 1, len(level))
    out = io.BytesIO()
    sf.write(out, np.round(y * 32767).astype(np.int16), SR, format="WAV", subtype="PCM_16")
    return out.getvalue()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


def config(server: Server, tmp_path: Path, **more: object) -> clips.Config:
    made = clips.Config(
        str(tmp_path / "lake"),
        str(tmp_path / "set"),
        url_template=server.url + "/{ytid}.wav",
        per_second=200.0,
        at_once=2,
        patience=QUICK,
    )
    return replace(made, **more)  # type: ignore[arg-type]


def clip(
    config: clips.Config, ytid: str, start: float = 3.0, end: float = 5.0, labels: tuple = ("Lullaby",)
) -> WantedClip:
    path = Path(config.root) / "audio" / f"{ytid}_{start:g}.flac"
    return WantedClip(f"audioset:{ytid}", ytid, start, end, labels, path)


def history(lake: Path | str) -> dict[str, list[str]]:
    with query.connect(Lake.open(lake)) as connection:
        rows = connection.execute(
            "SELECT track_id, list(state ORDER BY seen_at) FROM availability GROUP BY track_id"
        ).fetchall()
    return {track_id.partition(":")[2]: found for track_id, found in rows}


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work without a cluster, one clip after the other: what Ray adds is tested below."""

    def imap(function, payloads, **_):  # type: ignore[no-untyped-def]
        for payload in payloads:
            yield payload, function(payload)

    monkeypatch.setattr("phonolake.execution.imap", imap)
    monkeypatch.setattr("phonolake.execution.cores", lambda: 2)


# -- one clip ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_only_the_wanted_seconds_come_sample_for_sample(server: Server, form: str) -> None:
    whole, _ = sf.read(io.BytesIO(tone(120)), dtype="int16")
    out = io.BytesIO()
    sf.write(out, whole, SR, format=form, subtype="PCM_16")
    server.files["/v." + form] = out.getvalue()
    found = cut.read_seconds(f"{server.url}/v.{form}", start=Seconds(90), end=Seconds(92))
    assert found.sr == SR
    assert found.x_TC.shape == (2 * SR, 1)
    assert np.array_equal(np.round(found.x_TC[:, 0] * 2**15), whole[90 * SR : 92 * SR])
    # FFmpeg jumps to the place: the beginning, where it looks at the header, is not read on from.
    places = [int(asked.removeprefix("bytes=").rstrip("-")) for _, asked, _ in server.requests if asked]
    assert max(places) > 0.7 * len(out.getvalue())


def test_a_clip_is_written_without_loss(server: Server, tmp_path: Path) -> None:
    server.files["/v.wav"] = tone(10)
    found = cut.read_seconds(f"{server.url}/v.wav", start=Seconds(3), end=Seconds(5))
    sha256 = cut.write_flac(found, tmp_path / "v.flac")
    data = (tmp_path / "v.flac").read_bytes()
    assert probe(data, extension="flac").n_samples == 2 * SR
    assert samples.digest(data) == sha256
    assert np.array_equal(sf.read(io.BytesIO(data), dtype="float32", always_2d=True)[0], found.x_TC)


def test_files_of_this_machine_are_no_streams(tmp_path: Path) -> None:
    (tmp_path / "v.wav").write_bytes(tone(5))
    with pytest.raises(cut.StreamError):
        cut.read_seconds(str(tmp_path / "v.wav"), start=Seconds(0), end=Seconds(1))


def test_a_stream_that_breaks_off_is_no_short_clip(server: Server) -> None:
    server.files["/v.wav"] = tone(60)
    server.always["/v.wav"] = Answer(cut=4 * SR * 2)
    with pytest.raises(cut.StreamError):
        cut.read_seconds(f"{server.url}/v.wav", start=Seconds(3), end=Seconds(13), timeout=3)


# -- states and history ------------------------------------------------------------------------------------------------

ANSWERS: dict[str, tuple[Answer, bytes | None, str]] = {
    "good": (Answer(), tone(8, seed=1), states.FETCHED),
    "-dashfirst_": (Answer(), tone(8, seed=2), states.FETCHED),
    "slow": (Answer(slow=0.002), tone(8, seed=3), states.FETCHED),
    "gone404": (Answer(404), None, states.REMOVED),
    "gone410": (Answer(410), None, states.REMOVED),
    "refused": (Answer(403), None, states.BLOCKED),
    "toomany": (Answer(429, {"Retry-After": "1"}), None, states.BLOCKED),
    "law": (Answer(451), None, states.REGION),
    "broken": (Answer(500), None, states.NETWORK),
    "truncated": (Answer(cut=60_000), tone(8, seed=4), states.NETWORK),
    "text": (Answer(), b"this is no sound " * 100, states.DECODE),
    "short": (Answer(), tone(3.2, seed=5), states.SHORT),
    "ended": (Answer(), tone(2, seed=5), states.SHORT),
    "silent": (Answer(), tone(8, gain=0.0), states.SILENT),
    "zcopy": (Answer(), tone(8, seed=1), states.DUPLICATE),
}


def fill(server: Server) -> None:
    for name, (answer, data, _) in ANSWERS.items():
        server.always[f"/{name}.wav"] = answer
        if data is not None:
            server.files[f"/{name}.wav"] = data


@pytest.mark.long
def test_every_answer_has_its_state_and_the_ledger_adds_up(server: Server, tmp_path: Path, in_process: None) -> None:
    fill(server)
    c = config(server, tmp_path)
    wanted = [clip(c, name, labels=("Lullaby", "Music") if name == "good" else ("Lullaby",)) for name in ANSWERS]
    outcome = clips.run(c, wanted, {"Lullaby": 100, "Music": 7})
    assert {name: found[-1] for name, found in history(c.lake).items()} == {n: a[2] for n, a in ANSWERS.items()}
    assert (outcome.inputs, outcome.outputs) == (len(ANSWERS), 3)
    assert sorted(p.name for p in (Path(c.root) / "audio").iterdir()) == [
        "-dashfirst__3.flac",
        "good_3.flac",
        "slow_3.flac",
    ]
    # Final answers are asked for once by yt-dlp, passing ones as often as there is patience.
    assert server.asked("/gone404.wav") == server.asked("/refused.wav") == 1
    assert server.asked("/toomany.wav") == server.asked("/broken.wav") == QUICK.tries
    with query.connect(Lake.open(c.lake)) as connection:
        columns, rows = answers.by_label(connection)
        for row in rows:
            assert row[2] == sum(row[3:])
        assert dict(zip(columns, rows[0], strict=True))["available"] == 100
        assert rows[0][:4] == ("Lullaby", 100, 15, 3)
        assert rows[-1][:4] == ("(all clips)", None, 15, 3)
        by_state = {state: n for state, _, _, n, _ in answers.by_state(connection)}
        other = connection.execute("SELECT other_id FROM availability_now WHERE state = 'duplicate'").fetchall()
    assert sum(by_state.values()) == len(ANSWERS)
    assert other == [("audioset:good",)]
    assert verify(Lake.open(c.lake)) == []


@pytest.mark.slow
def test_a_second_run_asks_for_nothing_and_a_retry_for_what_may_heal(
    server: Server, tmp_path: Path, in_process: None
) -> None:
    fill(server)
    c = config(server, tmp_path)
    wanted = [clip(c, name) for name in ANSWERS]
    clips.run(c, wanted, {})
    server.requests.clear()
    assert clips.run(c, wanted, {}).run_id is None
    assert server.requests == []
    # The server has recovered.
    server.always.clear()
    server.files |= {f"/{name}.wav": tone(8, seed=9 + n) for n, name in enumerate(ANSWERS)}
    clips.run(replace(c, retry=True), wanted, {})
    healed = {name for name, (_, _, state) in ANSWERS.items() if state in states.HEALS}
    assert {path[1:-4] for path, *_ in server.requests} == healed
    for name, found in history(c.lake).items():
        assert found == [ANSWERS[name][2], states.FETCHED] if name in healed else [ANSWERS[name][2]]


def test_files_that_lie_there_are_taken_into_the_ledger(server: Server, tmp_path: Path, in_process: None) -> None:
    c = config(server, tmp_path)
    ours = clip(c, "mine")
    ours.path.parent.mkdir(parents=True)
    ours.path.write_bytes(tone(2))
    broken = replace(clip(c, "torn"), path=Path(c.root) / "audio" / "torn.wav")
    broken.path.write_bytes(b"RIFF")
    clips.run(c, [ours, broken], {})
    assert server.requests == []
    # The name says FLAC and the file is WAV: a fault that is told apart from a missing file.
    assert history(c.lake) == {"mine": [states.DECODE], "torn": [states.DECODE]}
    assert ours.path.exists()


@pytest.mark.long
def test_without_a_network_it_ends_in_seconds_and_goes_on_later(
    server: Server, tmp_path: Path, in_process: None
) -> None:
    server.files["/good.wav"] = tone(10)
    nowhere = config(server, tmp_path, url_template="http://127.0.0.1:9/{ytid}.wav")
    wanted = [clip(nowhere, name) for name in ("good", *(f"none{n}" for n in range(50)))]
    began = time.monotonic()
    with pytest.raises(
        PhonolakeError, match=r"no video can be reached \(.*refused.*the same command goes on"
    ) as caught:
        clips.run(nowhere, wanted, {"Lullaby": 51})
    assert caught.value.exit_code == 1
    # Not fifty times three attempts.
    assert time.monotonic() - began < 60
    with query.connect(Lake.open(tmp_path / "lake")) as connection:
        rows = connection.execute("SELECT state, count(*) FROM availability_now GROUP BY state").fetchall()
    assert rows == [("wanted", 51)]
    # The same command, once there is a network.
    outcome = clips.run(config(server, tmp_path), wanted[:1], {"Lullaby": 51})
    assert (outcome.inputs, outcome.outputs) == (1, 1)


def test_a_result_that_a_killed_driver_left_is_taken_in_once(server: Server, tmp_path: Path, in_process: None) -> None:
    server.files["/a.wav"] = tone(8)
    c = config(server, tmp_path)
    task = clips.Task(c, clip(c, "a"))
    (Path(c.root) / ".phonolake" / "outcomes").mkdir(parents=True)
    clips.fetch_one(task)
    server.requests.clear()
    clips.run(c, [task.clip], {})
    clips.run(c, [task.clip], {})
    assert server.requests == []
    assert history(c.lake) == {"a": [states.FETCHED]}


def test_a_commit_that_was_cut_short_is_not_booked_twice(server: Server, tmp_path: Path, in_process: None) -> None:
    server.files["/a.wav"] = tone(8)
    c = config(server, tmp_path)
    task = clips.Task(c, clip(c, "a"))
    journal = Path(c.root) / ".phonolake" / "outcomes"
    journal.mkdir(parents=True)
    clips.fetch_one(task)
    (note,) = journal.iterdir()
    content = note.read_text()
    clips.run(c, [task.clip], {})
    note.write_text(content)
    clip_ledger.take_in(Lake.open(c.lake), c, journal, [task.clip])
    assert history(c.lake) == {"a": [states.FETCHED]}
    assert list(journal.iterdir()) == []


# -- several at once, and kill -9 --------------------------------------------------------------------------------------

RUN = """
import json, sys
from pathlib import Path
from phonolake.acquisition import clips
from phonolake.acquisition.ledger import Clip
from phonolake.transfer.http import Patience
from phonolake import execution
lake, root, template, n = sys.argv[1:5]
execution.connect(workers=2)
config = clips.Config(lake, root, url_template=template, per_second=100.0, at_once=4, patience=Patience(tries=2))
named = [f"clip{i:07d}" for i in range(int(n))]
wanted = [Clip(f"audioset:{y}", y, 1.0, 2.0, ("a",), Path(root) / "audio" / f"{y}_1.flac") for y in named]
print(clips.run(config, wanted, {}).outputs)
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_kill_9_in_the_middle_and_nothing_is_fetched_twice(server: Server, tmp_path: Path) -> None:
    n = 40
    for i in range(n):
        server.files[f"/clip{i:07d}.wav"] = tone(4, seed=i)
        server.always[f"/clip{i:07d}.wav"] = Answer(slow=0.002)
    words = [sys.executable, "-c", RUN, tmp_path / "lake", tmp_path / "set", server.url + "/{ytid}.wav", str(n)]
    process = subprocess.Popen([*map(str, words)], start_new_session=True, stdout=subprocess.PIPE, text=True)
    audio = tmp_path / "set" / "audio"
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and (not audio.is_dir() or len(list(audio.glob("*.flac"))) < 10):
        time.sleep(0.02)
    # The whole session at once: driver, Ray and workers.
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(1)
    done = {path.name.partition("_")[0] for path in audio.glob("[!.]*.flac")}
    assert 10 <= len(done) < n
    server.requests.clear()
    finished = subprocess.run([*map(str, words)], check=True, capture_output=True, text=True)
    assert int(finished.stdout) == n
    asked = {path[1:-4] for path, *_ in server.requests}
    assert asked == {f"clip{i:07d}" for i in range(n)} - done
    assert all(found == [states.FETCHED] for found in history(tmp_path / "lake").values())
    assert len(history(tmp_path / "lake")) == n
    assert verify(Lake.open(tmp_path / "lake")) == []
