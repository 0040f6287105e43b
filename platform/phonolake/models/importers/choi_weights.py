"""The published weights of the tagger of Choi et al.: a Keras 1 file in Theano's order, read into our network.

The file is ``compact_cnn/weights_theano.hdf5`` of github.com/keunwoochoi/music-auto_tagging-keras (MIT licence).
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from phonolake.errors import PhonolakeError, UsageError
from phonolake.models import choi_msd
from phonolake.models.choi_msd import N_SAMPLES, TAGS, ChoiTagger

URL = (
    "https://raw.githubusercontent.com/keunwoochoi/music-auto_tagging-keras/"
    "1347d8f4241bf77089d95601ad6d30cc01c428f0/compact_cnn/weights_theano.hdf5"
)
SHA256 = "caf89f811415691fbb245be7eef394b9cebd787d7e3f78e29695972141cf2a08"
BUILD = {"n_classes": len(TAGS), "n_frames": N_SAMPLES, "seed": 0}

# Shape and sum of absolute values of every array that the network takes from the published file.
PUBLISHED: dict[str, tuple[tuple[int, ...], float]] = {
    "melgram/param_0": ((512, 1, 1, 257), 42002.11605),
    "melgram/param_1": ((512, 1, 1, 257), 41490.11605),
    "melgram/param_2": ((257, 96), 4.093552032),
    "ConvBNEluDr/convolution2d_1_W": ((32, 1, 3, 3), 235.0568885),
    "ConvBNEluDr/convolution2d_1_b": ((32,), 2.643896126),
    "ConvBNEluDr/batchnormalization_1_gamma": ((32,), 37.14291221),
    "ConvBNEluDr/batchnormalization_1_beta": ((32,), 27.56566680),
    "ConvBNEluDr/convolution2d_2_W": ((32, 32, 3, 3), 5758.084310),
    "ConvBNEluDr/convolution2d_2_b": ((32,), 0.2664366303),
    "ConvBNEluDr/batchnormalization_2_gamma": ((32,), 42.73164207),
    "ConvBNEluDr/batchnormalization_2_beta": ((32,), 39.59641823),
    "ConvBNEluDr/convolution2d_3_W": ((32, 32, 3, 3), 5886.340332),
    "ConvBNEluDr/convolution2d_3_b": ((32,), 0.03760884182),
    "ConvBNEluDr/batchnormalization_3_gamma": ((32,), 44.99132597),
    "ConvBNEluDr/batchnormalization_3_beta": ((32,), 37.25094189),
    "ConvBNEluDr/convolution2d_4_W": ((32, 32, 3, 3), 5971.302833),
    "ConvBNEluDr/convolution2d_4_b": ((32,), 0.02542697775),
    "ConvBNEluDr/batchnormalization_4_gamma": ((32,), 47.59870464),
    "ConvBNEluDr/batchnormalization_4_beta": ((32,), 32.61016747),
    "ConvBNEluDr/convolution2d_5_W": ((32, 32, 3, 3), 6101.215410),
    "ConvBNEluDr/convolution2d_5_b": ((32,), 0.02520417183),
    "ConvBNEluDr/batchnormalization_5_gamma": ((32,), 18.63632175),
    "ConvBNEluDr/batchnormalization_5_beta": ((32,), 22.14992617),
    "dense_1/dense_1_W": ((32, 50), 797.2610632),
    "dense_1/dense_1_b": ((50,), 51.35990313),
}
_TOLERANCE = 1e-5


def read(path: Path) -> ChoiTagger:
    """Read the published file into a network; it has no batch-norm statistics yet.

    Raises
    ------
    UsageError
        If there is no such file.
    PhonolakeError
        If it is no HDF5 file, or an array is missing, of another shape, or holds other values than the published one.
    """
    return network(_read_arrays(Path(path)))


def network(arrays: Mapping[str, np.ndarray]) -> ChoiTagger:
    """The network of such arrays, by their names in the file; it has no batch-norm statistics yet."""
    found = choi_msd.build(**BUILD)
    found.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in _named(arrays)}, strict=False)
    found.calibrated.fill_(False)
    return found.eval()


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    import h5py

    if not path.is_file():
        raise UsageError(f"there is no file {path}; `phonolake models fetch choi-msd` downloads it.")
    try:
        with h5py.File(path) as file:
            arrays = {name: np.asarray(file[name], np.float32) for name in PUBLISHED if name in file}
    except (OSError, ValueError, TypeError) as error:
        raise PhonolakeError(f"{path} cannot be read as the Keras weights of choi-msd: {error}") from error
    for name, (shape, total) in PUBLISHED.items():
        if name not in arrays:
            raise PhonolakeError(f"{path} has no array {name}: it is not the published weights of choi-msd.")
        if arrays[name].shape != shape:
            raise PhonolakeError(f"{path}: {name} has shape {arrays[name].shape}, the published one {shape}.")
        found = float(np.abs(arrays[name], dtype=np.float64).sum())
        if not abs(found - total) <= _TOLERANCE * total:
            raise PhonolakeError(
                f"{path}: the values of {name} sum to {found:.6g}, the published ones to {total:.6g}; is it damaged?"
            )
    return arrays


def _named(arrays: Mapping[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """Arrays by the names of our network. Theano convolves, PyTorch correlates: kernels are turned round."""
    named = [
        ("cosine", arrays["melgram/param_0"][::-1, 0, 0].T),
        ("sine", arrays["melgram/param_1"][::-1, 0, 0].T),
        ("mel", arrays["melgram/param_2"]),
        ("head.weight", arrays["dense_1/dense_1_W"].T),
        ("head.bias", arrays["dense_1/dense_1_b"]),
    ]
    for block in range(5):
        conv, norm = f"ConvBNEluDr/convolution2d_{block + 1}", f"ConvBNEluDr/batchnormalization_{block + 1}"
        named += [
            (f"convs.{block}.weight", arrays[f"{conv}_W"][:, :, ::-1, ::-1]),
            (f"convs.{block}.bias", arrays[f"{conv}_b"]),
            (f"norms.{block}.weight", arrays[f"{norm}_gamma"]),
            (f"norms.{block}.bias", arrays[f"{norm}_beta"]),
        ]
    return named
