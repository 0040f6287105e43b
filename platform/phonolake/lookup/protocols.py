"""Shared protocols of papers: dataset, split, and published figures.

A published figure is shown as its paper states it: the paper's models were trained on the training part alone, unless
`system` says otherwise, and its means may be over folds, while ours are over tracks. If a paper was not available,
`source` says who quotes it.
"""

from dataclasses import dataclass

from phonolake.errors import unknown


@dataclass(frozen=True, slots=True)
class PublishedFigure:
    """A figure of a paper, in [0, 1]."""

    system: str
    metric: str
    value: float
    source: str


@dataclass(frozen=True, slots=True)
class Protocol:
    """A benchmark protocol.

    Parameters
    ----------
    name : str
    dataset : str
        Name of the source, which is the name of the dataset in a lake unless another was given.
    split : str
        Name of the split in the table `splits`.
    summary : str
        One sentence.
    published : tuple of PublishedFigure
    """

    name: str
    dataset: str
    split: str
    summary: str
    published: tuple[PublishedFigure, ...] = ()


_PICZAK = "Piczak, ESC: Dataset for Environmental Sound Classification, ACM MM 2015"
_PICZAK_CNN = "Piczak, Environmental Sound Classification with Convolutional Neural Networks, MLSP 2015"
_PONS = "Pons and Serra, Randomly Weighted CNNs for (Music) Audio Classification, ICASSP 2019"
_MUSICNN = "Pons and Serra, musicnn 0.1.0, figures beside the weights"
_KTH = "Bjelikj et al., Music Genre Classification: Different Methods Exploration, KTH 2020"
_ROLES = "Korosteleva and Gerstner, Music Role Classification Using AudioSet, Table 1"
_FMA = (
    "Defferrard et al., FMA: A Dataset For Music Analysis, ISMIR 2017, as quoted in FrescoFlacko/genre_classification"
)
_MTG = "the dataset's authors, results/auc_all.tsv of MTG/mtg-jamendo-dataset at 1b9cda9, mean over its 183 tags"
_LEE = "Lee et al., Sample-level Deep Convolutional Neural Networks for Music Auto-tagging, SMC 2017"


def _accuracy(system: str, value: float, source: str) -> PublishedFigure:
    return PublishedFigure(system, "accuracy", value, source)


