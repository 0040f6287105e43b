"""Gradient-boosted trees in XGBoost's own open format, which the models `xgboost` and `xgboost-exact` share.

XGBoost's Python objects can only be stored as opaque memory dumps of one version of the library. We store the model in
UBJSON instead, XGBoost's documented and stable format, which contains trees and no code.

Shape suffixes: N examples, D features, K classes.
"""

from typing import Any

import numpy as np


class BoostedTrees:
    """Softmax-boosted trees with the interface of a scikit-learn classifier.

    Parameters
    ----------
    seed : int
        Decides which rows and columns are drawn, where the settings ask for that.
    n_estimators : int
        Boosting rounds; each grows one tree for every class.
    **settings
        Parameters of the booster under XGBoost's names, such as ``max_depth``.

    Attributes
    ----------
    classes_ : ndarray of int, shape (K,)
        Class numbers that occurred, in increasing order.
    """

    def __init__(self, *, seed: int = 0, n_estimators: int = 100, **settings: Any) -> None:
        self.seed = seed
        self.n_estimators = n_estimators
        self.settings = settings

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Settings by name, as scikit-learn asks for them."""
        return {"seed": self.seed, "n_estimators": self.n_estimators, **self.settings}

    def set_params(self, **params: Any) -> "BoostedTrees":
        """Change settings by name."""
        for name, value in params.items():
            if name in ("seed", "n_estimators"):
                setattr(self, name, value)
            else:
                self.settings[name] = value
        return self

    def fit(self, x_ND: np.ndarray, y_N: np.ndarray) -> "BoostedTrees":
        """Grow the trees, on one core: sums over rows in parallel threads depend on their order."""
        import xgboost

        self.classes_, place_N = np.unique(y_N, return_inverse=True)
        settings = {"objective": "multi:softprob", "num_class": len(self.classes_), "nthread": 1} | self.settings
        rows = xgboost.DMatrix(np.asarray(x_ND), label=place_N)
        booster = xgboost.train(settings | {"seed": self.seed}, rows, num_boost_round=self.n_estimators)
        self.ubjson_ = np.frombuffer(bytes(booster.save_raw("ubj")), np.uint8)
        return self

    def predict_proba(self, x_ND: np.ndarray) -> np.ndarray:
        """Compute P_NK, whose rows sum to 1."""
        import xgboost

        booster = xgboost.Booster({"nthread": 1}, model_file=bytearray(self.ubjson_.tobytes()))
        P_NK: np.ndarray = booster.predict(xgboost.DMatrix(np.asarray(x_ND)))
        return P_NK

    def predict(self, x_ND: np.ndarray) -> np.ndarray:
        """Name the most probable class of each example."""
        named_N: np.ndarray = self.classes_[self.predict_proba(x_ND).argmax(axis=1)]
        return named_N
