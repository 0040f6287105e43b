"""Figures of M. Bjelikj, F. García, C. Jordán Rosado, A. Alonso Toledo, "Music Genre Classification: Different Methods
Exploration", KTH DT2119 final project, 2020. As printed, wrong or right.
"""

PAPER = "Bjelikj, García, Jordán and Alonso, Music Genre Classification: Different Methods Exploration, KTH, 2020"

GENRES = ("Electronic", "Experimental", "Folk", "Hip-Hop", "Instrumental", "International", "Pop", "Rock")

# Sec. 4: test accuracies of the two baselines.
NEIGHBOURS, SVM = 0.305, 0.33
# Tables 1 to 3, last rows. Of the C-RNN the matrix of Fig. 5, which is that of the notebook, gives 323 of 800.
ACCURACY = {"residual-cnn": 0.5025, "crnn": 0.4112, "cnn-rnn-parallel": 0.5250}
CRNN_BY_MATRIX = 0.40375

# Tables 1 to 3: precision, recall and F1 of each genre.
PER_GENRE: dict[str, dict[str, tuple[float, float, float]]] = {
    "crnn": {
        "Electronic": (0.4363, 0.48, 0.4571),
        "Experimental": (0.2828, 0.28, 0.2814),
        "Folk": (0.3043, 0.35, 0.3255),
        "Hip-Hop": (0.5384, 0.63, 0.5806),
        "Instrumental": (0.4464, 0.50, 0.4716),
        "International": (0.3410, 0.59, 0.4322),
        "Pop": (0.2941, 0.05, 0.0854),
        "Rock": (0.7192, 0.41, 0.5222),
    },
    "residual-cnn": {
        "Electronic": (0.4677, 0.58, 0.5179),
        "Experimental": (0.3786, 0.39, 0.3842),
        "Folk": (0.3786, 0.53, 0.4417),
        "Hip-Hop": (0.6634, 0.67, 0.6667),
        "Instrumental": (0.5616, 0.41, 0.4740),
        "International": (0.6000, 0.48, 0.5333),
        "Pop": (0.3590, 0.28, 0.3146),
        "Rock": (0.6733, 0.68, 0.6766),
    },
    "cnn-rnn-parallel": {
        "Electronic": (0.4755, 0.68, 0.5597),
        "Experimental": (0.3629, 0.45, 0.4018),
        "Folk": (0.4452, 0.65, 0.5285),
        "Hip-Hop": (0.7889, 0.71, 0.7474),
        "Instrumental": (0.5068, 0.37, 0.4277),
        "International": (0.5122, 0.63, 0.5650),
        "Pop": (0.5000, 0.17, 0.2537),
        "Rock": (0.8060, 0.54, 0.6467),
    },
}
# Fig. 5: rows are true, columns predicted, in the order of `GENRES`.
CONFUSION_CRNN = (
    (55, 3, 9, 14, 5, 9, 1, 4),
    (19, 15, 15, 6, 15, 14, 4, 12),
    (1, 6, 42, 0, 13, 32, 2, 4),
    (24, 4, 1, 60, 1, 9, 0, 1),
    (4, 9, 35, 1, 41, 9, 1, 0),
    (9, 3, 18, 7, 3, 53, 2, 5),
    (36, 6, 16, 6, 4, 21, 8, 3),
    (6, 10, 8, 4, 2, 15, 6, 49),
)
