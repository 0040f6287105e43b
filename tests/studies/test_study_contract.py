"""One contract, kept by every study."""

import dataclasses

import pytest

from phonolake.errors import UsageError
from phonolake.studies import contract

NAMES = [card.name for card in contract.cards()]


@pytest.mark.parametrize("name", NAMES)
def test_a_study_says_what_it_repeats_and_where_it_differs(name):
    study = contract.get(name)
    assert name == study.STUDY.name
    assert all(dataclasses.astuple(study.STUDY))
    assert study.STUDY.summary.endswith(".")
    keys = [deviation.key for deviation in study.DEVIATIONS]
    assert len(set(keys)) == len(keys) > 0
    assert not any(" " in key for key in keys)
    assert all(deviation.text.endswith(".") for deviation in study.DEVIATIONS)
    required = [f.name for f in dataclasses.fields(study.Config) if f.default is dataclasses.MISSING]
    assert len(required) == 1
    assert study.PARTS


def test_an_unknown_study_is_named_with_those_that_exist():
    with pytest.raises(UsageError, match="Did you mean 'music-role'"):
        contract.get("music-rôle")


def test_runs_are_summarised():
    assert contract.summarise([0.5]) == {"ours": 0.5, "std": None, "low": None, "high": None, "n": 1}
    several = contract.summarise([0.1, 0.3, 0.2])
    assert several == {"ours": pytest.approx(0.2), "std": pytest.approx(0.1), "low": 0.1, "high": 0.3, "n": 3}
