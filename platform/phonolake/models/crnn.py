"""The C-RNN for FMA genres of a KTH course project: four convolutions, then a recurrent layer.

References
----------
.. [1] "Music Genre Classification: Different Methods", KTH DT2119 final project, 2020, Sec. 3.2 and Fig. 2.
.. [2] The project's executed notebook: what was run.

Shape suffixes: B batch, C maps, F mel bands, T frames, D features, K classes, E embedding values.
"""

from torch import Tensor, nn

from phonolake.models import initial
from phonolake.models.heads import LinearHead
from phonolake.models.residual_cnn import NORM_EPS, SIDE, card, check_length, check_square

MAPS, POOLS, N_HIDDEN, DROPOUT = (68, 137, 137, 137), (2, 3, 4, 4), 68, 0.1
# Pooling moves by one step: it takes off its length less one.
LEFT = SIDE - sum(pool - 1 for pool in POOLS)
EXECUTED, DESCRIBED = "crnn", "crnn-as-described"

RECIPE = {
    "optimizer": "adam",
    "lr": 1e-3,
    "batch_size": 32,
    "max_epochs": 30,
    "patience": 10,
    "monitor": "accuracy",
    "schedule": "constant",
    "loss": "cross-entropy",
}

CARDS = (
    card(
        EXECUTED,
        "Four convolutions and a GRU over a 128 x 128 log-mel spectrogram, as executed for the published 41 %.",
        RECIPE,
        "Pooling does not shrink the maps, and the GRU reads the first map only, band by band: so it was run.",
        "Batch norm, ReLU, pooling, in this order; the text says pooling first. 30 epochs; the text says 50.",
    ),
    card(
        DESCRIBED,
        "Four convolutions and a GRU that reads all maps, frame by frame, as the text describes it.",
        {**RECIPE, "max_epochs": 50},
        "Pooling moves by one step as in the executed network: with the pools' own strides one frame would remain.",
    ),
)


class CRNN(LinearHead):
    """Convolutions and a GRU, whose last state gives the logits.

    Parameters
    ----------
    n_classes : int
    described : bool
        Whether it is the network of the text: pooling before the norm, all maps, frame by frame.
    """

    def __init__(self, n_classes: int, *, described: bool) -> None:
        super().__init__(n_classes, EXECUTED)
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

    def embed(self, x_BFT: Tensor) -> Tensor:
        """Compute the last state of the GRU, 68 values, from log-mel spectrograms in dB."""
        check_square(x_BFT, EXECUTED)
        maps_BCFT = self.blocks(x_BFT[:, None])
        # As executed, the bands are the steps of the sequence and the frames of the first map their values.
        sequence_BTD = maps_BCFT.flatten(1, 2).transpose(1, 2) if self.described else maps_BCFT[:, 0]
        _, state_1BE = self.gru(sequence_BTD)
        embedding_BE: Tensor = state_1BE[0]
        return embedding_BE


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
