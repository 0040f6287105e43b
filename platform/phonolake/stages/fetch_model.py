"""Fetch: download published weights from their public home, checked against a known hash.

The networks of musicnn are in a package of the Python package index, which pip downloads without installing it.
"""

import shutil
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from phonolake.errors import PhonolakeError, unknown
from phonolake.files import replacing
from phonolake.files import sha256 as sha256_of
from phonolake.models import home
from phonolake.models.importers import choi_weights, imagenet, musicnn_package
from phonolake.progress import say
from phonolake.stages import import_model
from phonolake.store.outcomes import Outcome
from phonolake.transfer import wheels

DOWNLOADS = "downloads"
TIMEOUT_SECONDS = 30
FETCHABLE = (*import_model.IMPORTABLE, *imagenet.FILES)


@dataclass(frozen=True, slots=True)
class Config:
    """What to fetch.

    Parameters
    ----------
    model : str
        A model with published weights, or a base trained on ImageNet.
    url : str, optional
        Another address of the same file, such as a mirror.
    calibrate, lake : str, optional
        As `phonolake.stages.import_model.Config` takes them.
    """

    model: str
    url: str | None = None
    calibrate: str | None = None
    lake: str | None = None


def run(config: Config) -> list[Outcome]:
    """Download missing files, and import them.

    Raises
    ------
    UsageError
        For a model that has no published weights.
    PhonolakeError
        When the file cannot be downloaded, or differs from the expected one.
    """
    if config.model not in FETCHABLE:
        raise unknown("model with published weights", config.model, FETCHABLE)
    home.check_writable()
    if config.model in imagenet.FILES:
        path = imagenet.fetch(config.model, url=config.url)
        return [Outcome("fetch", None, 1, 1, 0, str(path))]
    path = _published(config)
    return import_model.run(import_model.Config(config.model, str(path), config.calibrate, config.lake))


def _published(config: Config) -> Path:
    """The file that holds the weights, downloaded unless it is there."""
    folder = home.folder() / DOWNLOADS
    if config.model not in musicnn_package.NETWORKS:
        path = folder / f"{config.model}.hdf5"
        download(config.url or choi_weights.URL, path, sha256=choi_weights.SHA256)
        return path
    path = folder / musicnn_package.WHEEL
    if config.url:
        download(config.url, path, sha256=musicnn_package.WHEEL_SHA256)
    else:
        requirement = f"{musicnn_package.NAME}=={musicnn_package.VERSION}"
        try:
            wheels.download(requirement, path, sha256=musicnn_package.WHEEL_SHA256)
        except PhonolakeError as error:
            raise PhonolakeError(
                f"{error}; if you have the wheel, use `phonolake models import {config.model} FILE`"
            ) from error
    return path


def download(url: str, path: Path, *, sha256: str) -> None:
    """Download a file unless it exists; it appears complete and checked, or not at all.

    Raises
    ------
    PhonolakeError
        When the server cannot be reached, or sends something else.
    """
    if path.is_file() and sha256_of(path) == sha256:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    say(f"Downloading {url}.")
    with replacing(path) as temporary:
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response, temporary.open("wb") as file:
                shutil.copyfileobj(response, file)
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise PhonolakeError(
                f"{url} cannot be downloaded ({error}); if you have the file, use `phonolake models import`"
            ) from error
        if (found := sha256_of(temporary)) != sha256:
            raise PhonolakeError(f"{url} sent another file than expected: its sha256 is {found}, not {sha256}")
