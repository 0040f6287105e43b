"""Triplets by ear: how they are drawn, asked and answered, and that the figure finds a planted truth."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import phonolake
from phonolake.analysis.results.triplet_agreement import TripletAgreement, agreement
from phonolake.annotation import drawing, journal, publication, triplets
from phonolake.annotation.journal import Answer, TripletAnswer
from phonolake.annotation.triplets import Triplet
from phonolake.cli.main import main
from phonolake.errors import PhonolakeError, UsageError
from phonolake.lineage import CODE_VERSION
from phonolake.stages import forget
from phonolake.store import query, schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import Shard, write_rows

N_TRACKS, N_ARTISTS, N_VALUES = 60, 12, 8
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
RUNS = {"planted-1": "planted", "other-1": "other", "flat-1": "flat"}
Rater = Callable[[Triplet], int | None]


def artist(track_id: str) -> str:
    return f"Artist {int(track_id[4:]) % N_ARTISTS}"


@pytest.fixture(scope="module")
def vectors() -> dict[str, np.ndarray]:
    """Embeddings of two runs that have nothing to do with each other, and of one to which all tracks are alike."""
    planted_ND, other_ND = np.random.default_rng(0).normal(size=(2, N_TRACKS, N_VALUES)).astype(np.float32)
    return dict(zip(RUNS, (planted_ND, other_ND, np.ones_like(other_ND)), strict=True))


@pytest.fixture
def lake(tmp_path: Path, vectors: dict[str, np.ndarray]) -> Lake:
    """60 tracks of 12 artists that can be heard, with three embeddings of each; a last track has no sound."""
    lake = Lake.create(tmp_path / "lake")
    stamp = {"code_version": CODE_VERSION}
    ids = [f"toy:{n:03}" for n in range(N_TRACKS + 1)]
    sound = {"bytes": b"x", "container": "wav", "codec": "pcm", "sr": 8000, "channels": 1, "n_samples": 8000}
    sound |= {"peak_dbfs": -3.0, "rms_dbfs": -9.0, "source_bytes": 1, "source_mtime": 0}
    about = {"dataset": "toy", "duration_seconds": 1.0, "config_hash": "c"} | stamp
    rows: dict[str, list[dict]] = {
        "tracks": [{"track_id": t, "source_id": t[4:], "artist": artist(t)} | about for t in ids],
        "audio": [{"track_id": t, "source_path": t, "sha256": t} | sound for t in ids[:-1]],
        "models": [
            {"run_id": run_id, "model": model, "input": "import:x", "labels": [], "split": "", "card": "{}"} | stamp
            for run_id, model in RUNS.items()
        ],
    }
    changes = {name: Change(schema.table(name), [shard(lake, name, "toy", its)]) for name, its in rows.items()}
    changes["embeddings"] = Change(schema.table("embeddings"))
    for run_id, x_ND in vectors.items():
        own = {"model": RUNS[run_id], "run_id": run_id, "source_shard": "s"} | stamp
        its = [own | {"track_id": t, "embedding": v.tolist()} for t, v in zip(ids, x_ND, strict=False)]
        changes["embeddings"].add.append(shard(lake, "embeddings", f"{run_id}--toy", its))
    lake.commit(changes)
    return lake


def shard(lake: Lake, table: str, stem: str, rows: list[dict]) -> Shard:
    return write_rows(lake.path(table, stem), schema.table(table).arrow, rows)


def draw(lake: Lake, name: str = "alike", **more: object) -> list[Triplet]:
    drawing.run(drawing.Config(str(lake.root), name, **more))  # type: ignore[arg-type]
    with query.connect(lake) as connection:
        rows = connection.execute(
            "SELECT position, track_id, first_id, second_id FROM triplets WHERE sample = $1 ORDER BY position", [name]
        ).fetchall()
    return [Triplet(*row) for row in rows]


def answer(lake: Lake, asked: list[Triplet], rater: str, says: Rater) -> None:
    said = [TripletAnswer(*t.key, says(t), rater, NOON + timedelta(seconds=t.position), "alike") for t in asked]
    journal.record(lake, said)


def following(x_ND: np.ndarray) -> Rater:
    """Somebody who hears what an embedding says."""
    x_ND = x_ND / np.linalg.norm(x_ND, axis=1, keepdims=True)

    def says(triplet: Triplet) -> int:
        track, first, second = (x_ND[int(track_id[4:])] for track_id in triplet.key)
        return int(track @ first > track @ second)

    return says


def measured(lake: Lake, model: str, **more: object) -> list[TripletAgreement]:
    publication.publish(lake)
    with query.connect(lake) as connection:
        return agreement(connection, model, **more)  # type: ignore[arg-type]


def test_a_rater_that_follows_an_embedding_agrees_with_it_and_with_no_other(
    lake: Lake, vectors: dict[str, np.ndarray]
) -> None:
    answer(lake, draw(lake), "anna", following(vectors["planted-1"]))
    (planted,), (other,), (flat,) = (measured(lake, model) for model in RUNS.values())
    assert (planted.agreed, planted.high, planted.n_triplets, planted.n_raters) == (1, 1, N_TRACKS, 1)
    assert planted.low > 0.9
    assert other.low < 0.5 < other.high
    assert flat.agreed == 0.5, "ties count half"
    assert planted.drawn == other.drawn == "random"


def test_one_half_lies_in_the_interval_of_raters_who_guess(lake: Lake) -> None:
    asked = draw(lake)
    rng = np.random.default_rng(3)
    answer(lake, asked, "anna", lambda _: int(rng.integers(2)))
    (alone,) = measured(lake, "planted")
    assert alone.low < 0.5 < alone.high
    assert alone.raters_agreed is None
    answer(lake, asked, "bert", lambda _: int(rng.integers(2)))
    (both,) = measured(lake, "planted")
    assert both.low < 0.5 < both.high
    assert (both.n_triplets, both.n_answers, both.n_raters) == (N_TRACKS, 2 * N_TRACKS, 2)
    assert both.raters_agreed == pytest.approx(0.5, abs=0.2)


def test_no_triplet_has_two_tracks_of_one_artist_nor_one_without_sound(lake: Lake) -> None:
    for more in ({}, {"near": "planted"}):
        asked = draw(lake, f"s{len(more)}", **more)
        assert len(asked) == len({t.track_id for t in asked}) == N_TRACKS
        assert all(len({artist(track_id) for track_id in t.key}) == 3 for t in asked)
        assert f"toy:{N_TRACKS:03}" not in {track_id for t in asked for track_id in t.key}


def test_one_of_the_two_is_near_and_the_other_is_not(lake: Lake, vectors: dict[str, np.ndarray]) -> None:
    asked = draw(lake, near="planted", k=5)
    x_ND = vectors["planted-1"] / np.linalg.norm(vectors["planted-1"], axis=1, keepdims=True)
    firsts = 0
    for t in asked:
        order = np.argsort(-(x_ND @ x_ND[int(t.track_id[4:])]))
        nearest = [f"toy:{n:03}" for n in order if artist(f"toy:{n:03}") != artist(t.track_id)][:5]
        assert (t.first_id in nearest) != (t.second_id in nearest)
        firsts += t.first_id in nearest
    assert 0.25 < firsts / len(asked) < 0.75, "the near one stands on either side"
    answer(lake, asked, "anna", following(vectors["planted-1"]))
    (planted,) = measured(lake, "planted")
    assert (planted.drawn, planted.agreed) == ("neighbours", 1)
    assert measured(lake, "other") == [], "it had no say in what was asked"


def test_the_seed_decides_and_a_name_is_taken_once(lake: Lake) -> None:
    first = draw(lake, n_triplets=20)
    assert draw(lake, n_triplets=20) == first
    assert draw(lake, "again", n_triplets=20) == first
    assert draw(lake, "more", n_triplets=20, seed=1) != first
    with pytest.raises(UsageError, match="another sample called"):
        draw(lake, seed=2)


def test_what_is_passed_over_does_not_count(lake: Lake) -> None:
    asked = draw(lake, n_triplets=4)
    answer(lake, asked, "anna", lambda t: (1, 0, None, 1)[t.position - 1])
    found = measured(lake, "planted")[0]
    assert (found.n_triplets, found.n_answers) == (3, 3)
    assert measured(lake, "planted", sample="another") == []


def test_an_answer_names_its_triplet_and_a_stale_one_is_refused(lake: Lake) -> None:
    draw(lake, n_triplets=3)
    with query.connect(lake) as connection:
        first, second = (triplets.turn(lake, connection, "alike", "anna") for _ in range(2))
        assert first.question is not None
        said = TripletAnswer(*first.question.key, 1, "anna", NOON, "alike")
        journal.reply(lake, said, before=first.before)
        with pytest.raises(UsageError, match="in another window meanwhile"):
            journal.reply(lake, TripletAnswer(*first.question.key, 0, "anna", NOON, "alike"), before=second.before)
        assert journal.compared(lake, "anna") == [said]
        then = triplets.turn(lake, connection, "alike", "anna")
        assert (then.question and then.question.position, then.last, then.progress.answered) == (2, said, 1)
        # An answer about a label, even to a sample of the same name, is another matter.
        journal.record(lake, [Answer("toy:001", "rock", 1, "anna", NOON, "alike")])
        assert journal.undo(lake, "anna", "alike", expected=said) == said
        assert journal.compared(lake, "anna") == []
        assert len(journal.standing(lake, "anna")) == 1


def test_a_forgotten_track_takes_its_triplets_and_answers_along(lake: Lake) -> None:
    asked = draw(lake)
    answer(lake, asked, "anna", lambda _: 1)
    gone = asked[0].second_id
    forget.run(forget.Config(str(lake.root), (gone,)))
    assert forget.verify(lake, (gone,)) == []
    left = [t for t in asked if gone not in t.key]
    assert publication.publish(lake) == 1
    assert len(left) < len(asked)
    with query.connect(lake) as connection:
        for table in ("triplets", "comparisons"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchall() == [(len(left),)]


def test_what_cannot_be_drawn_is_named(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown model with embeddings"):
        draw(lake, near="nobody")
    with pytest.raises(PhonolakeError, match="three playable tracks of different artists"):
        draw(Lake.create(tmp_path / "empty"))


def test_the_command_line_and_python(lake: Lake, vectors: dict[str, np.ndarray], capsys: pytest.CaptureFixture) -> None:
    where = ["--lake", str(lake.root), "--format", "json"]
    assert main(["annotations", "triplets", "alike", "--count", "10", *where]) == 0
    assert json.loads(capsys.readouterr().out)[0]["n_triplets"] == 10
    with query.connect(lake) as connection:
        for _ in range(10):
            triplet = triplets.turn(lake, connection, "alike", "anna").question
            assert triplet is not None
            value = following(vectors["planted-1"])(triplet)
            journal.record(lake, [TripletAnswer(*triplet.key, value, "anna", NOON, "alike")])
        assert triplets.turn(lake, connection, "alike", "anna").question is None
    assert main(["annotations", "progress", *where]) == 0
    assert json.loads(capsys.readouterr().out)[0]["answered"] == 10
    assert main(["runs", "heard", "--model", "planted", *where]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    frame = phonolake.open(lake.root).triplet_agreement("planted")
    assert found["agreed"] == frame.loc[0, "agreed"] == 1
    assert found["low"] == pytest.approx(frame.loc[0, "low"])
