"""The 50-tag music tagger of Choi et al. with its own spectrogram: the network whose trained weights are public.

It is k2c2 behind a front end of fixed kernels: a short-time Fourier transform written as a convolution, mel bands, and
decibels relative to the clip's maximum. Its batch normalisation is Keras 1's mode 2: the published model normalises by
the statistics of the batch that it tags, and the statistics in its file were never learned. Here the statistics of
given music are computed once (`calibrate`) and stored, so that the tags of a clip do not depend on the batch.

References
----------
.. [1] K. Choi, G. Fazekas, K. Cho, M. Sandler, "On the Robustness of Deep Convolutional Neural Networks for Music
       Classification", arXiv:1706.02361, 2017.
.. [2] K. Choi, G. Fazekas, M. Sandler, K. Cho, "Transfer learning for music classification and regression tasks",
       ISMIR 2017, Sec. 3.1.
.. [3] M. Slaney, "Auditory Toolbox", Interval Research, 1998: the mel scale.

Shape suffixes: B batch, C maps, F bands, T frames, S samples, W window, Q Fourier bins, K classes, E embedding values.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from phonolake.errors import UsageError
from phonolake.models import initial, k2c2
from phonolake.models.k2c2 import K2C2, N_MELS
from phonolake.models.registry import NetworkCard

SR, N_FFT, HOP_LENGTH = 12_000, 512, 256
N_SAMPLES = 29 * SR
SMALLEST_POWER, TOP_DB = 1e-10, 80.0

# Column order of the published output matrix.
TAGS = (
    *("rock", "pop", "alternative", "indie", "electronic", "female vocalists", "dance", "00s", "alternative rock"),
    *("jazz", "beautiful", "metal", "chillout", "male vocalists", "classic rock", "soul", "indie rock", "Mellow"),
    *("electronica", "80s", "folk", "90s", "chill", "instrumental", "punk", "oldies", "blues", "hard rock", "ambient"),
    *("acoustic", "experimental", "female vocalist", "guitar", "Hip-Hop", "70s", "party", "country"),
    *("easy listening", "sexy", "catchy", "funk", "electro", "heavy metal", "Progressive rock", "60s", "rnb"),
    *("indie pop", "sad", "House", "happy"),
)

CARD = NetworkCard(
    name="choi-msd",
    input=f"audio:{SR}",
    summary="k2c2 over its own 96-band spectrogram of 29 s; `models import` brings its trained weights for 50 tags.",
    source=k2c2.CARD.source,
    recipe=k2c2.CARD.recipe,
    deviations=(
        "Batch normalisation by population statistics of stated music; the original uses those of the tagged batch.",
        "Clips are resampled to 12 kHz by soxr; the original's resampler is librosa's of 2017.",
        "Clips under 29 s are repeated; the original appends silence.",
    ),
    n_frames=N_SAMPLES,
)


class ChoiTagger(K2C2):
    """k2c2 over waveforms.

    Parameters
    ----------
    n_classes : int
    n_frames : int
        Length in samples at 12 kHz that it is built for.

    Attributes
    ----------
    cosine, sine, mel : Tensor, shapes (257, 512), (257, 512) and (257, 96)
        Fixed kernels of the spectrogram.
    calibrated : Tensor
        Whether the batch-norm statistics are valid.
    """

    cosine: Tensor
    sine: Tensor
    mel: Tensor
    calibrated: Tensor

    def __init__(self, n_classes: int, n_frames: int) -> None:
        super().__init__(n_classes, -(-n_frames // HOP_LENGTH))
        cosine_QW, sine_QW = fourier_kernels()
        self.register_buffer("cosine", cosine_QW)
        self.register_buffer("sine", sine_QW)
        self.register_buffer("mel", mel_bands())
        self.register_buffer("calibrated", torch.tensor(True))

    def spectrogram(self, x_BS: Tensor) -> Tensor:
        """Compute the spectrograms_BFT that the convolutions read, in dB from -80 to 0, T = ceil(S / 256)."""
        if x_BS.ndim != 2 or x_BS.shape[1] < 1:
            raise UsageError(f"choi-msd reads (batch, samples at {SR} Hz), received {tuple(x_BS.shape)}.")
        kernels = torch.cat([self.cosine, self.sine])[:, None]
        both_BQT = nn.functional.conv1d(x_BS[:, None], kernels, stride=HOP_LENGTH, padding=N_FFT // 2)
        real_BQT, imaginary_BQT = both_BQT[..., : -(-x_BS.shape[1] // HOP_LENGTH)].chunk(2, dim=1)
        power_BFT = torch.einsum("bqt,qf->bft", real_BQT.square() + imaginary_BQT.square(), self.mel)
        db_BFT = 10 * power_BFT.clamp_min(SMALLEST_POWER).log10()
        return (db_BFT - db_BFT.amax((1, 2), keepdim=True)).clamp_min(-TOP_DB)

    def calibrate(self, clips: Iterable[np.ndarray]) -> None:
        """Compute the batch-norm statistics of music, layer by layer, each behind the ones that are known already.

        They are those that the original would have used on a batch of just these clips.

        Parameters
        ----------
        clips : iterable of ndarray
            Waveforms x_S at 12 kHz; all of one length, or a longer one counts for more.

        Raises
        ------
        UsageError
            If there are none.
        """
        with torch.inference_mode():
            maps = [self.spectrogram(torch.from_numpy(x_S)[None])[:, None] for x_S in clips]
            if not maps:
                raise UsageError("there is no music to calibrate with.")
            for block, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
                assert isinstance(norm, nn.BatchNorm2d)
                _set_statistics(norm, (conv(maps_BCFT) for maps_BCFT in maps))
                norm.eval()
                # Convolved a second time: what it gives is sixteen times as large as what is kept.
                maps = [self._activate(block, norm(conv(maps_BCFT))) for maps_BCFT in maps]
            self.calibrated.fill_(True)

    def _image(self, x_BS: Tensor) -> Tensor:
        if not self.training and not self.calibrated:
            raise UsageError(
                "these weights hold no batch-norm statistics, so they cannot tag: import them again with "
                "`phonolake models import choi-msd FILE --calibrate MUSIC`, a lake or a folder of recordings."
            )
        image_BFT = self.spectrogram(x_BS)
        if image_BFT.shape[2] < self.min_frames:
            raise UsageError(
                f"this choi-msd reads at least {self.min_frames * HOP_LENGTH} samples, received {x_BS.shape[1]}."
            )
        return image_BFT[:, None]


def _set_statistics(norm: nn.BatchNorm2d, maps: Iterable[Tensor]) -> None:
    """Mean and variance over all positions of all clips, in float64; each tensor is maps_BCFT."""
    n, total, squares = 0, torch.zeros(norm.num_features).double(), torch.zeros(norm.num_features).double()
    for maps_BCFT in maps:
        values = maps_BCFT.double()
        n += values.numel() // norm.num_features
        total += values.sum((0, 2, 3))
        squares += values.square().sum((0, 2, 3))
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(total / n)
    norm.running_var.copy_(squares / n - (total / n).square())


def fourier_kernels() -> tuple[Tensor, Tensor]:
    """Cosines and sines of a 512-point Fourier transform under a periodic Hann window, each of shape (257, 512)."""
    time_W = torch.arange(N_FFT, dtype=torch.float64)
    window_W = 0.5 - 0.5 * torch.cos(2 * torch.pi * time_W / N_FFT)
    angle_QW = 2 * torch.pi / N_FFT * torch.arange(N_FFT // 2 + 1, dtype=torch.float64)[:, None] * time_W
    return (angle_QW.cos() * window_W).float(), (angle_QW.sin() * window_W).float()


def mel_bands() -> Tensor:
    """96 triangles of equal area on Slaney's mel scale from 0 to 6,000 Hz [3]_, of shape (257, 96)."""
    # Linear up to 1 kHz, which is mel 15; above, 27 mel for each factor of 6.4.
    highest = 15 + 27 * np.log(SR / 2 / 1000) / np.log(6.4)
    mel = np.linspace(0, highest, N_MELS + 2)
    edges = np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))
    bins_Q1 = np.linspace(0, SR / 2, N_FFT // 2 + 1)[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    slopes = np.minimum((bins_Q1 - low) / (centre - low), (high - bins_Q1) / (high - centre))
    return torch.from_numpy((slopes.clip(0) * 2 / (high - low)).astype(np.float32))


def build(n_classes: int, *, n_frames: int, seed: int) -> ChoiTagger:
    """Build the network with random weights, as `phonolake.models.k2c2.build` does; `n_frames` counts samples."""
    if n_frames < 1:
        raise UsageError(f"choi-msd needs at least 1 sample, received n_frames={n_frames}.")
    with initial.seeded(seed):
        return k2c2.initialise(ChoiTagger(n_classes, n_frames))
