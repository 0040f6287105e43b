"""Table 7 of the music-role paper: the authors' VGG16 and an SVM on features, and the mean of their probabilities.

The network's probabilities are the authors' own, as a table of clips and roles; the SVM is fitted here.

Shape suffixes: N clips, K roles.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phonolake.errors import UsageError
from phonolake.sources import label_sheets, probability_sheets
from phonolake.sources.label_sheets import spelt
from phonolake.sources.names import Named, Names
from phonolake.sources.probability_sheets import ProbabilityColumns
from phonolake.studies import music_role_fits as fits

NETWORK, SVM, BOTH = "VGG16", "SVM", "Ensemble of VGG16 and SVM"


@dataclass(frozen=True, slots=True)
class Joined:
    """A fit whose probabilities are averaged with those in a file, on the test clips that the file has."""

    fit: fits.Fit
    probabilities: Path


def measure(joined: Joined) -> dict[str, fits.Scores]:
    """How the network, the fit, and the mean of both did, by the row of the table."""
    answers = fits.answer(joined.fit)
    p_NK = read(joined.probabilities, answers.names, answers.classes)
    known_N = ~np.isnan(p_NK).any(axis=1)
    y_N, network_NK, own_NK = answers.y[known_N], p_NK[known_N], answers.P_NK[known_N]
    rows = {NETWORK: network_NK, SVM: own_NK, BOTH: (network_NK + own_NK) / 2}
    return {row: fits.score(y_N, P_NK) for row, P_NK in rows.items()}


def read(path: Path, names: tuple[str, ...], roles: tuple[str, ...]) -> np.ndarray:
    """Read a table with a column for each role, or a row for each clip and role; roles may be spelt as the clips are.

    Returns
    -------
    p_NK : ndarray of float64
        In the order of `names` and `roles`; NaN for clips that the table does not name.

    Raises
    ------
    UsageError
        If it is no such table, names none of the clips, or lacks a role or has another.
    """
    keyed = label_sheets.key(path, Names(Named(name, name, name) for name in names))
    place: Mapping[str, int] = {spelt(role): k for k, role in enumerate(roles)}
    number = {name: n for n, name in enumerate(names)}
    p_NK = np.full((len(names), len(roles)), np.nan)
    for one in probability_sheets.given(keyed, probability_sheets.find(keyed, ProbabilityColumns())):
        k = place.get(spelt(one.label).removesuffix("_music"))
        if k is None:
            raise UsageError(f"{path}, line {one.line}: {one.label!r} is none of the roles {', '.join(roles)}")
        match = keyed.matches[one.name]
        if match is not None and len(match.track_ids) == 1:
            p_NK[number[match.track_ids[0]], k] = one.value
    known_NK = ~np.isnan(p_NK)
    torn = np.flatnonzero(known_NK.any(axis=1) & ~known_NK.all(axis=1))
    if len(torn):
        lacking = roles[int(np.argmin(known_NK[torn[0]]))]
        raise UsageError(f"{path} has no probability of {lacking} for {names[torn[0]]}: all roles are needed")
    return p_NK
