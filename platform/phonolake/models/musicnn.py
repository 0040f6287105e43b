"""Pons and Serra's musically motivated ConvNet, whose weights for two tag collections are public.

Its first filters have musically motivated shapes: some cover 7 frames and much of the spectrum (timbre), some cover
many frames of one band (time). Their maxima over the spectrum in each frame go through three convolutions over time;
the maxima and means over time of everything become 200 values, and these the tags.

References
----------
.. [1] J. Pons, X. Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging", ISMIR 2019,
       late-breaking demo.
.. [2] J. Pons, O. Nieto, M. Prockup, E. Schmidt, A. Ehmann, X. Serra, "End-to-end learning for music audio tagging at
       scale", ISMIR 2018.

Shape suffixes: B batch, C maps, T frames, F mel bands, K classes, E embedding values.
"""

import torch
from torch import Tensor, nn

from phonolake.errors import UsageError
from phonolake.models import initial
from phonolake.models.heads import LinearHead
from phonolake.models.padding import same
from phonolake.models.registry import NetworkCard

N_MELS, N_FRAMES = 96, 187
INPUT = "spectrogram:mel-96-16k-musicnn"
# Bands of the filters for timbre, which are 7 frames long, and frames of those for time.
TIMBRAL_BANDS, TEMPORAL_FRAMES = (38, 67), (128, 64, 32)
N_TIMBRAL, N_TEMPORAL, N_MID, N_EMBEDDING = 204, 51, 64, 200
LENGTH = 7
N_FRONT = len(TIMBRAL_BANDS) * N_TIMBRAL + len(TEMPORAL_FRAMES) * N_TEMPORAL
# Of all batch normalisations, as in TensorFlow: the running statistics keep 99 % at each step.
EPS, MOMENTUM = 1e-3, 0.01
DROPOUT = 0.5

RECIPE = {
    "optimizer": "adam",
    "lr": 1e-3,
    "weight_decay": 1e-5,
    "batch_size": 32,
    "schedule": "constant",
    "patience": 75,
    "max_epochs": 6000,
}
DEVIATIONS = (
    "The spectrogram is in float32; the authors' float16 overflows to infinity on loud pure tones.",
    "Clips are resampled to 16 kHz by soxr; the authors' resampler is librosa's of 2019.",
    "Clips under 187 frames are repeated; the authors' package drops them.",
    "Training settings are those of the file beside the weights, which names no schedule of the learning rate.",
)


def _card(name: str, collection: str) -> NetworkCard:
    return NetworkCard(
        name=name,
        input=INPUT,
        summary=f"Filters shaped after timbre and time; `models fetch {name}` brings weights for 50 {collection} tags.",
        source="Pons & Serra, musicnn: pre-trained convolutional neural networks for music audio tagging, 2019",
        recipe=RECIPE,
        deviations=DEVIATIONS,
        n_frames=N_FRAMES,
    )


CARDS = (_card("musicnn-msd", "Million Song Dataset"), _card("musicnn-mtt", "MagnaTagATune"))


