"""Duplicates among real recordings and synthetic music: how many are found, and that nothing else is."""

import io
import random
from dataclasses import replace
from pathlib import Path

import av
import duckdb
import numpy as np
import pyarrow as pa
import pytest
import soundfile as sf
import soxr

from phonolake.audio.decode import decode
from phonolake.features import fingerprint
from phonolake.records import Hertz
from phonolake.stages import duplicates, ingest
from phonolake.store import query, schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows
from phonolake.store.verify import verify

from . import small_lake
from .in_process import work_here

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
SR = 44_100


def encode(y: np.ndarray, *, codec: str = "libmp3lame", form: str = "mp3", rate: int = 96_000, sr: int = SR) -> bytes:
    """Encode mono audio with a lossy codec."""
    out = io.BytesIO()
    with av.open(out, "w", format=form) as container:
        stream = container.add_stream(codec, rate=sr)
        stream.bit_rate = rate
        stream.layout = "mono"
        pcm = (np.clip(y, -1, 1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = sr
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=sr)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            for packet in stream.encode(part):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return out.getvalue()


def clips(n: int, seed: int) -> list[Path]:
    """Real clips of ESC-10 of every class; of those cut from one recording only the first."""
    found = sorted((SHARED / "esc10").glob("*/*-A.ogg"))
    return random.Random(seed).sample(found, n)


def sound(path: Path) -> np.ndarray:
    return decode(path.read_bytes(), sr=Hertz(SR))


def packed(y: np.ndarray, form: str) -> bytes:
    """Write mono audio with 16 bits, without loss."""
    out = io.BytesIO()
    sf.write(out, (np.clip(y, -1, 1) * 32767).astype(np.int16), SR, format=form, subtype="PCM_16")
    return out.getvalue()


# -- the fingerprint ---------------------------------------------------------------------------------------------------


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, int(seconds * fingerprint.SR)).astype(np.float32)


def test_a_gain_changes_no_bit() -> None:
    y = noise(3)
    assert np.array_equal(fingerprint.sub_fingerprints(y), fingerprint.sub_fingerprints(y * np.float32(0.25)))


