"""Find the parts of a kind: modules in a folder of this package, and those of other packages.

A new dataset, feature set or model is one new file here, or one module of another package that names it as an entry
point in the group that is called like the folder, such as ``phonolake.sources``.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from types import ModuleType

from phonolake.errors import PhonolakeError, unknown


@cache
def modules(package: str, attribute: str) -> dict[str, ModuleType]:
    """Modules of a kind that define `attribute`, by its ``name``; a tuple is a family in one file.

    Parameters
    ----------
    package : str
        The folder, such as ``phonolake.sources``, and the group of entry points.
    attribute : str

    Raises
    ------
    PhonolakeError
        For an entry point that cannot be imported or is no module, and for two parts of one name.
    """
    found: dict[str, ModuleType] = {}
    for module in (*_own(package), *_of_others(package)):
        parts = getattr(module, attribute, ())
        for part in parts if isinstance(parts, tuple) else (parts,):
            if part.name in found:
                raise PhonolakeError(
                    f"{module.__name__} and {found[part.name].__name__} both bring a part called {part.name!r}: "
                    "rename one, or uninstall its package"
                )
            found[part.name] = module
    return dict(sorted(found.items()))


def module(package: str, attribute: str, kind: str, name: str) -> ModuleType:
    """The module that goes by `name`; an unknown name raises a `UsageError` that lists the known ones."""
    if (alone := own(package, attribute, name)) is not None:
        return alone
    found = modules(package, attribute)
    if name not in found:
        raise unknown(kind, name, found)
    return found[name]


@cache
def own(package: str, attribute: str, name: str) -> ModuleType | None:
    """The module of this package that is called like its part `name`, without the cost of importing the others.

    None if there is no such module, or if other packages bring parts of this kind: another could have that name.
    """
    folder, called = importlib.import_module(package).__path__, name.replace("-", "_")
    if _entries(package) or called not in {entry.name for entry in pkgutil.iter_modules(folder)}:
        return None
    found = importlib.import_module(f"{package}.{called}")
    return found if getattr(getattr(found, attribute, None), "name", None) == name else None


def _own(package: str) -> Iterator[ModuleType]:
    for entry in pkgutil.iter_modules(importlib.import_module(package).__path__):
        yield importlib.import_module(f"{package}.{entry.name}")


def _of_others(group: str) -> Iterator[ModuleType]:
    for entry in sorted(_entries(group), key=lambda entry: (entry.name, entry.value)):
        yield _loaded(entry)


# Of all installed packages, read once: each time it takes as long as a small query.
_all_entries = cache(entry_points)


def _entries(group: str) -> EntryPoints:
    return _all_entries().select(group=group)


def _loaded(entry: EntryPoint) -> ModuleType:
    by = entry.dist.name if entry.dist else "an installed package"
    try:
        found = entry.load()
    except Exception as error:  # whatever another's code may raise
        raise PhonolakeError(
            f"{by} brings {entry.name!r} as the entry point {entry.value}, which cannot be imported "
            f"({type(error).__name__}: {error}): fix the package or uninstall it"
        ) from error
    if not isinstance(found, ModuleType):
        raise PhonolakeError(
            f"{by} brings {entry.name!r} as the entry point {entry.value}, which is not a module: name the module only"
        )
    return found
