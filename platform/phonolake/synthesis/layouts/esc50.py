"""ESC-50 on disk: ``meta/esc50.csv`` and ``audio/{fold}-{clip}-{take}-{class}.wav``."""

from collections.abc import Sequence

from phonolake.records import Hertz
from phonolake.synthesis.layouts.contract import Config, DatasetLayout, PlannedClip

# Numbers of the classes as in the dataset; those marked are ESC-10's.
CLASSES = {
    0: "dog",
    1: "rooster",
    10: "rain",
    11: "sea_waves",
    20: "crying_baby",
    30: "door_wood_knock",
    40: "helicopter",
}
IN_ESC10 = {0, 1, 10, 11, 20, 40}


def clips(config: Config) -> list[PlannedClip]:
    """Clips of the classes in turn; each round of the classes is in the next fold."""
    found = []
    for i in range(config.n_tracks):
        kind, fold = i % len(CLASSES), i // len(CLASSES) % 5 + 1
        target, label = list(CLASSES.items())[kind]
        said = (("fold", fold), ("target", target), ("source", 10_000 + i))
        path = f"audio/{fold}-{10_000 + i}-A-{target}.wav"
        found.append(PlannedClip(path, label, kind, i, "WAV", Hertz(44_100), said))
    return found


def files(clips: Sequence[PlannedClip], config: Config) -> dict[str, bytes]:
    """The table of all clips."""
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    for clip in clips:
        name, target = clip.path.rpartition("/")[2], clip["target"]
        lines.append(f"{name},{clip['fold']},{target},{clip.label},{target in IN_ESC10},{clip['source']},A")
    return {"meta/esc50.csv": ("\n".join(lines) + "\n").encode()}


LAYOUT = DatasetLayout("esc50", 70, 5.0, clips, files)
