"""FMA: a dataset for music analysis (Defferrard et al. 2017), in the layout of its official archives."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from phonolake.errors import UsageError
from phonolake.records import TEST, TRAIN, VALID, Recording
from phonolake.sources.contract import SourceCard

CARD = SourceCard(
    name="fma",
    summary="Free Music Archive: 30-s clips (small, medium, large) or whole tracks (full), genres, official split",
    homepage="https://github.com/mdeff/fma",
    licence="metadata CC BY 4.0; each track under the licence its artist chose",
    citation="M. Defferrard, K. Benzi, P. Vandergheynst, X. Bresson, FMA: A Dataset for Music Analysis, ISMIR 2017",
    layout="DIR/fma_metadata/tracks.csv and DIR/fma_small/000/000002.mp3 (or fma_medium, fma_large, fma_full)",
)
# Each size holds the tracks of the smaller ones.
SIZES = ("small", "medium", "large", "full")
PARTS = {"training": TRAIN, "validation": VALID, "test": TEST}
COLUMNS = {
    ("set", "split"): "split",
    ("set", "subset"): "subset",
    ("track", "title"): "title",
    ("track", "genre_top"): "genre",
    ("track", "license"): "licence",
    ("track", "tags"): "tags",
    ("artist", "name"): "artist",
    ("album", "title"): "album",
    ("album", "date_released"): "released",
}


def recordings(root: Path) -> Iterator[Recording]:
    """The tracks that `tracks.csv` puts into the largest size on disk, in order of their ids.

    A track whose mp3 is not there is yielded too: it becomes a row of `rejects`.
    """
    sizes = [size for size in SIZES if (root / f"fma_{size}").is_dir()]
    if not sizes:
        raise UsageError(f"{root} does not hold FMA audio; its layout is {CARD.layout}")
    audio = root / f"fma_{sizes[-1]}"
    wanted = SIZES[: SIZES.index(sizes[-1]) + 1]
    table = _read_tracks(root / "fma_metadata" / "tracks.csv")
    for row in table[table["subset"].isin(wanted)].sort_index().itertuples():
        name = f"{row.Index:06d}"
        part = PARTS.get(row.split)
        yield Recording(
            source_id=name,
            path=audio / name[:3] / f"{name}.mp3",
            title=_text(row.title),
            artist=_text(row.artist),
            album=_text(row.album),
            year=int(year[0]) if (year := re.match(r"\d{4}", row.released)) else None,
            licence=_text(row.licence),
            labels=(row.genre,) if _text(row.genre) else (),
            tags=_tags(row.tags, name),
            splits=(("official", part, None),) if part else (),
        )


def _read_tracks(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UsageError(f"{path} is missing: unpack the official fma_metadata.zip beside the audio")
    try:
        table = pd.read_csv(path, index_col=0, header=[0, 1], dtype=str, keep_default_na=False, encoding="utf-8-sig")
        table = table[list(COLUMNS)].set_axis(list(COLUMNS.values()), axis=1)
        table.index = table.index.astype(int)
    except (KeyError, ValueError) as error:
        raise UsageError(f"{path} is no FMA tracks.csv with its two header rows: {error}") from error
    return table


def _tags(value: str, track: str) -> tuple[str, ...]:
    """The words of a list written as Python writes it."""
    try:
        words = ast.literal_eval(value.strip() or "[]")
    except (SyntaxError, ValueError):
        words = None
    if not isinstance(words, list):
        raise UsageError(f"the tags of track {track} in tracks.csv are no list like ['rock', 'live']: {value[:80]!r}")
    return tuple(dict.fromkeys(str(word) for word in words))


def _text(value: str) -> str | None:
    return value.strip() or None
