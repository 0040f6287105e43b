"""GTZAN on disk: ``genres/blues/blues.00000.au``, and the lists of a split."""

from collections import defaultdict
from collections.abc import Sequence

from phonolake.records import Hertz
from phonolake.synthesis.layouts.contract import Config, DatasetLayout, PlannedClip, parts

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")


def clips(config: Config) -> list[PlannedClip]:
    """Clips of the genres in turn."""
    found = []
    for i in range(config.n_tracks):
        genre = GENRES[i % len(GENRES)]
        path = f"genres/{genre}/{genre}.{i // len(GENRES):05d}.au"
        found.append(PlannedClip(path, genre, i % len(GENRES), i, "AU", Hertz(22_050)))
    return found


def files(clips: Sequence[PlannedClip], config: Config) -> dict[str, bytes]:
    """Lists of a filtered split, with the endings of another copy, as the published ones have."""
    lists: dict[str, list[str]] = defaultdict(list)
    # Rounds of the genres in turn, so that every part has all of them.
    for clip in clips:
        part = parts(clip.number // len(GENRES) + 1)[-1]
        lists[part].append(clip.path.removeprefix("genres/").replace(".au", ".wav"))
    names = ("train", "valid", "test")
    return {f"splits/filtered/{part}_filtered.txt": "".join(f"{c}\n" for c in lists[part]).encode() for part in names}


LAYOUT = DatasetLayout("gtzan", 100, 30.0, clips, files)
