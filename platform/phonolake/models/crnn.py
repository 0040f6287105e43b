"""The C-RNN for FMA genres of a KTH course project: four convolutions, then a recurrent layer.

References
----------
.. [1] "Music Genre Classification: Different Methods", KTH DT2119 final project, 2020, Sec. 3.2 and Fig. 2.
.. [2] The project's executed notebook: what was run.

Shape suffixes: B batch, C maps, F mel bands, T frames, D features, K classes, E embedding values.
"""

import numpy as np
from torch import Tensor, nn

from phonolake.errors import UsageError
from phonolake.models import initial
from phonolake.models.registry import ModelCard, Network
from phonolake.models.residual_cnn import NORM_EPS, SIDE, check_length, check_square

MAPS, POOLS, N_HIDDEN, DROPOUT = (68, 137, 137, 137), (2, 3, 4, 4), 68, 0.1
# Pooling moves by one step: it takes off its length less one.
LEFT = SIDE - sum(pool - 1 for pool in POOLS)
EXECUTED, DESCRIBED = "crnn", "crnn-as-described"

_DEVIATIONS = ("Batch norm forgets as PyTorch's does (0.1 per batch); Keras forgets 0.01 per batch.",)


def _card(name: str, summary: str, max_epochs: int, *deviations: str) -> ModelCard:
    return ModelCard(
        name=name,
        kind="network",
        input="spectrogram:mel-128x128",
        summary=summary,
        source="Music Genre Classification: Different Methods, KTH DT2119 final project, 2020",
        recipe={
            "optimizer": "adam",
            "lr": 1e-3,
            "batch_size": 32,
            "max_epochs": max_epochs,
            "patience": 10,
            "monitor": "accuracy",
            "schedule": "constant",
            "loss": "cross-entropy",
        },
        deviations=(*deviations, *_DEVIATIONS),
        n_frames=SIDE,
    )


CARDS = (
    _card(
        EXECUTED,
        "Four convolutions and a GRU over a 128 x 128 log-mel spectrogram, as executed for the published 41 %.",
        30,
        "Pooling does not shrink the maps, and the GRU reads the first map only, band by band: so it was run.",
        "Batch norm, ReLU, pooling, in this order; the text says pooling first. 30 epochs; the text says 50.",
    ),
    _card(
        DESCRIBED,
        "Four convolutions and a GRU that reads all maps, frame by frame, as the text describes it.",
        50,
        "Pooling moves by one step as in the executed network: with the pools' own strides one frame would remain.",
    ),
)


class CRNN(Network):
    """Convolutions and a GRU, whose last state gives the logits.

    Parameters
    ----------
    n_classes : int
    described : bool
        Whether it is the network of the text: pooling before the norm, all maps, frame by frame.
    """

    def __init__(self, n_classes: int, *, described: bool) -> None:
        super().__init__()
        if n_classes < 1:
            raise UsageError(f"crnn needs at least 1 class, received n_classes={n_classes}.")
        self.described = described
        blocks = []
        for n_in, n_out, pool in zip((1, *MAPS[:-1]), MAPS, POOLS, strict=True):
            conv, norm = nn.Conv2d(n_in, n_out, 3, padding="same"), nn.BatchNorm2d(n_out, NORM_EPS)
            shrink = nn.MaxPool2d(pool, stride=1)
            order = (conv, shrink, norm, nn.ReLU()) if described else (conv, norm, nn.ReLU(), shrink)
            blocks.append(nn.Sequential(*order, nn.Dropout(DROPOUT)))
            initial.glorot_uniform(conv)
        self.blocks = nn.Sequential(*blocks)
        self.gru = nn.GRU(MAPS[-1] * LEFT if described else LEFT, N_HIDDEN, batch_first=True)
        self.head = nn.Linear(N_HIDDEN, n_classes)
        initial.keras_gru(self.gru)
        initial.glorot_uniform(self.head)

    def forward(self, x_BFT: Tensor) -> Tensor:
        """Compute logits_BK of log-mel spectrograms in dB."""
        return self.classify(self.embed(x_BFT))

    def embed(self, x_BFT: Tensor) -> Tensor:
        """Compute the last state of the GRU, 68 values."""
        check_square(x_BFT, EXECUTED)
        maps_BCFT = self.blocks(x_BFT[:, None])
        # As executed, the bands are the steps of the sequence and the frames of the first map their values.
        sequence_BTD = maps_BCFT.flatten(1, 2).transpose(1, 2) if self.described else maps_BCFT[:, 0]
        _, state_1BE = self.gru(sequence_BTD)
        embedding_BE: Tensor = state_1BE[0]
        return embedding_BE

    def classify(self, embedding_BE: Tensor) -> Tensor:
        """Compute the logits_BK from what `embed` gave."""
        logits_BK: Tensor = self.head(embedding_BE)
        return logits_BK

    def label_vectors(self) -> np.ndarray:
        """The weights_KE of `head`, E = 68."""
        weight: np.ndarray = self.head.weight.detach().cpu().numpy()
        return weight


def build(name: str, n_classes: int, *, n_frames: int, seed: int) -> CRNN:
    """Build the network with Keras's default weights.

    Raises
    ------
    UsageError
        If `n_classes` is below 1 or `n_frames` is not 128.
    """
    check_length(n_frames, name)
    with initial.seeded(seed):
        return CRNN(n_classes, described=name == DESCRIBED)
