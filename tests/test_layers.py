"""Who may import whom. Imports are read from the source, so that a late import inside a function counts too."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "platform" / "phonolake"

# A unit is a folder or a module directly below phonolake/, or one of the two programs beside it.
FOUNDATION = {"records", "errors", "files", "lineage", "progress", "registry", "seeds"}
ARRAYS = {"audio", "features", "models", "metrics", "search", "synthesis"}
BELOW_STAGES = FOUNDATION | ARRAYS | {"store", "sources", "transfer", "inference", "training", "lookup"}
LIBRARY = BELOW_STAGES | {"execution", "stages", "acquisition", "analysis", "annotation", "studies"}

ALLOWED: dict[str, set[str]] = {
    # Small things that everyone may use.
    "records": set(),
    "errors": set(),
    # Whole files and folders, checksums, locks.
    "files": {"errors"},
    "lineage": set(),
    "progress": set(),
    "registry": {"errors"},
    "seeds": set(),
    # The only way to Ray: for stages, which hand it plain functions.
    "execution": {"errors", "files", "progress"},
    # Tables on disk. It knows nothing of audio or models.
    "store": FOUNDATION,
    # Arrays in, arrays out. None of these knows another, nor the store.
    "audio": FOUNDATION,
    "features": FOUNDATION,
    "models": FOUNDATION,
    "metrics": FOUNDATION,
    "search": FOUNDATION,
    "synthesis": FOUNDATION,
    # Bytes from elsewhere, before anyone knows what they are.
    "transfer": FOUNDATION,
    # A folder is a source of whatever can be decoded.
    "sources": FOUNDATION | {"audio"},
    # What a model reads, and the one way to ask it.
    "inference": FOUNDATION | {"audio", "features", "models", "store"},
    "training": FOUNDATION | {"audio", "features", "inference", "metrics", "models"},
    # Questions over the tables that other questions start from.
    "lookup": FOUNDATION | {"search", "store"},
    # Where the parts meet. Who is forgotten is forgotten by raters too.
    "stages": BELOW_STAGES | {"annotation", "execution"},
    # Which clips are wanted, and what became of them.
    "acquisition": FOUNDATION | {"audio", "execution", "sources", "store", "transfer"},
    "analysis": FOUNDATION | {"audio", "features", "inference", "lookup", "metrics", "models", "search", "store"},
    # It writes what people say, in tables of its own, one answer at a time: no stage, since nothing is computed.
    "annotation": FOUNDATION | {"lookup", "store"},
    "studies": BELOW_STAGES | {"execution", "stages", "analysis"},
    # The contracts as checks, for parts from outside.
    "testing": FOUNDATION | {"features", "inference", "models", "sources", "training"},
    # Faces.
    "__init__": {"api", "errors", "lineage"},
    # A track as a notebook shows it.
    "notebook": FOUNDATION | {"audio", "lookup", "store"},
    "neighbourhood": FOUNDATION | {"analysis", "lookup", "stages", "store"},
    "api": LIBRARY - {"execution"} | {"neighbourhood", "notebook"},
    "dashboard_launcher": {"errors", "progress", "store"},
    "demo": LIBRARY,
    # Questions over HTTP: what others answer, and nothing of its own.
    "serve": FOUNDATION | {"analysis", "execution", "inference", "lookup", "models", "store"},
    "cli": LIBRARY | {"dashboard_launcher", "demo", "serve"},
    "jobs": {"cli"},
    # It shows what is there and takes down what raters answer: it starts no stage and trains nothing.
    "dashboard": FOUNDATION
    | {"store", "lookup", "analysis", "annotation", "search", "audio", "features", "dashboard_launcher"},
}

# Rooms within `analysis`: what the lake holds is told with what models reached, and nothing else is mixed.
ROOMS: dict[str, set[str]] = {"labels": set(), "results": set(), "collection": {"results"}}

# Libraries with one home: to change one is to change that unit.
HOMES: dict[str, set[str]] = {
    # Mapped work is started by execution; workers that train one model together by training/ray_wrapper; replicas of
    # the service by serve.
    "ray": {"execution", "serve", "training"},
    "fastapi": {"serve"},
    "xgboost": {"models"},
    "deltalake": {"store"},
    "obstore": {"store"},
    "boto3": {"store"},
    "faiss": {"search"},
    "torch": {"models", "training", "inference", "features", "testing"},
    "h5py": {"models", "sources", "synthesis"},
    # Maps, importances and folds of analyses, and grids of studies, are estimators too; none is stored as a model.
    "sklearn": {"models", "analysis", "studies"},
    "skops": {"models"},
    "safetensors": {"models"},
    "onnxruntime": {"models"},
    "transformers": {"models"},
    "tokenizers": {"models"},
    "av": {"audio"},
    "soxr": {"audio"},
    "mutagen": {"audio"},
    "librosa": {"audio", "features"},
    "numba": {"features"},
    "yt_dlp": {"transfer"},
    "click": {"cli"},
    "streamlit": {"dashboard"},
}
TABLE_LIBRARIES = {"duckdb", "pyarrow", "deltalake", "ray"}


def imported(source: str) -> Iterator[str]:
    """Full names of all that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (f"{module}.{alias.name}" for alias in node.names)


