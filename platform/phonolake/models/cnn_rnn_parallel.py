"""The parallel CNN-RNN for FMA genres of a KTH course project: a residual CNN beside a recurrent layer.

References
----------
.. [1] "Music Genre Classification: Different Methods", KTH DT2119 final project, 2020, Sec. 3.2 and Fig. 3.
.. [2] The project's executed notebook: what was run.

Shape suffixes: B batch, F mel bands, T steps (frames unless said otherwise), D features, K classes, E embedding values.
"""

import torch
from torch import Tensor, nn

from phonolake.models import crnn, initial
from phonolake.models.heads import LinearHead
from phonolake.models.residual_cnn import LAST, SIDE, SIDE_PATHS, Skeleton, card, check_length, check_square

STEPS = ((128, 16, 2), (256, 16, 1), (512, 32, 2), (512, 32, 1), (512, 64, 2), (128, 64, 1))
N_STATE, POOL = 64, 2
N_EMBEDDING = LAST * 4 * 4 + 2 * N_STATE
EXECUTED, DESCRIBED = "cnn-rnn-parallel", "cnn-rnn-parallel-as-described"

RECIPE = {**crnn.RECIPE, "max_epochs": 50, "patience": 20}

CARDS = (
    card(
        EXECUTED,
        "Residual CNN beside a bidirectional GRU over a 128 x 128 log-mel spectrogram, as executed (52.5 %).",
        RECIPE,
        "The GRU runs over the mel bands, without attention, on max-pooled frames: so it was run.",
        SIDE_PATHS,
    ),
    card(
        DESCRIBED,
        "Residual CNN beside a bidirectional GRU over time with attention, as the text describes it.",
        RECIPE,
        "The attention is additive with 64 units, after Bahdanau et al., 2015; the text does not say which.",
        "The text's embedding layer is the max-pooling of pairs of bands: what it was is not published.",
        SIDE_PATHS,
    ),
)


class Parallel(LinearHead):
    """Both halves read the spectrogram; their outputs side by side give the logits.

    Parameters
    ----------
    n_classes : int
    described : bool
        Whether it is the network of the text: the recurrent half runs over time and attends to all its states.
    """

    def __init__(self, n_classes: int, *, described: bool) -> None:
        super().__init__(n_classes, EXECUTED)
        self.described = described
        self.skeleton = Skeleton(STEPS, last=True)
        self.gru = nn.GRU(SIDE // POOL, N_STATE, batch_first=True, bidirectional=True)
        self.head = nn.Linear(N_EMBEDDING, n_classes)
        initial.keras_gru(self.gru)
        initial.glorot_uniform(self.head)
        if described:
            self.attention = nn.Sequential(
                nn.Linear(2 * N_STATE, N_STATE), nn.Tanh(), nn.Linear(N_STATE, 1, bias=False)
            )
            for layer in (self.attention[0], self.attention[2]):
                initial.glorot_uniform(layer)

    def embed(self, x_BFT: Tensor) -> Tensor:
        """Compute the 1,024 values of the CNN and the 128 of the GRU from log-mel spectrograms in dB."""
        check_square(x_BFT, EXECUTED)
        return torch.cat([self.skeleton(x_BFT[:, None]).flatten(1), self._recurrent(x_BFT)], dim=1)

    def _recurrent(self, x_BFT: Tensor) -> Tensor:
        # As executed, the bands are the steps and pairs of frames are pooled; as described it is the other way round.
        sequence_BTD = nn.functional.max_pool1d(x_BFT.transpose(1, 2) if self.described else x_BFT, POOL)
        states_BTD, last_2BD = self.gru(sequence_BTD)
        if not self.described:
            return last_2BD.transpose(0, 1).flatten(1)
        weights_BT1 = self.attention(states_BTD).softmax(dim=1)
        summary_BD: Tensor = (weights_BT1 * states_BTD).sum(dim=1)
        return summary_BD


def build(name: str, n_classes: int, *, n_frames: int, seed: int) -> Parallel:
    """Build the network: the CNN's weights as those of residual-cnn, the others Keras's defaults.

    Raises
    ------
    UsageError
        If `n_classes` is below 1 or `n_frames` is not 128.
    """
    check_length(n_frames, name)
    with initial.seeded(seed):
        return Parallel(n_classes, described=name == DESCRIBED)
