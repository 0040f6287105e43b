"""Label vectors of several networks beside each other: against scipy, and three published networks on the MSD tags."""

import csv
import io
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from phonolake.analysis.labels.network_agreement import USE, align, correlations, places
from phonolake.cli.main import main
from phonolake.errors import UsageError
from phonolake.lookup.label_matrix import LabelMatrix
from phonolake.models import home
from phonolake.stages import import_model

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
WHEEL = DATA / "musicnn" / "musicnn-0.1.0-py3-none-any.whl"
CHOI = DATA / "choi_msd_tagger" / "compact_cnn_weights_theano.hdf5"

RNG = np.random.default_rng(0)
LABELS = ("a", "b", "c", "d", "e")


def vectors(order: str = "abcde", seed: int = 0) -> tuple[tuple[str, ...], np.ndarray]:
    """Label vectors that depend on the label and the seed, not on the order."""
    W = {label: np.random.default_rng([seed, n]).normal(size=4) for n, label in enumerate("abcdefg")}
    return tuple(order), np.stack([W[label] for label in order])


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_rankings_are_those_of_the_labels_that_all_share_whatever_their_order() -> None:
    rankings = align({"one": vectors("abcdef"), "two": vectors("gedcba", seed=1)})
    assert rankings.labels == LABELS
    assert rankings.pairs == 10
    sides = [[cosine(W[i], W[j]) for i, j in combinations(range(5), 2)] for W in (vectors()[1], vectors(seed=1)[1])]
    (found,) = correlations(rankings)
    assert (found.first, found.second, found.pairs) == ("one", "two", 10)
    assert found.rank_correlation == pytest.approx(spearmanr(*sides).statistic)


def test_use_is_a_further_ranking_of_the_labels_that_people_gave() -> None:
    Y_NL = RNG.integers(0, 2, (60, 4)).astype(np.int8)
    matrix = LabelMatrix((), ("d", "c", "b", "a"), Y_NL)
    rankings = align({"one": vectors(), "two": vectors(seed=1)}, matrix)
    assert rankings.labels == ("a", "b", "c", "d")
    assert [(c.first, c.second) for c in correlations(rankings)] == [("one", "two"), ("one", USE), ("two", USE)]
    (place,) = places(rankings, [("d", "a")], share=0.5)
    together = [max((y * z).sum() / y.sum(), (y * z).sum() / z.sum()) for y, z in combinations(Y_NL.T[::-1], 2)]
    assert place.ranks[USE] == 1 + sum(np.array(together) > together[2])
    alike = [cosine(*vectors()[1][[i, j]]) for i, j in combinations(range(4), 2)]
    assert place.ranks["one"] == 1 + sum(np.array(alike) > alike[2])
    assert place.holds == (max(place.ranks["one"], place.ranks["two"]) <= 3)


def test_a_pair_holds_that_every_network_has_in_front() -> None:
    W = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [-1.0, 0.0]])
    other = np.array([[1.0, 0.0], [0.9, 0.1], [1.0, -0.01], [-1.0, 0.0]])
    rankings = align({"one": (("a", "b", "c", "d"), W), "two": (("a", "b", "c", "d"), other)})
    first, second = places(rankings, [("a", "b"), ("c", "d")], share=0.35)
    assert (first.ranks, first.holds) == ({"one": 1, "two": 2}, True)
    assert not second.holds
    assert not places(rankings, [("a", "b")], share=0.2)[0].holds
    # None of the three pairs of the paper is there.
    assert places(rankings, [], share=0.5) == []


def test_wrong_requests_say_what_to_do() -> None:
    with pytest.raises(UsageError, match="two networks or more are compared; received one"):
        align({"one": vectors()})
    with pytest.raises(UsageError, match="labels that one, two share: 2, and a ranking of pairs needs 3"):
        align({"one": vectors("abc"), "two": vectors("bcd")})
    with pytest.raises(UsageError, match="unknown label 'x'"):
        places(align({"one": vectors(), "two": vectors()}), [("a", "x")], share=0.5)


@pytest.mark.skipif(not WHEEL.is_file() or not CHOI.is_file(), reason="the published networks are not here")
def test_three_networks_agree_on_what_people_do_not_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table of docs/results.md."""
    monkeypatch.setenv(home.VARIABLE, str(tmp_path))
    monkeypatch.delenv("PHONOLAKE_LAKE", raising=False)
    for name, file in (("choi-msd", CHOI), ("musicnn-msd", WHEEL), ("vgg-msd", WHEEL)):
        import_model.run(import_model.Config(name, str(file)))
    files = ["--matrix", str(DATA / "msd" / "test_y.npy"), "--names", str(DATA / "msd" / "tags.txt")]
    words = ["labels", "networks", "choi-msd", "musicnn-msd", "vgg-msd", *files, "--format", "csv"]
    assert main(words) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows == [
        ["label_i", "label_j", "choi-msd", "musicnn-msd", "vgg-msd", "co-occurrence", "pairs", "holds"],
        ["sad", "beautiful", "6", "11", "6", "142.0", "1225", "True"],
        ["happy", "catchy", "9", "40", "28", "180.0", "1225", "True"],
        ["rnb", "sexy", "12", "22", "22", "129.0", "1225", "True"],
    ]
    assert main([*words, "--show", "correlations"]) == 0
    found = {(row["first"], row["second"]): row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    expected = {
        ("choi-msd", "musicnn-msd"): 0.821,
        ("choi-msd", "vgg-msd"): 0.848,
        ("musicnn-msd", "vgg-msd"): 0.969,
        ("choi-msd", "co-occurrence"): 0.542,
        ("musicnn-msd", "co-occurrence"): 0.570,
        ("vgg-msd", "co-occurrence"): 0.595,
    }
    assert {pair: round(float(row["rank_correlation"]), 3) for pair, row in found.items()} == expected
