"""Under which licence models, vectors and predictions stand, and that what is not free to use can be left out."""

from pathlib import Path

import numpy as np
import pytest

import phonolake
from phonolake.analysis.collection import embedding_map
from phonolake.cli.main import main
from phonolake.errors import UsageError
from phonolake.lookup import licences, licensed
from phonolake.stages import import_embeddings
from phonolake.store import query, schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import write_rows


@pytest.mark.parametrize(
    ("licence", "kind"),
    [
        ("MIT, (c) 2016 Keunwoo Choi", "permissive"),
        ("ISC", "permissive"),
        ("Apache-2.0", "permissive"),
        ("BSD-3-Clause", "permissive"),
        ("CC0", "permissive"),
        ("CC BY 4.0", "permissive"),
        ("cc-by-4.0", "permissive"),
        ("own", "permissive"),
        ("CC-BY-NC-4.0", "non-commercial"),
        ("CC BY-NC-SA 4.0", "non-commercial"),
        ("cc_by_nc", "non-commercial"),
        ("https://creativecommons.org/licenses/by-nc-nd/4.0/", "non-commercial"),
        ("MIT for code, weights for non-commercial use", "non-commercial"),
        ("Creative Commons Attribution NonCommercial", "non-commercial"),
        ("for research only", "non-commercial"),
        ("CC-BY-SA-4.0", "other"),
        ("CC BY-ND", "other"),
        ("AGPL-3.0", "other"),
        ("a mitten", "other"),
        ("", "not stated"),
        (None, "not stated"),
    ],
)
def test_what_a_licence_allows(licence: str | None, kind: str) -> None:
    assert licences.kind_of(licence) == kind


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Two tracks; vectors of three licences, and a model that learned from the vectors of one."""
    folder = tmp_path_factory.mktemp("licences")
    lake = Lake.create(folder / "lake")
    table = schema.table("tracks")
    rows = [
        {"track_id": f"d:{n}", "dataset": "d", "source_id": f"{n}", "duration_seconds": 1.0, "config_hash": "",
         "code_version": ""}
        for n in range(2)
    ]  # fmt: skip
    lake.commit({"tracks": Change(table, [write_rows(lake.path("tracks", "d"), table.arrow, rows)])})
    np.savez(folder / "v.npz", ids=np.array(["d:0", "d:1"]), x=np.eye(2))
    for name, licence in (("free", "MIT"), ("bound", "CC-BY-NC-4.0"), ("unsaid", None)):
        import_embeddings.run(
            import_embeddings.Config(str(lake.root), name, str(folder / "v.npz"), licence=licence, origin=f"{name} net")
        )
    with query.connect(lake) as connection:
        (bound,) = connection.execute("SELECT run_id FROM models WHERE model = 'bound'").fetchall()[0]
    models = schema.table("models")
    probe = {"run_id": "probe-1", "model": "logistic-regression", "input": f"embeddings:{bound}", "labels": ["a"],
             "split": "s", "card": "{}", "code_version": ""}  # fmt: skip
    lake.commit({"models": Change(models, [write_rows(lake.path("models", "probe-1"), models.arrow, [probe])])})
    return lake


def test_what_learned_from_vectors_stands_under_their_licence(lake: Lake) -> None:
    with query.connect(lake) as connection:
        found = {f.model: (f.licence, f.kind, f.origin) for f in licences.of_runs(connection).values()}
    assert found == {
        "free": ("MIT", "permissive", "free net"),
        "bound": ("CC-BY-NC-4.0", "non-commercial", "bound net"),
        "unsaid": (None, "not stated", "unsaid net"),
        "logistic-regression": ("CC-BY-NC-4.0", "non-commercial", "bound net"),
    }


def test_status_says_so_and_what_is_wanted_permissive_leaves_it_out(
    lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--lake", str(lake.root)]
    assert main(["status", *where]) == 0
    printed = capsys.readouterr()
    assert "CC-BY-NC-4.0 (non-commercial)" in printed.out
    assert "not stated" in printed.out
    assert "Results of bound are not for commercial use" in printed.err
    out = str(tmp_path / "v.npz")
    assert main(["embeddings", "export", out, "--model", "bound", *where]) == 0
    assert "not for commercial use (CC-BY-NC-4.0)" in capsys.readouterr().err
    assert str(np.load(out)["licence"]) == "CC-BY-NC-4.0"
    assert main(["embeddings", "export", out, "--licence", "permissive", "--format", "csv", *where]) == 0
    assert "MIT,permissive" in capsys.readouterr().out
    assert main(["embeddings", "export", out, "--model", "bound", "--licence", "permissive", *where]) == 2
    assert main(["similar", "d:0", "--licence", "permissive", *where]) == 0
    assert main(["similar", "d:0", "--licence", "free", *where]) == 2
    assert "unknown kind of licence 'free'" in capsys.readouterr().err
    assert main(["similar", "d:0", "--licence", "other", *where]) == 1
    assert main(["score", "--licence", "permissive", *where]) == 1


def test_what_is_not_permissive_is_seen_nowhere_and_stays_in_the_lake(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = phonolake.open(lake.root, licence="permissive")
    assert opened.sql("SELECT model FROM models").fetchall() == [("free",)]
    assert opened.sql("SELECT DISTINCT model FROM embeddings").fetchall() == [("free",)]
    assert len(opened.embeddings("free").track_ids) == 2
    with pytest.raises(UsageError, match="'bound'"):
        opened.embeddings("bound")
    with pytest.raises(UsageError, match="'bound'"):
        opened.similar("d:0", model="bound")
    with query.connect(licensed.opened(lake.root, "non-commercial")) as connection:
        assert embedding_map.embedding_map(connection).run_id.startswith("bound")
    with pytest.raises(UsageError, match="unknown kind of licence 'free'"):
        phonolake.open(lake.root, licence="free")
    where = ["--licence", "permissive", "--lake", str(lake.root)]
    assert main(["sql", "SELECT DISTINCT model FROM embeddings", "--format", "csv", *where]) == 0
    assert capsys.readouterr().out.split() == ["model", "free"]
    assert main(["index", *where]) == 0
    (folder,) = (lake.root / "indexes").iterdir()
    assert folder.name.startswith("free")
    assert main(["index", "--licence", "other", "--lake", str(lake.root)]) == 1
    # A licensed view writes to the whole lake.
    licensed.opened(lake.root, "permissive").build_catalog()
    with query.connect(lake) as connection:
        assert connection.execute("SELECT count(*) FROM models").fetchall() == [(4,)]


def test_a_licensed_lake_sees_what_is_published_later(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    shown = licensed.opened(lake.root, "permissive")
    models = schema.table("models")
    for run_id, licence in (("one", "MIT"), ("two", "CC-BY-NC-4.0"), ("three", "ISC")):
        row = {"run_id": run_id, "model": run_id, "input": "audio:16000", "labels": [], "split": "none",
               "card": f'{{"weights": {{"licence": "{licence}"}}}}', "code_version": ""}  # fmt: skip
        # Written through the view, which keeps nothing from the lake.
        shown.commit({"models": Change(models, [write_rows(lake.path("models", run_id), models.arrow, [row])])})
        assert f"{run_id}.parquet" in lake.shards("models")
    assert list(shown.shards("models")) == ["one.parquet", "three.parquet"]
    assert list(shown.pinned().shards("models")) == ["one.parquet", "three.parquet"]
    with query.connect(shown) as connection:
        assert connection.execute("SELECT model FROM models ORDER BY 1").fetchall() == [("one",), ("three",)]
