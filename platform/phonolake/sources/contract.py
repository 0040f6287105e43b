"""The contract of a source module.

A module in this folder is a source when it defines

    CARD : SourceCard
        Who publishes the data, under which terms, and how it lies on disk.
    recordings(root: Path) -> Iterator[Recording]
        Every recording that the dataset names under `root`, present or missing, in a fixed order. It reads metadata and
        file names, never audio, and raises a `UsageError` when `root` does not hold the layout.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from phonolake import registry
from phonolake.records import Recording


@dataclass(frozen=True, slots=True)
class Download:
    """One file that its owners publish.

    Parameters
    ----------
    url : str
        Where it lies.
    bytes : int or None
        Its size, where it is published.
    checksum : str or None
        ``"sha1:..."``, ``"sha256:..."`` or ``"md5:..."`` in hexadecimal digits, where one is published.
    about : str
        What it holds.
    """

    url: str
    bytes: int | None
    checksum: str | None
    about: str


@dataclass(frozen=True, slots=True)
class SourceCard:
    """What a person should know of a dataset before using it."""

    name: str
    summary: str
    homepage: str
    licence: str
    citation: str
    layout: str
    downloads: tuple[Download, ...] = ()


class Source(Protocol):
    """A source module, as the stages see it."""

    CARD: SourceCard

    def recordings(self, root: Path) -> Iterator[Recording]: ...


def cards() -> list[SourceCard]:
    """Card of every source."""
    return [module.CARD for module in registry.modules("phonolake.sources", "CARD").values()]


def get(name: str) -> Source:
    """The source called `name`; an unknown name raises a `UsageError` that lists the known ones."""
    return cast(Source, registry.module("phonolake.sources", "CARD", "dataset", name))
