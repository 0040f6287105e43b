"""ESC-10 on disk: numbered folders of classes, names that begin with the fold; WAV instead of Ogg."""

from collections.abc import Sequence

from phonolake.records import Hertz
from phonolake.synthesis.layouts.contract import Config, DatasetLayout, PlannedClip

CLASSES = (
    "Dog bark", "Rain", "Sea waves", "Baby cry", "Clock tick", "Person sneeze", "Helicopter", "Chainsaw", "Rooster",
    "Fire crackling",
)  # fmt: skip


def clips(config: Config) -> list[PlannedClip]:
    """Clips of the classes in turn; each round of the classes is in the next fold."""
    found = []
    for i in range(config.n_tracks):
        kind, fold = i % len(CLASSES), i // len(CLASSES) % 5 + 1
        path = f"{kind + 1:03d} - {CLASSES[kind]}/{fold}-{10_000 + i}-A.wav"
        found.append(PlannedClip(path, CLASSES[kind], kind, i, "WAV", Hertz(44_100)))
    return found


def files(clips: Sequence[PlannedClip], config: Config) -> dict[str, bytes]:
    """ESC-10 has no tables, only a readme."""
    return {"README.md": b"# Synthetic: composed by Phonolake, in the layout of ESC-10\n"}


LAYOUT = DatasetLayout("esc10", 50, 5.0, clips, files)