def test_the_number_of_frames_is_as_stated() -> None:
    for n in (0, 1, 2047, 2048, 2111, 2112, 5000):
        assert len(fingerprint.sub_fingerprints(np.ones(n, np.float32))) == max(0, (n - 2048) // 64)


def test_unrelated_noise_agrees_in_half_of_the_bits() -> None:
    a, b = (fingerprint.sub_fingerprints(noise(10, seed)) for seed in (1, 2))
    similarity, overlap = fingerprint.compare(a, b, 0)
    assert similarity == pytest.approx(0.5, abs=0.03)
    assert overlap == len(a)


def test_a_shift_by_whole_hops_is_found_bit_for_bit() -> None:
    y = noise(5)
    a, b = fingerprint.sub_fingerprints(y), fingerprint.sub_fingerprints(y[64 * 10 :])
    assert fingerprint.compare(a, b, 10) == (1.0, len(b))
    assert fingerprint.compare(b, a, -10) == (1.0, len(b))


def test_silence_is_nothing_to_compare() -> None:
    y = np.concatenate([noise(2), np.zeros(2 * fingerprint.SR, np.float32)])
    frames = fingerprint.sub_fingerprints(y)
    assert (frames[: fingerprint.SR * 2 // 64 - 32] != fingerprint.NOTHING).all()
    assert (frames[fingerprint.SR * 2 // 64 :] == fingerprint.NOTHING).all()
    assert not fingerprint.sub_fingerprints(np.zeros(20_000, np.float32)).any()
    assert fingerprint.compare(frames, np.zeros(300, np.uint32), 0) == (0.0, 0)


@pytest.mark.parametrize("speed", [0.99, 1.01])
def test_sub_fingerprints_at_another_speed_are_those_of_the_sound_played_so(speed: float) -> None:
    """Resampled music agrees with what the bands of other edges and frames say, and hardly with the music as it was."""
    y = np.cumsum(noise(8)).astype(np.float32) + 5 * noise(8, seed=1)
    there = fingerprint.at_speeds(y)[speed]
    played = fingerprint.sub_fingerprints(soxr.resample(y, fingerprint.SR * speed, fingerprint.SR))
    every = played[:: fingerprint.EVERY]
    assert abs(len(there) - len(every)) <= 1
    n = min(len(there), len(every))
    alike, _ = fingerprint.compare(there[:n], every[:n], 0)
    unturned, _ = fingerprint.compare(fingerprint.sub_fingerprints(y)[:: fingerprint.EVERY][:n], every[:n], 0)
    assert alike > 0.85 > unturned


@pytest.mark.parametrize("n", [0, 2_000, 2_112, 5_512, 70_000])
def test_at_its_own_speed_a_sound_is_as_it_is(n: int) -> None:
    y = noise(20)[:n]
    found = fingerprint.at_speeds(y)
    assert np.array_equal(found[1.0], fingerprint.sub_fingerprints(y))
    for speed in fingerprint.SPEEDS:
        assert len(found[speed]) == pytest.approx(len(found[1.0]) / speed / fingerprint.EVERY, abs=1)


@pytest.mark.parametrize("speed", [0.995, 1.0, 1.01])
def test_recordings_of_two_speeds_are_held_against_each_other_along_a_line(speed: float) -> None:
    rng = np.random.default_rng(0)
    words = rng.integers(1, 1 << 32, 500, dtype=np.uint32)
    # What plays slower has more frames: its frame k is frame k / speed of the other, whose first 20 it lacks.
    slow = words[20 + np.round(np.arange(int(480 * speed) - 1) / speed).astype(int)]
    assert fingerprint.compare(words, slow, 20, speed) == (1.0, len(slow))


# -- the comparison ----------------------------------------------------------------------------------------------------


def stored(tracks: dict[str, np.ndarray]) -> duckdb.DuckDBPyConnection:
    """A table of fingerprints in memory."""
    others: dict[str, list[int]] = {"frames_slower": [], "frames_faster": []}
    rows = [
        {"track_id": t, "sample_sha256": t, "frames": words.view(np.int32).tolist()} | others
        for t, words in tracks.items()
    ]
    columns = pa.schema([schema.table("fingerprints").arrow.field(name) for name in rows[0]])
    found = pa.Table.from_pylist(rows, columns)  # noqa: F841 - DuckDB finds it by its name
    connection = duckdb.connect()
    connection.execute("CREATE TABLE fingerprints AS SELECT * FROM found")
    return connection


def altered(words: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """The same words with a share of their bits turned round, where they sound."""
    flips = (rng.random((len(words), 32)) < share) @ (1 << np.arange(32, dtype=np.uint64))
    return np.where(words == fingerprint.NOTHING, words, words ^ flips.astype(np.uint32))


def test_every_copy_is_found_however_few_pairs_are_held_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    tracks: dict[str, np.ndarray] = {}
    for n in range(30):
        words = rng.integers(1, 1 << 32, 300, dtype=np.uint32)
        if n % 3 == 0:
            words[80:] = fingerprint.NOTHING  # less than a second of sound, then silence
        tracks[f"a:{n:02}"] = words
        tracks[f"b:{n:02}"] = np.concatenate([rng.integers(1, 1 << 32, n, dtype=np.uint32), altered(words, 0.05, rng)])
    config = duplicates.Config("")
    with stored(tracks) as connection:
        found = duplicates.compare_all(connection, config)
    assert [(p.track_id, p.other_id) for p in found] == [(f"a:{n:02}", f"b:{n:02}") for n in range(30)]
    assert [round(-p.offset_seconds * fingerprint.FRAMES_PER_SECOND) for p in found] == list(range(30))
    assert all(0.93 < p.similarity < 0.97 for p in found)
    monkeypatch.setattr(duplicates, "PAIRS_AT_ONCE", 7)
    with stored(tracks) as connection:
        assert duplicates.compare_all(connection, config) == found


@pytest.mark.parametrize(("seconds", "turned", "found"), [(0.2, 0.1, 1), (0.2, 0.28, 0), (2.0, 0.28, 1), (0.1, 0.0, 0)])
def test_the_shorter_the_common_sound_the_more_of_it_must_agree(seconds: float, turned: float, found: int) -> None:
    """Of 0.2 s chance makes 72 % agree now and then, of 2 s never."""
    rng = np.random.default_rng(3)
    n = round(seconds * fingerprint.FRAMES_PER_SECOND)
    one, two = (np.full(300, fingerprint.NOTHING) for _ in range(2))
    one[100 : 100 + n] = rng.integers(1, 1 << 32, n, dtype=np.uint32)
    two = altered(one, turned, rng)
    two[100:104] = one[100:104]
    with stored({"a:1": one, "a:2": two}) as connection:
        assert len(duplicates.compare_all(connection, duplicates.Config(""))) == found


@pytest.mark.parametrize(("equal", "candidates"), [(5, 0), (12, 0), (13, 1)])
def test_a_few_equal_frames_of_many_are_chance(equal: int, candidates: int) -> None:
    """In a large collection any two tracks have some: were they all compared, the time would grow with the square."""
    rng = np.random.default_rng(2)
    one, two = (rng.integers(1, 1 << 32, 2551, dtype=np.uint32) for _ in range(2))
    places = rng.choice(2551, equal, replace=False)
    two[places] = one[places]
    with stored({"a:1": one, "a:2": two}) as connection:
        assert duplicates.compare_all(connection, duplicates.Config("")) == []
        assert connection.execute("SELECT count(*) FROM candidates").fetchall() == [(candidates,)]


# -- the stage ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, dict[str, str]]:
    """A lake of 36 real clips and, in a second dataset, 28 of them changed, of which 6 are only packed otherwise."""
    root = tmp_path_factory.mktemp("duplicates")
    chance = random.Random(1)
    truth = {}
    picked = clips(36, 1)
    for number, path in enumerate(picked):
        (root / "one" / "a").mkdir(parents=True, exist_ok=True)
        (root / "two" / "b").mkdir(parents=True, exist_ok=True)
        y = sound(path)
        (root / "one" / "a" / f"{path.stem}.wav").write_bytes(packed(y, "WAV"))
        if number < 6:
            (root / "two" / "b" / f"{path.stem}.flac").write_bytes(packed(y, "FLAC"))
            truth[path.stem] = "exact"
        elif number < 28:
            shift = np.zeros(chance.randrange(1, SR // 50), np.float32)
            changed = np.concatenate([shift, y]) * chance.uniform(0.2, 0.9)
            form = chance.choice(
                [("libmp3lame", "mp3", 64_000), ("libmp3lame", "mp3", 128_000), ("aac", "mp4", 96_000)]
            )
            ending = "m4a" if form[1] == "mp4" else "mp3"
            data = encode(changed, codec=form[0], form=form[1], rate=form[2])
            (root / "two" / "b" / f"{path.stem}.{ending}").write_bytes(data)
            truth[path.stem] = "near"
    for name in ("one", "two"):
        ingest.run(ingest.Config(str(root / "lake"), str(root / name), shard_bytes=4 << 20))
    duplicates.run(duplicates.Config(str(root / "lake")))
    return Lake.open(root / "lake"), truth


def pairs_of(lake: Lake) -> list[tuple]:
    with query.connect(lake) as connection:
        return connection.execute("SELECT * FROM duplicates ORDER BY track_id, other_id").fetchall()


@pytest.mark.long
def test_every_changed_copy_is_found_and_nothing_else(corpus: tuple[Lake, dict[str, str]]) -> None:
    lake, truth = corpus
    found = {}
    for one, other, kind, *_ in pairs_of(lake):
        # Measured on real clips: no pair of different recordings among some 2,000 is taken for one.
        assert Path(one).stem == Path(other).stem, f"{one} and {other} are different recordings"
        assert (one.partition(":")[0], other.partition(":")[0]) == ("one", "two")
        found[Path(one).stem] = kind
    assert {stem for stem, kind in found.items() if kind == "exact"} == {s for s, k in truth.items() if k == "exact"}
    recall = len(found) / len(truth)
    assert recall >= 0.95, sorted(set(truth) - set(found))


@pytest.mark.long
def test_offset_and_similarity_say_what_was_done(corpus: tuple[Lake, dict[str, str]]) -> None:
    lake, _ = corpus
    for _, _, kind, similarity, offset, overlap, *_ in pairs_of(lake):
        if kind == "exact":
            assert (similarity, offset, overlap) == (1.0, 0.0, None)
        else:
            assert 0.8 < similarity <= 1.0
            # The copy begins up to 20 ms later, and an encoder may add some 50 ms of its own.
            assert -0.1 < offset <= 0.02
            assert overlap >= 0.15


@pytest.mark.long
def test_a_second_run_computes_nothing_and_a_lost_shard_heals(corpus: tuple[Lake, dict[str, str]]) -> None:
    lake, _ = corpus
    before = pairs_of(lake)
    config = duplicates.Config(str(lake.root))
    assert duplicates.plan(config) == []
    assert duplicates.run(config).run_id is None
    (lake.folder("fingerprints") / next(iter(lake.shards("fingerprints")))).unlink()
    assert len(duplicates.plan(config)) == 1
    duplicates.run(config)
    assert pairs_of(lake) == before
    assert verify(lake) == []


def test_a_lake_from_before_other_speeds_is_fingerprinted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work_here(monkeypatch)
    lake = small_lake.make(tmp_path / "lake", n_tracks=4, shards=1)
    table = schema.table("fingerprints")
    before = replace(table, columns=tuple(c for c in table.columns if not c.name.startswith("frames_")))
    ids = [f"toy:{n:03d}" for n in range(4)]
    old = {"frames": [1, 2], "source_shard": "toy-0.parquet", "config_hash": "old", "code_version": ""}
    rows = [{"track_id": i, "sample_sha256": i} | old for i in ids]
    shard = write_rows(lake.path("fingerprints", "fingerprint--00000000--toy-0"), before.arrow, rows)
    lake.commit({"fingerprints": Change(before, [shard])})
    duplicates.run(duplicates.Config(str(lake.root)))
    with query.connect(lake) as connection:
        found = connection.execute(
            "SELECT track_id, len(frames) > 2, len(frames_faster) > 2 FROM fingerprints"
        ).fetchall()
    assert sorted(found) == [(i, True, True) for i in ids]
    assert verify(lake) == []


def test_an_excerpt_is_a_duplicate_at_its_place(tmp_path: Path, ray_session: None) -> None:
    music = max((SHARED / "cc_music").rglob("*.ogg"), key=lambda p: p.stat().st_size)
    y = sound(music)[: 40 * SR]
    (tmp_path / "m" / "a").mkdir(parents=True)
    (tmp_path / "m" / "a" / "whole.wav").write_bytes(packed(y, "WAV"))
    (tmp_path / "m" / "a" / "z-part.mp3").write_bytes(encode(0.5 * y[12 * SR : 20 * SR]))
    ingest.run(ingest.Config(str(tmp_path / "lake"), str(tmp_path / "m")))
    duplicates.run(duplicates.Config(str(tmp_path / "lake")))
    ((_, _, kind, similarity, offset, overlap, *_),) = pairs_of(Lake.open(tmp_path / "lake"))
    assert kind == "near"
    assert similarity > 0.8
    assert offset == pytest.approx(12.0, abs=0.1)
    assert overlap > 5


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_different_music_is_not_taken_for_the_same(tmp_path: Path, ray_session: None) -> None:
    """All of ESC-10: the pairs found have neighbouring numbers in one class: parts of one recording."""
    ingest.run(ingest.Config(str(tmp_path / "lake"), str(SHARED / "esc10"), "esc10"))
    duplicates.run(duplicates.Config(str(tmp_path / "lake")))
    found = {(one, other) for one, other, *_ in pairs_of(Lake.open(tmp_path / "lake"))}
    assert found == {
        ("esc10:2-28314-A", "esc10:2-30322-A"),
        ("esc10:2-28314-B", "esc10:2-30322-B"),
        ("esc10:3-151080-A", "esc10:5-151085-A"),
    }


Words = dict[float, np.ndarray]


def words_of(y: np.ndarray) -> Words:
    """Sub-fingerprints of a sound at 44.1 kHz, by the speed."""
    return fingerprint.at_speeds(soxr.resample(y, SR, fingerprint.SR))


def found_among(copies: dict[str, Words], all_of: dict[str, Words]) -> tuple[int, set[tuple[str, str]]]:
    """How many copies are found among recordings, and pairs of copies with other recordings."""
    sounds = {f"esc:{k}": words for k, words in all_of.items()} | {f"his:{k}": words for k, words in copies.items()}
    rows = [
        {"track_id": track_id, "sample_sha256": track_id}
        | {duplicates.COLUMNS[speed]: w.view(np.int32).tolist() for speed, w in words.items()}
        for track_id, words in sounds.items()
    ]
    columns = pa.schema([schema.table("fingerprints").arrow.field(name) for name in rows[0]])
    found = pa.Table.from_pylist(rows, columns)  # noqa: F841 - DuckDB finds it by its name
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE fingerprints AS SELECT * FROM found")
        pairs = {(p.track_id, p.other_id) for p in duplicates.compare_all(connection, duplicates.Config(""))}
    right = {(one, two) for one, two in pairs if one.split(":")[1] == two.split(":")[1]}
    return len(right), {(one, two) for one, two in pairs - right if two.startswith("his:")}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_copies_of_another_speed_and_short_sounds_are_found_among_all_of_esc_10() -> None:
    """Prints the figures of docs/reports.md."""
    everything = {path.stem: sound(path) for path in sorted((SHARED / "esc10").glob("*/*.ogg"))}
    known = {k: words_of(y) for k, y in everything.items()}
    picked = {path.stem: everything[path.stem] for path in clips(30, 1)}
    for speed in (0.98, 0.985, 0.99, 0.995, 1.005, 1.01, 1.015, 1.02):
        played = {k: words_of(soxr.resample(y, SR * speed, SR)) for k, y in picked.items()}
        n, wrong = found_among(played, known)
        print(f"{speed:6.1%} of the speed: {n} of {len(picked)} found, {len(wrong)} wrong pairs")
        assert wrong == set()
        assert n >= 28 or abs(speed - 1) > 0.011
    short = [
        k for k, words in known.items() if 0 < (words[1.0] != fingerprint.NOTHING).sum() < fingerprint.FRAMES_PER_SECOND
    ]
    later = {k: 0.5 * np.concatenate([np.zeros(333, np.float32), everything[k]]) for k in short}
    packed_short = {k: words_of(decode(encode(y, rate=64_000), sr=Hertz(SR))) for k, y in later.items()}
    n, wrong = found_among(packed_short, known)
    print(f"short sounds: {n} of {len(short)} found, {len(wrong)} wrong pairs")
    assert (n, wrong) == (len(short), set())


def test_synthetic_pieces_of_one_style_are_told_apart(demo: Path, tmp_path: Path, ray_session: None) -> None:
    import shutil

    shutil.copytree(demo / "lake", tmp_path / "lake")
    duplicates.run(duplicates.Config(str(tmp_path / "lake")))
    assert pairs_of(Lake.open(tmp_path / "lake")) == []
