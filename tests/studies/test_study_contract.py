"""One contract, kept by every study."""

import dataclasses
from pathlib import Path

import pytest

from phonolake.cli.studies import study
from phonolake.errors import UsageError
from phonolake.studies import contract

PAGE = Path(__file__).resolve().parents[2] / "docs" / "studies.md"
NAMES = [card.name for card in contract.cards()]


@pytest.mark.parametrize("name", NAMES)
def test_a_study_says_what_it_repeats_and_where_it_differs(name):
    found = contract.get(name)
    assert name == found.STUDY.name
    assert all(dataclasses.astuple(found.STUDY))
    assert found.STUDY.summary.endswith(".")
    keys = [deviation.key for deviation in found.DEVIATIONS]
    assert len(set(keys)) == len(keys) > 0
    assert not any(" " in key for key in keys)
    assert all(deviation.text.endswith(".") for deviation in found.DEVIATIONS)
    required = [f.name for f in dataclasses.fields(found.Config) if f.default is dataclasses.MISSING]
    assert len(required) == 1
    assert found.PARTS


@pytest.mark.parametrize("name", NAMES)
def test_its_command_and_its_page_know_all_of_its_parts(name):
    """The command line lists the parts itself, since it must not load a study to print its help."""
    parts = set(contract.get(name).PARTS)
    (option,) = (option for option in study.commands[name].params if option.name == "part")
    assert set(option.type.choices) - {"all", "deviations"} == parts - {"all", "deviations"}
    (line,) = (line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{name}` |"))
    assert set(line.split("|")[3].replace(",", " ").split()) == parts - {"all", "deviations"}


def test_an_unknown_study_is_named_with_those_that_exist():
    with pytest.raises(UsageError, match="Did you mean 'music-role'"):
        contract.get("music-rôle")


def test_runs_are_summarised():
    assert contract.summarise([0.5]) == {"ours": 0.5, "std": None, "low": None, "high": None, "n": 1}
    several = contract.summarise([0.1, 0.3, 0.2])
    assert several == {"ours": pytest.approx(0.2), "std": pytest.approx(0.1), "low": 0.1, "high": 0.3, "n": 3}
