"""Support vector machine on features as they are, none of them scaled: what random CNNs are judged by.

References
----------
.. [1] J. Pons, X. Serra, "Randomly weighted CNNs for (music) audio classification", ICASSP 2019, Sec. 2.2.
"""

from typing import TYPE_CHECKING

from phonolake.models.registry import EstimatorCard
from phonolake.models.svm_rbf import N_FOLDS, NEEDS

if TYPE_CHECKING:
    from sklearn.calibration import CalibratedClassifierCV

__all__ = ["CARD", "NEEDS", "build"]

CARD = EstimatorCard(
    name="svm-unscaled",
    input="features:random-vgg-small",
    summary="RBF support vector machine on features that are not scaled, probabilities by Platt's sigmoid.",
    source="Pons and Serra, Randomly weighted CNNs for (music) audio classification, 2019, Sec. 2.2",
    recipe={"kernel": "rbf", "C": 8.0, "gamma": "auto"},
    deviations=(
        "Kernel, C and gamma were chosen from a grid for each input, and are not recorded: these are ours.",
        "The published machine names classes only; the sigmoids are fitted one class against the rest.",
    ),
    trusted_types=(
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.model_selection._split.StratifiedKFold",
    ),
)


def build(*, seed: int) -> "CalibratedClassifierCV":
    """Build the unfitted machine, as `svm_rbf.build` does; `seed` decides the folds of its sigmoids."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.model_selection import StratifiedKFold
    from sklearn.svm import SVC

    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
    return CalibratedClassifierCV(SVC(**CARD.recipe), method="sigmoid", cv=folds, ensemble=False)
