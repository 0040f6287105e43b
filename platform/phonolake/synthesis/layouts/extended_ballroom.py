"""Extended Ballroom on disk: ``extendedballroom_v1.1.xml`` and ``Waltz/100600.mp3``."""

from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

from phonolake.records import Hertz
from phonolake.synthesis.layouts.contract import Config, DatasetLayout, PlannedClip

DANCES = (
    "Waltz", "Tango", "Foxtrot", "Quickstep", "Chacha", "Samba", "Rumba", "Viennesewaltz", "Jive", "Slowwaltz",
    "Pasodoble", "Salsa", "Wcswing",
)  # fmt: skip


def clips(config: Config) -> list[PlannedClip]:
    """Excerpts of the dances in turn."""
    found = []
    for i in range(config.n_tracks):
        dance, number = DANCES[i % len(DANCES)], 100_600 + i
        said = (("number", number), ("bpm", 84 + 4 * (i % len(DANCES))))
        found.append(PlannedClip(f"{dance}/{number}.mp3", dance, i % len(DANCES), i, "MP3", Hertz(44_100), said))
    return found


def files(clips: Sequence[PlannedClip], config: Config) -> dict[str, bytes]:
    """The XML of all songs; every second song of a dance is said to be a version of the one before."""
    lines = ["<ballroom>"]
    for dance in DANCES:
        songs = [clip for clip in clips if clip.label == dance]
        if not songs:
            continue
        lines.append(f"  <{dance}>")
        for place, clip in enumerate(songs):
            other = songs[place ^ 1]["number"] if place ^ 1 < len(songs) else None
            inner = f'><version id="{other}"/></song>' if other else "/>"
            lines.append(f"    <song {_attributes(clip)}{inner}")
        lines.append(f"  </{dance}>")
    return {"extendedballroom_v1.1.xml": "\n".join([*lines, "</ballroom>", ""]).encode()}


def _attributes(clip: PlannedClip) -> str:
    values = {
        "album": f"Steps & Turns {clip.number // 26 + 1}",
        "artist": f"The {clip.label} Band",
        "bpm": clip["bpm"],
        "id": clip["number"],
        "title": f'"{clip.label}" No. {clip.number}',
        "hash": f"{clip['number']:032x}",
    }
    return " ".join(f"{name}={quoteattr(str(value))}" for name, value in values.items())


LAYOUT = DatasetLayout("extended_ballroom", 130, 30.0, clips, files)
