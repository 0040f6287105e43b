"""The parts of the robustness study that ask tables of labels and finished trainings.

Shape suffixes: N tracks, L labels, K classes, D values of a label vector, B bootstrap samples.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from phonolake.analysis.labels import cooccurrence, evaluation_check, ground_truth, label_vectors, reannotation
from phonolake.analysis.labels.cooccurrence import LabelPair, PairCounts
from phonolake.analysis.labels.ground_truth import Checked
from phonolake.errors import PhonolakeError
from phonolake.lookup.label_matrix import LabelMatrix, check_some, read_labels
from phonolake.metrics.bootstrap import Estimate
from phonolake.metrics.intervals import wilson
from phonolake.models import home
from phonolake.store import catalog
from phonolake.studies import robustness_paper as paper
from phonolake.studies.contract import ClaimRow, Row, summarise
from phonolake.studies.evidence import Evidence, judge
from phonolake.studies.grid import Facts

Found = tuple[list[Row], list[ClaimRow]]

TOP = 20
N_BOOTSTRAP = 2_000
# What "close to 100 %" is taken to mean for labels of the same meaning.
CLOSE = 0.9
# Networks of the model home that learned the tags of MSD.
PUBLISHED = ("choi-msd", "musicnn-msd", "musicnn-vgg-msd")


def of_lake(facts: Facts) -> LabelMatrix:
    """The labels that are studied."""
    with catalog.connect(facts.lake) as connection:
        found = read_labels(connection, source=facts.config.labels, dataset=facts.dataset)
    check_some(found, facts.config.labels)
    return found


# -- labels ------------------------------------------------------------------------------------------------------------


def together(facts: Facts, _: Evidence) -> Found:
    """Table III, row 1, from the labels of a lake."""
    return of_matrix(of_lake(facts), "")


def of_matrix(matrix: LabelMatrix, data: str) -> Found:
    """Table III, row 1: the ordered pairs that co-occur most, the paper's with their rank here, or else our first."""
    both_LL = cooccurrence.cooccurrence_counts(matrix.Y_NL)
    counts = PairCounts(matrix.labels, both_LL, matrix.Y_NL.shape[0])
    ranked = cooccurrence.ranked_pairs(counts.labels, counts.pairs, counts.n_tracks)
    place = {(pair.label_i, pair.label_j): n for n, pair in enumerate(ranked, start=1)}
    known = {pair: n for n, pair in enumerate(paper.TOGETHER, start=1) if pair in place}
    rows = [_pair("rank", pair, printed, float(place[pair]), "table-3") for pair, printed in known.items()]
    rows += [
        _pair("C(i, j)", pair, share, ranked[place[pair] - 1].c, "training-labels")
        for pair, share in paper.SHARES.items()
        if pair in place
    ]
    if not known:
        rows = [_pair("C(i, j)", (p.label_i, p.label_j), None, p.c, "training-labels") for p in ranked[:TOP]]
    return rows, _claims_of_pairs(ranked, known, place, counts, data)


def _pair(metric: str, pair: tuple[str, str], printed: float | None, ours: float, notes: str) -> Row:
    what = f"{pair[0]} -> {pair[1]}"
    return Row("labels", "Table III, row 1", what, "-", metric, printed, **summarise([ours]), notes=notes)


def _claims_of_pairs(
    ranked: Sequence[LabelPair],
    known: dict[tuple[str, str], int],
    place: dict[tuple[str, str], int],
    counts: PairCounts,
    data: str,
) -> list[ClaimRow]:
    claims = []
    if known:
        n_common = sum(place[pair] <= TOP for pair in known)
        low, high = (float(end) - 0.5 for end in wilson(n_common, len(known)))
        text = f"Most of the paper's pairs are among the first {TOP} here: {n_common} of {len(known)}."
        share = Estimate(n_common / len(known) - 0.5, low, high)
        claims.append(_claim("labels", text, "share of the pairs above half", share, counts.n_tracks, data))
    if ranked:
        first = ranked[0]
        gap = Estimate(CLOSE - first.c, CLOSE - first.c_high, CLOSE - first.c_low)
        text = f"Even the pair that co-occurs most ({first.label_i} -> {first.label_j}) stays below {CLOSE:.0%}."
        claims.append(_claim("labels", text, "C(i, j)", gap, first.n_i, data))
    return claims


def _claim(part: str, text: str, metric: str, estimate: Estimate, n_tracks: int, data: str) -> ClaimRow:
    verdict = judge(estimate, "above")
    return ClaimRow(
        part, text, "above", metric, estimate.value, estimate.low, estimate.high, 1, n_tracks, verdict, data
    )


# -- ground truth ------------------------------------------------------------------------------------------------------


