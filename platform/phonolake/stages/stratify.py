"""Deal groups of tracks with several labels each, so that every fold gets its share of every label.

References
----------
.. [1] K. Sechidis, G. Tsoumakas, I. Vlahavas, "On the Stratification of Multi-label Data", ECML PKDD 2011, Algorithm 1
       (iterative stratification).
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

Row = tuple[str, Sequence[str], str, int | None]
# How many tracks with a label, and under None how many tracks at all: of each group, and still wanted by each fold.
Contents = dict[str, Counter[str | None]]
Lacking = dict[str | None, np.ndarray]


def stratify(rows: Sequence[Row], *, n_folds: int, seed: int) -> dict[str, int]:
    """Choose folds for the tracks that have none.

    The label that the fewest undealt groups have comes first, since later nothing could balance it [1]_, and of its
    groups the largest. A group goes to a fold that has nothing of the label yet, where there is one, and else to the
    fold that lacks most of what the group holds: there the squared distance of all labels (and of the number of tracks)
    from their even shares, each relative to how often it occurs, grows least. The paper deals single examples and
    chooses by the rarest label alone, which leaves the other labels of an artist's many tracks to chance.

    Parameters
    ----------
    rows : sequence of (track id, labels, group, fold or None)
        Groups stay together, with the fold that any of their tracks has.

    Returns
    -------
    dict
        Fold, from 1, by track id.
    """
    total = Counter(label for _, labels, *_ in rows for label in (None, *labels))
    lacking: Lacking = {label: np.full(n_folds, n / n_folds) for label, n in total.items()}
    home: dict[str, int] = {}
    tracks: dict[str, list[str]] = defaultdict(list)
    contents: Contents = defaultdict(Counter)
    for track_id, labels, group, fold in rows:
        if fold is None:
            tracks[group].append(track_id)
            contents[group].update((None, *labels))
        else:
            home.setdefault(group, fold)
            _move(Counter((None, *labels)), fold, lacking)
    for group in sorted(set(home) & set(contents)):
        _move(contents[group], home[group], lacking)
    free = sorted(set(contents) - set(home))
    shuffled = [free[i] for i in np.random.default_rng(seed).permutation(len(free))]
    home |= _dealt({group: contents[group] for group in shuffled}, lacking, total)
    return dict(sorted((track_id, home[group]) for group, of_group in tracks.items() for track_id in of_group))


def _dealt(contents: Contents, lacking: Lacking, total: Counter[str | None]) -> dict[str, int]:
    """Fold of each group; of groups that are equally large the first in the order given is dealt first."""
    having: dict[str, set[str]] = defaultdict(set)
    place = {group: n for n, group in enumerate(contents)}
    for group, content in contents.items():
        for label in content:
            if label is not None:
                having[label].add(group)
    home: dict[str, int] = {}
    while having:
        rarest = min(having, key=lambda name: (len(having[name]), name))
        for group in sorted(having.pop(rarest), key=lambda g: (-contents[g][rarest], -contents[g][None], place[g])):
            home[group] = _fold_for(contents[group], rarest, lacking, total)
            _move(contents[group], home[group], lacking)
            for label in contents[group]:
                if label in having:
                    having[label].discard(group)
        having = defaultdict(set, {label: groups for label, groups in having.items() if groups})
    return home


def _fold_for(content: Counter[str | None], rarest: str, lacking: Lacking, total: Counter[str | None]) -> int:
    # Rounded, so that shares that were added up in another order are still equal; of equals, the first.
    has_none = (lacking[rarest] - total[rarest] / len(lacking[rarest])).round(6) >= 0
    wanted = np.sum([n * lacking[label] / total[label] for label, n in content.items()], axis=0).round(9)
    return 1 + int(np.lexsort((-wanted, ~has_none))[0])


def _move(content: Counter[str | None], fold: int, lacking: Lacking) -> None:
    for label, n in content.items():
        lacking[label][fold - 1] -= n
