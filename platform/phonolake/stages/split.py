"""Split: deal the tracks of the lake into folds with balanced labels and no artist or copy on two sides."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from phonolake.errors import PhonolakeError, UsageError
from phonolake.lineage import digest
from phonolake.lookup import kinship
from phonolake.lookup.label_matrix import check_source
from phonolake.progress import say
from phonolake.stages.stratify import Row, stratify
from phonolake.store import catalog, jobs, schema
from phonolake.store.attempts import attempts
from phonolake.store.lake import Change, Lake, Reads
from phonolake.store.outcomes import Outcome, finish, now, versions
from phonolake.store.shards import keep_rows

READ = ("tracks", "labels", "annotations", "metadata", "duplicates", "splits")


@dataclass(frozen=True, slots=True)
class Config:
    """How to deal.

    Parameters
    ----------
    n_folds : int
        Number of folds, at least 2.
    seed : int
        Decides the fold of each artist.
    labels : str
        Source of the labels to balance (`labels.source`).
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
    """Give a fold to every labelled track without one; existing folds stay.

    Raises
    ------
    UsageError
        For an unknown source of labels, or when all tracks are of one artist.
    PhonolakeError
        When no track has a label of the source.
    """
    started = now()
    lake = Lake.open(config.lake)
    with catalog.connect(lake) as connection:
        check_source(connection, config.labels)
    with jobs.working(lake.place, "split"):
        for attempt in attempts(lake):
            with attempt as seen:
                return _deal_rest(lake, seen, config, started)
    raise AssertionError("the last attempt raises")


def _deal_rest(published: Lake, lake: Lake, config: Config, started: datetime) -> Outcome:
    rows = labelled(lake, config.labels, config.name)
    _check_sides(rows, config)
    if all(len(labels) == 1 for _, labels, *_ in rows):
        one = [(track_id, label, group, fold) for track_id, (label,), group, fold in rows]
        folds = deal(one, n_folds=config.n_folds, seed=config.seed)
    else:
        folds = stratify(rows, n_folds=config.n_folds, seed=config.seed)
    if not folds:
        return Outcome("split", None, 0, 0, 0, f"{config.name}: nothing new")
    table = schema.table("splits")
    new = [{"track_id": t, "split": config.name, "part": None, "fold": f} for t, f in folds.items()]
    run_id = f"split-{digest([config.name, config.labels, list(folds)])}"
    shard = keep_rows(lake.path("splits", f"{config.name}--{run_id}"), table.arrow, new)
    outcome = Outcome("split", run_id, len(folds), len(folds), 0, config.name)
    published.commit(
        {"splits": Change(table, [shard]), "runs": finish(lake, config, [outcome], started)},
        Reads(versions(lake, *READ)),
    )
    return outcome


def labelled(lake: Lake, source: str, split: str) -> list[Row]:
    """Every track with a label of a source, in order of their ids: its labels, its group, and its fold if it has one.

    Groups are those of `kinship.groups`, and sort as their first artist does (a track without one: as its id).
    """
    with catalog.connect(lake) as connection:
        rows = connection.execute(
            "SELECT t.track_id, list(DISTINCT l.label), coalesce(any_value(t.artist), t.track_id), any_value(s.fold) "
            "FROM tracks t JOIN labels_by($1) l ON l.track_id = t.track_id AND l.value = 1 "
            "LEFT JOIN splits s ON s.track_id = t.track_id AND s.split = $2 GROUP BY t.track_id ORDER BY t.track_id",
            [source, split],
        ).fetchall()
        group_of = kinship.groups(connection)
    name: dict[str, str] = {}
    for track_id, _, artist, _ in rows:
        name[group_of[track_id]] = min(name.get(group_of[track_id], artist), artist)
    # Numbered in that order, which is all that dealing asks of them.
    order = sorted(name, key=lambda group: (name[group], group))
    number = {group: f"{n:09d}" for n, group in enumerate(order)}
    return [(track_id, sorted(labels), number[group_of[track_id]], fold) for track_id, labels, _, fold in rows]


def can_be_split(lake: Lake, source: str) -> bool:
    """Whether the labelled tracks are of two artists or more."""
    return len({group for _, _, group, _ in labelled(lake, source, "")}) > 1


def _check_sides(rows: list[Row], config: Config) -> None:
    """Refuse tracks that no folds can separate, and report groups that an earlier split has torn apart."""
    sides: dict[str, set[int]] = defaultdict(set)
    for _, _, group, fold in rows:
        sides[group] |= set() if fold is None else {fold}
    if not sides:
        raise PhonolakeError(
            f"no track has a {config.labels} label to split by: bring some with `phonolake labels import`, or name "
            "another source with --labels"
        )
    if len(sides) == 1 and any(fold is None for *_, fold in rows):
        raise UsageError(
            f"no split is possible: all {len(rows)} tracks with {config.labels} labels are of one artist (or copies of "
            "each other), who would stand on both sides; add music of others, or bring a split of your own with "
            "`phonolake splits import`"
        )
    torn = sum(len(folds) > 1 for folds in sides.values())
    if torn:
        say(
            f"{torn} artist(s) or sets of copies stand on two sides of {config.name}, dealt before that was known: "
            "they keep their folds. Another --seed makes a split without them; `phonolake splits check` lists them."
        )


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
