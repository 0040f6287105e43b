"""Networks whose weights are never trained as feature extractors: Pons and Serra's comparison of front ends.

Each cell chooses the settings of a classifier over one draw of one front end, by both protocols of `searches`.
"""

import warnings
from collections.abc import Iterator
from functools import partial
from itertools import product

import numpy as np

from phonolake.errors import PhonolakeError, UsageError
from phonolake.lookup import runs as known_runs
from phonolake.progress import say
from phonolake.store import catalog
from phonolake.studies import grid
from phonolake.studies import random_networks_paper as paper
from phonolake.studies.cells import TrainingCell
from phonolake.studies.contract import ClaimRow, Deviation, Row, StudyCard, summarise
from phonolake.studies.evidence import Arm, Claim, Evidence, better
from phonolake.studies.grid import Config, Facts, StudyPart
from phonolake.studies.searches import BEST, NESTED

STUDY = StudyCard(
    name="random-networks",
    paper=paper.PAPER,
    summary="Front ends of CNNs with random weights, before an SVM and an extreme learning machine.",
    needs="A lake with one class a track, a split, mfcc-120, and random-*-small (-large) with its -draw-1 and -draw-2.",
)
PARTS = ("small", "large", "optimism", "slip", "trained", "reference")
DEVIATIONS = (
    Deviation("sizes", "Lengths of about 120 are 112, 160 or 161; about 3,500 are 3,584 or 3,585."),
    Deviation("best", "As published: the best of the grid by the tracks that it is measured on."),
    Deviation(
        "nested", "Settings are chosen for each fold by the next one (of a fixed split, by its validation part)."
    ),
    Deviation(
        "slip-published", "As published: the back end of frame-level networks gives one number a layer, and zeros."
    ),
    Deviation("slip-mended", "The back end of frame-level networks gives the mean of each map, as the text says."),
    Deviation("t-tests", "The paper's t-tests over three runs see the chance of the weights, not that of the tracks."),
    Deviation("repeated", "Clips shorter than 29 s are repeated: log-mel frames, or samples."),
)
MACHINES = {"svm-unscaled": "SVM", "elm": "ELM"}
BASELINE = "mfcc-120"
WAVEFORMS = ("sample-level", "frame-level-many-as-published", "frame-level-as-published")
SPECTROGRAMS = ("7x96", "7x86", "vgg", "timbral", "temporal", "timbral-temporal", "timbral-time")
SOUNDS = ("urbansound8k", "esc10", "esc50")
# What is left out on a dataset, in the paper.
LEFT_OUT = {
    "urbansound8k": ("temporal", "timbral-temporal"),
    "gtzan": ("timbral-time",),
    "extended-ballroom": ("timbral-time",),
}
Arms = dict[tuple[str, str, str], Arm]


def parts(facts: Facts) -> list[StudyPart]:
    """The parts for a lake.

    Raises
    ------
    UsageError
        Where a track has several labels.
    """
    if facts.many:
        raise UsageError(f"random-networks tells classes apart, and tracks of {facts.dataset} have several labels")
    return [
        _size(facts, "small"),
        *_wanted(facts, "large"),
        _optimism(facts),
        *_slip(facts),
        StudyPart(
            "trained",
            (Arm("ceiling", "k2c2, trained", TrainingCell("k2c2"), "accuracy", paper.TRAINED.get(facts.dataset)),),
        ),
        *_reference(facts),
    ]


def front_ends(facts: Facts) -> tuple[str, ...]:
    """Those that the paper runs on a dataset; all of them on another."""
    if facts.size.name == "tiny":
        return ("7x96", "7x86")
    return tuple(f for f in (*WAVEFORMS, *SPECTROGRAMS) if f not in LEFT_OUT.get(facts.dataset, ()))


def _arm(facts: Facts, table: str, machine: str, features: str, protocol: str) -> Arm:
    row = features.removeprefix("random-").removesuffix("-small").removesuffix("-large")
    printed = paper.ACCURACY.get((facts.dataset, features)) if machine == "svm-unscaled" else None
    notes = f"{'best' if protocol == BEST else 'nested'} sizes repeated"
    if "frame-level" in features:
        notes += " slip-published" if "as-published" in features else " slip-mended"
    cell = TrainingCell(machine, input=f"features:{features}", search=True)
    return Arm(f"{table}, {MACHINES[machine]}, {protocol}", row, cell, "accuracy", printed, protocol, notes)


def _arms(facts: Facts, size: str) -> Arms:
    features = [BASELINE, *(f"random-{front}-{size}" for front in front_ends(facts))]
    return {
        (machine, protocol, name): _arm(facts, size, machine, name, protocol)
        for machine, protocol, name in product(MACHINES, (BEST, NESTED), features)
    }


def _size(facts: Facts, size: str) -> StudyPart:
    arms = _arms(facts, size)
    return StudyPart(size, tuple(arms.values()), tuple(_claims(facts, arms, size)), partial(_t_tests, size, arms))


def _wanted(facts: Facts, size: str) -> list[StudyPart]:
    """A part whose features cost hours: with the whole study it is left out where they are not there."""
    if facts.size.name == "tiny" and facts.config.part == "all":
        return []
    if facts.config.part == "all":
        try:
            for front in front_ends(facts):
                _published(facts, f"random-{front}-{size}")
        except PhonolakeError as error:
            say(f"The part {size} is left out: {error}.")
            return []
    return [_size(facts, size)]


