"""The parallel CNN-RNN for FMA genres of a KTH course project: a residual CNN beside a recurrent layer.

References
----------
.. [1] "Music Genre Classification: Different Methods", KTH DT2119 final project, 2020, Sec. 3.2 and Fig. 3.
.. [2] The project's executed notebook: what was run.

Shape suffixes: B batch, F mel bands, T steps (frames unless said otherwise), D features, K classes, E embedding values.
"""

import numpy as np
import torch
from torch import Tensor, nn

from phonolake.errors import UsageError
from phonolake.models import initial
from phonolake.models.registry import ModelCard, Network
from phonolake.models.residual_cnn import LAST, SIDE, Skeleton, check_length, check_square

STEPS = ((128, 16, 2), (256, 16, 1), (512, 32, 2), (512, 32, 1), (512, 64, 2), (128, 64, 1))
N_STATE, POOL = 64, 2
N_EMBEDDING = LAST * 4 * 4 + 2 * N_STATE
EXECUTED, DESCRIBED = "cnn-rnn-parallel", "cnn-rnn-parallel-as-described"

_DEVIATIONS = (
    "The third and fifth side paths start at the sum before them; where is not published.",
    "Batch norm forgets as PyTorch's does (0.1 per batch); Keras forgets 0.01 per batch.",
)


def _card(name: str, summary: str, *deviations: str) -> ModelCard:
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
            "max_epochs": 50,
            "patience": 20,
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
        "Residual CNN beside a bidirectional GRU over a 128 x 128 log-mel spectrogram, as executed (52.5 %).",
        "The GRU runs over the mel bands, without attention, on max-pooled frames: so it was run.",
    ),
    _card(
        DESCRIBED,
        "Residual CNN beside a bidirectional GRU over time with attention, as the text describes it.",
        "The attention is additive with 64 units, after Bahdanau et al., 2015; the text does not say which.",
        "The text's embedding layer is the max-pooling of pairs of bands: what it was is not published.",
    ),
)


class Parallel(Network):
    """Both halves read the spectrogram; their outputs side by side give the logits.

    Parameters
    ----------
    n_classes : int
    described : bool
        Whether it is the network of the text: the recurrent half runs over time and attends to all its states.
    """

    def __init__(self, n_classes: int, *, described: bool) -> None:
        super().__init__()
        if n_classes < 1:
            raise UsageError(f"cnn-rnn-parallel needs at least 1 class, received n_classes={n_classes}.")
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

    def forward(self, x_BFT: Tensor) -> Tensor:
        """Compute logits_BK of log-mel spectrograms in dB."""
        return self.classify(self.embed(x_BFT))

    def embed(self, x_BFT: Tensor) -> Tensor:
        """Compute the 1,024 values of the CNN and the 128 of the GRU."""
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

    def classify(self, embedding_BE: Tensor) -> Tensor:
        """Compute the logits_BK from what `embed` gave."""
        logits_BK: Tensor = self.head(embedding_BE)
        return logits_BK

    def label_vectors(self) -> np.ndarray:
        """The weights_KE of `head`, E = 1,152."""
        weight: np.ndarray = self.head.weight.detach().cpu().numpy()
        return weight


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