def ground_truth_of(label: str) -> tuple[ground_truth.Validation, ground_truth.SecondSample]:
    """One row of Table I, from the counts that it was made of."""
    (wrong, missed), n_given, _, n_second = paper.GROUND_TRUTH[label]
    checked = Checked(label, paper.N_OF_EACH, wrong, paper.N_OF_EACH, missed)
    found = ground_truth.validate(checked, n_given=n_given, n_tracks=paper.N_TRACKS)
    return found, ground_truth.check(found, n=paper.N_SECOND, n_positive=n_second)


def table_1(evidence: Evidence | None = None) -> Found:
    """Table I from its inputs: precision, recall and estimated counts; and the estimates against the second sample."""
    rows, claims = [], []
    for label, (_, _, printed, _) in paper.GROUND_TRUTH.items():
        found, second = ground_truth_of(label)
        ours = (found.precision, found.recall, found.n_estimated)
        for metric, theirs, value in zip(("precision", "recall", "tracks"), printed, ours, strict=True):
            figures = summarise([value])
            if metric == "tracks":
                figures |= {"low": found.n_bootstrap_low, "high": found.n_bootstrap_high}
            rows.append(Row("ground-truth", "Table I", label, "-", metric, theirs, **figures, notes="recalls rounding"))
        closer = _closer(label, found, second)
        text = f"The estimated share of {label} is closer to a second sample than the share that was given the label."
        claims.append(_claim("ground-truth", text, "share", closer, second.n, "msd, the paper's counts"))
    return rows, claims


def _closer(label: str, found: ground_truth.Validation, second: ground_truth.SecondSample) -> Estimate:
    """How much closer, with the interval over both samples."""
    rng = np.random.default_rng(0)
    plus_B = rng.binomial(found.n_positive, found.error_positive, N_BOOTSTRAP) / found.n_positive
    minus_B = rng.binomial(found.n_negative, found.error_negative, N_BOOTSTRAP) / found.n_negative
    given, rest = found.n_given / paper.N_TRACKS, 1 - found.n_given / paper.N_TRACKS
    estimate_B = given * (1 - plus_B) + rest * minus_B
    second_B = rng.binomial(second.n, second.share, N_BOOTSTRAP) / second.n
    gain_B = np.abs(found.share_given - second_B) - np.abs(estimate_B - second_B)
    gain = abs(found.share_given - second.share) - abs(found.share_estimated - second.share)
    return Estimate(gain, *(float(q) for q in np.quantile(gain_B, (0.025, 0.975))))


# -- evaluation --------------------------------------------------------------------------------------------------------


def read_annotations(facts: Facts) -> reannotation.Answers:
    """What people answered of the tracks that are studied; a `PhonolakeError` when nobody did."""
    with catalog.connect(facts.lake) as connection:
        return reannotation.read_answers(connection, source=facts.config.labels, dataset=facts.dataset)


def evaluation(facts: Facts, evidence: Evidence) -> Found:
    """Fig. 2: trainings measured by the given labels and by what people, or a truth that is known, say."""
    finished = {cell: run[0] for cell, runs in evidence.cells.items() for run in runs[:1]}
    first = next(iter(finished.values()))
    said = first.answers["test"]
    track_ids, labels = said.track_ids, first.classes
    given = of_lake(facts)
    given_NL = _laid_out(given, track_ids, labels)
    answer_NL = _answers(facts, track_ids, labels)
    scores = {_name(cell): one.answers["test"].P_NK for cell, one in finished.items() if one.classes == labels}
    found = evaluation_check.check(scores, labels, given_NL, answer_NL)
    printed = {"rho_1": float(np.mean(paper.RHO_1)), "rho_2": paper.RHO_2}
    rows, claims = [], []
    for rho in (found.rho_1, found.rho_2):
        figures: dict[str, Any] = {"ours": rho.value, "std": None, "low": rho.low, "high": rho.high, "n": rho.n_runs}
        rows.append(
            Row(
                "evaluation", "Fig. 2, correlations", rho.between, "-", rho.name, printed[rho.name], **figures, notes=""
            )
        )
        text = {
            "rho_1": "Noisy labels rank trainings in the same order as checked ones.",
            "rho_2": "The checked labels are representative of all.",
        }[rho.name]
        estimate = Estimate(rho.value, rho.low, rho.high)
        claims.append(_claim("evaluation", text, "correlation", estimate, found.n_tracks, ""))
    return rows, claims


def _name(cell: Any) -> str:
    return f"{cell.model} {cell.share:.0%}"


