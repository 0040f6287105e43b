"""The training examples of a model: labels and parts of the split."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phonolake.errors import PhonolakeError, UsageError, unknown
from phonolake.lookup.label_matrix import check_source
from phonolake.models.registry import Needs
from phonolake.progress import say
from phonolake.records import TEST, TRAIN, VALID
from phonolake.store import catalog
from phonolake.store.lake import Lake

# Tracks with several labels are exceptions up to this share; above it, the labels are not classes.
EXCEPTIONS = 0.25

Row = tuple[str, list[str], str | None, int | None]


@dataclass(frozen=True, slots=True)
class Examples:
    """Labelled tracks in order of their ids.

    Parameters
    ----------
    classes : tuple of str
        Class names; `labels` counts in this order.
    track_ids : tuple of str
    labels : tuple of tuple of int
        Class numbers of each track: one, or with `many` any number of them.
    parts : tuple of str
        ``train``, ``valid`` or ``test`` for each track.
    many : bool
        Whether a track may have several labels, or none.

    Raises
    ------
    UsageError
        If the columns differ in length, a class number has no class, or a track without `many` has not one label.
    """

    classes: tuple[str, ...]
    track_ids: tuple[str, ...]
    labels: tuple[tuple[int, ...], ...]
    parts: tuple[str, ...]
    many: bool = False

    def __post_init__(self) -> None:
        lengths = {len(self.track_ids), len(self.labels), len(self.parts)}
        if len(lengths) > 1:
            raise UsageError(f"tracks, labels and parts differ in number: {sorted(lengths)}")
        numbers = {k for of_track in self.labels for k in of_track}
        if numbers and not 0 <= min(numbers) <= max(numbers) < len(self.classes):
            raise UsageError(
                f"the labels count from {min(numbers)} to {max(numbers)}, and there are {len(self.classes)} classes: "
                "the label matrix has the wrong width"
            )
        if self.classes and not self.many and any(len(of_track) != 1 for of_track in self.labels):
            raise UsageError("one label per track is required, but a track has several or none")

    def of(self, part: str) -> dict[str, int | np.ndarray]:
        """Targets by track id in one part: class numbers, or with `many` multi-hot rows (K,) of float32."""
        rows = zip(self.track_ids, self.labels, self.parts, strict=True)
        return {track_id: self._target(of_track) for track_id, of_track, its_part in rows if its_part == part}

    def _target(self, of_track: tuple[int, ...]) -> int | np.ndarray:
        if not self.many:
            return of_track[0] if of_track else 0
        hot_K = np.zeros(len(self.classes), np.float32)
        hot_K[list(of_track)] = 1
        return hot_K


def collect(
    lake: Lake,
    *,
    labels: str,
    split: str,
    test_fold: int | None,
    dataset: str | None,
    many: bool | None = False,
    top: int | None = None,
    validates: bool = True,
) -> Examples:
    """Read labels and split from the lake.

    In a split of folds, fold `test_fold` is the test part, the next one validates and the others train.

    Parameters
    ----------
    labels : str
        Their source.
    many : bool or None
        Whether a track may have several labels; None: when one has.
    top : int, optional
        Keep this many labels, those with the most tracks, and only the tracks that have one of them.
    validates : bool
        Whether to keep the validation part apart; otherwise the model is trained on it, too.

    Raises
    ------
    UsageError
        For an unknown source, split or fold, or fewer than two classes.
    PhonolakeError
        When more than a few tracks have two labels and `many` is False, or a class or part has no track to train on.
    """
    with catalog.connect(lake) as connection:
        check_source(connection, labels)
        known = [s for (s,) in connection.execute("SELECT DISTINCT split FROM splits").fetchall()]
        if split not in known:
            raise unknown("split", split, known)
        rows: list[Row] = connection.execute(
            "SELECT l.track_id, coalesce(list(DISTINCT l.label) FILTER (l.value = 1), []), any_value(s.part), "
            "any_value(s.fold) FROM labels_by($2) l JOIN splits s ON s.track_id = l.track_id AND s.split = $1 "
            "JOIN tracks t ON t.track_id = l.track_id WHERE $3 IS NULL OR t.dataset = $3 "
            "GROUP BY l.track_id ORDER BY l.track_id",
            [split, labels, dataset],
        ).fetchall()
    rows = _most_common(rows, top)
    several = [track_id for track_id, names, *_ in rows if len(names) > 1]
    if several and many is False:
        if len(several) > len(rows) * EXCEPTIONS:
            raise PhonolakeError(
                f"{len(several)} tracks have several {labels} labels ({several[0]}), and this model learns one each: "
                "name another --labels source, or train a network with --multi-label"
            )
        names = ", ".join(several[:5]) + (" ..." if len(several) > 5 else "")
        say(f"{len(several)} track(s) with several {labels} labels left out, as this model learns one each: {names}")
        rows = [row for row in rows if len(row[1]) <= 1]
        several = []
    if several and many is None:
        say(f"{len(several)} tracks have several {labels} labels ({several[0]} is one): learning many per track.")
    many = bool(several) if many is None else many
    if not many:
        rows = [row for row in rows if row[1]]
    return dealt(rows, split, test_fold, many, validates=validates)


def _most_common(rows: list[Row], top: int | None) -> list[Row]:
    if top is None:
        return rows
    counts = Counter(name for _, names, *_ in rows for name in names)
    kept = {name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:top]}
    found = [(track_id, [name for name in names if name in kept], *rest) for track_id, names, *rest in rows]
    return [row for row in found if row[1]]  # type: ignore[misc]


def dealt(rows: list[Row], split: str, test_fold: int | None, many: bool, *, validates: bool = True) -> Examples:
    """Labelled tracks with their parts of a split; arguments and errors are those of `collect`."""
    sides = parts([part for *_, part, _ in rows], [fold for *_, fold in rows], split, test_fold)
    if not validates:
        sides = [TRAIN if side == VALID else side for side in sides]
    classes = sorted({name for _, names, *_ in rows for name in names})
    if len(classes) < 2:
        raise UsageError(f"there is nothing to tell apart: {len(classes)} class(es) {classes} in split {split!r}")
    number = {name: k for k, name in enumerate(classes)}
    examples = Examples(
        tuple(classes),
        tuple(track_id for track_id, *_ in rows),
        tuple(tuple(sorted(number[name] for name in names)) for _, names, *_ in rows),
        tuple(sides),
        many,
    )
    taught = {k for of_track, part in zip(examples.labels, sides, strict=True) if part == TRAIN for k in of_track}
    untaught = [name for k, name in enumerate(classes) if k not in taught]
    if untaught:
        names = ", ".join(repr(name) for name in untaught[:5]) + (" ..." if len(untaught) > 5 else "")
        raise PhonolakeError(
            f"no training track of class {names} in split {split!r}: split again, or leave rare classes out with "
            "--top-labels"
        )
    return examples


def check_enough(model: str, needs: Needs, classes: Sequence[str], taught: Sequence[int]) -> None:
    """Refuse too few training tracks before the training starts; `taught` has the class number of each track.

    Raises
    ------
    PhonolakeError
        When there are fewer training tracks, or fewer of a class, than the model needs.
    """
    if len(taught) < needs.tracks:
        raise PhonolakeError(
            f"{model} needs {needs.tracks} training tracks or more and there are {len(taught)}: add some, or take "
            "another model"
        )
    counts = Counter(taught)
    rare = [f"{name!r} has {counts[k]}" for k, name in enumerate(classes) if counts[k] < needs.per_class]
    if rare:
        raise PhonolakeError(
            f"{model} needs {needs.per_class} training tracks or more of each class, and "
            f"{', '.join(rare[:5])}{' ...' if len(rare) > 5 else ''}: take another model, or leave rare classes out "
            "with --top-labels"
        )


def unlabelled(lake: Lake, dataset: str | None) -> Examples:
    """Every track, without a class, for training without labels."""
    with catalog.connect(lake) as connection:
        rows = connection.execute(
            "SELECT track_id FROM tracks WHERE $1 IS NULL OR dataset = $1 ORDER BY track_id", [dataset]
        ).fetchall()
    track_ids = tuple(track_id for (track_id,) in rows)
    return Examples((), track_ids, ((),) * len(track_ids), (TRAIN,) * len(track_ids))


def choose_split(lake: Lake, dataset: str | None, *, folds_only: bool = False) -> str:
    """The dataset's own split if it has one, else the random folds that `phonolake split` made.

    Raises
    ------
    UsageError
        When no track of the dataset is in a split (of folds).
    """
    with catalog.connect(lake) as connection:
        rows = connection.execute(
            "SELECT s.split, count(*) AS n FROM splits s JOIN tracks t USING (track_id) "
            "WHERE ($1 IS NULL OR t.dataset = $1) AND (s.fold IS NOT NULL OR NOT $2) GROUP BY s.split "
            "ORDER BY s.split LIKE 'random-%', n DESC, s.split",
            [dataset, folds_only],
        ).fetchall()
    if not rows:
        raise UsageError("no tracks are split yet: run `phonolake split` first")
    return str(rows[0][0])


def fold_numbers(lake: Lake, split: str) -> list[int]:
    """Numbers of a split's folds; empty for a fixed split."""
    with catalog.connect(lake) as connection:
        rows = connection.execute(
            "SELECT DISTINCT fold FROM splits WHERE split = $1 AND fold IS NOT NULL ORDER BY fold", [split]
        ).fetchall()
    return [fold for (fold,) in rows]


def folds_of(lake: Lake, split: str) -> dict[str, int]:
    """The fold of each track in a split; empty for a fixed split."""
    with catalog.connect(lake) as connection:
        rows = connection.execute(
            "SELECT track_id, fold FROM splits WHERE split = $1 AND fold IS NOT NULL", [split]
        ).fetchall()
    return dict(rows)


def parts(given: list[str | None], folds: list[int | None], split: str, test_fold: int | None) -> list[str]:
    """The part of each track of a split from its own part and fold; the errors are those of `collect`."""
    numbers = sorted({fold for fold in folds if fold is not None})
    if not numbers:
        if test_fold is not None:
            raise UsageError(f"split {split!r} has no folds; leave --fold out")
        return [part or TRAIN for part in given]
    test = numbers[0] if test_fold is None else test_fold
    if test not in numbers:
        raise UsageError(f"split {split!r} has folds {numbers}, received --fold {test}")
    valid = numbers[(numbers.index(test) + 1) % len(numbers)]
    roles = {test: TEST} if len(numbers) == 2 else {test: TEST, valid: VALID}
    return [roles.get(fold, TRAIN) for fold in folds]  # type: ignore[arg-type]
