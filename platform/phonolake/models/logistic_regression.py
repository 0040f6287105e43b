"""Multinomial logistic regression over standardised clip-level features.

References
----------
.. [1] T. Hastie, R. Tibshirani, J. Friedman, "The Elements of Statistical Learning", 2nd ed., 2009, Sec. 4.4.
.. [2] M. Korosteleva, J. Gerstner, "Music Role Classification Using AudioSet", KAIST term project, Table 6.
"""

from typing import TYPE_CHECKING

from phonolake.models.registry import EstimatorCard

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

CARD = EstimatorCard(
    name="logistic-regression",
    input="features:mfcc-120",
    summary="Multinomial logistic regression with an L2 penalty on standardised features.",
    source="Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2009, Sec. 4.4",
    recipe={"C": 1.0, "max_iter": 2000},
    deviations=("Korosteleva and Gerstner fitted one class against the rest on features scaled to [0, 1].",),
)


def build(*, seed: int) -> "Pipeline":
    """Build the unfitted regression. Its solver draws nothing; it takes `seed` as all models do."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(**CARD.recipe, random_state=seed))
