"""What is planted is there at its rate, and corpora without it are what they always were."""

import csv
import json
from collections import Counter

import numpy as np
import pytest

from phonolake.analysis.labels.cooccurrence import cooccurrence_counts, ranked_pairs
from phonolake.errors import UsageError
from phonolake.lookup.label_matrix import LabelMatrix
from phonolake.records import Hertz, Seconds
from phonolake.stages import synthesize
from phonolake.studies import robustness_labels
from phonolake.synthesis import fma
from phonolake.synthesis.layouts import contract as layouts
from phonolake.synthesis.planted import Planted, tags, with_burst

N = 4_000


def planted(**rates: float) -> list[layouts.PlannedClip]:
    return layouts.plan(layouts.Config("msd", N, planted=Planted(**rates)))


def test_the_second_tag_of_a_kind_comes_with_the_first_at_the_rate_and_never_alone():
    clips = planted(together=0.7)
    true = [clip["true"] for clip in clips]
    both = Counter((clip.label, len(tags) == 2) for clip, tags in zip(clips, true, strict=True))
    for label in {clip.label for clip in clips}:
        assert both[label, True] / (both[label, True] + both[label, False]) == pytest.approx(0.7, abs=0.07)
    assert all(clip["tags"] == clip["true"] for clip in clips)


def test_the_study_of_labels_finds_the_planted_dependence():
    """catchy never without pop, pop with catchy in seven of ten: C is 1 one way, and 0.7 the other."""
    clips = planted(together=0.7)
    labels = sorted({tag for clip in clips for tag in clip["tags"]})
    Y = np.array([[label in clip["tags"] for label in labels] for clip in clips]).astype(int)
    ranked = ranked_pairs(labels, cooccurrence_counts(Y), N)
    # Eight kinds, two ordered pairs of each, and no others.
    assert len(ranked) == 16
    assert [pair.c for pair in ranked[:8]] == [1.0] * 8
    assert all(pair.c == pytest.approx(0.7, abs=0.07) for pair in ranked[8:])
    rows, claims = robustness_labels.of_matrix(LabelMatrix((), tuple(labels), Y), "made")
    # Two of the kinds are pairs of the paper's table.
    assert {row.row for row in rows} == {"catchy -> pop", "heavy metal -> metal"}
    assert all(row.ours <= 8 for row in rows)
    # The pair that co-occurs most does so always, which the paper never saw.
    assert claims[-1].verdict == "does not hold"


@pytest.mark.parametrize(("missing", "false"), [(0.3, 0.0), (0.0, 0.25), (0.2, 0.1)])
def test_tags_are_wrong_at_the_planted_rates(missing, false):
    clips = planted(missing=missing, false=false)
    n_true = sum(len(clip["true"]) for clip in clips)
    lost = sum(len(set(clip["true"]) - set(clip["tags"])) for clip in clips)
    added = sum(len(set(clip["tags"]) - set(clip["true"])) for clip in clips)
    assert lost / n_true == pytest.approx(missing, abs=0.02)
    assert added / n_true == pytest.approx(false, abs=0.02)


def test_more_noise_keeps_the_wrong_tags_of_less():
    kind, pool = ("a", "b"), tuple("abcdefgh")
    for number in range(50):
        less, more = (
            set(tags(kind, pool, Planted(missing=rate, false=rate), seed=1, number=number)[1]) for rate in (0.2, 0.5)
        )
        assert less ^ set(kind) <= more ^ set(kind)


@pytest.mark.parametrize("decibels", [6.0, 40.0])
def test_a_burst_is_so_much_louder_than_the_music(decibels):
    rng = np.random.default_rng(0)
    music = 0.2 * rng.standard_normal(22_050).astype(np.float32)
    found = with_burst(music, Hertz(22_050), decibels, np.random.default_rng(3))
    assert found.shape == music.shape
    assert np.abs(found).max() <= 1
    pieces = np.sqrt(np.mean(found[:22_000].reshape(-1, 1_100) ** 2, axis=1))
    loudest, usual = pieces.max(), np.median(pieces)
    # The burst may lie across two pieces of its own length.
    assert decibels - 5 < 20 * np.log10(loudest / usual) < decibels + 3


def test_the_truth_lies_beside_the_corpus(tmp_path):
    config = synthesize.configure("magnatagatune", 6, 0, 0.2, planted=Planted(missing=0.5))
    clips = synthesize.run(config, tmp_path / "corpus")
    with (tmp_path / "corpus" / "truth.csv").open() as file:
        rows = [(row["track_id"], row["tag"]) for row in csv.DictReader(file)]
    assert rows == [(f"magnatagatune:{2 + clip.number}", tag) for clip in clips for tag in clip["true"]]


def test_a_corpus_without_anything_planted_keeps_its_record(tmp_path):
    for name, config in (("fma", fma.Config(2, duration=Seconds(1.0))), ("msd", layouts.Config("msd", 2))):
        root = tmp_path / name
        root.mkdir()
        record = json.dumps(synthesize._settings(config), sort_keys=True)
        assert "planted" not in record
        assert "peaks" not in record
    assert "peaks" in synthesize._settings(fma.Config(2, peaks=40.0))


@pytest.mark.parametrize(
    ("name", "rates", "says"),
    [
        ("fma", {"missing": 0.1}, "fma has genres and no tags"),
        ("gtzan", {"together": 0.5}, "layouts magnatagatune, msd; received 'gtzan'"),
    ],
)
def test_a_layout_without_tags_takes_none(name, rates, says):
    with pytest.raises(UsageError, match=says):
        synthesize.configure(name, 4, 0, 1.0, planted=Planted(**rates))


@pytest.mark.parametrize(("name", "value"), [("missing", 1.0), ("false", -0.1), ("together", 0.0), ("peaks", 80.0)])
def test_rates_have_ranges(name, value):
    with pytest.raises(UsageError, match=name):
        Planted(**{name: value})
