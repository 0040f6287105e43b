"""Split: deal the tracks of the lake into folds that keep the classes balanced and no artist on two sides."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from phonolake.errors import UsageError
from phonolake.lineage import digest
from phonolake.store import catalog, jobs, schema
from phonolake.store.attempts import attempts
from phonolake.store.lake import Change, Lake, Reads
from phonolake.store.outcomes import Outcome, finish, now, versions
from phonolake.store.shards import keep_rows


@dataclass(frozen=True, slots=True)
class Config:
    """How to deal.

    Parameters
    ----------
    n_folds : int
        Number of folds, at least 2.
    seed : int
        Decides which artist goes where.
    labels : str
        Which labels to balance: those of this source (`labels.source`).
    """

    lake: str
    n_folds: int = 5
    seed: int = 0
    labels: str = "dataset"

    def __post_init__(self) -> None:
        if self.n_folds < 2:
            raise UsageError(f"a split needs 2 folds or more, received {self.n_folds}")

    @property
    def name(self) -> str:
        """Name of the split."""
        return f"random-{self.n_folds}-seed-{self.seed}"


def run(config: Config) -> Outcome:
    """Give every labelled track without a fold one; those that have one keep it."""
    started = now()
    lake = Lake.open(config.lake)
    with jobs.working(lake.root, "split"):
        for attempt in attempts(lake):
            with attempt as seen:
                return _deal_rest(lake, seen, config, started)
    raise AssertionError("the last attempt raises")


def _deal_rest(published: Lake, lake: Lake, config: Config, started: datetime) -> Outcome:
    with catalog.connect(lake) as connection:
        rows = connection.execute(
            "SELECT t.track_id, min(l.label), coalesce(any_value(t.artist), t.track_id), any_value(s.fold) "
            "FROM tracks t JOIN labels_by($1) l ON l.track_id = t.track_id AND l.value = 1 "
            "LEFT JOIN splits s ON s.track_id = t.track_id AND s.split = $2 GROUP BY t.track_id ORDER BY t.track_id",
            [config.labels, config.name],
        ).fetchall()
    folds = deal(rows, n_folds=config.n_folds, seed=config.seed)
    if not folds:
        return Outcome("split", None, 0, 0, 0, f"{config.name}: nothing new")
    table = schema.table("splits")
    new = [{"track_id": t, "split": config.name, "part": None, "fold": f} for t, f in folds.items()]
    run_id = f"split-{digest([config.name, config.labels, list(folds)])}"
    shard = keep_rows(lake.path("splits", f"{config.name}--{run_id}"), table.arrow, new)
    outcome = Outcome("split", run_id, len(folds), len(folds), 0, config.name)
    published.commit(
        {"splits": Change(table, [shard]), "runs": finish(lake, config, [outcome], started)},
        Reads(versions(lake, "tracks", "labels", "splits")),
    )
    return outcome


def deal(rows: list[tuple[str, str, str, int | None]], *, n_folds: int, seed: int) -> dict[str, int]:
    """Choose folds for the tracks that have none.

    Parameters
    ----------
    rows : list of (track id, label, artist, fold or None)
        Artists stay together, with the fold that any of their tracks has.

    Returns
    -------
    dict
        Fold, from 1, by track id. Each artist goes where its commonest label is rarest, so that for labels of n tracks
        by as many artists every fold holds n / n_folds of them, to within one.
    """
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    home: dict[str, int] = {}
    load = np.zeros(n_folds, int)
    per_label: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(n_folds, int))
    for track_id, label, artist, fold in rows:
        if fold is None:
            groups[artist].append((track_id, label))
        else:
            home.setdefault(artist, fold)
            load[fold - 1] += 1
            per_label[label][fold - 1] += 1
    order = np.random.default_rng(seed).permutation(len(groups))
    # The largest artists first: the small ones then fill what is uneven.
    artists = sorted((sorted(groups)[i] for i in order), key=lambda a: -len(groups[a]))
    folds: dict[str, int] = {}
    for artist in artists:
        counts = Counter(label for _, label in groups[artist])
        label = counts.most_common(1)[0][0]
        best = min(range(n_folds), key=lambda f: (per_label[label][f], load[f], f))
        fold = home.get(artist, best + 1)
        for track_id, track_label in groups[artist]:
            folds[track_id] = fold
            per_label[track_label][fold - 1] += 1
            load[fold - 1] += 1
    return dict(sorted(folds.items()))
