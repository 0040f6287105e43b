"""Labels and splits out of tables: taken in, replaced, taken out, and kept when a file is ingested again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from phonolake.cli.main import main
from phonolake.errors import UsageError
from phonolake.lookup import label_matrix
from phonolake.sources.label_sheets import SheetColumns
from phonolake.stages import forget, import_labels, import_splits, imported, ingest, split
from phonolake.store import query, schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows
from phonolake.store.verify import verify

from . import small_lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return small_lake.make(tmp_path / "lake", n_tracks=6)


def ask(lake: Lake, sql: str) -> list[tuple]:
    with query.connect(lake) as connection:
        return connection.execute(sql).fetchall()


def labels(lake: Lake, source: str) -> list[tuple]:
    found = ask(lake, f"SELECT track_id, label, value, confidence FROM labels WHERE source = '{source}' ORDER BY ALL")
    return [(track_id.removeprefix("toy:"), *rest) for track_id, *rest in found]


def table(folder: Path, text: str, name: str = "mood.csv") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


MOODS = "id,mood,confidence\ntoy:000,happy,0.9\ntoy:001,sad,0.25\n009,sad,1\n"


def test_labels_come_in_under_a_source_and_what_has_no_counterpart_is_listed(lake: Lake, tmp_path: Path) -> None:
    given = ask(lake, "SELECT * FROM labels WHERE source = 'dataset' ORDER BY ALL")
    outcome, report = import_labels.run(import_labels.Config(str(lake.root), table(tmp_path, MOODS)))
    assert labels(lake, "mood") == [("000", "happy", 1, 0.9), ("001", "sad", 0, 0.25)]
    assert (outcome.inputs, outcome.outputs, outcome.rejects) == (3, 2, 1)
    assert report.unmatched == [
        imported.Unmatched("rows without audio in the lake", "009", 4),
        *(imported.Unmatched("recordings without a row", f"toy:{n:03d}", 0) for n in range(2, 6)),
    ]
    assert "1 rows without audio in the lake (such as 009); 4 recordings without a row" in report.said
    assert ask(lake, "SELECT * FROM labels WHERE source = 'dataset' ORDER BY ALL") == given
    assert verify(lake) == []


def test_the_same_import_twice_is_the_same_lake_and_a_new_table_replaces_it(lake: Lake, tmp_path: Path) -> None:
    config = import_labels.Config(str(lake.root), table(tmp_path, MOODS), source="ann")
    import_labels.run(config)
    versions = lake.versions()
    import_labels.run(config)
    assert lake.versions() == versions
    other = import_labels.Config(str(lake.root), table(tmp_path, "id,mood\ntoy:002,calm\n", "bob.csv"), source="ann-2")
    import_labels.run(other)
    table(tmp_path, "id,mood\ntoy:003,calm\n")
    import_labels.run(config)
    assert labels(lake, "ann") == [("003", "calm", 1, None)]
    # A name that begins like another one is another one.
    assert labels(lake, "ann-2") == [("002", "calm", 1, None)]
    import_labels.remove(str(lake.root), "ann")
    assert labels(lake, "ann") == []
    assert labels(lake, "ann-2") == [("002", "calm", 1, None)]
    import_labels.run(config)
    assert labels(lake, "ann") == [("003", "calm", 1, None)]
    assert verify(lake) == []
    stages = ask(lake, "SELECT stage, count(*) FROM runs GROUP BY stage ORDER BY stage")
    assert stages == [("labels import", 3), ("labels remove", 1)]


@pytest.mark.parametrize(
    ("text", "config", "says"),
    [
        ("id,mood\nx,sad\n", {}, "no column of .* names any of the 6 recordings"),
        ("id,mood\ntoy:000,sad\ntoy:000,sad\n", {"source": "dataset"}, "'dataset' is not that of an imported table"),
        ("id,mood\ntoy:000,sad\n", {"source": "a:b"}, "must not be empty or contain colons"),
        ("id,mood\ntoy:000,sad\n", {"dataset": "fma"}, "no recordings of the dataset 'fma'"),
        ("id,a,b\ntoy:000,1,0\ntoy:000,0,0\n", {}, "says two things of 'toy:000' and 'a', in lines 2 and 3"),
    ],
)
def test_a_wrong_table_changes_nothing(lake: Lake, tmp_path: Path, text: str, config: dict, says: str) -> None:
    versions = lake.versions()
    with pytest.raises(UsageError, match=says):
        import_labels.run(import_labels.Config(str(lake.root), table(tmp_path, text), **config))
    assert lake.versions() == versions
    assert verify(lake) == []


def test_only_what_was_imported_can_be_removed(lake: Lake, tmp_path: Path) -> None:
    import_labels.run(import_labels.Config(str(lake.root), table(tmp_path, MOODS)))
    with pytest.raises(UsageError, match=r"unknown imported source 'dataset'\. Known: mood"):
        import_labels.remove(str(lake.root), "dataset")
    with pytest.raises(UsageError, match="unknown imported split 'fixed'"):
        import_splits.remove(str(lake.root), "fixed")


def test_a_table_of_tags_is_a_matrix_of_labels_and_can_be_split_by(lake: Lake, tmp_path: Path) -> None:
    rows = "".join(f"toy:{n:03d},{int(n % 2 == 0)},{int(n > 2)}\n" for n in range(6))
    import_labels.run(import_labels.Config(str(lake.root), table(tmp_path, f"id,even,late\n{rows}", "tags.csv")))
    with query.connect(lake) as connection:
        found = label_matrix.read_labels(connection, source="tags.csv", dataset=None)
    assert found.labels == ("even", "late")
    assert found.Y_NL.sum(axis=0).tolist() == [3, 3]
    assert split.run(split.Config(str(lake.root), n_folds=2, labels="tags.csv")).inputs == 5


def test_splits_come_in_are_replaced_and_taken_out(lake: Lake, tmp_path: Path) -> None:
    rows = "".join(f"toy:{n:03d},{('train', 'valid', 'test')[n % 3]}\n" for n in range(5))
    config = import_splits.Config(str(lake.root), table(tmp_path, f"id,part\n{rows}toy:777,test\n", "mine.csv"))
    outcome, report = import_splits.run(config)
    assert (outcome.inputs, outcome.outputs, outcome.rejects) == (6, 5, 1)
    parts = "SELECT part, count(*) FROM splits WHERE split = 'mine' GROUP BY part ORDER BY part"
    assert ask(lake, parts) == [("test", 1), ("train", 2), ("valid", 2)]
    assert "1 rows without audio in the lake (such as toy:777); 1 recordings without a row" in report.said
    table(tmp_path, "id,part\ntoy:001,train\n", "mine.csv")
    import_splits.run(config)
    assert ask(lake, parts) == [("train", 1)]
    import_splits.remove(str(lake.root), "mine")
    assert ask(lake, parts) == []
    with pytest.raises(UsageError, match="the split 'fixed' is not that of an imported table"):
        import_splits.run(replace(config, split="fixed"))
    table(tmp_path, "id,part\ntoy:001,train\n001,test\ntoy:001,test\n", "mine.csv")
    with pytest.raises(UsageError, match="has two places in the split"):
        import_splits.run(config)
    assert verify(lake) == []


def test_an_old_lake_takes_labels_with_confidences(tmp_path: Path) -> None:
    lake = small_lake.make(tmp_path / "new", n_tracks=3)
    declared = schema.table("labels")
    before = replace(declared, columns=tuple(c for c in declared.columns if c.name != "confidence"))
    old = Lake.create(tmp_path / "old")
    rows = [{"track_id": "toy:000", "label": "drone", "value": 1, "source": "dataset"}]
    track = {"track_id": "toy:000", "dataset": "toy", "source_id": "toy:000", "duration_seconds": 1.0}
    stamp = {"config_hash": "", "code_version": ""}
    changes = {
        "labels": Change(before, [write_rows(old.path("labels", "old"), before.arrow, rows)]),
        "tracks": Change(
            schema.table("tracks"),
            [write_rows(old.path("tracks", "old"), schema.table("tracks").arrow, [track | stamp])],
        ),
    }
    old.commit(changes)
    assert ask(old, "SELECT label, confidence FROM labels") == [("drone", None)]
    import_labels.run(import_labels.Config(str(old.root), table(tmp_path, MOODS)))
    assert ask(old, "SELECT label, confidence FROM labels ORDER BY label") == [("drone", None), ("happy", 0.9)]
    assert ask(lake, "SELECT DISTINCT confidence FROM labels") == [(None,)]


def test_who_is_forgotten_is_forgotten_in_imports_too(lake: Lake, tmp_path: Path) -> None:
    import_labels.run(import_labels.Config(str(lake.root), table(tmp_path, MOODS)))
    forget.run(forget.Config(str(lake.root), ("toy:000",)))
    assert labels(lake, "mood") == [("001", "sad", 0, 0.25)]
    assert forget.verify(lake, ("toy:000",)) == []
    # What is left of the shard goes with its source.
    import_labels.remove(str(lake.root), "mood")
    assert labels(lake, "mood") == []


def test_a_folder_is_ingested_with_its_tables(
    ray_session: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    music, root = tmp_path / "music", tmp_path / "lake"
    music.mkdir()
    for n in range(4):
        sf.write(music / f"{n}.wav", np.random.default_rng(n).uniform(-0.5, 0.5, 8000), 8000)
    moods = table(tmp_path, "file;tags\n0.wav;happy|loud\n1.mp3;sad\nmusic\\2.wav;sad\n9.wav;sad\n")
    folds = table(tmp_path, "file,fold\n0,0\n1,1\n2,0\n3,1\n", "folds.csv")
    arguments = ["ingest", "folder", str(music), "--labels", moods, "--splits", folds, "--lake", str(root)]
    assert main(arguments) == 0
    said = capsys.readouterr().err
    assert "recordings are named by the column 'file', labels stand in 'tags' between '|'" in said
    assert "1 rows without audio in the lake (such as 9.wav); 1 recordings without a row (such as music:3.wav)" in said
    lake = Lake.open(root)
    moods_of = "SELECT source_id, label FROM labels JOIN tracks USING (track_id) WHERE source = 'mood' ORDER BY ALL"
    expected = [("0.wav", "happy"), ("0.wav", "loud"), ("1.wav", "sad"), ("2.wav", "sad")]
    assert ask(lake, moods_of) == expected
    assert ask(lake, "SELECT fold, count(*) FROM splits WHERE split = 'folds' GROUP BY fold ORDER BY fold") == [
        (1, 2),
        (2, 2),
    ]
    # A file that changed is ingested again, and what tables say of it stays; one that became useless loses it.
    sf.write(music / "0.wav", np.random.default_rng(9).uniform(-0.5, 0.5, 9000), 8000)
    (music / "1.wav").write_bytes(b"no audio any more")
    ingest.run(ingest.Config(str(root), str(music)))
    assert ask(lake, moods_of) == [row for row in expected if row[0] != "1.wav"]
    assert ask(lake, "SELECT count(*) FROM splits WHERE split = 'folds'") == [(3,)]
    assert verify(lake) == []
    # What is wrong with a table is said before anything is ingested.
    wrong = table(tmp_path, "file,x,y\n0.wav,a,b\n", "wrong.csv")
    other = tmp_path / "other"
    assert main(["ingest", "folder", str(music), "--labels", wrong, "--lake", str(other)]) == 2
    assert "name them with --label-column" in capsys.readouterr().err
    assert not other.exists()


def test_named_columns_are_used(lake: Lake, tmp_path: Path) -> None:
    path = table(tmp_path, "a,b,c,d\ntoy:000,toy:001,x;y,z\n")
    choice = SheetColumns("b", ("c",), separator=";")
    import_labels.run(import_labels.Config(str(lake.root), path, source="s", choice=choice))
    assert labels(lake, "s") == [("001", "x", 1, None), ("001", "y", 1, None)]


def test_two_imports_of_one_source_at_once_leave_one_of_them(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second begins and ends while the first stands between reading and publishing."""
    first = import_labels.Config(str(lake.root), table(tmp_path, MOODS), source="ann")
    other = import_labels.Config(str(lake.root), table(tmp_path, "id,mood\ntoy:000,calm\n", "b.csv"), source="ann")
    replacing, waiting = imported.replacing, [other]

    def interrupted(*arguments: Any) -> Change:
        made = replacing(*arguments)
        if waiting:
            import_labels.run(waiting.pop())
        return made

    monkeypatch.setattr(imported, "replacing", interrupted)
    import_labels.run(first)
    assert labels(lake, "ann") == [("000", "happy", 1, 0.9), ("001", "sad", 0, 0.25)]
    assert verify(lake) == []
