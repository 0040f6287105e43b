"""Views of classes by features: a map of the tracks, and the importance of features.

Shape suffixes: N tracks, D features, F folds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from phonolake.analysis.results.problem_classes import Fit
from phonolake.errors import UsageError, unknown

PROJECTIONS = ("tsne", "umap", "pca")


@dataclass(frozen=True, slots=True)
class ClassVectors:
    """One vector for each track, all of its values finite: x_ND, with the names of the columns."""

    track_ids: tuple[str, ...]
    columns: tuple[str, ...]
    X_ND: np.ndarray


@dataclass(frozen=True, slots=True)
class MapPoint:
    """A track on the map; only nearness has a meaning, not the axes."""

    track_id: str
    label: str | None
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Importance:
    """How much accuracy is lost when one feature is shuffled, in mean and standard deviation over the folds."""

    feature: str
    importance: float
    std: float


def project(x_ND: np.ndarray, *, method: str = "tsne", perplexity: float = 30.0, seed: int = 0) -> np.ndarray:
    """Map tracks to two dimensions so that near ones stay near.

    t-SNE is that of van der Maaten and Hinton (JMLR 9, 2008), UMAP that of McInnes, Healy and Melville
    (arXiv:1802.03426). Values are standardised, and more than 50 of them reduced to 50 principal components first, as
    the paper about t-SNE does.

    Parameters
    ----------
    x_ND : ndarray
        Features or embeddings, finite.
    method : {"tsne", "umap", "pca"}
        UMAP keeps more of the large distances, and needs the package umap-learn; PCA keeps these instead, and takes no
        time.
    perplexity : float
        About how many neighbours count; at most a third of the tracks are used.

    Returns
    -------
    ndarray of float64, shape (N, 2)

    Raises
    ------
    UsageError
        For an unknown method, fewer than four tracks, or UMAP without its package.
    """
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    if method not in PROJECTIONS:
        raise unknown("projection", method, PROJECTIONS)
    if len(x_ND) < 4:
        raise UsageError(f"a map needs 4 tracks or more, received {len(x_ND)}")
    scaled = StandardScaler().fit_transform(np.asarray(x_ND, np.float64))
    n_components = min(2 if method == "pca" else 50, *scaled.shape)
    reduced = PCA(n_components, random_state=seed).fit_transform(scaled)
    if method == "pca":
        return np.pad(reduced, ((0, 0), (0, 2 - n_components)))
    perplexity = min(perplexity, (len(x_ND) - 1) / 3)
    placing = _umap(perplexity, seed) if method == "umap" else _tsne(perplexity, seed, n_components)
    return np.asarray(placing.fit_transform(reduced), np.float64)


def _tsne(perplexity: float, seed: int, n_components: int) -> Any:
    from sklearn.manifold import TSNE

    return TSNE(2, perplexity=perplexity, init="pca" if n_components > 1 else "random", random_state=seed)


def _umap(perplexity: float, seed: int) -> Any:
    try:
        from umap import UMAP
    except ImportError as error:
        raise UsageError(f"UMAP needs a package: pip install 'phonolake[umap]' ({error})") from error
    # A seed and several threads exclude each other. Two neighbours are the least that it takes.
    return UMAP(n_neighbors=max(2, round(perplexity)), random_state=seed, n_jobs=1)


def thinned(vectors: ClassVectors, most: int, seed: int) -> ClassVectors:
    """At most so many tracks, drawn at random and kept in order."""
    if len(vectors.track_ids) <= most:
        return vectors
    kept = np.sort(np.random.default_rng(seed).permutation(len(vectors.track_ids))[:most])
    return ClassVectors(tuple(vectors.track_ids[n] for n in kept), vectors.columns, vectors.X_ND[kept])


def feature_importance(
    columns: Sequence[str], x_ND: np.ndarray, y_N: np.ndarray, *, folds: int = 3, repeats: int = 3, seed: int = 0
) -> list[Importance]:
    """Permutation importance of features for a random forest, on folds that it did not learn from, greatest first.

    Redundant features share their importance: shuffling one of them loses little.

    Parameters
    ----------
    y_N : ndarray of int
        Class of each track.
    repeats : int
        How often each feature is shuffled in each fold.

    Raises
    ------
    UsageError
        If a class has fewer tracks than folds, or there is one class only.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import StratifiedKFold

    counts = np.unique(y_N, return_counts=True)[1]
    if len(counts) < 2 or counts.min() < folds:
        raise UsageError(
            f"importance needs 2 classes with {folds} tracks each; the smallest of {len(counts)} has "
            f"{counts.min() if len(counts) else 0}"
        )
    losses_FD = []
    for train, test in StratifiedKFold(folds, shuffle=True, random_state=seed).split(x_ND, y_N):
        forest = RandomForestClassifier(200, random_state=seed).fit(x_ND[train], y_N[train])
        found = permutation_importance(forest, x_ND[test], y_N[test], n_repeats=repeats, random_state=seed)
        losses_FD.append(found.importances_mean)
    mean_D, std_D = np.mean(losses_FD, axis=0), np.std(losses_FD, axis=0, ddof=1)
    order = np.lexsort((np.asarray(columns), -mean_D))
    return [Importance(columns[d], float(mean_D[d]), float(std_D[d])) for d in order]


def logistic_fit(seed: int = 0) -> Fit:
    """A cheap classifier for `retrain_without`: logistic regression on standardised features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def fit(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, random_state=seed))
        return model.fit(x, y).predict_proba(x_test)

    return fit


def random_folds(y_N: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Fold of each track, from 0, with the classes balanced."""
    from sklearn.model_selection import StratifiedKFold

    fold_N = np.zeros(len(y_N), int)
    for number, (_, test) in enumerate(StratifiedKFold(folds, shuffle=True, random_state=seed).split(y_N, y_N)):
        fold_N[test] = number
    return fold_N
