"""Extract end to end: what was computed, for which tracks, by which version, and what was left out."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from phonolake import execution
from phonolake.audio.decode import decode
from phonolake.errors import PhonolakeError, UsageError
from phonolake.features import contract, mel_96_12k, mfcc_120
from phonolake.inference import inputs, products
from phonolake.stages import extract, extraction, ingest
from phonolake.stages.extract import Config
from phonolake.store import catalog, schema, tracks
from phonolake.store.lake import Lake
from phonolake.store.verify import verify

from .in_process import dead_files

pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("ray_session")]

SET, SPECTROGRAM = "mfcc-120", "mel-96-12k"
FIRST = mfcc_120.FEATURES[0]
# A shard of one file each: which of them are touched again can be seen.
ONE_EACH = 1


def query(lake: Path | str, sql: str) -> list[tuple[Any, ...]]:
    with catalog.connect(Lake.open(lake)) as connection:
        return connection.execute(sql).fetchall()


def write_noise(path: Path, seed: int, *, seconds: float = 0.8, sr: int = 16_000, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, np.random.default_rng(seed).normal(0, 0.1, (round(seconds * sr), channels)), sr)


@pytest.fixture
def music(tmp_path: Path) -> Path:
    root = tmp_path / "music"
    write_noise(root / "x" / "mono.flac", 1)
    write_noise(root / "x" / "stereo.wav", 2, channels=2, sr=44_100)
    write_noise(root / "y" / "as it is.wav", 3, sr=12_000)
    write_noise(root / "y" / "lossy.mp3", 4, sr=22_050)
    return root


@pytest.fixture
def taking_in(music: Path, tmp_path: Path) -> ingest.Config:
    """Also takes in what is too short for some features."""
    return ingest.Config(str(tmp_path / "lake"), str(music), min_seconds=0.01, shard_bytes=ONE_EACH)


@pytest.fixture
def lake(taking_in: ingest.Config) -> str:
    ingest.run(taking_in)
    return taking_in.lake


def files(lake: str, table: str) -> dict[str, int]:
    """Published shards of a table, with the time they were written."""
    opened = Lake.open(lake)
    return {name: (opened.folder(table) / name).stat().st_mtime_ns for name in opened.shards(table)}


def in_process(function: Callable[[Any], Any], payloads: Sequence[Any], **_: Any) -> Iterator[tuple[Any, Any]]:
    """What `execution.imap` does, without Ray: workers would not see what a test has patched."""
    return ((payload, function(payload)) for payload in payloads)


# -- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("on_workers", [False, True])
def test_stored_values_are_those_of_a_direct_computation(
    lake: str, on_workers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not on_workers:
        monkeypatch.setattr(execution, "imap", in_process)
    outcomes = extract.run(Config(lake, (SET,), (SPECTROGRAM,)))
    assert [(o.note, o.inputs, o.outputs, o.rejects) for o in outcomes] == [(SET, 4, 4, 0), (SPECTROGRAM, 4, 4, 0)]
    names = ", ".join(name for name, _ in FIRST.columns)
    # In one process not one bit is lost. A worker has one thread for products of matrices, and adds up in another
    # order.
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if on_workers else {"rtol": 0, "atol": 0}
    with catalog.connect(Lake.open(lake)) as connection:
        audio = connection.execute("SELECT track_id, bytes FROM audio").fetchall()
        for track_id, data in audio:
            y = decode(data, sr=12_000)
            (row,) = connection.execute(
                f"SELECT {names} FROM features_mfcc_120 WHERE track_id = $1", [track_id]
            ).fetchall()
            np.testing.assert_allclose(row, FIRST.of(y), **tolerance)
            spec = tracks.read_spectrogram(connection, track_id, SPECTROGRAM)
            expected = mel_96_12k.SPECTROGRAM.of(y).astype(np.float16).astype(np.float32)
            # Where it lies half-way between two float16, the last bit may go either way.
            np.testing.assert_allclose(spec, expected, rtol=2**-10 if on_workers else 0, atol=0)
    assert len(audio) == 4
    assert verify(Lake.open(lake)) == []
    check_origins(lake)


def check_origins(lake: str) -> None:
    """Rows say which recipe made them, in which version, out of which shard."""
    audio = {f.removesuffix(".parquet") for f in Lake.open(lake).shards("audio")}
    for table, name, recipe in (
        ("features", "feature_set", FIRST),
        ("spectrograms", "spectrogram", mel_96_12k.SPECTROGRAM),
    ):
        rows = query(lake, f"SELECT track_id, {name}, source_shard, config_hash FROM {table}")
        assert {row[1] for row in rows} == {recipe.name}
        assert {row[3] for row in rows} == {products.product(recipe).version}
        assert {row[2].removesuffix(".parquet") for row in rows} == audio
    sizes = query(lake, "SELECT n_bands, n_frames, octet_length(data) FROM spectrograms")
    assert all(n_bands == 96 and size == 2 * n_bands * n_frames for n_bands, n_frames, size in sizes)


def test_tracks_of_several_shards_do_not_mix(lake: str, tmp_path: Path, music: Path) -> None:
    other = str(tmp_path / "one shard")
    ingest.run(ingest.Config(other, str(music), min_seconds=0.01))
    assert len(Lake.open(other).shards("audio")) == 1
    assert len(Lake.open(lake).shards("audio")) == 4
    names = ", ".join(name for name, _ in FIRST.columns)
    rows = []
    for each in (lake, other):
        extract.run(Config(each, (SET,), (SPECTROGRAM,)))
        values = query(each, f"SELECT track_id, {names} FROM features ORDER BY track_id")
        rows.append((values, query(each, "SELECT track_id, data FROM spectrograms ORDER BY track_id")))
    assert rows[0] == rows[1]


# -- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("features", "spectrograms", "message"),
    [
        (("mfcc-12",), (), r"unknown feature set 'mfcc-12'\. Did you mean 'mfcc-120'"),
        ((), ("mel",), r"unknown spectrogram 'mel'.*mel-96-12k"),
        # A spectrogram is no feature set, and the other way round.
        ((SPECTROGRAM,), (), "unknown feature set 'mel-96-12k'"),
        ((), (SET,), "unknown spectrogram 'mfcc-120'"),
        ((), (), "nothing to extract: name a feature set or a spectrogram"),
    ],
)
def test_wrong_requests_change_nothing(
    lake: str, features: tuple[str, ...], spectrograms: tuple[str, ...], message: str
) -> None:
    versions = Lake.open(lake).versions()
    with pytest.raises(UsageError, match=message):
        extract.run(Config(lake, features, spectrograms))
    assert Lake.open(lake).versions() == versions


def test_without_a_lake_there_is_nothing_to_extract_from(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no lake at"):
        extract.run(Config(str(tmp_path / "nowhere"), (SET,)))


def test_a_name_given_twice_is_one_wish(lake: str) -> None:
    outcomes = extract.run(Config(lake, (SET, SET), (SPECTROGRAM, SPECTROGRAM)))
    assert [(o.note, o.outputs) for o in outcomes] == [(SET, 4), (SPECTROGRAM, 4)]
    assert query(lake, "SELECT count(*) FROM features") == [(4,)]
    assert query(lake, "SELECT count(*) FROM spectrograms") == [(4,)]
    assert verify(Lake.open(lake)) == []


def test_a_lake_without_audio_gives_nothing(tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "empty.mp3").touch()
    ingest.run(ingest.Config(str(tmp_path / "lake"), str(tmp_path / "music")))
    outcomes = extract.run(Config(str(tmp_path / "lake"), (SET,), (SPECTROGRAM,)))
    assert [(o.inputs, o.outputs, o.rejects) for o in outcomes] == [(0, 0, 0), (0, 0, 0)]
    assert query(tmp_path / "lake", "SELECT * FROM features") == []


def _files(lake: str, model_input: str) -> list[str]:
    return inputs.parse(model_input).files(Lake.open(lake))


def test_readers_of_what_was_not_extracted_are_told_how_to_get_it(lake: str) -> None:
    with pytest.raises(PhonolakeError, match=r"no mfcc-120 yet: run `phonolake extract --features mfcc-120` first"):
        _files(lake, "features:mfcc-120")
    with pytest.raises(PhonolakeError, match=r"run `phonolake extract --spectrogram mel-96-12k` first"):
        _files(lake, "spectrogram:mel-96-12k")
    extract.run(Config(lake, (SET,)))
    assert len(_files(lake, "features:mfcc-120")) == 4


# -- segments and spectrograms of one's own ---------------------------------------------------------------------------


@pytest.mark.long
def test_segments_and_own_spectrograms_have_rows_of_their_own(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "imap", in_process)
    extract.run(Config(lake, (SET,), (SPECTROGRAM,)))
    own = "own-40:sr=8000,n_fft=256,hop_length=128,n_mels=40"
    pieces = contract.Segments(300, 200)
    outcomes = extract.run(Config(lake, (SET,), ("mel-96-picture",), (own,), pieces))
    assert {(o.inputs, o.outputs, o.rejects) for o in outcomes} == {(4, 4, 0)}
    # Three segments begin within 0.8 s, at 0, 0.2 and 0.4 s; an encoder may add some silence, and room for one more.
    counts = dict(query(lake, "SELECT track_id, count(*) FROM features WHERE start_seconds IS NOT NULL GROUP BY ALL"))
    assert len(counts) == 4
    assert set(counts.values()) <= {3, 4}
    rows = query(
        lake,
        "SELECT DISTINCT spectrogram, n_channels, n_bands, start_seconds IS NULL, config->>'sr' FROM spectrograms "
        "ORDER BY ALL",
    )
    assert rows == [
        ("mel-96-12k", 1, 96, True, "12000"),
        ("mel-96-picture-per-300ms-by-200ms", 3, 216, False, "22050"),
        ("own-40-per-300ms-by-200ms", 1, 40, False, "8000"),
    ]
    with catalog.connect(Lake.open(lake)) as connection:
        picture = tracks.read_spectrogram(connection, "music:x/mono.flac", "mel-96-picture-per-300ms-by-200ms")
    assert picture is not None
    assert picture.shape == (3, 216, 216)
    assert query(lake, "SELECT count(*) FROM features_mfcc_120") == [(4,)]
    assert verify(Lake.open(lake)) == []
    # And again, nothing is left to do.
    assert extract.plan(Config(lake, (SET,), ("mel-96-picture",), (own,), pieces)) == []


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("mel-96-12k:sr=8000,n_fft=256,hop_length=128",), "there is a spectrogram called 'mel-96-12k' already"),
        (("My own:sr=8000,n_fft=256,hop_length=128",), "small letters"),
        (("a:sr=8000,n_fft=256,hop_length=128", "a:sr=8000,n_fft=256,hop_length=64"), "same name"),
    ],
)
def test_own_spectrograms_need_names_of_their_own(lake: str, texts: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        extract.run(Config(lake, configurations=texts))


@pytest.mark.long
def test_a_lake_from_before_segments_is_read_and_goes_on(
    lake: str, taking_in: ingest.Config, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "imap", in_process)
    old = {"spectrograms": 4, "features": 2}
    declared = {name: schema.table(name) for name in old}
    with pytest.MonkeyPatch.context() as before:
        # As the tables were declared then: without the last columns.
        known = schema.tables() | {
            name: dataclasses.replace(table, columns=table.columns[: -old[name]]) for name, table in declared.items()
        }
        before.setattr(schema, "tables", lambda: known)
        before.setattr(schema, "fingerprint", lambda: "of then")
        row = extraction.row_of
        lacking = {"n_channels", "start_seconds", "end_seconds", "config"}
        before.setattr(extraction, "row_of", lambda *a: {k: v for k, v in row(*a).items() if k not in lacking})
        extract.run(Config(lake, (SET,), (SPECTROGRAM,)))
    write_noise(music / "x" / "new.wav", 5)
    ingest.run(taking_in)
    assert query(lake, "SELECT count(*), count(n_channels), count(config) FROM spectrograms") == [(4, 0, 0)]
    assert query(lake, "SELECT count(*), count(start_seconds) FROM features_mfcc_120") == [(4, 0)]
    extract.run(Config(lake, (SET,), (SPECTROGRAM,)))
    assert query(lake, "SELECT count(*), count(n_channels), count(config) FROM spectrograms") == [(5, 1, 1)]
    assert query(lake, "SELECT count(*), count(mfcc01_mean) FROM features_mfcc_120") == [(5, 5)]
    with catalog.connect(Lake.open(lake)) as connection:
        for track_id in ("music:x/mono.flac", "music:x/new.wav"):
            spec = tracks.read_spectrogram(connection, track_id, SPECTROGRAM)
            assert spec is not None
            assert spec.shape[0] == 96
    assert verify(Lake.open(lake)) == []


# -- again and again --------------------------------------------------------------------------------------------------


def test_a_second_run_computes_nothing(lake: str) -> None:
    # One after the other and then both together: what is there is left alone.
    first = extract.run(Config(lake, (SET,))) + extract.run(Config(lake, (), (SPECTROGRAM,)))
    before = files(lake, "features_mfcc_120") | files(lake, "spectrograms")
    runs = query(lake, "SELECT * FROM runs ORDER BY ALL")
    assert extract.run(Config(lake, (SET,), (SPECTROGRAM,))) == first
    assert files(lake, "features_mfcc_120") | files(lake, "spectrograms") == before
    assert query(lake, "SELECT * FROM runs ORDER BY ALL") == runs
    assert len(runs) == 3
    assert verify(Lake.open(lake)) == []


def test_new_tracks_cost_only_their_own_shards(lake: str, taking_in: ingest.Config, music: Path) -> None:
    extract.run(Config(lake, (SET,), (SPECTROGRAM,)))
    before = files(lake, "features_mfcc_120") | files(lake, "spectrograms")
    write_noise(music / "x" / "new.wav", 5)
    ingest.run(taking_in)
    outcomes = extract.run(Config(lake, (SET,), (SPECTROGRAM,)))
    assert [(o.inputs, o.outputs) for o in outcomes] == [(5, 5), (5, 5)]
    after = files(lake, "features_mfcc_120") | files(lake, "spectrograms")
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 2
    assert query(lake, "SELECT count(*), count(DISTINCT track_id) FROM features") == [(5, 5)]
    assert verify(Lake.open(lake)) == []


def test_tracks_that_left_the_audio_leave_the_features(lake: str, taking_in: ingest.Config, music: Path) -> None:
    extract.run(Config(lake, (SET,), (SPECTROGRAM,)))
    (music / "x" / "mono.flac").write_bytes(b"")
    assert ingest.run(taking_in).rejects == 1
    gone = "music:x/mono.flac"
    # Ingest writes no table of a later stage, and says so.
    assert {f.table for f in verify(Lake.open(lake)) if "unknown tracks" in f.problem} == {"features", "spectrograms"}
    outcomes = extract.run(Config(lake, (SET,), (SPECTROGRAM,)))
    assert [(o.inputs, o.outputs) for o in outcomes] == [(3, 3), (3, 3)]
    for table in ("features", "spectrograms"):
        assert query(lake, f"SELECT count(*) FROM {table} WHERE track_id = '{gone}'") == [(0,)]
        assert query(lake, f"SELECT count(*) FROM {table}") == [(3,)]


def test_a_changed_file_has_its_features_computed_again(lake: str, taking_in: ingest.Config, music: Path) -> None:
    extract.run(Config(lake, (SET,)))
    before = dict(query(lake, "SELECT track_id, mfcc01_mean FROM features"))
    write_noise(music / "x" / "mono.flac", 99, seconds=1.1)
    ingest.run(taking_in)
    extract.run(Config(lake, (SET,)))
    after = dict(query(lake, "SELECT track_id, mfcc01_mean FROM features"))
    assert {track for track in after if after[track] != before[track]} == {"music:x/mono.flac"}
    assert after.keys() == before.keys()


# -- versions ---------------------------------------------------------------------------------------------------------


def test_a_raised_version_takes_the_place_of_the_old_shards(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    extract.run(Config(lake, (SET,), (SPECTROGRAM,)))
    spectrograms, old = files(lake, "spectrograms"), files(lake, "features_mfcc_120")
    before = dict(query(lake, "SELECT track_id, mfcc01_mean FROM features"))
    raised = dataclasses.replace(FIRST, version=2, compute=lambda clip: 1 + mfcc_120.compute(clip))
    monkeypatch.setattr(mfcc_120, "FEATURES", raised)
    monkeypatch.setattr(execution, "imap", in_process)
    # Those that read the new version find nothing of it: never a silent mix.
    with pytest.raises(PhonolakeError, match="no mfcc-120 yet"):
        _files(lake, "features:mfcc-120")
    extract.run(Config(lake, (SET,), (SPECTROGRAM,)))
    new = files(lake, "features_mfcc_120")
    assert len(new) == 4
    assert not new.keys() & old.keys()
    assert files(lake, "spectrograms") == spectrograms
    rows = query(lake, "SELECT track_id, mfcc01_mean, config_hash FROM features")
    assert {track: value for track, value, _ in rows} == pytest.approx({t: 1 + value for t, value in before.items()})
    assert {version for *_, version in rows} == {products.product(raised).version}


def test_a_version_with_other_columns_takes_the_place_of_the_old_one(
    lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract.run(Config(lake, (SET,)))
    other = dataclasses.replace(
        FIRST,
        columns=(("level", "standard deviation of the samples"),),
        compute=lambda clip: clip.y.std(keepdims=True),
    )
    monkeypatch.setattr(mfcc_120, "FEATURES", other)
    monkeypatch.setattr(execution, "imap", in_process)
    extract.run(Config(lake, (SET,)))
    levels = query(lake, "SELECT level FROM features_mfcc_120")
    assert len(levels) == 4
    # Noise of deviation 0.1, of which a lower rate or a mean of two channels lets less through.
    assert all(0.03 < level < 0.11 for (level,) in levels)


# -- rejects ----------------------------------------------------------------------------------------------------------


def test_what_has_no_answer_is_accounted_for(lake: str, taking_in: ingest.Config, music: Path) -> None:
    # 600 samples at 12 kHz: enough for a spectrogram, and no second difference of frames.
    write_noise(music / "y" / "click.wav", 6, seconds=0.05)
    # Finite samples whose mean over the channels is none.
    loud = np.zeros((12_000, 2), np.float32)
    loud[:600] = 3e38
    sf.write(music / "y" / "loud.wav", loud, 12_000, subtype="FLOAT")
    assert ingest.run(taking_in).outputs == 2
    outcomes = extract.run(Config(lake, (SET,), (SPECTROGRAM,)))
    assert [(o.inputs, o.outputs, o.rejects) for o in outcomes] == [(6, 4, 2), (6, 5, 1)]
    rejects = "SELECT track_id, reason, split_part(detail, ':', 1), stage, dataset, retryable FROM rejects ORDER BY ALL"
    expected = [
        ("music:y/click.wav", "too-short", SET, "extract", "music", False),
        ("music:y/loud.wav", "not-finite", SPECTROGRAM, "extract", "music", False),
        ("music:y/loud.wav", "not-finite", SET, "extract", "music", False),
    ]
    assert query(lake, rejects) == sorted(expected)
    assert verify(Lake.open(lake)) == []
    # Run again, they are counted once.
    assert extract.run(Config(lake, (SET,), (SPECTROGRAM,))) == outcomes
    assert query(lake, rejects) == sorted(expected)
    # And ingest does not take them for its own: both are tracks.
    assert ingest.run(taking_in).run_id is None


def test_rejects_go_when_a_new_version_has_an_answer(
    lake: str, taking_in: ingest.Config, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_noise(music / "y" / "click.wav", 6, seconds=0.05)
    ingest.run(taking_in)
    assert extract.run(Config(lake, (SET,)))[0].rejects == 1
    padded = dataclasses.replace(
        FIRST, version=2, compute=lambda clip: FIRST.of(np.pad(clip.y, (0, max(0, 1024 - len(clip.y)))))
    )
    monkeypatch.setattr(mfcc_120, "FEATURES", padded)
    monkeypatch.setattr(execution, "imap", in_process)
    (outcome,) = extract.run(Config(lake, (SET,)))
    assert (outcome.inputs, outcome.outputs, outcome.rejects) == (5, 5, 0)
    assert query(lake, "SELECT * FROM rejects") == []


def test_rejects_of_a_track_that_is_replaced_go_with_it(lake: str, taking_in: ingest.Config, music: Path) -> None:
    write_noise(music / "y" / "click.wav", 6, seconds=0.05)
    ingest.run(taking_in)
    extract.run(Config(lake, (SET,)))
    write_noise(music / "y" / "click.wav", 6, seconds=1)
    ingest.run(taking_in)
    (outcome,) = extract.run(Config(lake, (SET,)))
    assert (outcome.inputs, outcome.outputs, outcome.rejects) == (5, 5, 0)
    assert query(lake, "SELECT * FROM rejects") == []


# -- runs that were cut short -----------------------------------------------------------------------------------------


def test_an_unfinished_shard_is_done_again_and_a_finished_one_is_not(lake: str) -> None:
    opened = Lake.open(lake)
    task = extract.Task(opened.root, next(iter(opened.shards("audio"))), (SET,), (SPECTROGRAM,))
    extract.extract_shard(task)
    paths = {
        recipe.name: opened.path(products.product(recipe).table.name, products.product(recipe).stem(task.source))
        for recipe in (contract.feature_set(SET), contract.spectrogram(SPECTROGRAM))
    }
    paths[SPECTROGRAM].unlink()
    written = paths[SET].stat().st_mtime_ns
    stray = dead_files(opened, paths[SPECTROGRAM])[0]
    outcomes = extract.run(Config(lake, (SET,), (SPECTROGRAM,)))
    assert [o.outputs for o in outcomes] == [4, 4]
    assert paths[SET].stat().st_mtime_ns == written
    assert paths[SPECTROGRAM].exists()
    assert not stray.exists()
    assert verify(opened) == []


def test_a_failure_leaves_no_output_behind(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError("a bug in a recipe")

    monkeypatch.setattr(mfcc_120, "FEATURES", dataclasses.replace(FIRST, compute=fail))
    opened = Lake.open(lake)
    task = extract.Task(opened.root, next(iter(opened.shards("audio"))), (SET,), (SPECTROGRAM,))
    # An error of the work itself is nobody's reject: it is raised, and no half of a shard is left to be believed.
    with pytest.raises(ZeroDivisionError):
        extract.extract_shard(task)
    assert list(opened.root.glob("tables/features_mfcc_120/*")) == []
    assert list(opened.root.glob("tables/spectrograms/*.parquet")) == []


def test_extracting_twice_gives_the_same_bytes(lake: str) -> None:
    opened = Lake.open(lake)
    task = extract.Task(opened.root, next(iter(opened.shards("audio"))), (SET,), (SPECTROGRAM,))
    found = []
    for _ in range(2):
        extract.extract_shard(task)
        found.append({p: p.read_bytes() for p in opened.root.glob("tables/*/*.parquet")})
    assert found[0] == found[1]