def _laid_out(matrix: LabelMatrix, track_ids: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    row = {track_id: n for n, track_id in enumerate(matrix.track_ids)}
    column = [matrix.labels.index(label) for label in labels]
    dense = matrix.Y_NL if isinstance(matrix.Y_NL, np.ndarray) else matrix.Y_NL.toarray()
    found_NL: np.ndarray = dense[np.ix_([row[track_id] for track_id in track_ids], column)]
    return found_NL.astype(int)


def _answers(facts: Facts, track_ids: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """What is known to be true, 0 or 1, NaN where nobody said: the labels of `truth`, else what people answered."""
    answer_NL = np.full((len(track_ids), len(labels)), np.nan)
    if facts.config.truth:
        with catalog.connect(facts.lake) as connection:
            true = read_labels(connection, source=facts.config.truth, dataset=facts.dataset)
        known = set(true.labels)
        columns = [k for k, label in enumerate(labels) if label in known]
        row = {track_id: n for n, track_id in enumerate(true.track_ids)}
        dense = true.Y_NL.toarray() if not isinstance(true.Y_NL, np.ndarray) else true.Y_NL
        for n, track_id in enumerate(track_ids):
            if track_id in row:
                answer_NL[n, columns] = dense[row[track_id], [true.labels.index(labels[k]) for k in columns]]
        return answer_NL
    answers = read_annotations(facts)
    place = {track_id: n for n, track_id in enumerate(track_ids)}
    for track_id, label, answer in zip(answers.track_id, answers.label, answers.answer, strict=True):
        if track_id in place and label in labels:
            answer_NL[place[track_id], labels.index(label)] = answer
    if np.isnan(answer_NL).all():
        raise PhonolakeError("none of the test tracks was annotated: draw some with `phonolake annotations sample`")
    return answer_NL


# -- label vectors -----------------------------------------------------------------------------------------------------


def vectors(facts: Facts, evidence: Evidence) -> Found:
    """Fig. 9 and Table III, row 2, of the trained networks and of published ones that are at hand."""
    (runs,) = evidence.cells.values()
    named = {f"seed {n}": (folds[0].classes, folds[0].label_vectors) for n, folds in enumerate(runs)}
    matrix = of_lake(facts)
    found = [_compared(name, classes, W, matrix, "") for name, (classes, W) in named.items() if W is not None]
    return _joined([*found, *_at_home(matrix, "")])


def vectors_of_matrix(matrix: LabelMatrix, data: str) -> Found:
    """The same of published networks alone."""
    return _joined(_at_home(matrix, data))


def _at_home(matrix: LabelMatrix, data: str) -> list[Found]:
    found = []
    for model in PUBLISHED:
        if home.has(model):
            classes, W_KD = label_vectors.label_vectors_at_home(model)
            if len(set(classes) & set(matrix.labels)) >= 3:
                found.append(_compared(f"{model}, as published", classes, W_KD, matrix, data))
    return found


def _joined(found: Sequence[Found]) -> Found:
    return [row for rows, _ in found for row in rows], [claim for _, claims in found for claim in claims]


def _compared(name: str, classes: Sequence[str], W_KD: np.ndarray, matrix: LabelMatrix, data: str) -> Found:
    """Rank correlation with co-occurrence, and how many of the first pairs agree."""
    if len(set(classes) & set(matrix.labels)) < 3:
        return [], []
    labels, S_KK, C_KK = label_vectors.common_labels(classes, label_vectors.label_vector_similarity(W_KD), matrix)
    rho = label_vectors.rank_correlation(S_KK, C_KK)
    top = min(TOP, len(labels) * (len(labels) - 1) // 4)
    compared = label_vectors.compare(labels, S_KK, C_KK)
    common = sum(pair.cooccurrence_rank <= top for pair in compared[:top])
    on_papers_tags = len(labels) == 50
    rows = [
        Row(
            "label-vectors",
            "Sec. V-A",
            f"{name}: {metric}",
            name,
            metric,
            printed if on_papers_tags else None,
            **summarise([value]),
            notes="cosine",
        )
        for metric, printed, value in (
            ("rank correlation", paper.RANK_CORRELATION, rho),
            (f"common of {top}", paper.COMMON_OF_20, float(common)),
        )
    ]
    text = f"Labels with similar vectors occur together ({name})."
    estimate = Estimate(rho, *_over_labels(S_KK, C_KK))
    return rows, [_claim("label-vectors", text, "rank correlation", estimate, matrix.Y_NL.shape[0], data)]


def _over_labels(S_KK: np.ndarray, C_KK: np.ndarray, n_draws: int = 200) -> tuple[float, float]:
    """The interval of the rank correlation when labels are drawn with replacement; pairs of one label do not count."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(n_draws):
        drawn = np.unique(rng.integers(len(S_KK), size=len(S_KK)))
        if len(drawn) >= 3:
            found.append(label_vectors.rank_correlation(S_KK[np.ix_(drawn, drawn)], C_KK[np.ix_(drawn, drawn)]))
    known = np.array(found)[~np.isnan(found)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, (0.025, 0.975))
    return float(low), float(high)
