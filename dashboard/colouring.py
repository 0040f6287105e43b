"""What tracks on a map are coloured by: labels, predictions, how far labels are doubted, parts of splits, any number.

Shape suffixes: N tracks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import charts
import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from frame import name as shown
from matplotlib.colors import LinearSegmentedColormap, to_hex

from phonolake.analysis.collection import overview
from phonolake.analysis.labels import noise_suspects
from phonolake.analysis.results import trainings
from phonolake.analysis.results.trainings import Training
from phonolake.errors import unknown
from phonolake.lookup import held_out, measures

# Before the colon of a name; after it stands the source, the run or the split.
LABEL, PREDICTION, SPLIT = "label", "prediction", "split"
DOUBT = "doubt"
DATASET = "dataset"
OTHER = "other"
# Of several labels of a track the commonest counts; of several folds of a model the one that held the track out.
GROUPED = {
    LABEL: "WITH said AS (SELECT track_id, label FROM labels WHERE value = 1 AND source = $1), "
    "counts AS (SELECT label, count(*) AS n FROM said GROUP BY label) "
    "SELECT track_id, max_by(label, (n, label)) AS value "
    "FROM said SEMI JOIN coloured USING (track_id) JOIN counts USING (label) GROUP BY track_id",
    PREDICTION: "SELECT track_id, max_by(label, (coalesce(part = 'test', false), probability, label)) AS value "
    "FROM predictions SEMI JOIN coloured USING (track_id) WHERE list_contains($1, run_id) GROUP BY track_id",
    SPLIT: "SELECT track_id, any_value(coalesce(part, 'fold ' || fold)) AS value "
    "FROM splits SEMI JOIN coloured USING (track_id) WHERE split = $1 GROUP BY track_id",
}
LACKING = {LABEL: "no label", PREDICTION: "no prediction", SPLIT: "not in the split"}
NO_NUMBER = "no number"
N_SHADES = 32
# Percent of the numbers that lie beyond each end of the scale: one odd track would leave one colour to all others.
BEYOND = 1


@dataclass(frozen=True, slots=True)
class Colouring:
    """Colours of some tracks.

    Parameters
    ----------
    codes : ndarray of uint8, shape (N,)
        Place of the colour of each track in `colors`; what has a lower one is drawn above.
    which : ndarray of int32, shape (N,)
        Place of what is told of each track in `said`.
    said : tuple of str
        What is told of tracks, each once.
    colors : tuple of str
        As ``#rrggbb``.
    names : tuple of str
        What the colours mean: one for each, or for a scale of numbers the last alone, that of tracks without a number.
    ends : tuple of (str, str), optional
        Lowest and highest number of the scale.
    """

    codes: np.ndarray
    which: np.ndarray
    said: tuple[str, ...]
    colors: tuple[str, ...]
    names: tuple[str, ...]
    ends: tuple[str, str] | None = None

    def of(self, numbers: Sequence[int]) -> "Colouring":
        """The same colours of some of the tracks."""
        return replace(self, codes=self.codes[list(numbers)], which=self.which[list(numbers)])


def offered(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """What tracks of a lake can be coloured by: names, as `of` takes them, with what people read.

    Of models those are offered that predicted labels, the best first.
    """
    sources = overview.label_sources(connection)
    found = {f"{LABEL}:{source}": "Label" if source == DATASET else f"Label ({source})" for source in sources}
    for run_id, training in _predictors(connection).items():
        found[f"{PREDICTION}:{run_id}"] = f"Predicted label ({training.model}, {training.input})"
    if DATASET in sources and connection.execute("FROM predictions WHERE part = 'test' LIMIT 1").fetchall():
        found[DOUBT] = "Label doubt (0 to 1)"
    splits = connection.execute("SELECT DISTINCT split FROM splits ORDER BY split").fetchall()
    found |= {f"{SPLIT}:{split}": f"Split ({split})" for (split,) in splits}
    return found | {measure.name: measure.title for measure in measures.measures(connection).values()}


def of(connection: duckdb.DuckDBPyConnection, name: str, track_ids: Sequence[str], titles: dict[str, str]) -> Colouring:
    """Colours of tracks by what `name` stands for.

    The doubt of a track is that of its most doubtful label of the dataset, by the models that held it out.

    Parameters
    ----------
    titles : dict of str to str
        What the lake offers, by `offered`.

    Raises
    ------
    UsageError
        For a name that is not offered.
    PhonolakeError
        If no labelled track was held out, where doubt is asked for.
    """
    if name not in titles:
        raise unknown("colour", name, titles)
    kind, _, which = name.partition(":")
    if kind == PREDICTION:
        which = list(_predictors(connection)[which].run_ids)
    if kind in GROUPED:
        return by_group(_read(connection, GROUPED[kind], [which], track_ids), lacking=LACKING[kind])
    if name == DOUBT:
        held = held_out.read_held_out(connection)
        doubts = pa.array(noise_suspects.track_doubts(held.Y_NL, held.P_NL))
        numbers = doubts.take(pc.index_in(pa.array(track_ids, pa.string()), value_set=pa.array(held.track_ids)))
    else:
        means = (
            f"SELECT track_id, avg(value)::DOUBLE AS value FROM ({measures.find(connection, name).sql}) "
            "SEMI JOIN coloured USING (track_id) WHERE isfinite(value) GROUP BY track_id"
        )
        numbers = _read(connection, means, [], track_ids)
    return by_number(titles[name], numbers.to_numpy(zero_copy_only=False).astype(float))


def _predictors(connection: duckdb.DuckDBPyConnection) -> dict[str, Training]:
    """Trainings that predicted labels, the best first, by the first of their runs."""
    predicted = {run_id for (run_id,) in connection.execute("SELECT DISTINCT run_id FROM predictions").fetchall()}
    return {one.run_ids[0]: one for one in trainings.trainings(connection) if predicted.intersection(one.run_ids)}


def _read(connection: duckdb.DuckDBPyConnection, sql: str, parameters: list, track_ids: Sequence[str]) -> pa.Array:
    """Column `value` of a SELECT from `coloured` and more: for each track, null where there is none."""
    ids = pa.array(track_ids, pa.string())
    connection.register("coloured", pa.table({"track_id": ids}))
    found = connection.sql(sql, params=parameters).to_arrow_table().combine_chunks()
    connection.unregister("coloured")
    return found["value"].combine_chunks().take(pc.index_in(ids, value_set=found["track_id"].combine_chunks()))


def by_group(groups: pa.Array, *, lacking: str) -> Colouring:
    """A colour for each of the commonest groups, and one for all others.

    Parameters
    ----------
    groups : Array of str
        Null for a track without a group.
    lacking : str
        What is told of such a track.
    """
    found = groups.dictionary_encode()
    every = found.dictionary.to_pylist()
    index = pc.fill_null(found.indices, len(every)).to_numpy()
    common = np.argsort(-np.bincount(index, minlength=len(every))[: len(every)], kind="stable")[: len(charts.POINTS)]
    codes = np.full(len(every) + 1, len(common), np.uint8)
    codes[common], codes[-1] = np.arange(len(common)), len(common) + 1
    told = [*map(shown, every), lacking]
    names = (*(told[k] for k in common), OTHER, lacking)
    colors = (*charts.POINTS[: len(common)], charts.PALE, charts.PALE)
    return Colouring(codes[index], index.astype(np.int32), tuple(told), colors, names)


def by_number(title: str, number_N: np.ndarray) -> Colouring:
    """Shades from the lowest to the highest number, the highest above; NaN is no number.

    The scale leaves out one in a hundred at each end, which share the colours of its ends.
    """
    known_N = number_N[~np.isnan(number_N)]
    low, high = _ends(known_N) if len(known_N) else (0.0, 0.0)
    with np.errstate(invalid="ignore"):
        place_N = np.clip((number_N - low) / ((high - low) or 1.0), 0, 1)
    code_N = np.where(np.isnan(number_N), N_SHADES, np.round((1 - place_N) * (N_SHADES - 1)))
    value_M, which_N = np.unique(number_N, return_inverse=True)
    told = [NO_NUMBER if value != value else f"{title} {_written(value)}" for value in value_M.tolist()]
    said = pa.array(told, pa.string()).dictionary_encode()
    shades = LinearSegmentedColormap.from_list("numbers", charts.NUMBERS)(np.linspace(1, 0, N_SHADES))
    least, most = (known_N.min(), known_N.max()) if len(known_N) else (low, high)
    ends = ("≤ " * bool(least < low) + _written(low), "≥ " * bool(most > high) + _written(high))
    return Colouring(
        code_N.astype(np.uint8),
        said.indices.to_numpy()[which_N],
        tuple(said.dictionary.to_pylist()),
        (*map(to_hex, shades), charts.PALE),
        (NO_NUMBER,),
        ends if len(known_N) else None,
    )


def _ends(number_N: np.ndarray) -> tuple[float, float]:
    """Two of the numbers, which are the lowest and the highest where they are few."""
    low, high = (np.percentile(number_N, p, method=m) for p, m in ((BEYOND, "lower"), (100 - BEYOND, "higher")))
    return float(low), float(high)


def _written(number: float) -> str:
    """With a few digits, and years as years."""
    return f"{number:.0f}" if abs(number) >= 1000 or number == round(number) else f"{number:.3g}"
