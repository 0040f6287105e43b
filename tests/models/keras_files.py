"""A file laid out as the published weights of the tagger of Choi et al., with weights of our own."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from phonolake.models import choi_msd
from phonolake.models.importers import choi_weights

Arrays = dict[str, np.ndarray]


def made(seed: int = 0) -> Arrays:
    """Its spectrogram is the real one, in Theano's order; all that was learned is drawn."""
    rng = np.random.default_rng(seed)
    cosine, sine = (kernel.numpy() for kernel in choi_msd.fourier_kernels())
    arrays = {name: rng.normal(0, 0.2, shape).astype(np.float32) for name, (shape, _) in choi_weights.PUBLISHED.items()}
    return arrays | {
        "melgram/param_0": np.ascontiguousarray(cosine.T[:, None, None]),
        "melgram/param_1": np.ascontiguousarray(sine.T[:, None, None]),
        "melgram/param_2": choi_msd.mel_bands().numpy(),
    }


def write(path: Path, arrays: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write such a file, and let it be the published one."""
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    sums = {name: (array.shape, float(np.abs(array).astype(float).sum())) for name, array in arrays.items()}
    monkeypatch.setattr(choi_weights, "PUBLISHED", sums)
