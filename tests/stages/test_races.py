"""Two jobs at once: whatever one publishes while the other works, no row is lost, doubled or brought back."""

import threading
from pathlib import Path
from typing import Any

import pytest

from phonolake.errors import PhonolakeError
from phonolake.stages import duplicates, extract, forget, index, ingest, score, split
from phonolake.store.lake import Lake
from phonolake.store.verify import verify

from .in_process import Once, rows, take_in, train_here, work_here, write_track

FEATURES, MODEL = "mfcc-120", "scaled-mfcc"
TABLE = "features_mfcc_120"


@pytest.fixture
def music(tmp_path: Path) -> Path:
    for n in range(6):
        write_track(tmp_path / "m" / f"{'ab'[n % 2]}" / f"{n}.wav", n)
    return tmp_path / "m"


@pytest.fixture
def lake(tmp_path: Path, music: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    work_here(monkeypatch)
    take_in(tmp_path / "lake", music)
    return tmp_path / "lake"


def extracting(lake: Path) -> Any:
    return extract.run(extract.Config(str(lake), (FEATURES,)))


def sound(lake: Path) -> None:
    assert verify(Lake.open(lake)) == []


def count(lake: Path, table: str, key: str = "track_id") -> tuple[int, int]:
    """Rows, and different tracks among them."""
    return rows(lake, f"SELECT count(*), count(DISTINCT {key}) FROM {table}")[0]


@pytest.mark.parametrize(
    "options",
    [pytest.param({}, marks=pytest.mark.slow), {"shard_bytes": 20_000}],
    ids=["same shards", "other shards"],
)
def test_an_ingest_that_another_one_overtakes_doubles_nothing(
    options: dict[str, int], tmp_path: Path, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = tmp_path / "lake"

    def other() -> None:
        write_track(music / "a" / "new.wav", 70)
        take_in(lake, music, **options)

    work_here(monkeypatch, Once("end", other))
    take_in(lake, music)
    for table in ("tracks", "audio", "labels"):
        assert count(lake, table) == (7, 7)
    sound(lake)


@pytest.mark.slow
def test_an_older_ingest_does_not_replace_what_a_newer_one_read(
    lake: Path, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_track(music / "b" / "late.wav", 80)

    def other() -> None:
        write_track(music / "a" / "0.wav", 90)
        take_in(lake, music)

    work_here(monkeypatch, Once("end", other))
    take_in(lake, music)
    assert count(lake, "tracks") == (7, 7)
    (mtime,) = rows(lake, "SELECT source_mtime FROM audio WHERE track_id = 'm:a/0.wav'")[0]
    assert mtime == (music / "a" / "0.wav").stat().st_mtime_ns
    sound(lake)


def test_an_extract_keeps_what_another_one_published(lake: Path, music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other() -> None:
        for n in range(20, 24):
            write_track(music / "a" / f"{n}.wav", n)
        take_in(lake, music)
        extracting(lake)

    work_here(monkeypatch, Once("end", other))
    extracting(lake)
    assert count(lake, TABLE) == (10, 10)
    sound(lake)


@pytest.mark.slow
def test_an_extract_goes_on_where_a_file_changed_meanwhile(
    lake: Path, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The audio shard that it read was written again without the old recording: its rows come from the new ones."""
    extracting(lake)
    write_track(music / "a" / "20.wav", 20)
    take_in(lake, music)

    def other() -> None:
        write_track(music / "a" / "0.wav", 90)
        take_in(lake, music)

    work_here(monkeypatch, Once("end", other))
    extracting(lake)
    assert count(lake, TABLE) == (7, 7)
    sources = {file for (file,) in rows(lake, f"SELECT DISTINCT source_shard FROM {TABLE}")}
    assert sources == set(Lake.open(lake).shards("audio"))
    sound(lake)


@pytest.mark.slow
def test_a_score_keeps_what_another_one_published(lake: Path, music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extracting(lake)
    run = train_here(lake, MODEL)

    def other() -> None:
        write_track(music / "a" / "20.wav", 20)
        take_in(lake, music)
        extracting(lake)
        score.run(score.Config(str(lake), (run,)))

    work_here(monkeypatch, Once("end", other))
    score.run(score.Config(str(lake), (run,)))
    assert count(lake, "embeddings") == (7, 7)
    sound(lake)


@pytest.mark.slow
def test_fingerprints_of_others_stay(lake: Path, music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other() -> None:
        write_track(music / "a" / "20.wav", 20)
        take_in(lake, music)
        duplicates.run(duplicates.Config(str(lake)))

    work_here(monkeypatch, Once("end", other))
    duplicates.run(duplicates.Config(str(lake)))
    assert count(lake, "fingerprints") == (7, 7)
    sound(lake)


PLACES = [
    (stage, place) for stage in ("extract", "score", "ingest", "duplicates") for place in ("begin", "shard", "end")
]


@pytest.mark.parametrize(
    ("stage", "place"), [pytest.param(*p, marks=[] if p == ("extract", "end") else pytest.mark.slow) for p in PLACES]
)
def test_who_is_forgotten_while_a_job_works_does_not_come_back(
    stage: str, place: str, lake: Path, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = "m:a/0.wav"
    run = ""
    if stage == "score":
        extracting(lake)
        run = train_here(lake, MODEL)
    if stage == "ingest":
        write_track(music / "a" / "0.wav", 90)  # it is read again
    work_here(monkeypatch, Once(place, lambda: forget.run(forget.Config(str(lake), (gone,)))))
    if stage == "extract":
        extracting(lake)
    elif stage == "score":
        score.run(score.Config(str(lake), (run,)))
    elif stage == "ingest":
        take_in(lake, music)
    else:
        duplicates.run(duplicates.Config(str(lake)))
    table = {"extract": TABLE, "score": "embeddings", "ingest": "tracks", "duplicates": "fingerprints"}[stage]
    expected = 6 - 1 if stage != "score" else 5
    extracting(lake)
    if stage == "score":
        score.run(score.Config(str(lake), (run,)))
    assert count(lake, table) == (expected, expected)
    assert forget.verify(Lake.open(lake), (gone,)) == []
    sound(lake)


@pytest.mark.slow
def test_an_index_of_before_a_track_was_forgotten_is_not_kept(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from phonolake.search import building
    from phonolake.search import index as searching

    extracting(lake)
    run = train_here(lake, MODEL)
    score.run(score.Config(str(lake), (run,)))
    gone, build = "m:a/0.wav", building.build
    once = Once("built", lambda: forget.run(forget.Config(str(lake), (gone,))))

    def built(*arguments: Any) -> Any:
        found = build(*arguments)
        once("built")
        return found

    monkeypatch.setattr(building, "build", built)
    index.run(index.Config(str(lake)))
    assert len(searching.load(lake / "indexes" / run).track_ids()) == 5
    assert forget.verify(Lake.open(lake), (gone,)) == []


@pytest.mark.slow
def test_two_splits_deal_each_track_once(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deal = split.deal
    once = Once("dealt", lambda: split.run(split.Config(str(lake))))

    def dealt(*arguments: Any, **options: Any) -> Any:
        found = deal(*arguments, **options)
        once("dealt")
        return found

    monkeypatch.setattr(split, "deal", dealt)
    split.run(split.Config(str(lake)))
    assert count(lake, "splits") == (6, 6)
    sound(lake)


def test_a_job_that_lives_keeps_its_unfinished_files(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same command a second time, while the first one writes; and a track that is forgotten then."""
    from phonolake.store import pieces

    stored, seen = pieces.stored, []
    others = [lambda: extracting(lake), lambda: forget.run(forget.Config(str(lake), ("m:a/0.wav",)))]

    def reading(path: Path) -> Any:
        for n, found in enumerate(stored(path)):
            if n == 1 and others:
                other = others.pop()
                before = set((lake / "tables").glob("*/.*.tmp"))
                thread = threading.Thread(target=other)
                thread.start()
                thread.join()
                seen.append(before <= set((lake / "tables").glob("*/.*.tmp")) and bool(before))
            yield found

    monkeypatch.setattr(pieces, "stored", reading)
    extracting(lake)
    assert seen == [True, True]
    assert list((lake / "tables").glob("*/.*.tmp")) == []
    assert count(lake, TABLE) == (5, 5)
    sound(lake)


@pytest.mark.slow
def test_a_job_that_is_always_overtaken_names_the_other(
    lake: Path, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_track(music / "a" / "20.wav", 20)
    n = iter(range(100, 200))
    inside: list[int] = []

    def other(place: str) -> None:
        if place != "end" or inside:
            return
        inside.append(1)
        write_track(music.parent / "c" / "c" / f"{next(n)}.wav", next(n))
        ingest.run(ingest.Config(str(lake), str(music.parent / "c")))
        inside.clear()

    work_here(monkeypatch, other)
    with pytest.raises(PhonolakeError, match=r"the ingest of \S+@\S+ \(process \d+\), since 20.* changed tracks"):
        take_in(lake, music)
    work_here(monkeypatch)
    take_in(lake, music)
    assert rows(lake, "SELECT count(*) FROM tracks WHERE dataset = 'm'") == [(7,)]
    sound(lake)
