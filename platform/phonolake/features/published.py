"""Spectrograms of the papers besides mel-96-12k, each by its parameters."""

from typing import Any

from phonolake.features.configuration import Configuration
from phonolake.features.contract import from_configuration

# The picture of the music role paper is described twice: its base code emphasises treble first, its notebook does not.
PICTURE: dict[str, Any] = {"sr": 22_050, "n_fft": 2048, "hop_length": 512, "n_mels": 96, "picture": 216}
ROLE_SOURCE = "Korosteleva & Gerstner 2018, Sec. 4.1: 216 x 216 RGB in the colours of jet, 80 dB deep; "
CONFIGURATIONS = {
    "mel-128-22k-729": (
        Configuration(sr=22_050, n_fft=729, hop_length=729, n_mels=128, power=1.0, scale="log", gain=10.0),
        "Lee, Park, Kim, Nam 2017, Sec. 4.3: the mel baseline of the sample-level networks, log(1 + 10 |A|)",
    ),
    "mel-128x128": (
        Configuration(sr=22_050, n_fft=2048, hop_length=604, n_mels=128, ref="max", offset=15.5, duration=3.5),
        "Bjelikj, García, Jordán, Alonso (KTH DT2119), as in their code: 3.5 s from 15.5 s on, dB below the maximum",
    ),
    "mel-96-16k-musicnn": (
        Configuration(
            sr=16_000, n_fft=512, hop_length=256, n_mels=96, scale="log10", gain=10_000.0, pad_mode="reflect"
        ),
        "Pons & Serra 2019, musicnn: log10(1 + 10,000 x power) with mirrored ends, in float32 where theirs is float16",
    ),
    "mel-96-picture": (Configuration(**PICTURE, ref="max"), ROLE_SOURCE + "as its notebook draws it"),
    "mel-96-picture-emphasised": (
        Configuration(**PICTURE, ref="max", pre_emphasis=0.97),
        ROLE_SOURCE + "with the pre-emphasis of 0.97 of its base code",
    ),
    "stft-257-12k": (
        Configuration(sr=12_000, n_fft=512, hop_length=256),
        "Choi, Fazekas, Cho, Sandler 2018, Sec. IV: the STFT that mel bands are compared with",
    ),
}
# Those that once gave other values.
VERSIONS = {"mel-128x128": 2}


SPECTROGRAM = tuple(
    from_configuration(name, *parts, version=VERSIONS.get(name, 1)) for name, parts in CONFIGURATIONS.items()
)
