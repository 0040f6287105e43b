"""Vectors from elsewhere: taken in as a run like any other, replaced, taken out, written again, or refused."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonolake.analysis.collection import embedding_files, embedding_map, neighbours
from phonolake.cli.main import main
from phonolake.errors import UsageError
from phonolake.lookup import embeddings
from phonolake.sources import vector_files
from phonolake.sources.names import Named, Names
from phonolake.sources.vector_files import Choice
from phonolake.stages import forget, import_embeddings, index, score, train
from phonolake.store import query
from phonolake.store.lake import Lake
from phonolake.store.verify import verify

from .in_process import rows, work_here

N, D = 12, 5
IDS = [f"toy:{n:03d}" for n in range(N)]


@pytest.fixture
def lake(kept: Lake, tmp_path: Path) -> Lake:
    shutil.copytree(kept.root, tmp_path / "lake")
    return Lake.open(tmp_path / "lake")


@pytest.fixture
def vectors() -> np.ndarray:
    """One direction for each class, so that neighbours and probes can be right."""
    rng = np.random.default_rng(0)
    return (3 * np.eye(D)[np.arange(N) % 3] + 0.1 * rng.normal(size=(N, D))).astype(np.float32)


def take_in(lake: Lake, file: Path, name: str = "mine", **choices: Any) -> Any:
    return import_embeddings.run(import_embeddings.Config(str(lake.root), name, str(file), **choices))


def stored(lake: Lake, name: str = "mine") -> embeddings.TrackVectors:
    with query.connect(lake) as connection:
        found = embeddings.read(connection, IDS, model=name)
    assert found is not None
    return found


def as_npy(path: Path, ids: list[str], x: np.ndarray) -> dict:
    np.save(path.with_suffix(".npy"), x)
    path.with_suffix(".txt").write_text("".join(f"{i}\n" for i in ids))
    return {"file": path.with_suffix(".npy"), "choice": Choice(ids=str(path.with_suffix(".txt")))}


def as_npz(path: Path, ids: list[str], x: np.ndarray) -> dict:
    np.savez(path.with_suffix(".npz"), names=np.array(ids), openl3=x)
    return {"file": path.with_suffix(".npz")}


def as_npz_of_arrays(path: Path, ids: list[str], x: np.ndarray) -> dict:
    np.savez(path.with_suffix(".npz"), **dict(zip(ids, x, strict=True)))
    return {"file": path.with_suffix(".npz")}


def as_csv(path: Path, ids: list[str], x: np.ndarray) -> dict:
    frame = pd.DataFrame(x, columns=[f"v{k}" for k in range(x.shape[1])])
    frame.insert(0, "genre", "rock")
    frame.insert(1, "file", [f"/home/me/music/{i}.mp3" for i in ids])
    # The row numbers of a program come first.
    frame.to_csv(path.with_suffix(".csv"))
    return {"file": path.with_suffix(".csv")}


def as_lists(path: Path, ids: list[str], x: np.ndarray) -> dict:
    pd.DataFrame({"id": ids, "vector": list(x)}).to_parquet(path.with_suffix(".parquet"))
    return {"file": path.with_suffix(".parquet")}


def as_columns(path: Path, ids: list[str], x: np.ndarray) -> dict:
    frame = pd.DataFrame(x.astype(np.float64), columns=[str(k) for k in range(x.shape[1])], index=ids)
    frame.to_parquet(path.with_suffix(".parquet"))
    return {"file": path.with_suffix(".parquet")}


KINDS: list[Callable[[Path, list[str], np.ndarray], dict]] = [
    as_npy, as_npz, as_npz_of_arrays, as_csv, as_lists, as_columns,
]  # fmt: skip


@pytest.mark.parametrize("write", KINDS)
def test_vectors_come_in_from_every_kind_of_file(
    lake: Lake, vectors: np.ndarray, tmp_path: Path, write: Callable[[Path, list[str], np.ndarray], dict]
) -> None:
    outcome, report = take_in(lake, **write(tmp_path / "v", [*IDS[:9], "elsewhere"], vectors[:10]))
    assert (outcome.inputs, outcome.outputs, outcome.rejects) == (10, 9, 1)
    found = stored(lake)
    assert found.track_ids == tuple(IDS[:9])
    np.testing.assert_allclose(found.E_ND, vectors[:9], rtol=1e-6)
    assert "1 rows without audio in the lake" in report.said
    assert "3 recordings without a row" in report.said
    assert verify(lake) == []


@pytest.mark.parametrize("ending", [".csv", ".npy", ".npz", ".parquet"])
def test_what_is_exported_comes_in_as_the_same_numbers(
    lake: Lake, vectors: np.ndarray, tmp_path: Path, ending: str
) -> None:
    take_in(lake, **as_npz(tmp_path / "v", IDS, vectors))
    out = tmp_path / f"out{ending}"
    with query.connect(lake, confined=False) as connection:
        written = embedding_files.export(connection, str(out), model_or_run="mine")
        with pytest.raises(UsageError, match=r"unknown ending .* '\.txt'"):
            embedding_files.export(connection, str(tmp_path / "out.txt"))
    assert (written.tracks, written.numbers) == (N, D)
    take_in(lake, out, "again", choice=Choice(ids=str(out.with_suffix(".txt")) if ending == ".npy" else None))
    np.testing.assert_array_equal(stored(lake, "again").E_ND, vectors)


@pytest.mark.long
def test_they_are_a_run_like_any_other(
    lake: Lake, vectors: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome, _ = take_in(lake, **as_npz(tmp_path / "v", IDS, vectors))
    exact = neighbours.similar(lake, "toy:000", k=3, model_or_run="mine")
    index.run(index.Config(str(lake.root)))
    found = neighbours.similar(lake, "toy:000", k=3)
    assert [n.track_id for n in found] == [n.track_id for n in exact]
    assert {n.labels for n in found} == {"drone"}
    with query.connect(lake) as connection:
        assert embedding_map.embedding_map(connection, run=outcome.run_id).n_total == N
    work_here(monkeypatch)
    probe = train.Config(str(lake.root), "logistic-regression", input="embeddings:mine")
    (trained,) = train.run(probe)
    score.run(score.Config(str(lake.root)))
    accuracy = "SELECT value FROM metrics WHERE part = 'test' AND metric = 'accuracy' AND label IS NULL"
    assert rows(lake, accuracy) == [(1.0,)] * len(rows(lake, accuracy))
    assert rows(lake, "SELECT DISTINCT run_id FROM predictions") == [(trained.run_id,)]
    forget.run(forget.Config(str(lake.root), ("toy:001",)))
    assert forget.verify(lake, ("toy:001",)) == []
    assert "toy:001" not in stored(lake).track_ids
    # There is no model behind them that could be asked.
    file = tmp_path / "x.wav"
    file.write_bytes(rows(lake, "SELECT bytes FROM audio LIMIT 1")[0][0])
    with pytest.raises(UsageError, match="were imported, so there is no model that can read a file"):
        neighbours.similar(lake, str(file), model_or_run="mine")
    with pytest.raises(UsageError, match="of mine the lake has vectors that were imported, and no model"):
        score.run(score.Config(str(lake.root), ("mine",)))


@pytest.mark.long
def test_a_name_is_replaced_and_taken_out_as_a_whole(lake: Lake, vectors: np.ndarray, tmp_path: Path) -> None:
    first, _ = take_in(lake, **as_npz(tmp_path / "v", IDS, vectors))
    versions = lake.versions()
    take_in(lake, **as_npz(tmp_path / "v", IDS, vectors))
    assert lake.versions() == versions
    index.run(index.Config(str(lake.root)))
    take_in(lake, name="mine-too", **as_npz(tmp_path / "w", IDS, vectors))
    second, _ = take_in(lake, **as_npz(tmp_path / "v", IDS[:3], vectors[:3, :2]))
    assert second.run_id != first.run_id
    assert stored(lake).E_ND.shape == (3, 2)
    assert not (lake.root / "indexes" / str(first.run_id)).exists()
    assert rows(lake, "SELECT model FROM models ORDER BY model") == [("mine",), ("mine-too",)]
    outcome = import_embeddings.remove(str(lake.root), "mine")
    assert outcome.inputs == 3
    assert rows(lake, "SELECT DISTINCT model FROM embeddings") == [("mine-too",)]
    with pytest.raises(UsageError, match=r"unknown imported embeddings 'mine'\. .*Known: mine-too"):
        import_embeddings.remove(str(lake.root), "mine")
    take_in(lake, **as_npz(tmp_path / "v", IDS, vectors))
    np.testing.assert_array_equal(stored(lake).E_ND, vectors)
    assert verify(lake) == []


def test_segments_are_kept_and_their_mean_stands_for_the_track(lake: Lake, tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["toy:001", "toy:000", "toy:001"], "start": [2.0, 0.0, 0.0], "a": [4, 1, 2], "b": 1.0})
    frame.to_csv(tmp_path / "s.csv", index=False)
    with pytest.raises(UsageError, match=r"two vectors of toy:001, .* or use --segments"):
        take_in(lake, tmp_path / "s.csv")
    take_in(lake, tmp_path / "s.csv", segments=True)
    assert stored(lake).E_ND.tolist() == [[1, 1], [3, 1]]
    segments = "SELECT track_id, segment, activation FROM activations ORDER BY ALL"
    assert rows(lake, segments) == [("toy:000", 0, [1, 1]), ("toy:001", 0, [2, 1]), ("toy:001", 1, [4, 1])]
    import_embeddings.remove(str(lake.root), "mine")
    assert rows(lake, segments) == []


def nan_at(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x[4, 1] = np.nan
    return x


WRONG: list[tuple[Callable[[Path, np.ndarray], dict], str]] = [
    (lambda p, x: as_npz(p, IDS, nan_at(x)), "1 of 12 vectors hold NaN .* such as that of 'toy:004'"),
    (lambda p, x: as_npz(p, IDS, x.astype(np.float64) * 1e60), "12 of 12 vectors hold NaN or numbers beyond float32"),
    (lambda p, x: as_npz(p, IDS[:5], x), "has 12 vectors and 5 names"),
    (lambda p, x: as_npz(p, [*IDS[:11], "toy:003.mp3"], x), r"two vectors of toy:003, called 'toy:003' \(row 4\)"),
    (lambda p, x: as_npz(p, [f"x{n}" for n in range(N)], x), "none of the 12 vectors of .* names one recording"),
    (lambda p, x: as_npy(p, IDS, x > 0), "holds bool"),
    (lambda p, x: as_npy(p, IDS, x[0]), r"has shape \(5,\)"),
    (lambda p, x: as_npy(p, IDS, x) | {"choice": Choice()}, "give their names, one a line, with --ids"),
    (lambda p, x: as_npz(p, IDS, x) | {"choice": Choice(ids="a.txt")}, "--ids names the rows of a .npy"),
    (lambda p, x: as_npz(p, IDS, x) | {"name": "k2c2"}, "'k2c2' is not that of an imported"),
    (lambda p, x: as_npz(p, IDS, x) | {"name": "a/b"}, "must not contain '/'"),
    (lambda p, x: as_csv(p, IDS, x) | {"choice": Choice(id_column="song")}, "unknown column of .* 'song'"),
    (lambda p, x: {"file": p.with_suffix(".npz")}, "no file at"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "says"), WRONG)
def test_what_cannot_be_right_changes_nothing(
    kept: Lake, vectors: np.ndarray, tmp_path: Path, make: Callable[[Path, np.ndarray], dict], says: str
) -> None:
    versions = kept.versions()
    with pytest.raises(UsageError, match=says):
        take_in(kept, **make(tmp_path / "v", vectors))
    assert kept.versions() == versions
    assert verify(kept) == []


def test_tables_of_numbers_are_looked_at_number_by_number(lake: Lake, vectors: np.ndarray, tmp_path: Path) -> None:
    path = as_csv(tmp_path / "v", IDS, vectors)["file"]
    lines = path.read_text().splitlines()
    cells = lines[3].split(",")
    for cell, says in (("o.5", "'v4' of row 3 should be a number and is 'o.5'"), ("", "'v4' of row 3 .* is ''")):
        path.write_text("\n".join([*lines[:3], ",".join([*cells[:-1], cell]), *lines[4:]]))
        with pytest.raises(UsageError, match=says):
            take_in(lake, path)
    ragged = pd.DataFrame({"id": IDS[:2], "v": [[1.0, 2.0], [1.0]]})
    ragged.to_parquet(tmp_path / "r.parquet")
    with pytest.raises(UsageError, match="mixed length: 2 numbers for 'toy:000', 1 for 'toy:001'"):
        take_in(lake, tmp_path / "r.parquet")


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["npy", "npz", "parquet"]))
def test_a_damaged_file_is_read_as_it_is_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, seed: int, kind: str
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, D)).astype(np.float32)
    write = {"npy": as_npy, "npz": as_npz, "parquet": as_lists}[kind]
    damaged = write(folder / "v", IDS, x)
    data = bytearray(damaged["file"].read_bytes())
    if rng.random() < 0.5:
        del data[rng.integers(len(data)) :]
    else:
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    damaged["file"].write_bytes(data)
    names = Names(Named(i, i, f"{i}.mp3") for i in IDS)
    try:
        found = vector_files.read(damaged["file"], names, damaged.get("choice", Choice()))
    except UsageError:
        return
    assert found.E_ND.dtype == np.float32
    assert np.isfinite(found.E_ND).all()
    assert len(found.names) == len(found.E_ND)


def test_the_command_says_what_it_understood_and_what_it_would_leave_out(
    lake: Lake, vectors: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(as_csv(tmp_path / "v", [*IDS[:11], "gone"], vectors)["file"])
    words = ["embeddings", "import", "openl3", path, "--licence", "CC-BY-NC-4.0", "--lake", str(lake.root)]
    assert main([*words, "--dry-run", "--format", "csv"]) == 0
    printed = capsys.readouterr()
    assert "rows without audio in the lake,/home/me/music/gone.mp3,12" in printed.out
    assert "recordings are named by the column 'file', vectors in 5 columns from 'v0' to 'v4'" in printed.err
    assert "embeddings" not in lake.versions()
    assert main(words) == 0
    assert main(["embeddings", "remove", "openl3", "--lake", str(lake.root)]) == 0
    assert main(["embeddings", "import", "openl3", path, "--id-column", "genre", "--lake", str(lake.root)]) == 2
    assert "none of the 12 vectors" in capsys.readouterr().err
