"""The files of the package musicnn 0.1.0: in its wheel or in a folder, and checked against known sizes and hashes.

The package cannot be installed any more, because it requires a numpy of 2019. Nothing of it is installed or run here.
"""

import hashlib
import re
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from phonolake.errors import PhonolakeError, UsageError

NAME, VERSION = "musicnn", "0.1.0"
URL = f"https://pypi.org/project/{NAME}/{VERSION}/"
WHEEL = f"{NAME}-{VERSION}-py3-none-any.whl"
WHEEL_SHA256 = "f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa"
# The wheel has 29 MB; zipfile keeps the list of what is in an archive in memory.
LARGEST_ARCHIVE = 256 << 20
INDEX, DATA, META = ".index", ".data-00000-of-00001", ".meta"

# What reading a damaged member of an archive raises.
_DAMAGE = (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, ValueError)


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """Size in bytes and SHA-256 of a published file."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PublishedNetwork:
    """A network of the package: the folder that it lies in, and its files."""

    folder: str
    files: dict[str, PublishedFile]


def _published(folder: str, index: PublishedFile, data: PublishedFile, meta: PublishedFile) -> PublishedNetwork:
    return PublishedNetwork(folder, {INDEX: index, DATA: data, META: meta})


NETWORKS = {
    "musicnn-msd": _published(
        "MSD_musicnn",
        PublishedFile(4_948, "87f3e0f3550c8d3bafc840374003e5c8af5eeb5ecf6add61af09a7822d3282c8"),
        PublishedFile(9_465_596, "8579734ee6388f799ed0def4bbd0d1fdcbeaf213ef2a9dc860917bd76a303de6"),
        PublishedFile(1_185_287, "046dc0f4f95374c3fc435a1c6619f6d1b9c82794ea2d2ef0a362a59630b5b1ec"),
    ),
    "musicnn-mtt": _published(
        "MTT_musicnn",
        PublishedFile(4_948, "da2d7bb670b2b31e9bc441bb1bd75eca31b5b061f963cc1f9630c1aff3238f57"),
        PublishedFile(9_465_596, "041f3935e981a65cea739842d30c188d3a7d2adf4410955c8668eb3de4a5acab"),
        PublishedFile(1_185_287, "48f2b91a234a1feaaae6b084bd49668428cdfc54912805617582aa585daabb25"),
    ),
    "vgg-msd": _published(
        "MSD_vgg",
        PublishedFile(2_994, "50e499238457558bba9f34f8b84d4afb8279afd43520cdf0a4fdf805a49c9ca3"),
        PublishedFile(7_274_112, "9683d756b8311146534f333502ebf4a2a78a3e320c54ab0411dff6186d8375fc"),
        PublishedFile(560_489, "f2f4718d0e2d9ea54d97bac053ca2dc3fa237b6521913b3ebe01164300ad201b"),
    ),
    "vgg-mtt": _published(
        "MTT_vgg",
        PublishedFile(2_994, "4b0d3d2d02bbe0919c063c1fb74bfa9018ac3517e362d681b07444d4207a5f5f"),
        PublishedFile(7_274_112, "458f5c8bcecc086a3bba3dce83809df6da6e0a3560a59ddd84711bf3d5fd8303"),
        PublishedFile(560_446, "407ea5964eac3b053356d94be866da8b513778175216e741280a5c202cf9c8a4"),
    ),
}


def read(model: str, path: Path) -> dict[str, bytes]:
    """The files of a network, by name.

    Parameters
    ----------
    model : str
        Of `NETWORKS`.
    path : Path
        The wheel; or a folder: the package, a copy of the unpacked wheel, or the network's own.

    Raises
    ------
    UsageError
        If there is nothing at `path`.
    PhonolakeError
        If it is another version, lacks a file, or a file is not the published one.
    """
    published = NETWORKS[model]
    if path.is_dir():
        _check_versions(path, [entry.name for entry in path.iterdir()])
        folder = _folder(path, published)
        return {name: _of_folder(folder / name, known) for name, known in published.files.items()}
    if not path.is_file():
        raise UsageError(f"there is no file or folder {path}; `phonolake models fetch {model}` downloads the package.")
    if path.stat().st_size > LARGEST_ARCHIVE:
        raise PhonolakeError(f"{path} has {path.stat().st_size:,} bytes, far more than the wheel of {NAME} {VERSION}")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_versions(path, [name.partition("/")[0] for name in archive.namelist()])
            return {
                name: _of_archive(path, archive, f"{NAME}/{published.folder}/{name}", known)
                for name, known in published.files.items()
            }
    except _DAMAGE as error:
        raise PhonolakeError(f"{path} cannot be read as the wheel of {NAME} {VERSION}: {error}") from error


def _check_versions(path: Path, names: list[str]) -> None:
    for name in names:
        found = re.fullmatch(rf"{NAME}-(.+)\.dist-info", name)
        if found and found[1] != VERSION:
            raise PhonolakeError(f"{path} is {NAME} {found[1]}, and the weights of {VERSION} are known here")


def _folder(path: Path, published: PublishedNetwork) -> Path:
    """Where the files of a network lie: in the folder of its name, of the package or of the wheel, or right here."""
    places = (path / NAME / published.folder, path / published.folder, path)
    for place in places:
        if (place / INDEX).is_file():
            return place
    raise PhonolakeError(f"{path} has neither {NAME}/{published.folder}/{INDEX} nor {published.folder}/{INDEX}")


def _of_folder(path: Path, known: PublishedFile) -> bytes:
    try:
        found = path.stat()
        # A pipe or device would be read for ever.
        if not stat.S_ISREG(found.st_mode) or found.st_size != known.size:
            raise PhonolakeError(_another(str(path), f"{found.st_size:,} bytes", f"{known.size:,}"))
        content = path.read_bytes()
    except OSError as error:
        raise PhonolakeError(f"{path} cannot be read: {error}") from error
    return _checked(str(path), content, known)


def _of_archive(path: Path, archive: zipfile.ZipFile, member: str, known: PublishedFile) -> bytes:
    try:
        info = archive.getinfo(member)
    except KeyError:
        raise PhonolakeError(f"{path} holds no {member}: it is not the wheel of {NAME} {VERSION}") from None
    if info.file_size != known.size:
        raise PhonolakeError(_another(f"{member} in {path}", f"{info.file_size:,} bytes", f"{known.size:,}"))
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise PhonolakeError(f"{member} in {path} is packed by method {info.compress_type}, which no wheel uses")
    with archive.open(info) as file:
        return _checked(f"{member} in {path}", file.read(known.size + 1), known)


def _checked(what: str, content: bytes, known: PublishedFile) -> bytes:
    if (found := hashlib.sha256(content).hexdigest()) != known.sha256:
        raise PhonolakeError(_another(what, f"sha256 {found}", known.sha256))
    return content


def _another(what: str, found: str, known: str) -> str:
    return f"{what} is not the published file, or is damaged: it has {found}, the published one {known}"
