"""UrbanSound8K on disk: ``metadata/UrbanSound8K.csv`` and ``audio/fold1/{fsID}-{classID}-{occurrence}-{slice}.wav``."""

from collections.abc import Sequence

from phonolake.records import Hertz
from phonolake.synthesis.layouts.contract import Config, DatasetLayout, PlannedClip

CLASSES = (
    "air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling", "engine_idling", "gun_shot",
    "jackhammer", "siren", "street_music",
)  # fmt: skip


def clips(config: Config) -> list[PlannedClip]:
    """Slices of the classes in turn; each round of the classes is in the next fold. Rates differ, as on Freesound."""
    found = []
    for i in range(config.n_tracks):
        kind, fold = i % len(CLASSES), i // len(CLASSES) % 10 + 1
        rate = Hertz((44_100, 22_050, 16_000)[i % 3])
        path = f"audio/fold{fold}/{100_000 + i}-{kind}-0-{i % 4}.wav"
        found.append(PlannedClip(path, CLASSES[kind], kind, i, "WAV", rate, (("fold", fold), ("start", 0.5 * (i % 7)))))
    return found


def files(clips: Sequence[PlannedClip], config: Config) -> dict[str, bytes]:
    """The table of all slices."""
    lines = ["slice_file_name,fsID,start,end,salience,fold,classID,class"]
    for clip in clips:
        name, start = clip.path.rpartition("/")[2], clip["start"]
        cells = (
            name,
            100_000 + clip.number,
            start,
            start + config.duration,
            1 + clip.number % 2,
            clip["fold"],
            clip.kind,
        )
        lines.append(",".join(map(str, (*cells, clip.label))))
    return {"metadata/UrbanSound8K.csv": ("\n".join(lines) + "\n").encode()}


LAYOUT = DatasetLayout("urbansound8k", 100, 4.0, clips, files)
