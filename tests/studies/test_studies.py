"""The studies of trainings, each in its smallest size: every part gives rows and claims, and nothing is done twice."""

import json
from dataclasses import replace

import numpy as np
import pytest

from phonolake import execution
from phonolake.cli.main import main
from phonolake.errors import PhonolakeError, UsageError
from phonolake.models.sample_level import SHAPES
from phonolake.stages import forget
from phonolake.store import query, schema
from phonolake.store.lake import Change
from phonolake.store.shards import write_rows
from phonolake.store.verify import verify
from phonolake.studies import (
    contract,
    fma_genres,
    fma_genres_paper,
    grid,
    kept,
    pictures,
    random_networks,
    robustness,
    robustness_paper,
    sample_level,
    sample_level_paper,
)
from phonolake.studies.grid import Config, Session

VERDICTS = {"holds", "does not hold", "undecided"}
TINY = {"size": "tiny", "truth": "dataset"}


def worked_off(study: grid.GridStudy, config: Config) -> tuple[Session, list[contract.Row]]:
    session = Session(study, config)
    return session, [row for table in session.tables() for row in table]


@pytest.mark.parametrize(
    ("study", "which", "left_out"),
    [
        (robustness, "tags", set()),
        (fma_genres, "lake", {"artists"}),
        (random_networks, "lake", {"large", "slip", "reference"}),
        (sample_level, "lake", {"input"}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_every_part_gives_rows_and_judged_claims(study, which, left_out, request, monkeypatch):
    lake = request.getfixturevalue(which)
    session, rows = worked_off(study.GRID, Config(str(lake.root), **TINY))
    assert {row.part for row in rows} == set(study.PARTS) - left_out
    assert all(np.isfinite(row.ours) or row.metric == "rank correlation" for row in rows)
    assert {claim.verdict for claim in session.claims} <= VERDICTS
    assert all("another than the paper's" in claim.data for claim in session.claims if claim.metric == "accuracy")
    known = {deviation.key for deviation in study.DEVIATIONS}
    assert {key for row in rows for key in row.notes.split()} <= known
    assert verify(lake) == []

    def work_again(*_, **__):
        raise AssertionError("what is finished is not done again")

    monkeypatch.setattr(execution, "imap", work_again)
    # By their text: what is not defined equals nothing, not even itself.
    assert repr(worked_off(study.GRID, Config(str(lake.root), **TINY))[1]) == repr(rows)
    assert all(plan.finished == plan.cells for plan in session.plan())


@pytest.mark.long
def test_what_a_kill_left_is_gone_on_with(lake, monkeypatch):
    config = Config(str(lake.root), "compression", size="tiny", seed=7)
    whole = Session(robustness.GRID, config)
    n_cells = sum(len(folds) for runs in whole.work.values() for folds in runs)
    imap, asked = execution.imap, []

    def killed(function, payloads, **options):
        for n, pair in enumerate(imap(function, payloads, **options)):
            yield pair
            if n == 0:
                raise KeyboardInterrupt

    monkeypatch.setattr(execution, "imap", killed)
    with pytest.raises(KeyboardInterrupt):
        list(whole.tables())

    def counted(function, payloads, **options):
        asked.extend(payloads)
        return imap(function, payloads, **options)

    monkeypatch.setattr(execution, "imap", counted)
    _, rows = worked_off(robustness.GRID, config)
    assert len(asked) == n_cells - 1
    assert len(rows) == 3
    assert verify(lake) == []


@pytest.mark.long
def test_more_seeds_cost_only_those_that_are_new(lake):
    config = Config(str(lake.root), "initialisation", size="tiny")
    worked_off(robustness.GRID, config)
    (plan,) = Session(robustness.GRID, replace(config, repeats=3)).plan()
    assert (plan.cells, plan.finished) == (3, 1)
    assert 0 < plan.hours < 0.1
    session, rows = worked_off(robustness.GRID, replace(config, repeats=3))
    mean, std, *_ = rows
    assert (mean.n, mean.std) == (3, pytest.approx(std.ours))
    assert std.paper == robustness_paper.STD_OF_SEEDS
    (claim,) = session.claims
    assert claim.difference == pytest.approx(mean.high - mean.low)


def test_experiments_do_not_answer_for_the_lake(lake):
    worked_off(robustness.GRID, Config(str(lake.root), "initialisation", size="tiny"))
    with query.connect(lake) as connection:
        for table in ("models", "metrics", "predictions", "runs"):
            found = connection.execute(f"SELECT count(*) FROM {table} WHERE run_id LIKE 'k2c2-%'").fetchone()
            assert found == (0,), table
        ((n,),) = connection.execute("SELECT count(*) FROM study_predictions WHERE protocol = 'test'").fetchall()
    assert n > 0
    assert not list((lake.root / "models").glob("k2c2-*"))


def test_a_forgotten_track_leaves_the_answers_of_studies(tmp_path, here):
    from ..stages import small_lake

    lake = small_lake.make(tmp_path / "lake")
    config = Config(str(lake.root), "initialisation", size="tiny")
    session, _ = worked_off(robustness.GRID, config)
    held_out = session.evidence(session.parts[0].arms).track_ids
    forget.run(forget.Config(str(lake.root), (held_out[0],), "asked"))
    assert forget.verify(lake, (held_out[0],)) == []
    with query.connect(lake) as connection:
        found = connection.execute("SELECT DISTINCT track_id FROM study_predictions ORDER BY 1").fetchall()
    assert [track_id for (track_id,) in found] == held_out[1:]


@pytest.mark.parametrize(
    ("study", "which", "config", "error", "says"),
    [
        (robustness, "lake", {"part": "compresion"}, UsageError, "Did you mean 'compression'"),
        (robustness, "lake", {"size": "huge"}, UsageError, "unknown size 'huge'"),
        (robustness, "lake", {"repeats": 0}, UsageError, "received 0"),
        (robustness, "lake", {"dataset": "fma"}, UsageError, "unknown dataset 'fma'"),
        (robustness, "lake", {"size": "full"}, UsageError, "needs 200 training tracks or more.*take --size tiny"),
        (robustness, "lake", {"split": "folds"}, UsageError, "unknown split 'folds'"),
        (robustness, "lake", {"part": "evaluation", "truth": None}, PhonolakeError, "nobody has listened again"),
        (robustness, "lake", {"part": "representation"}, PhonolakeError, "--spectrogram stft-257-12k"),
        (robustness, "lake", {"top_labels": 1}, UsageError, "nothing to tell apart"),
        (fma_genres, "tags", {}, UsageError, "several labels"),
        (random_networks, "tags", {}, UsageError, "several labels"),
        (fma_genres, "lake", {"part": "artists"}, UsageError, "run `phonolake split` first"),
        (random_networks, "lake", {"part": "large"}, PhonolakeError, "phonolake extract --features random-7x96-large"),
        (random_networks, "lake", {"part": "reference"}, PhonolakeError, "no embeddings of a musicnn"),
    ],
)
def test_what_cannot_be_studied_is_said_before_the_first_training(
    study, which, config, error, says, request, monkeypatch
):
    monkeypatch.setattr(execution, "imap", lambda *_, **__: pytest.fail("a training began"))
    with pytest.raises(error, match=says):
        Session(study.GRID, Config(str(request.getfixturevalue(which).root), **({"size": "tiny"} | config)))


def test_the_labels_that_are_asked_for_are_learned(tmp_path, here):
    from ..stages import small_lake

    made = small_lake.make(tmp_path / "lake")
    table = schema.table("labels")
    rows = [
        {"track_id": f"toy:{n:03d}", "label": "high" if n % 3 else "low", "value": 1, "source": "mine"}
        for n in range(30)
    ]
    made.commit({"labels": Change(table, [write_rows(made.path("labels", "mine"), table.arrow, rows)])})
    session = Session(robustness.GRID, Config(str(made.root), "noise", size="tiny", labels="mine"))
    learned = {unit.task.examples.classes for runs in session.work.values() for folds in runs for unit in folds}
    assert learned == {("high", "low")}
    assert set(session.evidence(()).truth.values()) == {frozenset(["high"]), frozenset(["low"])}


def test_a_lake_without_a_split_is_refused(tmp_path):
    from ..stages import small_lake

    made = small_lake.make(tmp_path / "lake", split=False)
    with pytest.raises(UsageError, match="run `phonolake split` first"):
        Session(robustness.GRID, Config(str(made.root), size="tiny"))


# -- figures of the papers as data -------------------------------------------------------------------------------------


def test_table_1_follows_from_its_inputs():
    rows, claims = robustness.robustness_labels.table_1()
    for row in rows:
        # As printed: rounded to a thousandth, one of them cut off.
        assert abs(row.ours - row.paper) < (1 if row.metric == "tracks" else 0.0006)
    assert [claim.verdict for claim in claims].count("holds") == 3
    assert "female vocalists" in next(claim.claim for claim in claims if claim.verdict == "undecided")


def test_table_3_names_twenty_pairs_and_eleven_of_them_twice():
    assert len(set(robustness_paper.TOGETHER)) == len(set(robustness_paper.ALIKE)) == 20
    unordered = [{frozenset(pair) for pair in pairs} for pairs in (robustness_paper.TOGETHER, robustness_paper.ALIKE)]
    assert len(unordered[0] & unordered[1]) == robustness_paper.COMMON_OF_20


def test_the_matrix_of_the_crnn_is_that_of_another_run():
    matrix = np.array(fma_genres_paper.CONFUSION_CRNN)
    assert (matrix.sum(axis=1) == 100).all()
    assert np.trace(matrix) / matrix.sum() == fma_genres_paper.CRNN_BY_MATRIX != fma_genres_paper.ACCURACY["crnn"]


@pytest.mark.parametrize("model", fma_genres_paper.ACCURACY)
def test_recalls_of_the_genre_tables_give_their_accuracy(model):
    recalls = [recall for _, recall, _ in fma_genres_paper.PER_GENRE[model].values()]
    assert np.mean(recalls) == pytest.approx(fma_genres_paper.ACCURACY[model], abs=2e-4)


def test_every_network_of_table_2_is_there():
    for (m, n_samples), printed in sample_level_paper.DEPTH.items():
        family = [s for s in SHAPES.values() if (s.m, s.n_samples, s.window) == (m, n_samples, s.hop)]
        assert len(family) == len(printed)


# -- the command line --------------------------------------------------------------------------------------------------


def test_the_command_prints_tables_then_claims_and_draws_them(lake, capsys, tmp_path):
    words = ["study", "robustness", "--lake", str(lake.root), "--part", "compression", "--size", "tiny"]
    figure = tmp_path / "figure.png"
    assert main([*words, "--figure", str(figure)]) == 0
    out, err = capsys.readouterr()
    assert "Fig. 7" in out
    assert "Decibels reach more than linear magnitudes." in out
    assert "another than the paper's msd" in out
    assert "bars: The paper prints bars" in err
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert main([*words, "--claims", "--format", "json"]) == 0
    claims = json.loads(capsys.readouterr().out)
    assert [claim["expects"] for claim in claims] == ["above", "above"]
    assert main([*words, "--dry-run", "--format", "json"]) == 0
    (plan,) = json.loads(capsys.readouterr().out)
    assert (plan["cells"], plan["finished"], plan["hours"]) == (3, 3, 0)


def test_labels_alone_need_no_lake(tmp_path, capsys):
    matrix, names = tmp_path / "y.npy", tmp_path / "names.txt"
    np.save(matrix, np.array([[1, 1, 0], [1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1]]))
    names.write_text("alternative rock\nrock\njazz\n")
    words = ["study", "robustness", "--matrix", str(matrix), "--names", str(names), "--format", "json"]
    assert main([*words, "--part", "labels"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["row"], row["paper"], row["ours"]) == ("alternative rock -> rock", 1, 1)
    assert main([*words, "--part", "noise"]) == 2
    assert "name a lake with --lake" in capsys.readouterr().err
    assert main(["study", "robustness", "--part", "labels"]) == 2
    assert "or a matrix" in capsys.readouterr().err


def test_a_figure_that_cannot_be_written_is_said(tmp_path):
    row = contract.Row("p", "t", "r", "m", "roc-auc", 0.5, **contract.summarise([0.5, 0.7]), notes="")
    (tmp_path / "file").write_text("")
    with pytest.raises(PhonolakeError, match="cannot be written"):
        pictures.draw([row], "title", tmp_path / "file" / "figure.png")


def test_tables_of_kept_cells_read_back(lake):
    session, _ = worked_off(random_networks.GRID, Config(str(lake.root), "small", size="tiny"))
    unit = next(folds[0] for runs in session.work.values() for folds in runs)
    found = kept.read(lake, [unit.cell_id, "unknown"])[unit.cell_id]
    assert set(found.answers) == {"best", "nested"}
    assert found.answers["best"].P_NK.shape == (6, 3)
    assert found.label_vectors is None
