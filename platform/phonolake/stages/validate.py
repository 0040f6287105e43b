"""Validate: compare a dataset on disk with its layout and its published figures."""

from dataclasses import dataclass
from pathlib import Path

from phonolake.audio.containers import EXTENSIONS
from phonolake.errors import UsageError
from phonolake.records import Recording
from phonolake.sources import contract, trees
from phonolake.stages import source_root
from phonolake.stages.ingest_files import File
from phonolake.stages.source_root import Root


@dataclass(frozen=True, slots=True)
class Config:
    """What to check: a source, the folder that holds it, and what is chosen of it (`sources.options`)."""

    source: str
    root: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DatasetCheck:
    """One check. `expected` and `found` are counts; for a single file they are 1 and 0, or 0 and 1."""

    check: str
    subject: str
    expected: int
    found: int

    @property
    def wrong(self) -> bool:
        return self.expected != self.found


def run(config: Config, *, top: int = 10) -> list[DatasetCheck]:
    """Check everything that needs no decoding.

    Parameters
    ----------
    top : int
        Number of missing and of unexpected files to list one by one.

    Returns
    -------
    list of Finding
        Published figures first, then how much of the dataset is there, then files: named by the dataset, there without
        being named, and linked from outside.

    Raises
    ------
    UsageError
        If the layout is not there, or metadata cannot be read.
    """
    source = contract.get(config.source)
    with source_root.opened(config.root, source) as root:
        looker = root.looker(contract.follows_links(source))
        files = [looker.look(recording) for recording in _recordings(source, root.path, config.options)]
        share = contract.share(source, root.path, config.options, sum(file.size is not None for file in files))
        figures = [
            DatasetCheck("figure", f.about, f.published, f.found)
            for f in contract.facts(source, root.path, config.options)
        ]
        shares = [DatasetCheck("share", share.about, share.published, share.found)] if share else []
        return figures + shares + _files(files, root, top)


def _recordings(source: contract.Source, root: Path, options: tuple[str, ...]) -> list[Recording]:
    """What a dataset names; of one that ships no audio nothing, where there is none, as long as its metadata are."""
    try:
        return list(contract.recordings(source, root, options))
    except UsageError:
        if not hasattr(source, "catalogue"):
            raise
        next(contract.catalogue(source, root, options), None)
        return []


def _files(files: list[File], root: Root, top: int) -> list[DatasetCheck]:
    present = [f for f in files if f.size is not None]
    missing = [f for f in files if f.size is None and not f.outside]
    outside = [f for f in files if f.outside]
    empty = [f for f in present if not f.size]
    named = {f.recording.path for f in files}
    unexpected = [path for path in trees.files(root.path, EXTENSIONS) if path not in named]
    return [
        DatasetCheck("files", "named by the dataset", len(files), len(present) + len(outside)),
        *(DatasetCheck("missing", f.where, 1, 0) for f in missing[:top]),
        DatasetCheck("files", "without a byte", 0, len(empty)),
        *(DatasetCheck("empty", f.where, 0, 1) for f in empty[:top]),
        DatasetCheck("files", "reached by a link that leads out of the dataset", 0, len(outside)),
        *(DatasetCheck("outside", f.where, 0, 1) for f in outside[:top]),
        DatasetCheck("files", "of audio that the dataset does not name", 0, len(unexpected)),
        *(DatasetCheck("unexpected", root.named(path), 0, 1) for path in unexpected[:top]),
    ]