PROTOCOLS: tuple[Protocol, ...] = (
    Protocol(
        "esc-10",
        "esc10",
        "folds",
        "400 clips of 10 classes, 5 folds",
        published=(
            _accuracy("people who listened", 0.957, _PICZAK),
            _accuracy("MFCC and zero crossings, random forest", 0.727, _PICZAK),
            _accuracy("MFCC and zero crossings, SVM", 0.675, _PICZAK),
            _accuracy("MFCC and zero crossings, k-NN", 0.667, _PICZAK),
        ),
    ),
    Protocol(
        "esc-50",
        "esc50",
        "folds",
        "2,000 clips of 50 classes, 5 folds",
        published=(
            _accuracy("people who listened", 0.813, _PICZAK),
            _accuracy("ConvNet on log-mel", 0.645, _PICZAK_CNN),
            _accuracy("MFCC and zero crossings, random forest", 0.443, _PICZAK),
            _accuracy("MFCC and zero crossings, SVM", 0.396, _PICZAK),
            _accuracy("MFCC and zero crossings, k-NN", 0.322, _PICZAK),
        ),
    ),
    Protocol(
        "us8k",
        "urbansound8k",
        "folds",
        "8,732 slices of 10 classes, the published 10 folds",
        published=(
            _accuracy("trained CNN, no augmentation", 0.73, f"Salamon and Bello 2017, as quoted by {_PONS}"),
            _accuracy("random VGG, SVM", 0.7074, _PONS),
            _accuracy("MFCC, SVM", 0.6549, _PONS),
        ),
    ),
    Protocol(
        "gtzan-fault-filtered",
        "gtzan",
        "fault-filtered",
        "443/197/290 clips of 10 genres without repetitions and with no artist on two sides",
        published=(
            _accuracy("CNN trained on the Million Song Dataset", 0.821, f"Lee et al., as quoted by {_PONS}"),
            _accuracy("random VGG, SVM", 0.5965, _PONS),
            _accuracy("random timbral+temporal, SVM", 0.5689, _PONS),
            _accuracy("MFCC, SVM", 0.5344, _PONS),
        ),
    ),
    Protocol(
        "gtzan-unfiltered",
        "gtzan",
        "random-10-seed-0",
        "1,000 clips in 10 random folds (`phonolake split --folds 10`), with all the repetitions",
        published=(
            _accuracy("CNN with shortcuts, split of its own", 0.874, f"Zhang et al., as quoted by {_ROLES}"),
            _accuracy("dense network, split of its own", 0.83, f"Sigtia and Dixon, as quoted by {_ROLES}"),
            _accuracy("CNN with augmentation, split of its own", 0.822, f"Schindler et al., as quoted by {_ROLES}"),
        ),
    ),
    Protocol(
        "extended-ballroom",
        "extended_ballroom",
        "stratified-10",
        "4,180 clips of 13 dances, 10 stratified folds",
        published=(
            _accuracy("trained CNN", 0.937, f"Jeong et al., as quoted by {_PONS}"),
            _accuracy("random temporal, SVM", 0.8982, _PONS),
            _accuracy("MFCC, SVM", 0.6325, _PONS),
        ),
    ),
    Protocol(
        "fma-small",
        "fma",
        "official",
        "8,000 clips of 8 genres, the official split",
        published=(
            _accuracy("convolutional and recurrent network side by side", 0.525, _KTH),
            _accuracy("residual ConvNet on log-mel", 0.5025, _KTH),
            _accuracy("SVM over principal components", 0.33, _KTH),
            _accuracy("k-NN over principal components", 0.305, _KTH),
        ),
    ),
    Protocol(
        "fma-medium",
        "fma",
        "official",
        "25,000 clips of 16 genres, the official split",
        published=(
            _accuracy("518 features, SVM", 0.63, _FMA),
            _accuracy("MFCC, SVM", 0.61, _FMA),
            _accuracy("518 features, logistic regression", 0.61, _FMA),
            _accuracy("518 features, perceptron", 0.58, _FMA),
            _accuracy("518 features, k-NN", 0.52, _FMA),
        ),
    ),
    Protocol(
        "mtat-folders",
        "magnatagatune",
        "folders",
        "the 50 most frequent tags, split by folder",
        published=(
            PublishedFigure("musicnn", "roc-auc", 0.9067, _MUSICNN),
            PublishedFigure("musicnn", "pr-auc", 0.3831, _MUSICNN),
            PublishedFigure("vgg", "roc-auc", 0.9030, _MUSICNN),
            PublishedFigure("vgg", "pr-auc", 0.3823, _MUSICNN),
        ),
    ),
    Protocol(
        "mtat-sample-level",
        "magnatagatune",
        "sample-level",
        "15,244/1,529/4,332 clips with one of the 50 most frequent tags",
        published=(
            PublishedFigure("3^9 network on samples", "roc-auc", 0.9055, _LEE),
            PublishedFigure("frame-level network on mel spectrograms", "roc-auc", 0.9059, _LEE),
        ),
    ),
    Protocol(
        "mtg-jamendo",
        "mtg_jamendo",
        "split-0",
        "195 tags of whole tracks, split-0",
        published=(
            PublishedFigure("baseline network, split not stated", "roc-auc", 0.7184, _MTG),
            PublishedFigure("baseline network, split not stated", "pr-auc", 0.0734, _MTG),
        ),
    ),
)


def get(name: str) -> Protocol:
    """The protocol called `name`; a `UsageError` that lists them for an unknown one."""
    found = {protocol.name: protocol for protocol in PROTOCOLS}
    if name not in found:
        raise unknown("protocol", name, found)
    return found[name]
