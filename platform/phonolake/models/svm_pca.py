"""Support vector machine over principal components: a baseline of a KTH course project.

References
----------
.. [1] "Music genre classification: different methods", KTH DT2119 project, Sec. 3.1.
"""

from typing import TYPE_CHECKING

from phonolake.models.registry import EstimatorCard
from phonolake.models.svm_rbf import N_FOLDS, NEEDS

if TYPE_CHECKING:
    from sklearn.calibration import CalibratedClassifierCV

__all__ = ["CARD", "NEEDS", "build"]

CARD = EstimatorCard(
    name="svm-pca",
    input="features:mfcc-120",
    summary="RBF support vector machine over 15 principal components of standardised features.",
    source="Music genre classification: different methods, KTH DT2119 project, Sec. 3.1",
    recipe={"n_components": 15, "kernel": "rbf", "C": 1.0, "gamma": "scale"},
    deviations=(
        "The authors took components of whole spectrograms of 128 x 128 values; here they are of clip-level features.",
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
    from sklearn.decomposition import PCA
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    recipe = dict(CARD.recipe)
    pca = PCA(recipe.pop("n_components"), svd_solver="full", random_state=seed)
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
    machine = make_pipeline(StandardScaler(), pca, SVC(**recipe))
    return CalibratedClassifierCV(machine, method="sigmoid", cv=folds, ensemble=False)
