"""Options of a dataset: a frozen dataclass in its module, filled from ``key=value`` texts."""

import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from phonolake.errors import UsageError, unknown

HELP = "help"


@dataclass(frozen=True, slots=True)
class OptionHelp:
    """One option, for a person to read."""

    name: str
    default: str
    about: str


def option(default: Any, about: str) -> Any:
    """Field of an `Options` dataclass with its default and meaning."""
    return field(default=default, metadata={HELP: about})


def listing(kind: type | None) -> list[OptionHelp]:
    """The options that a source has."""
    return (
        [] if kind is None else [OptionHelp(_spelt(f.name), _shown(f.default), f.metadata[HELP]) for f in fields(kind)]
    )


def parse(source: str, kind: type | None, texts: Sequence[str]) -> Any:
    """Fill the `Options` of a source.

    Parameters
    ----------
    source : str
        Its name, for messages.
    kind : type or None
        Its `Options`; None if it has none.
    texts : sequence of str
        ``key=value``; a key that takes several values may stand several times.

    Raises
    ------
    UsageError
        For a text without ``=``, an unknown key, a key given twice, or a value of the wrong kind.
    """
    if kind is None:
        if texts:
            raise UsageError(f"{source} has no options; received {texts[0]!r}")
        return None
    kinds = typing.get_type_hints(kind)
    known = {_spelt(f.name): f.name for f in fields(kind)}
    values: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"an option of {source} is key=value; received {text!r}")
        name = known.get(key.strip().replace("_", "-"))
        if name is None:
            raise unknown(f"option of {source}", key.strip(), known)
        if _many(kinds[name]):
            values[name] = (*values.get(name, ()), value.strip())
        elif name in values:
            raise UsageError(f"{key} of {source} is given twice, but takes one value")
        else:
            values[name] = _convert(source, key, kinds[name], value.strip())
    return kind(**values)


def one_of(name: str, value: str, known: Iterable[str]) -> None:
    """Raise a `UsageError` unless `value` is one of the known ones."""
    if value not in known:
        raise unknown(name, value, known)


def _spelt(name: str) -> str:
    return name.replace("_", "-")


def _shown(default: Any) -> str:
    if default is None or default == ():
        return ""
    return ", ".join(default) if isinstance(default, tuple) else str(default)


def _many(kind: Any) -> bool:
    return typing.get_origin(kind) is tuple


def _convert(source: str, key: str, kind: Any, value: str) -> Any:
    if isinstance(kind, types.UnionType):
        (kind,) = (part for part in typing.get_args(kind) if part is not type(None))
    try:
        return kind(value)
    except ValueError as error:
        raise UsageError(f"{key} of {source} takes a number; received {value!r}") from error