@cache
def imports_of(path: Path) -> tuple[str, ...]:
    return tuple(imported(path.read_text(encoding="utf-8")))


def files(unit: str) -> list[Path]:
    if unit in ("jobs", "dashboard"):
        return sorted((ROOT / unit).rglob("*.py"))
    module = PACKAGE / f"{unit}.py"
    return [module] if module.is_file() else sorted((PACKAGE / unit).rglob("*.py"))


def units() -> set[str]:
    """Units of the package as they stand on the disk."""
    modules = {path.stem for path in PACKAGE.glob("*.py")}
    return modules | {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.rglob("*.py"))}


def used_units(path: Path) -> set[str]:
    """Units of phonolake that a file imports; what the package itself offers is its interface."""
    names = [name.split(".") for name in imports_of(path)]
    return {name[1] if len(name) > 1 and name[1] in units() else "api" for name in names if name[0] == "phonolake"}


def key(path: Path) -> str:
    base = PACKAGE if PACKAGE in path.parents else ROOT
    return path.relative_to(base).as_posix()


def test_every_import_is_seen() -> None:
    source = """
import os, phonolake.store.lake as lake
from phonolake import errors, open
from . import near
if TYPE_CHECKING:
    from phonolake.models.k2c2 import K2C2
def late():
    import ray
    class Later:
        from torch import nn
"""
    expected = {"os", "phonolake.store.lake", "phonolake.errors", "phonolake.open", "..near"}
    assert set(imported(source)) == expected | {"phonolake.models.k2c2.K2C2", "ray", "torch.nn"}


def test_every_unit_has_its_place() -> None:
    assert units() <= set(ALLOWED), "say in ALLOWED what the new unit may import"
    assert set().union(*ALLOWED.values()) <= set(ALLOWED)


def test_no_unit_lies_above_itself() -> None:
    order: list[str] = []
    rest = dict(ALLOWED)
    while rest:
        free = [unit for unit, below in rest.items() if below - {unit} <= set(order)]
        assert free, f"these import each other: {sorted(rest)}"
        order += free
        for unit in free:
            del rest[unit]


@pytest.mark.parametrize("unit", sorted(ALLOWED))
def test_a_unit_imports_only_what_lies_below_it(unit: str) -> None:
    wrong = [
        f"{key(path)} imports {other}"
        for path in files(unit)
        for other in sorted(used_units(path) - {unit} - ALLOWED[unit])
    ]
    assert not wrong


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_the_rooms_of_analysis_keep_apart(room: str) -> None:
    folder = PACKAGE / "analysis"
    assert {path.name for path in folder.iterdir() if (path / "__init__.py").is_file()} == set(ROOMS)
    others = {
        name.split(".")[2]
        for path in (folder / room).glob("*.py")
        for name in imports_of(path)
        if name.startswith("phonolake.analysis.")
    }
    assert others - {room} <= ROOMS[room]


