"""Networks over waveforms: Lee et al.'s family by depth and length, their frame-level baselines, and their cost."""

from collections.abc import Iterator

import numpy as np

from phonolake.metrics.bootstrap import Estimate
from phonolake.models import registry
from phonolake.models.cost import Cost, cost
from phonolake.models.sample_level import SHAPES, NetworkShape
from phonolake.studies import grid
from phonolake.studies import sample_level_paper as paper
from phonolake.studies.cells import TrainingCell
from phonolake.studies.contract import ClaimRow, Deviation, Row, StudyCard, summarise
from phonolake.studies.evidence import Arm, Claim, Evidence, alike, better, judge
from phonolake.studies.grid import Config, Facts, StudyPart

STUDY = StudyCard(
    name="sample-level",
    paper=paper.PAPER,
    summary="DCNNs whose first filters have 2 to 729 samples, beside mel spectrograms; with time and memory.",
    needs="A lake with audio and a split, for the baseline mel-128-22k-729; the paper's are MagnaTagATune and MSD.",
)
PARTS = ("parameters", "depth", "input", "datasets", "cost", "filters")
DEVIATIONS = (
    Deviation(
        "widths", "Widths are published for 3^9 only; other depths take the last of them, or more of 128 in front."
    ),
    Deviation("counted", "Table 1 counts convolutions and the dense layer, 1,863,986, and no batch norm."),
    Deviation("mel-hops", "Of the mel baselines the one with a hop of 729 samples is here; the paper has four more."),
    Deviation(
        "segments", "A track's answer is the mean over its windows; the figure of single windows stands beside it."
    ),
    Deviation("seconds", "On this machine, one core, from decoding to the mean over the windows of a track."),
    Deviation("margin", "The paper gives no interval: 0.005 of ROC-AUC is taken for no difference."),
)
NO_DIFFERENCE = 0.005
N_TAGS, STEPS = 50, 30


def parts(facts: Facts) -> list[StudyPart]:
    """The parts for a lake."""
    depth = _depth(facts)
    return [
        StudyPart("parameters", more=_parameters),
        StudyPart("depth", tuple(arm for arms in depth.values() for arm in arms), tuple(_deeper(depth))),
        _input(facts),
        StudyPart("datasets", (_arm(_papers(), "Table 4", paper.DATASETS.get(facts.dataset)),))
        if _full(facts)
        else _smallest(facts),
        _cost(depth),
        StudyPart("filters", (_listening(facts),), more=_filters),
    ]


def _full(facts: Facts) -> bool:
    return facts.size.name == "full"


def _papers() -> NetworkShape:
    """The network of Tables 1 and 4: 3^9."""
    return SHAPES["sample-3-9"]


def _arm(shape: NetworkShape, table: str, printed: float | None, metric: str = "roc-auc") -> Arm:
    row = f"{shape.m}^{shape.n}, {shape.n_samples:,} samples, first filter of {shape.window}"
    return Arm(table, row, TrainingCell(shape.name), metric, printed, notes="widths segments margin")


def _depth(facts: Facts) -> dict[tuple[int, int], list[Arm]]:
    """Table 2, by m and length of the input; a part of it in smaller sizes."""
    by_size: dict[str, dict[tuple[int, int], tuple[int, ...]]] = {
        "full": {key: tuple(range(len(values))) for key, values in paper.DEPTH.items()},
        "middle": {(3, 19_683): (0, 1, 2)},
        "tiny": {(3, 19_683): (0,)},
    }
    found: dict[tuple[int, int], list[Arm]] = {}
    for (m, n_samples), steps in by_size[facts.size.name].items():
        family = sorted((s for s in _table_2() if (s.m, s.n_samples) == (m, n_samples)), key=lambda s: s.n)
        found[m, n_samples] = [_arm(family[k], "Table 2", paper.DEPTH[m, n_samples][k]) for k in steps]
    return found


def _table_2() -> list[NetworkShape]:
    return [shape for shape in SHAPES.values() if shape.window == shape.hop]


def _deeper(depth: dict[tuple[int, int], list[Arm]]) -> Iterator[Claim]:
    for (m, n_samples), arms in depth.items():
        if len(arms) > 1:
            yield better(f"Of {m}^n over {n_samples:,} samples the deepest reaches most.", arms[-1], arms[0])


