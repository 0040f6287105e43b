"""Support vector machine with a Gaussian kernel over standardised clip-level features.

References
----------
.. [1] C. Cortes, V. Vapnik, "Support-Vector Networks", Machine Learning 20, 1995.
.. [2] J. Platt, "Probabilistic outputs for support vector machines", Advances in Large Margin Classifiers, 1999.
.. [3] M. Korosteleva, J. Gerstner, "Music Role Classification Using AudioSet", KAIST term project, Table 6.
"""

from typing import TYPE_CHECKING

from phonolake.models.registry import EstimatorCard, Needs

if TYPE_CHECKING:
    from sklearn.calibration import CalibratedClassifierCV

N_FOLDS = 5
# Each fold of the sigmoids leaves out one track of every class.
NEEDS = Needs(per_class=N_FOLDS)

CARD = EstimatorCard(
    name="svm-rbf",
    input="features:mfcc-120",
    summary="RBF support vector machine on standardised features, probabilities by Platt's sigmoid.",
    source="Cortes and Vapnik, Support-Vector Networks, 1995; Platt, Probabilistic outputs for SVMs, 1999",
    recipe={"kernel": "rbf", "C": 10.0, "gamma": "scale"},
    deviations=(
        "C is ours; Korosteleva and Gerstner took 10,000 on features scaled to [0, 1].",
        "The sigmoids are fitted one class against the rest and normalised; libsvm couples pairs of classes.",
    ),
    trusted_types=(
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.model_selection._split.StratifiedKFold",
    ),
)


def build(*, seed: int) -> "CalibratedClassifierCV":
    """Build the unfitted machine.

    One machine is fitted on all the data, and its sigmoids on the decisions of five that each left out a fold: what
    scikit-learn recommends instead of the deprecated ``SVC(probability=True)``. Every class needs at least five
    examples, or `fit` raises ValueError. `seed` decides the folds.
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    # The scaler stands inside, so that it too never sees the fold that is left out.
    machine = make_pipeline(StandardScaler(), SVC(**CARD.recipe))
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
    return CalibratedClassifierCV(machine, method="sigmoid", cv=folds, ensemble=False)
