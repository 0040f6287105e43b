"""Log-mel spectrogram of Choi et al. 2018 and Pons & Serra 2019: 96 bands at 12 kHz, windows of 512, hops of 256."""

import numpy as np

from phonolake.features.clip import Clip
from phonolake.features.configuration import Configuration
from phonolake.features.contract import Spectrogram
from phonolake.records import Hertz

SR, HOP_LENGTH = Hertz(12_000), 256
CONFIG = Configuration(sr=SR, n_fft=512, hop_length=HOP_LENGTH, n_mels=96)


def compute(clip: Clip) -> np.ndarray:
    """Log-mel in decibels relative to power 1, 80 dB deep: float32 of shape (96, 1 + n // 256)."""
    return CONFIG.compute(clip)


SPECTROGRAM = Spectrogram(
    name="mel-96-12k",
    version=1,
    sr=SR,
    n_bands=96,
    frames_per_second=SR / HOP_LENGTH,
    unit="dB",
    source="Choi, Fazekas, Cho, Sandler 2018, Sec. IV; Pons & Serra 2019, Sec. 3",
    compute=compute,
    config=CONFIG,
)
