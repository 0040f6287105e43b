"""Grids of the user's own."""

import json

import pytest

from phonolake.cli.main import main
from phonolake.errors import UsageError
from phonolake.studies import ablation
from phonolake.studies.grid import Config, Session

GRID = """
name = "magnitudes"
[grid]
model = "k2c2"
preprocessing = ["decibel/bypass/x1", "linear/bypass/x1"]
share = [1.0, 0.5]
"""


@pytest.fixture
def configuration(tmp_path):
    def write(text):
        path = tmp_path / "grid.toml"
        path.write_text(text)
        return path

    return write


@pytest.mark.long
def test_every_combination_is_an_arm_and_the_untrained_network_the_floor(lake, configuration):
    session = Session(ablation.read(configuration(GRID)), Config(str(lake.root), size="tiny", max_epochs=1))
    (rows,) = session.tables()
    assert [row.row for row in rows] == [
        "preprocessing=decibel/bypass/x1, share=1.0",
        "preprocessing=decibel/bypass/x1, share=0.5",
        "preprocessing=linear/bypass/x1, share=1.0",
        "preprocessing=linear/bypass/x1, share=0.5",
        "k2c2, untrained",
    ]
    assert {row.metric for row in rows} == {"accuracy"}
    assert len(session.claims) == 4
    assert all(claim.low <= claim.difference <= claim.high for claim in session.claims)


def test_estimators_and_networks_stand_in_one_grid(lake, configuration, capsys):
    text = 'metric = "roc-auc"\n[grid]\nmodel = ["logistic-regression", "random-forest"]\nlabels = "dataset"\n'
    words = ["study", "ablate", str(configuration(text)), "--lake", str(lake.root), "--size", "tiny"]
    assert main([*words, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["row"] for row in rows] == ["model=logistic-regression", "model=random-forest"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model = ", "is not TOML"),
        ("[grid]\nshare = 1.0", "with the key model"),
        ('[grid]\nmodel = "k2c2"\nshares = 1.0', "Did you mean 'share'"),
        ('metrics = "accuracy"\n[grid]\nmodel = "k2c2"', "Did you mean 'metric'"),
        ('metric = "f1"\n[grid]\nmodel = "k2c2"', "unknown metric 'f1'"),
        ("[grid]\nmodel = []", "model has no value"),
        ('[grid]\nmodel = "k2c2"\nshare = "half"', "wrong type"),
        ('[grid]\nmodel = "k2c2"\nshare = 1.5', "at most 1"),
    ],
)
def test_what_is_no_grid_is_refused(text, says, configuration):
    with pytest.raises(UsageError, match=says):
        ablation.read(configuration(text))


def test_an_augmentation_is_a_list_of_its_own(configuration):
    text = '[grid]\nmodel = "k2c2"\naugment = [[], ["mixup"], ["spec-augment", "mixup"]]\nfalse = [0.0, 0.2]'
    cells = ablation._cells(ablation.tomllib.loads(text)["grid"], configuration(text))
    assert [cell.augment for _, cell in cells[::2]] == [(), ("mixup",), ("spec-augment", "mixup")]
    assert cells[0][0] == "augment=none, false=0.0"


@pytest.mark.long
def test_another_grid_keeps_the_tables_of_the_one_before_and_the_same_one_does_not(lake, configuration):
    def printed(model):
        study = ablation.read(configuration(f"[grid]\nmodel = {model!r}\n"))
        list(Session(study, Config(str(lake.root), size="tiny", repeats=1, seed=11)).tables())
        return {file.split("--")[0] for file in lake.shards("study_rows")}

    before = set(lake.shards("study_rows"))
    first = printed("random-forest")
    assert printed("random-forest") == first
    both = printed("logistic-regression")
    assert len(both) == len(first) + 1
    assert len(first) > len({file.split("--")[0] for file in before})
