"""One model fitted and measured once: the task that the study sends to workers.

Shape suffixes: N clips, D features, K classes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from phonolake.metrics import classification
from phonolake.models import registry
from phonolake.studies import music_role_data as data

TEST_SHARE = 0.1
AUTHORS_SEED = 10


@dataclass(frozen=True, slots=True)
class Fit:
    """What to fit on what.

    Parameters
    ----------
    folder : Path
        The authors' files.
    vector : str
        Key of `music_role_data.VECTORS`.
    without : tuple of str
        Roles left out.
    model : str
        Registry name.
    seed : int
        Of the model.
    split : {"authors", "tenth", "stratified"}
        The authors' 171 test clips, the tenth of their earlier notebooks, or a seeded stratified tenth.
    split_seed : int
        Of the stratified tenth.
    leak : bool
        Scale to [0, 1] by all clips, as the authors did, instead of within the model.
    """

    folder: Path
    vector: str
    without: tuple[str, ...]
    model: str
    seed: int
    split: Literal["authors", "tenth", "stratified"]
    split_seed: int = 0
    leak: bool = False


@dataclass(frozen=True, slots=True)
class Scores:
    """How a fit did on its test clips; rows of `confusion` (K, K) are true classes."""

    accuracy: float
    macro_f1: float
    roc_auc: float
    confusion: np.ndarray

    def figures(self) -> tuple[float, float, float]:
        """Accuracy, macro F1 and macro AUC."""
        return self.accuracy, self.macro_f1, self.roc_auc


@dataclass(frozen=True, slots=True)
class ClipAnswers:
    """Probabilities P_NK of the test clips, their true classes y (N,), and the names of clips and classes."""

    names: tuple[str, ...]
    classes: tuple[str, ...]
    y: np.ndarray
    P_NK: np.ndarray


def measure(fit: Fit) -> Scores:
    """Fit a model on the training clips and measure it on the others."""
    answers = answer(fit)
    return score(answers.y, answers.P_NK)


def answer(fit: Fit) -> ClipAnswers:
    """Fit a model on the training clips and ask it about the others."""
    clips = data.read(fit.folder, fit.vector, fit.without)
    test_N = split(fit, clips)
    model = registry.get(fit.model).build(seed=fit.seed)
    x_ND = clips.x
    if fit.leak:
        x_ND, model = unit_range(x_ND), unscaled(model)
    model.fit(x_ND[~test_N], clips.y[~test_N])
    names = tuple(clips.names[n] for n in np.flatnonzero(test_N))
    return ClipAnswers(names, clips.classes, clips.y[test_N], model.predict_proba(x_ND[test_N]))


def score(y_N: np.ndarray, P_NK: np.ndarray) -> Scores:
    """The paper's metrics; the class of the largest probability is named."""
    n_classes, named_N = P_NK.shape[1], P_NK.argmax(axis=1)
    return Scores(
        classification.accuracy(y_true=y_N, y_pred=named_N),
        classification.macro_f1(y_true=y_N, y_pred=named_N, n_classes=n_classes),
        classification.macro(classification.roc_auc(y_true=y_N, scores=P_NK)),
        classification.confusion_matrix(y_true=y_N, y_pred=named_N, n_classes=n_classes),
    )


def split(fit: Fit, clips: data.Clips) -> np.ndarray:
    """Mark the test clips."""
    if fit.split == "authors":
        return data.authors_test(fit.folder, clips.names)
    if fit.split == "tenth":
        return seeded_tenth(len(clips.names))
    return stratified(clips.y, TEST_SHARE, fit.split_seed)


def seeded_tenth(n: int) -> np.ndarray:
    """The test clips of the authors' earlier notebooks: `train_test_split(test_size=0.1, random_state=10)`."""
    test_N = np.zeros(n, bool)
    test_N[np.random.RandomState(AUTHORS_SEED).permutation(n)[: int(np.ceil(TEST_SHARE * n))]] = True
    return test_N


def stratified(y_N: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Draw the same share of every class, rounded to whole clips.

    Returns
    -------
    drawn_N : ndarray of bool
    """
    rng = np.random.default_rng(seed)
    drawn_N = np.zeros(len(y_N), bool)
    for k in np.unique(y_N):
        of_class = np.flatnonzero(y_N == k)
        drawn_N[rng.permutation(of_class)[: round(share * len(of_class))]] = True
    return drawn_N


def unit_range(x_ND: np.ndarray) -> np.ndarray:
    """Scale each feature to [0, 1] by its least and largest value; a constant feature becomes 0."""
    low_D, high_D = x_ND.min(axis=0), x_ND.max(axis=0)
    return (x_ND - low_D) / np.where(high_D > low_D, high_D - low_D, 1.0)


def unscaled(model: Any) -> Any:
    """The model without its scaler to [0, 1], for features that are scaled already."""
    return model[1:] if "minmaxscaler" in getattr(model, "named_steps", ()) else model