def sources() -> list[Path]:
    return [*PACKAGE.rglob("*.py"), *(ROOT / "jobs").rglob("*.py"), *(ROOT / "dashboard").rglob("*.py")]


def test_imports_are_written_in_full() -> None:
    """A relative or computed import would slip past this file."""
    assert [key(p) for p in sources() for name in imports_of(p) if name.startswith(".")] == []
    computed = {key(p) for p in sources() if re.search(r"\bimport_module\(|\b__import__\(", p.read_text("utf-8"))}
    # It lists folders, below its own layer only by the name that it is given.
    assert computed == {"registry.py"}


@pytest.mark.parametrize("library", sorted(HOMES))
def test_a_library_is_imported_at_home_only(library: str) -> None:
    found = {
        unit for unit in ALLOWED for path in files(unit) for name in imports_of(path) if name.split(".")[0] == library
    }
    assert found <= HOMES[library]


@pytest.mark.parametrize("unit", sorted(ARRAYS | {"sources"}))
def test_what_works_on_arrays_knows_no_tables_and_no_cluster(unit: str) -> None:
    found = {name.split(".")[0] for path in files(unit) for name in imports_of(path)}
    assert files(unit)
    # The ids of an index are an Arrow file, which is mapped as its vectors are.
    assert found & TABLE_LIBRARIES <= ({"pyarrow"} if unit == "search" else set())


def test_the_source_root_holds_the_package_and_nothing_else() -> None:
    """A module there would be importable everywhere; an __init__.py there would shadow the standard `platform`."""
    assert [path.name for path in PACKAGE.parent.iterdir() if path.name != "__pycache__"] == ["phonolake"]


# -- a bare machine ----------------------------------------------------------------------------------------------------


def importable(*distributions: str) -> set[str]:
    """Top-level modules of these distributions and all that they require."""
    wanted, todo = set(), list(distributions)
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if name in wanted:
            continue
        try:
            required = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # for another system
        wanted.add(name)
        todo += [re.split(r"[^\w.-]", text, maxsplit=1)[0] for text in required if "extra ==" not in text]
    owners = importlib.metadata.packages_distributions()
    return {m for m, names in owners.items() if any(re.sub(r"[-_.]+", "-", n).lower() in wanted for n in names)}


BARE = """
import sys
import importlib
present, wanted = (set(argument.split(",")) for argument in sys.argv[1:3])
class Bare:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in present and top not in sys.stdlib_module_names and top != "phonolake":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Bare())
for gone in ("duckdb", "scipy"):
    try:
        importlib.import_module(gone)
    except ModuleNotFoundError:
        continue
    sys.exit(f"{gone} was not taken away, so this proves nothing")
for name in sorted(wanted):
    importlib.import_module(name)
"""


def modules(unit: str) -> list[str]:
    return [f"phonolake.{key(path).removesuffix('.py').replace('/', '.')}" for path in files(unit)]


@pytest.mark.parametrize(
    ("present", "wanted", "use"),
    [
        (
            ("numpy", "torch"),
            [*modules("models"), "phonolake.training.loop", "phonolake.inference.crops"],
            "from phonolake.models import registry; registry.get('k2c2').build(2, n_frames=10, seed=0)",
        ),
        (
            ("numpy",),
            [
                *modules("features"),
                *modules("metrics"),
                "phonolake.inference.crops",
            ],
            "from phonolake.features import contract; contract.spectrograms(), contract.feature_sets()",
        ),
    ],
    ids=["models and training", "features and metrics"],
)
def test_a_bare_machine_can_run_it(present: tuple[str, ...], wanted: list[str], use: str) -> None:
    arguments = [",".join(sorted(importable(*present))), ",".join(wanted)]
    assert set(present) <= set(arguments[0].split(","))
    done = subprocess.run([sys.executable, "-c", BARE + use, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
