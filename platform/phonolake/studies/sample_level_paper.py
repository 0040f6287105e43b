"""Figures of J. Lee, J. Park, K. L. Kim, J. Nam, "Sample-level Deep Convolutional Neural Networks for Music
Auto-tagging Using Raw Waveforms", SMC 2017. As printed.
"""

PAPER = (
    "Lee, Park, Kim and Nam, Sample-level Deep Convolutional Neural Networks for Music Auto-tagging Using Raw "
    "Waveforms, SMC 2017"
)

# Table 1: all parameters of 3^9, of which batch norm is not counted.
PARAMETERS = 1.9e6
# Table 2: ROC-AUC on MagnaTagATune by m and length of the input, from the least n on.
DEPTH = {
    (2, 16_384): (0.8839, 0.8899, 0.8968, 0.8994, 0.9011, 0.9031, 0.9036, 0.9032),
    (2, 32_768): (0.8834, 0.8872, 0.8980, 0.8988, 0.9017, 0.9031, 0.9039, 0.9040),
    (3, 19_683): (0.8655, 0.8753, 0.8961, 0.9012, 0.9033, 0.9039),
    (3, 59_049): (0.8655, 0.8823, 0.8936, 0.9002, 0.9030, 0.9055),
    (4, 16_384): (0.8828, 0.8968, 0.9010, 0.9021),
    (4, 65_536): (0.8813, 0.8950, 0.9001, 0.9026),
    (5, 15_625): (0.8901, 0.9005, 0.9024),
    (5, 78_125): (0.8870, 0.9004, 0.9041),
}
# Table 3: ROC-AUC by input, window and hop in samples.
INPUT = {
    ("mel", 729, 729): 0.9000,
    ("raw", 729, 729): 0.8655,
    ("raw", 729, 243): 0.8742,
    ("raw", 243, 243): 0.8823,
    ("raw", 243, 81): 0.8906,
    ("raw", 81, 81): 0.8936,
    ("raw", 27, 27): 0.9002,
    ("raw", 9, 9): 0.9030,
    ("raw", 3, 3): 0.9055,
}
# Table 4: ROC-AUC of 3^9 by dataset.
DATASETS = {"magnatagatune": 0.9055, "msd": 0.8812}
