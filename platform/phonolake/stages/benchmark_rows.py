"""The rows of a benchmark: every set of frozen vectors that a lake has or can make, and baselines without vectors."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from phonolake.errors import PhonolakeError, UsageError, unknown
from phonolake.features import contract
from phonolake.inference import inputs
from phonolake.inference.extractors import feature_set
from phonolake.inference.products import product
from phonolake.inference.vector_inputs import Embeddings, Features
from phonolake.lookup import licences, runs
from phonolake.models import home, onnx_network, registry, storage
from phonolake.models.registry import NetworkCard
from phonolake.records import TRAIN, VALID
from phonolake.store import catalog, trained
from phonolake.store.lake import Lake
from phonolake.store.schema import features_table

# Vectors of a network of the model home, and of an untrained network.
HOME, UNTRAINED = "home", "untrained"
PRIOR, CHANCE = "prior", "chance"
WITHOUT_VECTORS = (PRIOR, CHANCE)
# Fields of a network's card that an untrained one shares.
SHAPE = ("model", "build", "input", "preprocessing", "windows", "classes", "activation")


@dataclass(frozen=True, slots=True)
class Representation:
    """One representation of tracks by vectors.

    Parameters
    ----------
    text : str
        ``features:NAME``, ``embeddings:RUN_ID``, ``home:MODEL``, ``untrained:MODEL``; ``prior`` or ``chance``.
    name : str
        Its name in tables.
    card : str
        JSON of the card of a network that the benchmark runs itself; otherwise empty.
    licence : str or None
    is_brought : bool
        Whether the vectors were imported, so that no model can compute others.
    learned_labels : bool
        Whether its model was trained on labels of the lake's tracks.
    """

    text: str
    name: str
    card: str = ""
    licence: str | None = None
    is_brought: bool = False
    learned_labels: bool = False

    @property
    def kind(self) -> str:
        return self.text.partition(":")[0]

    @property
    def source(self) -> str:
        return self.text.partition(":")[2]

    @property
    def is_stored(self) -> bool:
        """Whether its vectors are in a table of the lake already."""
        return self.kind in (Features.kind, Embeddings.kind)

    def files(self, lake: Lake) -> tuple[str, ...]:
        """Published shards with its vectors."""
        return tuple(inputs.vectors(self.text).files(lake)) if self.is_stored else ()


def find(
    lake: Lake, *, wanted: Sequence[str] = (), models: Sequence[str] = (), licence: str | None = None
) -> list[Representation]:
    """The rows of a benchmark, those without vectors last.

    Parameters
    ----------
    wanted : sequence of str
        Names of the rows; all by default.
    models : sequence of str
        Networks of the model home to compare, too.
    licence : str, optional
        Only rows under licences of this kind.

    Raises
    ------
    UsageError
        For a name that no row has, an unknown kind of licence, or a model that the home lacks.
    PhonolakeError
        When there are no vectors.
    """
    found = [*_features(lake), *_runs(lake), *map(_of_home, models)]
    if licence is not None:
        licences.check_kind(licence)
        found = [row for row in found if licences.kind_of(row.licence) == licence]
    found += _untrained(lake, found)
    for name in wanted:
        if name not in [row.name for row in found]:
            raise unknown("row of the benchmark", name, [row.name for row in found])
    found = [row for row in found if not wanted or row.name in wanted]
    if not found:
        raise PhonolakeError("the lake has no vectors to compare: run `phonolake extract`, or `embeddings import`")
    return [*found, Representation(PRIOR, "label prior"), Representation(CHANCE, "chance")]


def learned_from(lake: Lake, row: Representation) -> set[str]:
    """Tracks on whose labels the model of a row was trained or selected: it cannot be tested on them."""
    if not row.learned_labels:
        return set()
    table = pq.read_table(trained.fetch(lake.place, row.source) / trained.TRACKS).to_pydict()
    pairs = zip(table["track_id"], table["part"], strict=True)
    return {track_id for track_id, part in pairs if part in (TRAIN, VALID)}


def _features(lake: Lake) -> list[Representation]:
    """Feature sets of which the lake has rows of whole tracks, those of random networks among them."""
    tables = lake.versions()
    names = [name for name in (*contract.feature_sets(), *registry.names()) if features_table(name) in tables]
    return [
        Representation(f"{Features.kind}:{name}", name, licence=licences.OWN)
        for name in names
        if product(feature_set(name)).published(lake)
    ]


def _runs(lake: Lake) -> list[Representation]:
    """The newest run of each model on each input, without those of single folds."""
    with catalog.connect(lake) as connection:
        newest: dict[tuple[str, str], runs.ModelRun] = {}
        for run in runs.with_embeddings(connection):
            if not run.is_fold:
                newest.setdefault((run.model, run.input), run)
        stated = licences.of_runs(connection)
    models = [model for model, _ in newest]
    return [
        Representation(
            f"{Embeddings.kind}:{run.run_id}",
            run.model if models.count(run.model) == 1 else f"{run.model} on {run.input}",
            licence=stated[run.run_id].licence,
            is_brought=not run.has_weights,
            learned_labels=bool(run.labels) and (trained.fetch(lake.place, run.run_id) / trained.TRACKS).is_file(),
        )
        for run in newest.values()
    ]


def _of_home(model: str) -> Representation:
    card = dict(home.load(model).card)
    if not isinstance(registry.get(card["model"]).CARD, NetworkCard):
        raise UsageError(f"{model} is not a network, so it gives no vectors")
    return Representation(f"{HOME}:{model}", model, json.dumps(card), licences.of_card(card)[0])


def _untrained(lake: Lake, rows: Collection[Representation]) -> list[Representation]:
    """For each network an untrained one of the same shape, as a lower bound."""
    found: dict[str, Representation] = {}
    for row in rows:
        card: dict[str, Any] = {}
        if row.kind == HOME:
            card = json.loads(row.card)
        elif row.kind == Embeddings.kind and not row.is_brought:
            card = storage.read_card(trained.weights(lake.place, row.source))
        if not card or not isinstance(registry.get(card["model"]).CARD, NetworkCard) or "calibration" in card:
            continue
        # The weights of an imported graph cannot be drawn anew.
        if card["model"] == onnx_network.FOREIGN.name:
            continue
        # A network on another model's output needs that model.
        if card.get("input", "").startswith(Embeddings.kind):
            continue
        kept = {key: card[key] for key in SHAPE if key in card}
        # A wrapper of imported networks has no shape of its own.
        shape = card["name"] if card["model"] in registry.foreign() else card["model"]
        text = f"{UNTRAINED}:{shape}"
        found.setdefault(text, Representation(text, f"{shape}, untrained", json.dumps(kept), licences.OWN))
    return list(found.values())
