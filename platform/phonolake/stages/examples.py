"""Which tracks a model learns from: their class and their part in the split."""

from dataclasses import dataclass

from phonolake.errors import PhonolakeError, UsageError, unknown
from phonolake.records import TEST, TRAIN, VALID
from phonolake.store import catalog
from phonolake.store.lake import Lake


@dataclass(frozen=True, slots=True)
class Examples:
    """Labelled tracks in order of their ids.

    Parameters
    ----------
    classes : tuple of str
        Class names; `y` counts in this order.
    track_ids : tuple of str
    y : tuple of int
        Class number of each track.
    parts : tuple of str
        ``train``, ``valid`` or ``test`` for each track.
    """

    classes: tuple[str, ...]
    track_ids: tuple[str, ...]
    y: tuple[int, ...]
    parts: tuple[str, ...]

    def of(self, part: str) -> dict[str, int]:
        """Class number by track id in one part."""
        rows = zip(self.track_ids, self.y, self.parts, strict=True)
        return {track_id: y for track_id, y, its_part in rows if its_part == part}


def collect(lake: Lake, *, labels: str, split: str, test_fold: int | None, dataset: str | None) -> Examples:
    """Read labels and split from the lake.

    In a split of folds, fold `test_fold` is the test part, the next one validates and the others train.

    Raises
    ------
    UsageError
        For an unknown split or fold, or fewer than two classes.
    PhonolakeError
        When a track has two labels, or a class or part has no track to train on.
    """
    with catalog.connect(lake) as connection:
        known = [s for (s,) in connection.execute("SELECT DISTINCT split FROM splits").fetchall()]
        if split not in known:
            raise unknown("split", split, known)
        rows = connection.execute(
            "SELECT l.track_id, list(DISTINCT l.label), any_value(s.part), any_value(s.fold) FROM labels_by($2) l "
            "JOIN splits s ON s.track_id = l.track_id AND s.split = $1 JOIN tracks t ON t.track_id = l.track_id "
            "WHERE l.value = 1 AND ($3 IS NULL OR t.dataset = $3) "
            "GROUP BY l.track_id ORDER BY l.track_id",
            [split, labels, dataset],
        ).fetchall()
    several = [track_id for track_id, names, *_ in rows if len(names) > 1]
    if several:
        raise PhonolakeError(
            f"{len(several)} tracks have several {labels} labels ({several[0]}), and this model learns one each: "
            "name another --labels source"
        )
    parts = _parts([part for *_, part, _ in rows], [fold for *_, fold in rows], split, test_fold)
    classes = sorted({names[0] for _, names, *_ in rows})
    if len(classes) < 2:
        raise UsageError(f"there is nothing to tell apart: {len(classes)} class(es) {classes} in split {split!r}")
    examples = Examples(
        tuple(classes),
        tuple(track_id for track_id, *_ in rows),
        tuple(classes.index(names[0]) for _, names, *_ in rows),
        tuple(parts),
    )
    untaught = set(range(len(classes))) - set(examples.of(TRAIN).values())
    if untaught:
        names = ", ".join(repr(classes[k]) for k in sorted(untaught))
        raise PhonolakeError(
            f"no training track of class {names} in split {split!r}: split again, or leave the class out"
        )
    return examples


def unlabelled(lake: Lake, dataset: str | None) -> Examples:
    """Every track, with no class, to learn from without labels."""
    with catalog.connect(lake) as connection:
        rows = connection.execute(
            "SELECT track_id FROM tracks WHERE $1 IS NULL OR dataset = $1 ORDER BY track_id", [dataset]
        ).fetchall()
    track_ids = tuple(track_id for (track_id,) in rows)
    return Examples((), track_ids, (0,) * len(track_ids), (TRAIN,) * len(track_ids))


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


def _parts(given: list[str | None], folds: list[int | None], split: str, test_fold: int | None) -> list[str]:
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
