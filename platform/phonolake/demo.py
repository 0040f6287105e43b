"""The demo: every stage on a synthetic corpus, and the results beside the known truth."""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from phonolake.analysis.collection import neighbours
from phonolake.analysis.collection.neighbours import Neighbour
from phonolake.analysis.labels import noise_grading, noise_rates, noise_suspects
from phonolake.analysis.labels.noise_suspects import LabelSuspect
from phonolake.analysis.results import evaluation
from phonolake.analysis.results.evaluation import FigureOnTest
from phonolake.files import here
from phonolake.lookup import held_out
from phonolake.stages import crossval, ingest, pipeline, synthesize
from phonolake.store import query
from phonolake.store.lake import Lake
from phonolake.store.outcomes import Outcome
from phonolake.synthesis import fma

MUSIC, LAKE = "music", "lake"
SUSPECTS = 10


@dataclass(frozen=True, slots=True)
class Config:
    """Size and difficulty of the demo.

    Parameters
    ----------
    root : Path
        Folder for the corpus (``music``) and the lake (``lake``).
    corpus : synthesis.fma.Config
        What is synthesised.
    max_epochs : int
        Epochs of the network.
    pretrained : str, optional
        A tagger of the model home.
    """

    root: Path
    corpus: fma.Config
    max_epochs: int
    pretrained: str | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """The results of the demo.

    Parameters
    ----------
    outcomes : list of Outcome
        Counts of every stage.
    rejects : list of (reason, count, example)
    figures : list of Figure
        Test figures of the models, with chance.
    track_id : str
        Track whose `neighbours` are shown; `label` is its class.
    tags : list of (model, tag, probability)
        Tags by the pretrained tagger; empty without one.
    suspects : list of (LabelSuspect, bool)
        First suspects, and whether the label is truly wrong.
    n_planted : int
        Planted wrong labels among the ingested tracks.
    precision, chance : float
        Share of wrong labels among the first `n_planted` suspects, and among all tracks.
    """

    outcomes: list[Outcome]
    rejects: list[tuple[str, int, str]]
    figures: list[FigureOnTest]
    track_id: str
    label: str
    neighbours: list[Neighbour]
    tags: list[tuple[str, str, float]]
    suspects: list[tuple[LabelSuspect, bool]]
    n_planted: int
    precision: float
    chance: float


def run(config: Config) -> Summary:
    """Synthesise, run the pipeline, cross-validate for the label noise, and sum up."""
    root = here(config.root)
    music, lake_path = root / MUSIC, str(root / LAKE)
    tracks = synthesize.run(config.corpus, music)
    took_in = ingest.Config(lake_path, str(music), "fma")
    outcomes = pipeline.run(pipeline.Config(took_in, config.corpus.seed, config.max_epochs, config.pretrained))
    crossval.run(crossval.Config(lake_path, (pipeline.CLASSICAL,), seed=config.corpus.seed))
    lake = Lake.open(lake_path)
    wrong = {f"fma:{track.track_id:06d}" for track in tracks if track.mislabelled}
    with query.connect(lake) as connection:
        return _sum_up(lake, connection, outcomes, wrong, config.pretrained)


def _sum_up(
    lake: Lake,
    connection: duckdb.DuckDBPyConnection,
    outcomes: list[Outcome],
    wrong: set[str],
    pretrained: str | None,
) -> Summary:
    held = held_out.read_held_out(connection)
    ranked = [held.track_ids[n] for n, *_ in noise_suspects.rank(held)]
    found = noise_suspects.suspects(held, noise_rates.estimate(held), top=SUSPECTS)
    planted = wrong & set(ranked)
    trained = [o.run_id for o in outcomes if o.stage == "train" and o.run_id]
    rejects = connection.execute(
        "SELECT reason, count(*), min(track_id || ': ' || detail) FROM rejects GROUP BY reason ORDER BY reason"
    ).fetchall()
    track_id, label = connection.execute(
        "SELECT track_id, label FROM labels WHERE source = 'dataset' ORDER BY track_id LIMIT 1"
    ).fetchall()[0]
    return Summary(
        outcomes=outcomes,
        rejects=rejects,
        figures=evaluation.on_test(connection, trained),
        track_id=track_id,
        label=label,
        neighbours=neighbours.similar(lake, track_id, k=5),
        tags=connection.execute(
            "SELECT model, label, probability FROM top_tags($1, 5, $2) WHERE model = $2", [track_id, pretrained]
        ).fetchall(),
        suspects=[(suspect, suspect.track_id in wrong) for suspect in found],
        n_planted=len(planted),
        precision=noise_grading.precision_at([track_id in planted for track_id in ranked], len(planted)),
        chance=len(planted) / len(ranked),
    )