def _published(facts: Facts, features: str) -> None:
    from phonolake.inference import inputs

    inputs.vectors(f"features:{features}").files(facts.lake)


def _pairs(facts: Facts) -> list[tuple[str, str, str]]:
    """What the paper says of two front ends: text, the better one, the other."""
    said = [
        ("sample-level reaches more than frame-level many-shapes", "sample-level", "frame-level-many-as-published"),
        (
            "frame-level many-shapes reaches more than frame-level",
            "frame-level-many-as-published",
            "frame-level-as-published",
        ),
        ("7x86 reaches more than 7x96", "7x86", "7x96"),
        ("VGG reaches more than MFCCs", "vgg", BASELINE),
    ]
    if facts.dataset in SOUNDS:
        said.append(("VGG reaches more than timbral and time", "vgg", "timbral-time"))
    else:
        said += [
            ("temporal reaches more than timbral and temporal", "temporal", "timbral-temporal"),
            ("timbral and temporal reaches more than MFCCs", "timbral-temporal", BASELINE),
        ]
    known = (*front_ends(facts), BASELINE)
    return [pair for pair in said if pair[1] in known and pair[2] in known]


def _claims(facts: Facts, arms: Arms, size: str) -> Iterator[Claim]:
    for machine, (text, first, second) in product(MACHINES, _pairs(facts)):
        a, b = (arms[machine, NESTED, _features(name, size)] for name in (first, second))
        yield better(f"{text[0].upper()}{text[1:]} ({MACHINES[machine]}, {size}).", a, b)


def _features(front: str, size: str) -> str:
    return front if front == BASELINE else f"random-{front}-{size}"


def _t_tests(size: str, arms: Arms, evidence: Evidence) -> tuple[list[Row], list[ClaimRow]]:
    """The paper's t-tests over draws, and the same corrected for their number (Holm)."""
    from scipy.stats import ttest_ind

    tested = []
    for machine in MACHINES:
        fronts = {name: arm for (m, protocol, name), arm in arms.items() if (m, protocol) == (machine, BEST)}
        baseline = evidence.values(fronts[BASELINE])
        for name, arm in fronts.items():
            values = evidence.values(arm)
            if name != BASELINE and len(values) > 1 and np.ptp([*values, *baseline]) > 0:
                with warnings.catch_warnings():
                    # An SVM on MFCCs, which nothing draws, has no variance; SciPy warns of a loss of precision.
                    warnings.simplefilter("ignore", RuntimeWarning)
                    tested.append((machine, arm.row, float(ttest_ind(values, baseline).pvalue)))
    rows = []
    order = sorted(range(len(tested)), key=lambda n: tested[n][2])
    corrected, highest = {}, 0.0
    for place, n in enumerate(order):
        highest = max(highest, min(1.0, tested[n][2] * (len(tested) - place)))
        corrected[n] = highest
    plain = {n: p for n, (*_, p) in enumerate(tested)}
    for metric, p_values in (("p", plain), ("p, Holm", corrected)):
        for n, (machine, row, _) in enumerate(tested):
            what = f"{row} against MFCCs, {MACHINES[machine]}"
            figures = summarise([p_values[n]])
            rows.append(Row(size, "t-tests", what, machine, metric, None, **figures, notes="t-tests best"))
    return rows, []


def _optimism(facts: Facts) -> StudyPart:
    """What it adds to choose settings by the tracks that one is measured on."""
    arms = _arms(facts, "small")
    n_features = len(front_ends(facts)) + 1
    claims = tuple(
        Claim(
            f"The best of the grid promises more than settings chosen by other tracks reach ({MACHINES[machine]}).",
            tuple(
                (arm, (1.0 if protocol == BEST else -1.0) / n_features)
                for (m, protocol, _), arm in arms.items()
                if m == machine
            ),
        )
        for machine in MACHINES
    )
    return StudyPart("optimism", tuple(arms.values()), claims)


def _slip(facts: Facts) -> list[StudyPart]:
    """Frame-level networks with the means of all maps, beside the published form."""
    if facts.size.name == "tiny":
        return []
    arms, claims = [], []
    for machine, front in product(MACHINES, ("frame-level", "frame-level-many")):
        pair = [_arm(facts, "slip", machine, f"random-{front}{form}-small", NESTED) for form in ("", "-as-published")]
        arms += pair
        claims.append(better(f"{front} reaches more with the mean of every map ({MACHINES[machine]}).", *pair))
    return [StudyPart("slip", tuple(arms), tuple(claims))]


def _reference(facts: Facts) -> list[StudyPart]:
    """Embeddings of a pretrained tagger, where the lake has some."""
    with catalog.connect(facts.lake) as connection:
        taggers = [run.model for run in known_runs.with_embeddings(connection) if run.model.startswith("musicnn")]
    if not taggers:
        if facts.config.part == "reference":
            raise PhonolakeError("the lake has no embeddings of a musicnn tagger: run `phonolake run --pretrained`")
        return []
    cell = TrainingCell("logistic-regression", input=f"embeddings:{taggers[0]}")
    return [StudyPart("reference", (Arm("today", f"{taggers[0]}, pretrained", cell, "accuracy"),))]


GRID = grid.GridStudy(STUDY, ("gtzan", "extended-ballroom", "urbansound8k"), PARTS, parts, DEVIATIONS)


def run(config: Config) -> Iterator[list[Row]]:
    """The rows of one table after the other; the errors are those of `grid.Session`."""
    return grid.Session(GRID, config).tables()
