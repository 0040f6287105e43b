"""Draw triplets to compare by ear, so that the share that agrees with an embedding means something.

A triplet is a track and two others; raters decide which of the two sounds more like it. Two ways to draw them:

- at random: three tracks, each as likely as any other. No embedding influences the draw, so that the same answers
  measure all of them on the same questions. This measures the whole space, in which most pairs are far apart.
- around the neighbours of one run: one of the two is among the k nearest by its embeddings, the other is drawn at
  random from all the rest. This measures how good a list of neighbours is, for that run alone.

No two tracks of a triplet share an artist or a recording: raters would recognise the same voice instead of judging the
sound. Each track is the reference of at most one triplet, so that triplets are approximately independent; which of the
two comes first is random, too. The embedding answers by cosine similarity, as in all searches for neighbours.

Shape suffixes: N tracks, D values.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np

from phonolake.annotation import sampling
from phonolake.annotation.triplets import TABLE
from phonolake.errors import PhonolakeError, UsageError
from phonolake.lookup import kinship, licensed, runs
from phonolake.lookup.searched import Searched
from phonolake.store import query, schema
from phonolake.store.attempts import attempts

COLUMNS = ("track_id", "first_id", "second_id", "run_id")
# Neighbours of one artist are skipped: search this many times more.
DEEPER = 8


@dataclass(frozen=True, slots=True)
class Config:
    """What to draw.

    Parameters
    ----------
    name : str
        Name of the sample: letters, digits, dots, underscores and hyphens.
    n_triplets : int
        How many; fewer if there are not enough tracks.
    near : str, optional
        Model or run: one of the two is among its nearest neighbours. At random by default.
    k : int
        How many neighbours count as near.
    seed : int
        Decides the tracks and their order.
    licence : str, optional
        Kind of licences (`licences.KINDS`) of the models that may find neighbours.
    """

    lake: str
    name: str
    n_triplets: int = 100
    near: str | None = None
    k: int = 10
    seed: int = 0
    licence: str | None = None

    def __post_init__(self) -> None:
        sampling.check_name(self.name)
        if self.n_triplets < 1 or self.k < 1:
            raise UsageError(f"at least one triplet and one neighbour, received {self.n_triplets} and {self.k}")


@dataclass(frozen=True, slots=True)
class DrawnTriplets:
    """The number of drawn triplets and of playable tracks, and the run of the neighbours."""

    sample: str
    n_triplets: int
    n_tracks: int
    run_id: str | None


@dataclass(frozen=True, slots=True)
class _Tracks:
    """Playable tracks, in order of their ids, and a group number that tracks of one artist or recording share."""

    ids: list[str]
    groups: np.ndarray


def run(config: Config) -> DrawnTriplets:
    """Draw triplets and publish them as a sample.

    Raises
    ------
    UsageError
        For the name of another sample, or an unknown model.
    PhonolakeError
        When there are no three playable tracks of different artists, or no embeddings to draw by.
    """
    lake = licensed.opened(config.lake, config.licence)
    for attempt in attempts(lake):
        with attempt as seen:
            rng = np.random.default_rng(config.seed)
            with query.connect(seen) as connection:
                run_id = _run_id(connection, config.near)
                tracks = _audible(connection, run_id)
            searched = None if run_id is None else Searched(seen, run_id)
            found = _at_random(tracks, rng) if searched is None else _near(searched, tracks, config.k, rng)
            items = [item for item, _ in zip(found, range(config.n_triplets), strict=False)]
            if not items:
                raise PhonolakeError(
                    f"a triplet needs three playable tracks of different artists; the lake has "
                    f"{len(set(tracks.groups.tolist()))} such artists"
                )
            rows = [(*item, run_id) for item in items]
            sampling.keep(lake, seen, schema.table(TABLE), config, COLUMNS, rows)
            return DrawnTriplets(config.name, len(rows), len(tracks.ids), run_id)
    raise AssertionError("the last attempt raises")


def _run_id(connection: duckdb.DuckDBPyConnection, near: str | None) -> str | None:
    if near is None:
        return None
    found = runs.find(runs.with_embeddings(connection), near, what="model with embeddings")
    if found is None:
        raise PhonolakeError("the lake has no embeddings yet: `phonolake score` makes them")
    return found.run_id


def _audible(connection: duckdb.DuckDBPyConnection, run_id: str | None) -> _Tracks:
    rows = connection.execute(
        "SELECT track_id FROM tracks WHERE track_id IN (SELECT track_id FROM audio) "
        "AND ($1 IS NULL OR track_id IN (SELECT track_id FROM embeddings WHERE run_id = $1)) ORDER BY track_id",
        [run_id],
    ).fetchall()
    ids = [track_id for (track_id,) in rows]
    group_of = kinship.groups(connection)
    number: dict[str, int] = {}
    return _Tracks(ids, np.array([number.setdefault(group_of[t], len(number)) for t in ids], dtype=np.int64))


def _at_random(tracks: _Tracks, rng: np.random.Generator) -> Iterator[tuple[str, str, str]]:
    """Triplets of tracks of three groups."""
    for n in rng.permutation(len(tracks.ids)):
        first = _another(tracks, [n], rng)
        second = None if first is None else _another(tracks, [n, first], rng)
        if first is not None and second is not None:
            yield tracks.ids[n], tracks.ids[first], tracks.ids[second]


def _near(searched: Searched, tracks: _Tracks, k: int, rng: np.random.Generator) -> Iterator[tuple[str, str, str]]:
    """Triplets of which one of the two is among the k nearest of other groups, and the other is none of them."""
    number = {track_id: n for n, track_id in enumerate(tracks.ids)}
    everywhere = searched.among(None)
    for n in rng.permutation(len(tracks.ids)):
        vector_D = searched.vector(tracks.ids[n])
        if vector_D is None:
            continue
        hits = searched.nearest(vector_D, k * DEEPER, among=everywhere, exclude=[tracks.ids[n]])
        found = [number[hit.track_id] for hit in hits if hit.track_id in number]
        nearest = [m for m in found if tracks.groups[m] != tracks.groups[n]][:k]
        near = int(rng.choice(nearest)) if nearest else None
        far = None if near is None else _another(tracks, [n, near], rng, without=nearest)
        if near is not None and far is not None:
            first, second = (near, far) if rng.random() < 0.5 else (far, near)
            yield tracks.ids[n], tracks.ids[first], tracks.ids[second]


def _another(
    tracks: _Tracks, taken: Sequence[int], rng: np.random.Generator, *, without: Sequence[int] = ()
) -> int | None:
    """Any track outside some groups; None if there is none."""
    allowed_N = ~np.isin(tracks.groups, tracks.groups[list(taken)])
    allowed_N[list(without)] = False
    others = np.flatnonzero(allowed_N)
    return int(rng.choice(others)) if len(others) else None
