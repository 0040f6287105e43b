"""XGBoost over clip-level features, with slow learning and drawn rows and columns.

References
----------
.. [1] T. Chen, C. Guestrin, "XGBoost: A Scalable Tree Boosting System", KDD 2016.
.. [2] J. Friedman, "Stochastic Gradient Boosting", Computational Statistics & Data Analysis 38, 2002.
"""

from phonolake.models.boosted_trees import BoostedTrees
from phonolake.models.registry import EstimatorCard

CARD = EstimatorCard(
    name="xgboost",
    input="features:mfcc-120",
    summary="400 rounds of boosted trees of depth 4, each over 70 % of the rows and 30 % of the features.",
    source="Chen and Guestrin, XGBoost: A Scalable Tree Boosting System, 2016",
    recipe={
        "n_estimators": 400,
        "max_depth": 4,
        "learning_rate": 0.05,
        "subsample": 0.7,
        "colsample_bytree": 0.3,
        "min_child_weight": 3,
        "tree_method": "hist",
    },
    deviations=("The settings are ours; `xgboost-exact` has published ones.",),
    trusted_types=("phonolake.models.boosted_trees.BoostedTrees",),
)


def build(*, seed: int) -> BoostedTrees:
    """Build the unfitted trees; `seed` decides the rows and columns that each tree sees."""
    return BoostedTrees(seed=seed, **CARD.recipe)
