"""Convolution bases trained on ImageNet: the place of their published weights, and their check.

The files are those of torchvision (BSD licence); the hexadecimal digits in a file's name begin its SHA-256 hash. They
lie in the model home, in ``imagenet/``: put there by hand, or downloaded on first use.
"""

import pickle
import urllib.error
from collections.abc import Mapping
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn

from phonolake.errors import PhonolakeError
from phonolake.files import sha256
from phonolake.models import home

# RGB statistics of ImageNet after scaling to [0, 1], with which these weights were trained.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

FILES = {
    "vgg16": "https://download.pytorch.org/models/vgg16-397923af.pth",
    "resnet50": "https://download.pytorch.org/models/resnet50-0676ba61.pth",
}


def place(base: str) -> Path:
    """Where the published weights of a base lie, whether or not they are there."""
    return home.folder() / "imagenet" / Path(urlsplit(FILES[base]).path).name


def fetch(base: str, *, url: str | None = None) -> Path:
    """Make sure that the published weights are there; a file that is there already is only checked.

    Parameters
    ----------
    base : str
        A key of `FILES`.
    url : str, optional
        Another place that has the same file.

    Raises
    ------
    PhonolakeError
        When they cannot be downloaded, or the file is another one.
    """
    path = place(base)
    expected = path.stem.rpartition("-")[2]
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url or FILES[base], str(path), hash_prefix=expected, progress=False)
        except (urllib.error.URLError, OSError, ValueError, RuntimeError) as error:
            raise PhonolakeError(
                f"the ImageNet weights of {base} are neither at {path} nor can they be downloaded ({error}): put "
                f"{path.name} there, or train {base}-random"
            ) from error
    found = sha256(path)
    if not found.startswith(expected):
        raise PhonolakeError(f"{path} is not the published file: its sha256 begins with {found[:8]}; delete it")
    return path


def load(module: nn.Module, base: str) -> None:
    """Put the published weights into a base; those of the ImageNet classes are left out.

    Raises
    ------
    PhonolakeError
        When they are not to be had, or do not fit.
    """
    fill(module, _read(fetch(base)), base)


def fill(module: nn.Module, weights: Mapping[str, Tensor], base: str) -> None:
    """Copy those of the weights that the module has names for; every one of its names must be among them."""
    own = module.state_dict()
    # Files from before 2018 lack the counters of batch norm, which play no part here.
    missing = [name for name in own if name not in weights and not name.endswith("num_batches_tracked")]
    if missing:
        raise PhonolakeError(f"the weights of {base} lack {missing[0]} and {len(missing) - 1} more")
    try:
        module.load_state_dict({name: weights.get(name, value) for name, value in own.items()})
    except RuntimeError as error:
        raise PhonolakeError(f"the weights of {base} do not fit: {error}") from error


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        return cast(Mapping[str, Tensor], torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise PhonolakeError(f"{path} cannot be read as weights ({error}); delete it") from error