def _input(facts: Facts) -> StudyPart:
    if facts.size.name == "tiny":
        return StudyPart("input")
    raw = {
        key: shape
        for shape in SHAPES.values()
        if (key := ("raw", shape.window, shape.hop)) in paper.INPUT and shape.m == 3
    }
    if not _full(facts):
        raw = {key: raw[key] for key in (("raw", 729, 729), ("raw", 81, 81))}
    longest = {
        key: max((s for s in SHAPES.values() if (s.m, s.window, s.hop) == (3, *key[1:])), key=lambda s: s.n)
        for key in raw
    }
    arms = {key: _arm(shape, "Table 3", paper.INPUT[key]) for key, shape in longest.items()}
    mel = Arm(
        "Table 3",
        "mel, window and hop of 729",
        TrainingCell("frame-mel-729"),
        paper=paper.INPUT["mel", 729, 729],
        notes="mel-hops",
    )
    finest, coarsest = min(arms, key=lambda key: key[2]), ("raw", 729, 729)
    claims = (
        better("Filters of a few samples reach more than filters of a frame.", arms[finest], arms[coarsest]),
        alike("The finest filters reach what the mel spectrogram does.", arms[finest], mel, NO_DIFFERENCE),
    )
    return StudyPart("input", (*arms.values(), mel), claims)


def _smallest(facts: Facts) -> StudyPart:
    """Instead of 3^9 the cheapest network of the family."""
    return StudyPart("datasets", (_arm(_cheapest(), "Table 4", None),))


def _cheapest() -> NetworkShape:
    return min(_table_2(), key=lambda shape: shape.n_samples / shape.hop)


def _cost(depth: dict[tuple[int, int], list[Arm]]) -> StudyPart:
    arms = [
        Arm("cost", arm.row, arm.cell, "seconds-per-track", notes="seconds")
        for found in depth.values()
        for arm in found
    ]
    return StudyPart("cost", tuple(arms), more=_memory)


def _memory(evidence: Evidence) -> tuple[list[Row], list[ClaimRow]]:
    """Values that a network holds for one window, and the figure of single windows beside that of whole tracks."""
    rows = []
    for cell, runs in evidence.cells.items():
        held = _cost_of(SHAPES[cell.model]).activation_bytes / 2**20
        rows.append(
            Row("cost", "memory", cell.model, cell.model, "MiB per window", None, **summarise([held]), notes="seconds")
        )
        single = [folds[0].figures["segment-roc-auc"] for folds in runs if "segment-roc-auc" in folds[0].figures]
        if single:
            rows.append(
                Row(
                    "cost",
                    "segments",
                    cell.model,
                    cell.model,
                    "roc-auc of windows",
                    None,
                    **summarise(single),
                    notes="segments",
                )
            )
    return rows, []


def _cost_of(shape: NetworkShape) -> Cost:
    network = registry.get(shape.name).build(N_TAGS, n_frames=shape.n_samples, seed=0)
    return cost(network, np.zeros((1, shape.n_samples), np.float32))


def _parameters(_: Evidence) -> tuple[list[Row], list[ClaimRow]]:
    """Table 1."""
    found = _cost_of(_papers())
    return [
        Row(
            "parameters",
            "Table 1",
            "3^9, 50 tags",
            "sample-3-9",
            "parameters",
            paper.PARAMETERS,
            **summarise([float(n)]),
            notes="counted",
        )
        for n in (found.in_weights,)
    ], []


def _listening(facts: Facts) -> Arm:
    shape = _papers() if _full(facts) else _cheapest()
    steps = STEPS if _full(facts) else 3
    return Arm(
        "Fig. 2", "first layer, median peak", TrainingCell(shape.name, listen=steps), "layer-1-peak-50", notes="widths"
    )


def _filters(evidence: Evidence) -> tuple[list[Row], list[ClaimRow]]:
    """Fig. 2: peaks of the filters, layer by layer."""
    ((cell, runs),) = evidence.cells.items()
    names = [name for name in runs[0][0].figures if name.startswith("layer-")]
    rows = [
        Row(
            "filters",
            "Fig. 2, peaks in hertz",
            name,
            cell.model,
            "hertz",
            None,
            **summarise([folds[0].figures[name] for folds in runs]),
            notes="widths",
        )
        for name in names
    ]
    last = max(int(name.split("-")[1]) for name in names)
    gain = np.array([folds[0].figures["layer-1-peak-50"] - folds[0].figures[f"layer-{last}-peak-50"] for folds in runs])
    half = 1.96 * gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else float("nan")
    estimate = Estimate(float(gain.mean()), float(gain.mean() - half), float(gain.mean() + half))
    text = "Filters for low frequencies become more visible along the layers."
    claim = ClaimRow(
        "filters",
        text,
        "above",
        "hertz, first less last layer",
        estimate.value,
        estimate.low,
        estimate.high,
        len(runs),
        len(evidence.track_ids),
        judge(estimate, "above"),
        "",
    )
    return rows, [claim]


GRID = grid.GridStudy(STUDY, ("magnatagatune", "msd"), PARTS, parts, DEVIATIONS)


def run(config: Config) -> Iterator[list[Row]]:
    """The rows of one table after the other; the errors are those of `grid.Session`."""
    return grid.Session(GRID, config).tables()
