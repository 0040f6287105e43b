"""Robustness of a tagger to its labels, its initial weights and its input: the experiments of Choi et al.

Parts with trainings are here, those with tables only in `robustness_labels`. The curve over noise of a known rate is
new: the paper's title as a measurement.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from phonolake.errors import PhonolakeError, UsageError
from phonolake.features.preprocessing import grid as preprocessing_grid
from phonolake.lookup.label_matrix import LabelMatrix
from phonolake.metrics.bootstrap import Estimate
from phonolake.progress import say
from phonolake.studies import grid, robustness_labels
from phonolake.studies import robustness_paper as paper
from phonolake.studies.cells import TrainingCell
from phonolake.studies.contract import ClaimRow, Deviation, Row, StudyCard, summarise
from phonolake.studies.evidence import Arm, Claim, Evidence, alike, better, judge
from phonolake.studies.grid import Config, Facts, StudyPart

STUDY = StudyCard(
    name="robustness",
    paper=paper.PAPER,
    summary="A compact ConvNet under noisy labels, other first weights, less data and other input.",
    needs="A lake with tags or classes, a split, mel-96-12k and stft-257-12k; the paper's is MSD with Last.fm's tags.",
)
PARTS = (
    "labels",
    "ground-truth",
    "evaluation",
    "initialisation",
    "representation",
    "compression",
    "preprocessing",
    "label-vectors",
    "noise",
)
DEVIATIONS = (
    Deviation("bars", "The paper prints bars without their numbers: claims are compared instead of figures."),
    Deviation("table-3", "The first row of Table III holds 20 pairs: (katchy, pop) is a ghost of (catchy, pop)."),
    Deviation("training-labels", "The paper counts the labels of its training tracks; here all labelled tracks count."),
    Deviation(
        "recalls", "The text swaps the recalls of female vocalists and instrumental; the table, used here, is right."
    ),
    Deviation("rounding", "Table I truncates 36,048.72, prints 14.845 % as 14.9 and 252 of 400, 63.0 %, as 64.0."),
    Deviation(
        "ours", "Batch size, epochs, stopping and learning-rate drops are not published: those of k2c2 are ours."
    ),
    Deviation(
        "pools", "Table II's pools fit the 257 bins of the STFT; for 96 bands those of the authors' code are used."
    ),
    Deviation(
        "running", "Batch norm uses running statistics at test time; the authors' weights use those of the batch."
    ),
    Deviation("cosine", "The text says dot product for label vectors; the printed pairs are those of the cosine."),
    Deviation("new", "Not in the paper: labels of training and validation tracks are made wrong at a known rate."),
)
NETWORK = "k2c2"
_BASE = "ours pools running bars"


def parts(facts: Facts) -> list[StudyPart]:
    """The parts for a lake."""
    return [
        StudyPart("labels", more=partial(robustness_labels.together, facts)),
        StudyPart("ground-truth", more=robustness_labels.table_1),
        *_evaluation(facts),
        _initialisation(facts),
        _representation(facts),
        _compression(facts),
        _preprocessing(facts),
        StudyPart(
            "label-vectors",
            (_arm("Fig. 9", "network"),),
            more=partial(robustness_labels.vectors, facts),
            networks=robustness_labels.PUBLISHED,
        ),
        _noise(facts),
    ]


def _arm(table: str, row: str, *, notes: str = _BASE, **varied: Any) -> Arm:
    return Arm(table, row, TrainingCell(**{"model": NETWORK} | varied), notes=notes)


def _by_share(facts: Facts, table: str, name: str, *wanted: float, **varied: Any) -> list[Arm]:
    return [_arm(table, f"{name}, {share:.0%}", share=share, **varied) for share in facts.shares(*wanted)]


def _mel_and_stft(facts: Facts, table: str) -> tuple[list[Arm], list[Arm]]:
    wanted = {"full": (0.1, 0.2, 0.4, 0.64, 1.0), "middle": (0.25, 0.5, 1.0), "tiny": (0.7, 1.0)}[facts.size.name]
    return (
        _by_share(facts, table, "melspectrogram", *wanted),
        _by_share(facts, table, "STFT", *wanted, model="k2c2-stft"),
    )


def _evaluation(facts: Facts) -> list[StudyPart]:
    """The trainings of Fig. 5 evaluated twice; left out of the whole study if there are no annotations."""
    if facts.config.part == "all" and not facts.config.truth:
        try:
            robustness_labels.read_annotations(facts)
        except PhonolakeError as error:
            say(f"The part evaluation is left out: {error}, or name known labels with --truth.")
            return []
    elif facts.config.part == "evaluation" and not facts.config.truth:
        robustness_labels.read_annotations(facts)
    mel, stft = _mel_and_stft(facts, "Fig. 2")
    return [StudyPart("evaluation", (*mel, *stft), more=partial(robustness_labels.evaluation, facts))]


def _representation(facts: Facts) -> StudyPart:
    mel, stft = _mel_and_stft(facts, "Fig. 5")
    claims = [
        alike(
            f"Melspectrogram and STFT reach the same from {m.cell.share:.0%} of the training tracks on.",
            m,
            s,
            paper.NO_DIFFERENCE,
        )
        for m, s in zip(mel, stft, strict=True)
    ]
    claims.append(_slope("Each doubling of the training data adds to the AUC.", mel))
    return StudyPart("representation", (*mel, *stft), tuple(claims))


def _slope(text: str, arms: list[Arm]) -> Claim:
    """The claim that a figure grows with the logarithm of the share: its least-squares slope for a doubling."""
    doublings = np.log2([arm.cell.share for arm in arms])
    centred = doublings - doublings.mean()
    weights = centred / (centred**2).sum()
    return Claim(text, tuple(zip(arms, weights.tolist(), strict=True)))


def _initialisation(facts: Facts) -> StudyPart:
    return StudyPart("initialisation", (_arm("Fig. 4", "mean of the initialisations"),), more=_spread)


def _spread(evidence: Evidence) -> tuple[list[Row], list[ClaimRow]]:
    """Fig. 4: how far seeds alone move the AUC."""
    (cell,) = evidence.cells
    values = np.array(evidence.values(Arm("", "", cell)))
    n = len(values)
    if n < 2:
        return [], []
    std = float(values.std(ddof=1))
    figures = (
        ("standard deviation", paper.STD_OF_SEEDS, std),
        ("mean absolute error", paper.MEAN_ERROR_OF_SEEDS, float(np.abs(values - values.mean()).mean())),
        ("half the 95 % interval", paper.CI_OF_SEEDS, 1.96 * std / np.sqrt(n)),
    )
    rows = [
        Row("initialisation", "Fig. 4, right", name, NETWORK, "roc-auc", printed, **summarise([ours]), notes="ours")
        for name, printed, ours in figures
    ]
    # The spread of as many seeds, drawn from these again and again.
    rng = np.random.default_rng(0)
    drawn = np.ptp(values[rng.integers(n, size=(2000, n))], axis=1)
    spread = Estimate(float(np.ptp(values)), *(float(q) for q in np.quantile(drawn, (0.025, 0.975))))
    claim = ClaimRow(
        "initialisation",
        f"Other first weights move the AUC by no more than {paper.NO_DIFFERENCE}.",
        f"within {paper.NO_DIFFERENCE:g}",
        "roc-auc",
        spread.value,
        spread.low,
        spread.high,
        n,
        len(evidence.track_ids),
        judge(spread, "alike", paper.NO_DIFFERENCE),
        "",
    )
    return rows, [claim]


def _compression(facts: Facts) -> StudyPart:
    full = {
        magnitude: _arm("Fig. 7", f"{magnitude}, 100%", preprocessing=f"{magnitude}/bypass/x1")
        for magnitude in ("decibel", "linear")
    }
    half = _arm("Fig. 7", "decibel, 50%", preprocessing="decibel/bypass/x1", share=0.5)
    claims = (
        better("Decibels reach more than linear magnitudes.", full["decibel"], full["linear"]),
        better("Linear magnitudes cost more than half of the training data does.", half, full["linear"]),
    )
    return StudyPart("compression", (*full.values(), half), claims)


def _preprocessing(facts: Facts) -> StudyPart:
    arms = {name: _arm("Fig. 7", name, preprocessing=name) for name in preprocessing_grid()}
    if facts.size.name == "tiny":
        arms = {name: arm for name, arm in arms.items() if name.startswith("decibel") and "per" not in name}
    return StudyPart("preprocessing", tuple(arms.values()), tuple(_redundant(arms)))


def _redundant(arms: dict[str, Arm]) -> Iterator[Claim]:
    """Weights over frequency and a factor change nothing, with either magnitude."""
    for magnitude in ("decibel", "linear"):
        bypass = arms.get(f"{magnitude}/bypass/x1")
        for other in ("per-frequency/x1", "a-weighted/x1", "bypass/x10"):
            arm = arms.get(f"{magnitude}/{other}")
            if bypass and arm:
                text = f"Of {magnitude} magnitudes, {other} reaches the same as bypass/x1."
                yield alike(text, arm, bypass, paper.NO_DIFFERENCE)


def _noise(facts: Facts) -> StudyPart:
    rates = (0.1, 0.2, 0.4, 0.6) if facts.size.name != "tiny" else (0.2,)
    clean = _arm("noise", "labels as given", notes="new")
    kinds = ("missing", "false") if facts.many else ("false",)
    noisy = {
        (kind, rate): _arm("noise", f"{rate:.0%} {kind}", notes="new", **{kind: rate})
        for kind in kinds
        for rate in rates
    }
    floor = _arm("noise", "untrained network", notes="new", trained=False)
    claims = [
        Claim(
            f"With {rate:.0%} of the labels {kind}, more than half of what is above chance is left.",
            ((arm, 1.0), (clean, -0.5)),
            offset=-0.25,
        )
        for (kind, rate), arm in noisy.items()
    ]
    claims.append(better("Training adds to what the untrained network gives.", clean, floor))
    return StudyPart("noise", (clean, *noisy.values(), floor), tuple(claims))


GRID = grid.GridStudy(STUDY, ("msd",), PARTS, parts, DEVIATIONS)


def run(config: Config) -> Iterator[list[Row]]:
    """The rows of one table after the other; the errors are those of `grid.Session`."""
    return grid.Session(GRID, config).tables()


def of_matrix(part: str, matrix: LabelMatrix, data: str) -> tuple[list[Row], list[ClaimRow]]:
    """What of the study needs nothing but labels: no lake and no training.

    Raises
    ------
    UsageError
        For a part that needs more.
    """
    known = {
        "labels": lambda: robustness_labels.of_matrix(matrix, data),
        "ground-truth": robustness_labels.table_1,
        "label-vectors": lambda: robustness_labels.vectors_of_matrix(matrix, data),
    }
    if part != "all" and part not in known:
        raise UsageError(
            f"the part {part} trains networks, and a matrix of labels has no tracks: name a lake with --lake"
        )
    found = [ask() for name, ask in known.items() if part in (name, "all")]
    return [row for rows, _ in found for row in rows], [claim for _, claims in found for claim in claims]
