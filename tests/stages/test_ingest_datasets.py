"""Ingest of datasets: what they say is kept, a change of it is taken in, links out of the tree are not followed."""

import json
from pathlib import Path

import pytest

from phonolake.errors import UsageError
from phonolake.records import Seconds
from phonolake.stages import ingest, synthesize, validate
from phonolake.store import query
from phonolake.store.lake import Lake
from phonolake.synthesis.layouts import contract as layouts

pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("ray_session")]


def corpus(root: Path, name: str, n: int = 8, seconds: float = 0.6) -> Path:
    synthesize.run(layouts.Config(name, n, duration=Seconds(seconds)), root / name)
    return root / name


def rows(lake: Path, sql: str) -> list[tuple]:
    with query.connect(Lake.open(lake)) as connection:
        return query.fetch(query.select(connection, sql))


def take(root: Path, lake: Path, name: str, *chosen: str, **usable: object) -> ingest.Outcome:
    return ingest.run(ingest.Config(str(lake), str(root), name, options=chosen, **usable))


@pytest.fixture(scope="module")
def audioset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus(tmp_path_factory.mktemp("made"), "audioset", 12)


def test_what_a_dataset_says_is_in_the_lake(audioset: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    outcome = take(audioset, lake, "audioset")
    assert (outcome.inputs, outcome.outputs, outcome.rejects) == (12, 12, 0)
    said = rows(lake, "SELECT track_id, (attributes->>'$.start_seconds')::DOUBLE, artist_id FROM metadata ORDER BY 1")
    assert len(said) == 12
    assert all(start >= 0 and start % 10 == 0 and artist is None for _, start, artist in said)
    assert any(track.startswith("audioset:-") for track, _, _ in said)
    assert rows(lake, "SELECT count(*) FROM metadata ANTI JOIN tracks USING (track_id)") == [(0,)]


def test_a_parent_can_be_queried_with_its_children(audioset: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    take(audioset, lake, "audioset")
    tree = rows(lake, "SELECT label, depth FROM label_tree('Music')")
    assert dict(tree)["Music"] == 0
    assert dict(tree)["Music role"] == 1
    assert dict(tree)["Lullaby"] == 2
    assert rows(lake, "SELECT label, n_rated, n_true FROM vocabulary WHERE label = 'Music'") == [("Music", 10, 9)]
    below = "SELECT count(DISTINCT track_id) FROM labels WHERE label IN (SELECT label FROM label_tree('Music role'))"
    assert rows(lake, below) == [(12,)]
    assert rows(lake, "SELECT count(*) FROM label_tree('no such label')") == [(0,)]


def test_other_labels_for_the_same_files_take_the_place_of_the_old(audioset: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    take(audioset, lake, "audioset")
    several = "SELECT count(*) FROM (SELECT track_id FROM labels GROUP BY 1 HAVING count(*) > 1)"
    assert rows(lake, several) == [(12,)]
    again = take(audioset, lake, "audioset", "labels=Music role", "rule=single")
    assert again.inputs == 12
    assert rows(lake, several) == [(0,)]
    assert rows(lake, "SELECT count(*), count(DISTINCT track_id) FROM tracks") == [(12, 12)]
    assert take(audioset, lake, "audioset", "labels=Music role", "rule=single").inputs == 0


def test_a_corrected_table_is_taken_in_and_the_rest_left_alone(tmp_path: Path) -> None:
    root, lake = corpus(tmp_path, "urbansound8k"), tmp_path / "lake"
    take(root, lake, "urbansound8k")
    before = dict(rows(lake, "SELECT track_id, sha256 FROM audio"))
    path = root / "metadata" / "UrbanSound8K.csv"
    path.write_text(path.read_text().replace("air_conditioner", "siren"))
    outcome = take(root, lake, "urbansound8k")
    assert (outcome.inputs, outcome.outputs) == (1, 1)
    assert rows(lake, "SELECT count(*) FROM labels WHERE label = 'air_conditioner'") == [(0,)]
    assert dict(rows(lake, "SELECT track_id, sha256 FROM audio")) == before


def test_a_lake_from_before_these_tables_is_read_and_goes_on(tmp_path: Path) -> None:
    root, lake = corpus(tmp_path, "esc50", 6), tmp_path / "lake"
    take(root, lake, "esc50")
    # As it was: no such tables.
    state = json.loads((lake / "lake.json").read_text())
    for table in ("metadata", "vocabulary"):
        state["tables"].pop(table, None)
    (lake / "lake.json").write_text(json.dumps(state))
    assert rows(lake, "SELECT count(*) FROM metadata") == [(0,)]
    assert take(root, lake, "esc50").inputs == 0
    assert rows(lake, "SELECT count(*) FROM tracks") == [(6,)]


@pytest.mark.parametrize("whole_folder", [False, True])
def test_links_out_of_a_dataset_are_rejects_unless_they_are_followed(tmp_path: Path, whole_folder: bool) -> None:
    root, lake = corpus(tmp_path, "esc50", 6), tmp_path / "lake"
    secret = tmp_path / "elsewhere"
    inside = root / "audio" if whole_folder else sorted((root / "audio").iterdir())[0]
    inside.rename(secret)
    inside.symlink_to(secret)
    n = 6 if whole_folder else 1
    outcome = take(root, lake, "esc50")
    assert (outcome.inputs, outcome.rejects) == (6, n)
    found = rows(lake, "SELECT DISTINCT reason, detail LIKE '%elsewhere%', retryable FROM rejects")
    assert found == [("outside", True, False)]
    assert take(root, lake, "esc50").inputs == 0
    assert take(root, lake, "esc50", follow_links=True).outputs == n
    assert rows(lake, "SELECT count(*) FROM rejects") == [(0,)]


def test_links_inside_a_dataset_and_to_its_root_are_followed(tmp_path: Path) -> None:
    root = corpus(tmp_path, "esc50", 6)
    one, two = sorted((root / "audio").iterdir())[:2]
    two.unlink()
    two.symlink_to(one.name)
    (tmp_path / "alias").symlink_to(root)
    assert take(tmp_path / "alias", tmp_path / "lake", "esc50").outputs == 6


def test_audio_of_another_tree_may_be_named_by_an_option(tmp_path: Path) -> None:
    root = corpus(tmp_path, "msd", 8)
    (root / "audio").rename(tmp_path / "mine")
    outcome = take(root, tmp_path / "lake", "msd", f"audio={tmp_path / 'mine'}", follow_links=True)
    assert (outcome.inputs, outcome.outputs) == (8, 8)


def test_an_option_that_a_dataset_has_not_is_refused_before_anything_is_made(audioset: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown option of audioset 'label'"):
        take(audioset, tmp_path / "lake", "audioset", "label=Lullaby")
    assert not (tmp_path / "lake").exists()


# -- made corpora and validate -----------------------------------------------------------------------------------------

# Ten folds need ten excerpts of a dance, which take a while to compose.
MADE = [pytest.param(name, 8) for name in layouts.layouts() if name != "extended_ballroom"]


@pytest.mark.parametrize(("name", "n"), [*MADE, pytest.param("extended_ballroom", 130, marks=pytest.mark.slow)])
def test_every_made_corpus_is_ingested_whole(tmp_path: Path, name: str, n: int) -> None:
    root = corpus(tmp_path, name, n, 0.2)
    outcome = take(root, tmp_path / "lake", name, min_seconds=0.1)
    assert (outcome.inputs, outcome.outputs, outcome.rejects) == (n, n, 0)
    findings = {f.subject: f for f in validate.run(validate.Config(name, str(root)))}
    assert not findings["named by the dataset"].wrong
    assert not findings["of audio that the dataset does not name"].wrong


@pytest.mark.long
def test_a_made_corpus_is_the_same_bytes_for_the_same_seed(tmp_path: Path) -> None:
    def content(root: Path) -> dict[str, bytes]:
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    for name in layouts.layouts():
        for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
            config = layouts.Config(name, 4, seed, Seconds(0.1))
            for clip in layouts.plan(config):
                layouts.write_track(clip, config, tmp_path / folder / name)
            layouts.write_metadata(layouts.plan(config), config, tmp_path / folder / name)
        assert content(tmp_path / "a" / name) == content(tmp_path / "b" / name)
        assert content(tmp_path / "a" / name) != content(tmp_path / "c" / name)


def test_validate_finds_what_is_missing_empty_unexpected_or_outside(tmp_path: Path) -> None:
    root = corpus(tmp_path, "urbansound8k", 10)
    first, second, third, *_ = sorted((root / "audio").rglob("*.wav"))
    first.unlink()
    second.write_bytes(b"")
    third.rename(tmp_path / "x.wav")
    third.symlink_to(tmp_path / "x.wav")
    (root / "audio" / "fold1" / "mine.wav").touch()
    found = {
        (f.check, f.subject): (f.expected, f.found) for f in validate.run(validate.Config("urbansound8k", str(root)))
    }
    assert found["missing", str(first)] == (1, 0)
    assert found["empty", str(second)] == (0, 1)
    assert found["outside", str(third)] == (0, 1)
    assert found["unexpected", str(root / "audio" / "fold1" / "mine.wav")] == (0, 1)
    assert found["figure", "slices"] == (8_732, 10)
    assert found["files", "named by the dataset"] == (10, 9)
