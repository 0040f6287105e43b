"""The four trained networks of the package musicnn 0.1.0, read into ours."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from phonolake.errors import PhonolakeError
from phonolake.models import choi_msd, musicnn, musicnn_vgg, registry
from phonolake.models.importers import musicnn_package, tf_checkpoint, tf_graph
from phonolake.models.importers.musicnn_package import DATA, INDEX, META
from phonolake.models.network import Network

# In the order of the outputs.
MTT_TAGS = (
    *("guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast", "piano", "ambient"),
    *("beat", "violin", "vocal", "synth", "female", "indian", "opera", "male", "singing", "vocals", "no vocals"),
    *(
        "harpsichord",
        "loud",
        "quiet",
        "flute",
        "woman",
        "male vocal",
        "no vocal",
        "pop",
        "soft",
        "sitar",
        "solo",
        "man",
    ),
    *("classic", "choir", "voice", "new age", "dance", "male voice", "female vocal", "beats", "harp", "cello"),
    *("no voice", "weird", "country", "metal", "female voice", "choral"),
)
MSD, MTT = "Million Song Dataset", "MagnaTagATune"
TAGS = {MSD: choi_msd.TAGS, MTT: MTT_TAGS}
# Collection, macro ROC-AUC and PR-AUC on its test part, as stored beside the weights.
FIGURES = {
    "musicnn-msd": (MSD, 0.8802, 0.2891),
    "musicnn-mtt": (MTT, 0.9067, 0.3831),
    "vgg-msd": (MSD, 0.8768, 0.2819),
    "vgg-mtt": (MTT, 0.9030, 0.3823),
}
NAMES = tuple(FIGURES)
LICENCE = "ISC, (c) 2019 Music Technology Group, Universitat Pompeu Fabra; code by Jordi Pons"

# Name of ours, that of the variable, and how a kernel's axes are turned.
Pair = tuple[str, str, tuple[int, ...]]
_AS_IS, _DENSE, _IMAGE = (), (1, 0), (3, 2, 0, 1)


def read(model: str, path: Path) -> tuple[Network, dict[str, Any]]:
    """Read a trained network, and its card.

    Parameters
    ----------
    model : str
        Of `NAMES`.
    path : Path
        What `musicnn_package.read` takes.

    Returns
    -------
    network : Network
        Ready to tag.
    card : dict
        For `phonolake.models.storage.save`. It reads a spectrogram computed of audio, in whole windows side by side.

    Raises
    ------
    UsageError
        If there is nothing at `path`.
    PhonolakeError
        If that is another version of the package, or a file is missing or not the published one.
    """
    files = musicnn_package.read(model, path)
    collection, roc_auc, pr_auc = FIGURES[model]
    build = {"n_classes": len(TAGS[collection]), "n_frames": musicnn.N_FRAMES, "seed": 0}
    network: Network = registry.get(model).blank(**build)
    if isinstance(network, musicnn_vgg.VGG):
        _check_pools(model, files[META])
    fill(network, f"{path} ({model})", files[INDEX], files[DATA])
    card = {
        "model": model,
        "build": build,
        "classes": list(TAGS[collection]),
        "activation": "sigmoid",
        "input": registry.get(model).CARD.input.replace("spectrogram:", "computed:"),
        "windows": "whole",
        "weights": {
            "source": f"{musicnn_package.NAME} {musicnn_package.VERSION}, {musicnn_package.NETWORKS[model].folder}",
            "url": musicnn_package.URL,
            "sha256": musicnn_package.NETWORKS[model].files[DATA].sha256,
            "licence": LICENCE,
        },
        "published": {"collection": collection, "roc_auc": roc_auc, "pr_auc": pr_auc},
    }
    return network.eval(), card


def fill(network: Network, name: str, index: bytes, data: bytes) -> None:
    """Set all weights and statistics of a network from a checkpoint of its shape.

    Raises
    ------
    PhonolakeError
        If the files are no such checkpoint; the error calls it `name`.
    """
    pairs = list(_pairs(network))
    arrays = tf_checkpoint.read(name, index, [data], [variable for _, variable, _ in pairs])
    state = network.state_dict()
    for ours, variable, axes in pairs:
        array = arrays[variable].transpose(axes) if axes else arrays[variable]
        # Convolutions over time are images of one column.
        if array.ndim == state[ours].ndim + 1 and array.shape[-1] == 1:
            array = array[..., 0]
        if array.shape != tuple(state[ours].shape) or array.dtype != np.float32:
            raise PhonolakeError(
                f"{name}: {variable} is {array.dtype} of shape {array.shape}, and {tuple(state[ours].shape)} is wanted"
            )
        state[ours] = torch.from_numpy(np.ascontiguousarray(array).copy())
    network.load_state_dict(state)


def _pairs(network: Network) -> Iterator[Pair]:
    """Every weight and statistic beside the variable that holds it; layers are numbered in the order of the graph."""
    kernels: list[Pair]
    if isinstance(network, musicnn_vgg.VGG):
        kernels = [(f"convs.{k}", f"{k + 1}CNN", _IMAGE) for k in range(len(network.convs))]
        norms = ["input_norm", *(f"norms.{k}" for k in range(len(network.norms)))]
        dense = ["head"]
    else:
        assert isinstance(network, musicnn.MusiCNN)
        front = [*(f"timbral.{k}" for k in range(2)), *(f"temporal.{k}" for k in range(3))]
        kernels = [(layer, _numbered("conv2d", k), _IMAGE) for k, layer in enumerate(front)]
        # Their images have time and channels for sides, and one colour.
        kernels += [(f"mids.{k}", _numbered("conv2d", len(front) + k), (3, 1, 0, 2)) for k in range(3)]
        norms = ["input_norm", *(f"front_norms.{k}" for k in range(5)), *(f"mid_norms.{k}" for k in range(3))]
        norms += ["pool_norm", "dense_norm"]
        dense = ["dense", "head"]
    kernels += [(layer, _numbered("dense", k), _DENSE) for k, layer in enumerate(dense)]
    for layer, variable, axes in kernels:
        yield f"{layer}.weight", f"{variable}/kernel", axes
        yield f"{layer}.bias", f"{variable}/bias", _AS_IS
    parts = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    for k, layer in enumerate(norms):
        for ours, theirs in parts.items():
            yield f"{layer}.{ours}", f"{_numbered('batch_normalization', k)}/{theirs}", _AS_IS


def _numbered(layer: str, k: int) -> str:
    return f"{layer}_{k}" if k else layer


def _check_pools(model: str, meta: bytes) -> None:
    found = [(pool.size, pool.stride) for pool in tf_graph.max_pools(f"{META} of {model}", meta)]
    if found != list(musicnn_vgg.POOLS[model]):
        raise PhonolakeError(
            f"the graph of {model} pools by {found}, and {list(musicnn_vgg.POOLS[model])} is known here"
        )
