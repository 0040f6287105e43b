"""Which labels a network hears when in a track of a lake."""

from dataclasses import dataclass

import duckdb

from phonolake.errors import PhonolakeError
from phonolake.inference.predictor import Predictor
from phonolake.inference.series_inputs import SeriesInput
from phonolake.inference.taggram import Taggram, taggram
from phonolake.lookup import runs
from phonolake.lookup.runs import ModelRun
from phonolake.models import registry
from phonolake.models.registry import NetworkCard
from phonolake.store import trained
from phonolake.store.lake import Lake


@dataclass(frozen=True, slots=True)
class TrackTaggram:
    """A taggram, and the run whose network it is of."""

    run_id: str
    model: str
    taggram: Taggram


def of_track(
    lake: Lake, connection: duckdb.DuckDBPyConnection, track_id: str, *, model_or_run: str | None = None
) -> TrackTaggram:
    """Ask the newest network with labels, or the one that is named, about a track piece by piece.

    Raises
    ------
    UsageError
        For a name that no such network has, or an unknown track.
    PhonolakeError
        When no network was trained, or the track lacks what it reads.
    """

    def able(run: ModelRun) -> bool:
        return bool(run.labels) and run.has_weights and isinstance(registry.get(run.architecture).CARD, NetworkCard)

    run = runs.find(runs.model_runs(connection), model_or_run, what="network or run", among=able)
    if run is None:
        raise PhonolakeError("labels over time come from a network, and none was trained: `phonolake train k2c2`")
    predictor = Predictor.load(trained.weights(lake.place, run.run_id))
    assert isinstance(predictor.input, SeriesInput)
    return TrackTaggram(run.run_id, run.model, taggram(predictor, predictor.input.of_track(connection, track_id)))
