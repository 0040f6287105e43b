"""Figures of M. Korosteleva and J. Gerstner, "Music Role Classification Using AudioSet", KAIST term project, 2018.

As printed, wrong or right. A figure is accuracy, macro F1 and macro AUC, in that order.
"""

PAPER = "Korosteleva and Gerstner, Music Role Classification Using AudioSet, KAIST term project, 2018"

Figures = tuple[float, float, float]
METRICS = ("accuracy", "macro-f1", "roc-auc")

# Table 2: clips that could be retrieved.
RETRIEVED = {
    "Background": 565,
    "Christmas": 573,
    "Dance": 568,
    "Jingle": 566,
    "Lullaby": 568,
    "Soundtrack": 572,
    "Theme": 570,
    "Video game": 563,
    "Wedding": 580,
}

# Table 3: roles left out, an SVM on the 97 features.
DATASET_REDUCTION: dict[tuple[str, ...], Figures] = {
    (): (0.40, 0.39, 0.807),
    ("Background",): (0.42, 0.42, 0.801),
    ("Theme",): (0.49, 0.47, 0.814),
    ("Soundtrack",): (0.40, 0.39, 0.804),
    ("Background", "Theme"): (0.54, 0.52, 0.831),
    ("Theme", "Soundtrack"): (0.45, 0.45, 0.818),
    ("Background", "Soundtrack"): (0.54, 0.53, 0.856),
    ("Background", "Theme", "Soundtrack"): (0.51, 0.50, 0.821),
}

# Table 5: feature vectors, an SVM on six roles.
FEATURE_REDUCTION: dict[str, tuple[str, Figures]] = {
    "full-20": ("Full vector with 20 MFCC components", (0.51, 0.50, 0.821)),
    "full-13": ("Full vector with 13 MFCC components", (0.54, 0.54, 0.828)),
    "full-7": ("Full vector with 7 MFCC components", (0.54, 0.54, 0.830)),
    "reduced-13": ("Reduced vector with 13 MFCC components", (0.52, 0.52, 0.837)),
    "reduced-7": ("Reduced vector with 7 MFCC components", (0.58, 0.58, 0.838)),
}

# Table 6: classifiers, on the reduced vector with 7 MFCC components of six roles.
CLASSIFIERS: dict[str, tuple[str, Figures]] = {
    "logistic-regression-ovr": ("Logistic Regression", (0.56, 0.54, 0.827)),
    "random-forest": ("Random forest", (0.54, 0.53, 0.838)),
    "xgboost-exact": ("Extreme Gradient Boosting", (0.58, 0.57, 0.829)),
    "svm-rbf-platt": ("Support Vector Machines", (0.58, 0.58, 0.838)),
}

# Table 7: on six roles.
ENSEMBLE: dict[str, Figures] = {
    "VGG16": (0.61, 0.60, 0.878),
    "SVM": (0.58, 0.58, 0.838),
    "Ensemble of VGG16 and SVM": (0.64, 0.64, 0.885),
}

# Printed by the authors' notebook "4.3_feature_based_classification" for Table 6; rows are true, columns predicted, in
# the order Jingle, Lullaby, Video game, Christmas, Dance, Wedding.
CONFUSION: dict[str, tuple[tuple[int, ...], ...]] = {
    "logistic-regression-ovr": (
        (9, 1, 5, 4, 6, 2),
        (1, 21, 2, 4, 0, 1),
        (1, 0, 21, 0, 3, 2),
        (5, 4, 3, 9, 2, 7),
        (3, 1, 2, 1, 23, 0),
        (1, 6, 1, 5, 3, 12),
    ),
    "random-forest": (
        (10, 0, 3, 3, 8, 3),
        (1, 19, 1, 5, 0, 3),
        (4, 0, 17, 1, 1, 4),
        (3, 7, 3, 10, 2, 5),
        (3, 1, 1, 2, 23, 0),
        (1, 6, 1, 5, 3, 12),
    ),
    "xgboost-exact": (
        (12, 3, 2, 2, 6, 2),
        (0, 21, 1, 5, 0, 2),
        (2, 0, 17, 1, 2, 5),
        (5, 7, 1, 12, 1, 4),
        (2, 1, 0, 2, 24, 1),
        (0, 6, 0, 5, 4, 13),
    ),
    "svm-rbf-platt": (
        (14, 1, 2, 2, 5, 3),
        (2, 16, 2, 6, 0, 3),
        (2, 0, 22, 1, 1, 1),
        (2, 3, 3, 12, 3, 7),
        (5, 1, 1, 1, 22, 0),
        (2, 5, 0, 5, 3, 13),
    ),
}