class MusiCNN(LinearHead):
    """The network.

    Parameters
    ----------
    n_classes : int
        Number of logits, >= 1.

    Attributes
    ----------
    head : nn.Linear
        Its weight (n_classes, 200) holds one label vector per class.
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__(n_classes, "musicnn")
        widths = [*(N_TIMBRAL for _ in TIMBRAL_BANDS), *(N_TEMPORAL for _ in TEMPORAL_FRAMES)]
        self.input_norm = nn.BatchNorm2d(1, EPS, MOMENTUM)
        self.timbral = nn.ModuleList(nn.Conv2d(1, N_TIMBRAL, (LENGTH, bands)) for bands in TIMBRAL_BANDS)
        self.temporal = nn.ModuleList(nn.Conv2d(1, N_TEMPORAL, (frames, 1)) for frames in TEMPORAL_FRAMES)
        self.front_norms = nn.ModuleList(nn.BatchNorm2d(width, EPS, MOMENTUM) for width in widths)
        self.mids = nn.ModuleList(nn.Conv1d(n_in, N_MID, LENGTH, padding="same") for n_in in (N_FRONT, N_MID, N_MID))
        self.mid_norms = nn.ModuleList(nn.BatchNorm1d(N_MID, EPS, MOMENTUM) for _ in self.mids)
        n_pooled = 2 * (N_FRONT + len(self.mids) * N_MID)
        self.pool_norm = nn.BatchNorm1d(n_pooled, EPS, MOMENTUM)
        self.dense = nn.Linear(n_pooled, N_EMBEDDING)
        self.dense_norm = nn.BatchNorm1d(N_EMBEDDING, EPS, MOMENTUM)
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(N_EMBEDDING, n_classes)

    def embed(self, x_BFT: Tensor) -> Tensor:
        """Compute the 200 values before the linear output layer.

        Parameters
        ----------
        x_BFT : Tensor
            Spectrograms of 96 bands, log10(1 + 10,000 x power), of any number of frames; the published weights are for
            187.

        Returns
        -------
        embedding_BE : Tensor

        Raises
        ------
        UsageError
            If the input has another number of bands, or no frames.
        """
        front_BCT = self._front(_image(x_BFT))
        maps = [front_BCT]
        mid_BCT = front_BCT
        for number, (conv, norm) in enumerate(zip(self.mids, self.mid_norms, strict=True)):
            found_BCT = norm(conv(mid_BCT).relu())
            mid_BCT = found_BCT + mid_BCT if number else found_BCT
            maps.append(mid_BCT)
        maps_BCT = torch.cat(maps, dim=1)
        # Maximum and mean of one map lie side by side.
        pooled_BE = torch.stack([maps_BCT.amax(dim=2), maps_BCT.mean(dim=2)], dim=2).flatten(1)
        dense_BE = self.dense(self.dropout(self.pool_norm(pooled_BE)))
        embedding_BE: Tensor = self.dense_norm(dense_BE.relu())
        return embedding_BE

    def classify(self, embedding_BE: Tensor) -> Tensor:
        """Compute the logits_BK from the result of `embed`."""
        return super().classify(self.dropout(embedding_BE))

    def _front(self, image_B1TF: Tensor) -> Tensor:
        """What each filter finds in a frame, at its best place in the spectrum: maps_BCT."""
        normed_B1TF = self.input_norm(image_B1TF)
        # Over time a filter for timbre is padded by 3 frames on each side; it stays within the spectrum.
        found = [conv(nn.functional.pad(normed_B1TF, (0, 0, LENGTH // 2, LENGTH // 2))) for conv in self.timbral]
        found += [
            conv(same(normed_B1TF, (length, 1), 1)) for conv, length in zip(self.temporal, TEMPORAL_FRAMES, strict=True)
        ]
        return torch.cat([_best(norm, maps) for norm, maps in zip(self.front_norms, found, strict=True)], dim=1)


def _best(norm: nn.Module, maps_BCTF: Tensor) -> Tensor:
    """The maximum over the spectrum of what the ReLU and a norm make of the maps: best_BCT."""
    if not norm.training:
        # With fixed statistics a norm rises or falls throughout, so its maximum is at an end of what it reads.
        maps_BCTF = torch.stack(torch.aminmax(maps_BCTF, dim=3), dim=3)
    best_BCT: Tensor = norm(maps_BCTF.relu()).amax(dim=3)
    return best_BCT


def _image(x_BFT: Tensor) -> Tensor:
    if x_BFT.ndim != 3 or x_BFT.shape[1] != N_MELS or x_BFT.shape[2] < 1:
        raise UsageError(f"musicnn reads (batch, {N_MELS} bands, 1 frame or more), received {tuple(x_BFT.shape)}.")
    return x_BFT.transpose(1, 2)[:, None]


def build(name: str, n_classes: int, *, n_frames: int, seed: int) -> MusiCNN:
    """Build the network with random weights: Glorot-uniform, zero biases.

    Parameters
    ----------
    name : str
        Of the card; the weights that are published for them differ, the networks do not.
    n_classes : int
        Number of logits.
    n_frames : int
        Frames of its input, which leave it as it is.
    seed : int
        Decides the weights; PyTorch's own random state is left as it was.

    Raises
    ------
    UsageError
        If `n_classes` or `n_frames` is below 1.
    """
    if n_frames < 1:
        raise UsageError(f"{name} needs at least 1 frame, received n_frames={n_frames}.")
    with initial.seeded(seed):
        network = MusiCNN(n_classes)
        for layer in (*network.timbral, *network.temporal, *network.mids, network.dense, network.head):
            initial.glorot_uniform(layer)
        return network
