"""RBF support vector machine over clip-level features that were made Gaussian first.

References
----------
.. [1] I.-K. Yeo, R. Johnson, "A new family of power transformations to improve normality or symmetry", Biometrika 87,
       2000.
.. [2] J. Platt, "Probabilistic outputs for support vector machines", Advances in Large Margin Classifiers, 1999.
"""

from typing import TYPE_CHECKING

from phonolake.models.registry import EstimatorCard, Needs

if TYPE_CHECKING:
    from sklearn.calibration import CalibratedClassifierCV

N_FOLDS = 5
# Each fold of the sigmoids leaves out one track of every class.
NEEDS = Needs(per_class=N_FOLDS)

CARD = EstimatorCard(
    name="svm-rbf-power",
    input="features:music-role-97",
    summary="RBF support vector machine on features of nearly normal shape, probabilities by Platt's sigmoid.",
    source="Cortes and Vapnik, Support-Vector Networks, 1995; Yeo and Johnson, power transformations, 2000",
    recipe={"kernel": "rbf", "C": 3.0, "gamma": 0.005},
    deviations=(
        "C and gamma are ours, for some hundred features of deviation 1; the study music-role chooses them anew.",
        "The sigmoids are fitted one class against the rest and normalised; libsvm couples pairs of classes.",
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
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PowerTransformer
    from sklearn.svm import SVC

    machine = make_pipeline(PowerTransformer(), SVC(**CARD.recipe))
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
    return CalibratedClassifierCV(machine, method="sigmoid", cv=folds, ensemble=False)
