"""One logistic regression for each class against the rest, as Korosteleva and Gerstner ran it in 2018.

References
----------
.. [1] D. Cox, "The regression analysis of binary sequences", Journal of the Royal Statistical Society B 20, 1958.
.. [2] M. Korosteleva, J. Gerstner, "Music Role Classification Using AudioSet", KAIST term project, Table 6.
"""

from typing import TYPE_CHECKING

from phonolake.models.registry import EstimatorCard

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

CARD = EstimatorCard(
    name="logistic-regression-ovr",
    input="features:music-role-97",
    summary="Binary logistic regressions, one class against the rest, on features scaled to [0, 1].",
    source="Korosteleva and Gerstner, Music Role Classification Using AudioSet, Table 6",
    recipe={"C": 1.0, "solver": "liblinear"},
    deviations=("Features are scaled by the training rows; the authors scaled by all rows, test rows included.",),
)


def build(*, seed: int) -> "Pipeline":
    """Build the unfitted regressions; their sigmoids are normalised to sum to 1. `seed` orders the solver's steps."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler

    # liblinear's penalty also covers the intercept, unlike that of other solvers.
    regressions = OneVsRestClassifier(LogisticRegression(**CARD.recipe, random_state=seed))
    return make_pipeline(MinMaxScaler(), regressions)
