"""Figures of K. Choi, G. Fazekas, K. Cho, M. Sandler, "On the Robustness of Deep Convolutional Neural Networks for
Music Classification", 2017 (printed as "The Effects of Noisy Labels ...", IEEE TETCI 2(2), 2018).

As printed, wrong or right. Figures 4, 5 and 7 are bars without numbers: what the text says of them stands here.
"""

PAPER = (
    "Choi, Fazekas, Cho and Sandler, On the Robustness of Deep Convolutional Neural Networks for Music Classification, "
    "2017"
)

# Sec. IV-A: of 15 initialisations; and what it takes for no difference.
STD_OF_SEEDS, MEAN_ERROR_OF_SEEDS, CI_OF_SEEDS = 0.00136, 0.00103, 0.00069
NO_DIFFERENCE = 0.005

# Table III, row 1: the pairs that co-occur most, the first the most (its 20th entry is a ghost of the 12th).
TOGETHER = (
    ("alternative rock", "rock"),
    ("indie rock", "indie"),
    ("House", "dance"),
    ("indie pop", "indie"),
    ("classic rock", "rock"),
    ("electronica", "electronic"),
    ("alternative", "rock"),
    ("hard rock", "rock"),
    ("electro", "electronic"),
    ("House", "electronic"),
    ("alternative rock", "alternative"),
    ("catchy", "pop"),
    ("indie rock", "rock"),
    ("60s", "oldies"),
    ("heavy metal", "metal"),
    ("rnb", "soul"),
    ("ambient", "electronic"),
    ("90s", "rock"),
    ("heavy metal", "hard rock"),
    ("alternative", "indie"),
)
# Sec. III-A: shares that are said in the text, as the ordered pairs that have them.
SHARES = {("female vocalist", "female vocalists"): 0.30, ("alternative rock", "alternative"): 0.44}

# Table III, row 2: the pairs of the most similar label vectors.
ALIKE = (
    ("electronica", "electronic"),
    ("indie rock", "indie"),
    ("female vocalist", "female vocalists"),
    ("heavy metal", "hard rock"),
    ("indie", "indie pop"),
    ("sad", "beautiful"),
    ("alternative rock", "rock"),
    ("alternative rock", "alternative"),
    ("happy", "catchy"),
    ("indie rock", "alternative"),
    ("alternative", "indie"),
    ("rnb", "sexy"),
    ("electro", "electronic"),
    ("sad", "Mellow"),
    ("Mellow", "beautiful"),
    ("60s", "oldies"),
    ("House", "dance"),
    ("heavy metal", "metal"),
    ("chillout", "chill"),
    ("electro", "electronica"),
)
# Sec. V-A: Pearson correlation of the two rankings of pairs, and how many of the two top twenties agree.
RANK_CORRELATION, COMMON_OF_20 = 0.580, 11

# Table I: tracks of 50 with and 50 without the label whose label was wrong; tracks with it among 242,842; the columns
# (c), (d) and (f) as printed; and tracks with the label among 400 that were drawn at random.
N_TRACKS = 242_842
GROUND_TRUTH = {
    "female vocalists": ((2, 12), 17_840, (0.960, 0.800, 71_127), 94),
    "male vocalists": ((1, 32), 3_026, (0.980, 0.605, 156_448), 252),
    "instrumental": ((3, 6), 8_424, (0.940, 0.887, 36_048), 85),
    "guitar": ((1, 35), 3_311, (0.980, 0.583, 170_916), 266),
}
N_OF_EACH, N_SECOND = 50, 400

# Fig. 2: correlations of re-annotated with given labels, for three sets of results; mean of those with all tags.
RHO_1, RHO_2 = (0.905, 0.833, 0.543), 0.856
