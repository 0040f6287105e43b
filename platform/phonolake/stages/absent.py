"""The message when no file of a dataset is where its layout puts it: what is there instead, and how to fix it."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from phonolake.audio.containers import EXTENSIONS
from phonolake.errors import UsageError
from phonolake.sources import contract, trees
from phonolake.sources.contract import Source
from phonolake.stages.ingest_files import File, readable

# Maximum number of folders to try.
MOST_TRIED = 50
PIECE = re.compile(r"(?P<whole>.+\.(zip|tar|tgz|tar\.gz|7z|rar))\.\d+")
ARCHIVE = re.compile(r".+\.(zip|tar|tgz|tar\.gz|tar\.bz2|7z|rar)")


def elsewhere(source: Source, root: Path, options: Sequence[str]) -> str | None:
    """A hint to a folder below or above `root` with the source's layout and some of its audio, else None."""
    for folder in _near(root):
        try:
            found = any(recording.path.is_file() for recording in contract.recordings(source, folder, options))
        except UsageError:
            continue
        if found:
            return f"{folder} has it: name that folder"
    return None


def explain(source: Source, root: Path, files: Sequence[File], options: Sequence[str]) -> str:
    """Explain a folder without any of the files that a dataset names."""
    said = f"0 of the {len(files)} files that {source.CARD.name} names were found, such as {_shown(files[0], root)}"
    others = list(trees.files(root, EXTENSIONS))
    if others:
        common = _common(others)
        said += f"; {len(others)} other audio files lie under {common}, such as {readable(others[0].relative_to(root))}"
    # Archives may remain after unpacking: they are the reason only if there is no audio at all.
    packed = None if others else _joined(root)
    fix = _moved(root, files, others) or packed or elsewhere(source, root, options)
    if fix is None:
        fix = (
            f"no audio lies under {root}: name another folder" if not others else f"the layout is {source.CARD.layout}"
        )
    return f"{said}. {fix[0].upper()}{fix[1:]}."


def _joined(root: Path) -> str | None:
    """The hint to unpack archives."""
    names = sorted(path.name for folder in (root, *_folders(root)) for path in folder.iterdir() if path.is_file())
    for name in names:
        if match := PIECE.fullmatch(name):
            whole = match["whole"]
            return f"{name} is a piece of an archive: join them (cat {whole}.* > {whole}) and unpack {whole}"
    archive = next((name for name in names if ARCHIVE.fullmatch(name)), None)
    return f"unpack {archive} first" if archive else None


def _moved(root: Path, files: Sequence[File], others: Sequence[Path]) -> str | None:
    """The hint to move a folder, by the place of most files with the dataset's names."""
    lying = {_stem(path): path for path in others}
    moves: Counter[tuple[Path, Path]] = Counter()
    for file in files:
        wanted = file.recording.path
        found = lying.get(_stem(wanted))
        if found is not None:
            own, meant = list(found.parent.parts), list(wanted.parent.parts)
            while own and meant and own[-1] == meant[-1]:
                own.pop()
                meant.pop()
            moves[Path(*own), Path(*meant)] += 1
    if not moves:
        return None
    ((here, there), n) = moves.most_common(1)[0]
    return f"{n} of them lie in {here} instead of {there}: move what is in the first into the second"


def _near(root: Path) -> Iterator[Path]:
    """The folders one and two levels below, and the one above."""
    below = _folders(root)
    deeper = [inner for folder in below for inner in _folders(folder)]
    yield from [*below, *deeper][:MOST_TRIED]
    yield root.parent


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []


def _common(paths: Sequence[Path]) -> Path:
    """The deepest folder that contains all the files."""
    parents = [path.parent.parts for path in paths]
    shared = []
    for parts in zip(*parents, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return Path(*shared)


def _shown(file: File, root: Path) -> str:
    path = file.recording.path
    return readable(path.relative_to(root) if path.is_relative_to(root) else path)


def _stem(path: Path) -> str:
    return path.name.rpartition(".")[0]
