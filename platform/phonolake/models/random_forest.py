"""Random forest over clip-level features.

References
----------
.. [1] L. Breiman, "Random Forests", Machine Learning 45, 2001.
.. [2] M. Korosteleva, J. Gerstner, "Music Role Classification Using AudioSet", KAIST term project, Table 6.
"""

from typing import TYPE_CHECKING

from phonolake.models.registry import EstimatorCard

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

CARD = EstimatorCard(
    name="random-forest",
    input="features:mfcc-120",
    summary="500 trees, each split chosen among the square root of the features.",
    source="Breiman, Random Forests, 2001; settings of Korosteleva and Gerstner, Music Role Classification",
    recipe={"n_estimators": 500, "min_samples_split": 5, "max_features": "sqrt"},
    deviations=("Seeded; the published forest was not.",),
    trusted_types=("sklearn.tree._tree.Tree",),
)


def build(*, seed: int) -> "RandomForestClassifier":
    """Build the unfitted forest; one process, since the sum over trees in parallel threads depends on their order."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(**CARD.recipe, n_jobs=1, random_state=seed)
