"""What becomes of every error that a library may raise: a line that says what to look at, unless the fault is ours."""

import importlib
import json
import sqlite3
import tarfile
import xml.etree.ElementTree
import zipfile
from pathlib import Path

import pytest

from phonolake.cli import blame

# Of every library that reads, computes or sends what people hand in: where it lists its errors, and which of them are
# said by us to be our own fault, since they speak of a wrong program.
LIBRARIES = {
    "duckdb": (
        "ParserException SyntaxException BinderException CatalogException NotImplementedException InternalException "
        "FatalException InvalidTypeException ConnectionException Warning"
    ),
    "pyarrow": "",
    "deltalake.exceptions": "",
    "ray.exceptions": "",
    "sklearn.exceptions": "UnsetMetadataPassedError",
    "torch": "FatalError JITException",
    "torch.cuda": "DeferredCudaCallError",
    "torch.distributed": "",
    "av.error": "",
    "mutagen": "",
    "soundfile": "",
    "librosa.util.exceptions": "",
    "safetensors": "",
    "skops.io.exceptions": "",
    "numpy.linalg": "",
    "scipy.sparse.linalg": "",
    "xgboost.core": "",
    "yt_dlp.utils": "compat_HTMLParseError",
    "http.client": "",
    "urllib.error": "",
    "json": "",
    "csv": "",
    "sqlite3": "Warning",
    "zipfile": "LargeZipFile",
    "tarfile": "",
    "zlib": "",
    "lzma": "",
    "pickle": "PickleError PicklingError",
}


def errors_of(module: str) -> dict[str, type[Exception]]:
    """The errors that a module offers, apart from Python's own."""
    found = vars(importlib.import_module(module)).items()
    kinds = {n: kind for n, kind in found if isinstance(kind, type) and issubclass(kind, Exception) and n[0] != "_"}
    wanted = {n: k for n, k in kinds.items() if k.__module__ != "builtins" and not issubclass(k, Warning)}
    return {n: k for n, k in wanted.items() if k.__module__.split(".")[0].lstrip("_") not in {"queue", "io"}}


def made(kind: type[Exception]) -> Exception:
    """An instance, whatever it usually needs."""
    simple = {"__init__": lambda self: None, "__str__": lambda self: "first line\nsecond line"}
    return type(kind.__name__, (kind,), simple)()


@pytest.mark.parametrize("module", LIBRARIES)
def test_every_error_of_a_library_has_its_verdict(module: str) -> None:
    said = {name: blame.explain(made(kind)) for name, kind in errors_of(module).items()}
    assert {name for name, (line, _) in said.items() if blame.OURS in line} == set(LIBRARIES[module].split())
    assert not any("\n" in line for line, _ in said.values() if blame.OURS not in line)


def test_every_verdict_is_about_an_error_that_exists() -> None:
    known = {f"{k.__module__}.{k.__qualname__}" for module in LIBRARIES for k in errors_of(module).values()}
    known |= {f"{b.__module__}.{b.__qualname__}" for m in LIBRARIES for k in errors_of(m).values() for b in k.__mro__}
    known |= {"builtins.EOFError", "builtins.UnicodeError", "builtins.MemoryError"}
    known |= {f"{k.__module__}.{k.__qualname__}" for k in (xml.etree.ElementTree.ParseError,)}
    assert {foreign.name for foreign in blame.FOREIGN} - known == set()


def refused_by_scikit_learn() -> None:
    from sklearn.model_selection import StratifiedKFold

    list(StratifiedKFold(5).split([[0.0]] * 4, [0, 0, 1, 1]))


def refused_by_faiss() -> None:
    import faiss

    faiss.read_index("/nowhere/at/all")


def refused_by_h5py(folder: Path) -> None:
    import h5py

    (folder / "x.h5").write_bytes(b"not this")
    h5py.File(folder / "x.h5")


@pytest.mark.parametrize(
    ("raises", "says"),
    [
        (lambda _: refused_by_scikit_learn(), "cannot be used for training"),
        (lambda _: refused_by_faiss(), "index"),
        (refused_by_h5py, "Unable"),
        (lambda _: json.loads("{"), "damaged, or not of the type that its name says"),
        (lambda _: b"\xff".decode("utf-8"), "not valid text"),
        (lambda folder: zipfile.ZipFile(folder / "text"), "damaged"),
        (lambda folder: tarfile.TarFile(folder / "text"), "damaged"),
        (lambda folder: sqlite3.connect(folder / "text").execute("SELECT * FROM x"), "damaged"),
        (lambda folder: (folder / "nothing").read_text(), "No such file or directory"),
        (lambda folder: (folder / "text" / "x").read_text(), "Not a directory"),
        (lambda _: Path("~nobody-of-this-name/x").expanduser(), "no home folder"),
        (lambda _: bytearray(1 << 62), "memory"),
    ],
)
def test_the_data_and_the_machine_are_told_from_us(raises, says: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("plain text, long enough to be read as anything " * 40)
    with pytest.raises(Exception) as caught:  # noqa: PT011
        raises(tmp_path)
    said, _ = blame.explain(caught.value)
    assert says in said
    assert blame.OURS not in said


@pytest.mark.parametrize("error", [TypeError("x"), KeyError("x"), AssertionError(), ValueError("ours"), NameError("x")])
def test_what_is_our_fault_is_to_be_reported(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        raise error
    assert blame.OURS in blame.explain(caught.value)[0]


def test_a_lost_connection_to_ray_is_told_with_its_whole_reason() -> None:
    import ray

    for kind in (ray.exceptions.RuntimeEnvSetupError, ray.exceptions.RaySystemError):
        said, code = blame.explain(kind("Failed.\nTraceback (most recent call last):\nERROR: no such package"))
        assert ("Failed." in said, "ERROR: no such package" in said, code) == (True, True, 1)
        assert "\n" not in said
        assert blame.OURS not in said
