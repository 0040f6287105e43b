"""Figures of J. Pons, X. Serra, "Randomly Weighted CNNs for (Music) Audio Classification", ICASSP 2019.

The figures are bars without numbers: these accuracies are those of the text.
"""

PAPER = "Pons and Serra, Randomly Weighted CNNs for (Music) Audio Classification, ICASSP 2019"

# By dataset and feature set, before an SVM.
ACCURACY = {
    ("gtzan", "random-vgg-large"): 0.5965,
    ("gtzan", "random-timbral-temporal-large"): 0.5689,
    ("gtzan", "mfcc-120"): 0.5344,
    ("extended-ballroom", "random-temporal-large"): 0.8982,
    ("extended-ballroom", "mfcc-120"): 0.6325,
    ("urbansound8k", "random-vgg-large"): 0.7074,
    ("urbansound8k", "mfcc-120"): 0.6549,
}
# Of networks that were trained, by dataset, as others had published them.
TRAINED = {"gtzan": 0.821, "extended-ballroom": 0.937, "urbansound8k": 0.73}
