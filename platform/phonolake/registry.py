"""Find the parts of a package by listing its folder: a new dataset, feature set or model is one new file."""

import importlib
import pkgutil
from functools import cache
from types import ModuleType

from phonolake.errors import unknown


@cache
def modules(package: str, attribute: str) -> dict[str, ModuleType]:
    """Modules of `package` that define `attribute`, by its ``name``; a tuple is a family in one file."""
    found = {}
    for entry in pkgutil.iter_modules(importlib.import_module(package).__path__):
        module = importlib.import_module(f"{package}.{entry.name}")
        parts = getattr(module, attribute, ())
        for part in parts if isinstance(parts, tuple) else (parts,):
            found[part.name] = module
    return dict(sorted(found.items()))


def module(package: str, attribute: str, kind: str, name: str) -> ModuleType:
    """The module that goes by `name`; an unknown name raises a `UsageError` that lists the known ones."""
    found = modules(package, attribute)
    if name not in found:
        raise unknown(kind, name, found)
    return found[name]
