"""RBF support vector machine with libsvm's own probabilities, as Korosteleva and Gerstner ran it in 2018.

References
----------
.. [1] J. Platt, "Probabilistic outputs for support vector machines", Advances in Large Margin Classifiers, 1999.
.. [2] T.-F. Wu, C.-J. Lin, R. Weng, "Probability estimates for multi-class classification by pairwise coupling",
       Journal of Machine Learning Research 5, 2004.
.. [3] M. Korosteleva, J. Gerstner, "Music Role Classification Using AudioSet", KAIST term project, Tables 3, 5 and 6.
"""

import warnings
from typing import TYPE_CHECKING

from phonolake.models.registry import EstimatorCard

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

CARD = EstimatorCard(
    name="svm-rbf-platt",
    input="features:music-role-97",
    summary="RBF support vector machine on features scaled to [0, 1], named by the largest Platt probability.",
    source="Korosteleva and Gerstner, Music Role Classification Using AudioSet, Table 6",
    recipe={"kernel": "rbf", "C": 10_000.0, "gamma": "auto"},
    deviations=(
        "Features are scaled by the training rows; the authors scaled by all rows, test rows included.",
        "The folds behind the probabilities are seeded; the published ones were not.",
    ),
)


def build(*, seed: int) -> "Pipeline":
    """Build the unfitted machine. `seed` decides the five folds that its sigmoids are fitted on.

    ``gamma="auto"`` is 1 / the number of features. The largest coupled probability [2]_ often names another class than
    the machines' vote does.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler
    from sklearn.svm import SVC

    # `svm-rbf` has what scikit-learn recommends instead; this model is here for what was published.
    warnings.filterwarnings("ignore", message="The `probability` parameter was deprecated", category=FutureWarning)
    return make_pipeline(MinMaxScaler(), SVC(**CARD.recipe, probability=True, random_state=seed))
