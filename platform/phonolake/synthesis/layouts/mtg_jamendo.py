"""MTG-Jamendo on disk: a table whose rows end in their tags, the same table for each side of a split, and mp3 files."""

from collections.abc import Sequence

from phonolake.records import Hertz
from phonolake.synthesis.layouts.contract import Config, DatasetLayout, PlannedClip, parts

HEADER = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS"
KINDS = (
    ("genre---rock", "instrument---electricguitar"),
    ("genre---electronic", "instrument---synthesizer", "mood/theme---energetic"),
    ("genre---classical", "instrument---piano", "mood/theme---calm"),
    ("genre---ambient",),
    ("genre---jazz", "instrument---saxophone"),
)
WORDS = {"train": "train", "valid": "validation", "test": "test"}


def clips(config: Config) -> list[PlannedClip]:
    """Tracks of the kinds in turn, in folders by the last two digits of their numbers."""
    found = []
    for i in range(config.n_tracks):
        number, kind = 214 + 27 * i, i % len(KINDS)
        said = (("number", number), ("tags", KINDS[kind]), ("artist", i // 2), ("seconds", config.duration))
        path = f"audio/{number % 100:02d}/{number}.mp3"
        found.append(PlannedClip(path, KINDS[kind][0], kind, i, "MP3", Hertz(22_050), said))
    return found


def files(clips: Sequence[PlannedClip], config: Config) -> dict[str, bytes]:
    """The table of all tracks, and those of the sides of two splits."""
    rows = [_row(clip) for clip in clips]
    found = {"data/autotagging.tsv": [HEADER, *rows]}
    for n in range(2):
        # Rounds of the kinds in turn, so that every part has all of them.
        sides = [parts(clip.number // len(KINDS) + 1 + n)[-1] for clip in clips]
        for side, word in WORDS.items():
            listed = [row for row, own in zip(rows, sides, strict=True) if own == side]
            found[f"data/splits/split-{n}/autotagging-{word}.tsv"] = [HEADER, *listed]
    return {name: ("\n".join(lines) + "\n").encode() for name, lines in found.items()}


def _row(clip: PlannedClip) -> str:
    number, artist = clip["number"], clip["artist"]
    path = clip.path.removeprefix("audio/")
    names = (f"track_{number:07d}", f"artist_{artist:06d}", f"album_{artist:06d}")
    return "\t".join((*names, path, f"{clip['seconds']:.1f}", *clip["tags"]))


LAYOUT = DatasetLayout("mtg_jamendo", 60, 30.0, clips, files)
