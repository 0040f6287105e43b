"""MagnaTagATune on disk: two tables with tabs and quotes, sixteen folders of clips, and the lists of a split."""

from collections.abc import Sequence

from phonolake.records import Hertz
from phonolake.synthesis.layouts.contract import Config, DatasetLayout, PlannedClip, parts
from phonolake.synthesis.planted import tags

# The 188 columns of the official table.
TAGS = """
    no voice, singer, duet, plucking, hard rock, world, bongos, harpsichord, female singing, clasical, sitar, chorus,
    female opera, male vocal, vocals, clarinet, heavy, silence, beats, men, woodwind, funky, no strings, chimes,
    foreign, no piano, horns, classical, female, no voices, soft rock, eerie, spacey, jazz, guitar, quiet, no beat,
    banjo, electric, solo, violins, folk, female voice, wind, happy, ambient, new age, synth, funk, no singing,
    middle eastern, trumpet, percussion, drum, airy, voice, repetitive, birds, space, strings, bass, harpsicord,
    medieval, male voice, girl, keyboard, acoustic, loud, classic, string, drums, electronic, not classical, chanting,
    no violin, not rock, no guitar, organ, no vocal, talking, choral, weird, opera, soprano, fast, acoustic guitar,
    electric guitar, male singer, man singing, classical guitar, country, violin, electro, reggae, tribal, dark,
    male opera, no vocals, irish, electronica, horn, operatic, arabic, lol, low, instrumental, trance, chant, strange,
    drone, synthesizer, heavy metal, modern, disco, bells, man, deep, fast beat, industrial, hard, harp, no flute,
    jungle, pop, lute, female vocal, oboe, mellow, orchestral, viola, light, echo, piano, celtic, male vocals,
    orchestra, eastern, old, flutes, punk, spanish, sad, sax, slow, male, blues, vocal, indian, no singer, scary,
    india, woman, woman singing, rock, dance, piano solo, guitars, no drums, jazzy, singing, cello, calm,
    female vocals, voices, different, techno, clapping, house, monks, flute, not opera, not english, oriental, beat,
    upbeat, soft, noise, choir, female singer, rap, metal, hip hop, quick, water, baroque, women, fiddle, english
"""
NAMES = tuple(" ".join(tag.split()) for tag in TAGS.split(","))
# Tags of the kinds of clip; the third of a line means the same as the second.
KINDS = (
    ("guitar", "female vocal", "female vocals"),
    ("techno", "beat", "beats"),
    ("classical", "strings", "string"),
    ("rock", "drums", "drum"),
    ("piano", "quiet", "silence"),
    ("opera", "choir", "choral"),
    ("sitar", "indian", "india"),
    ("ambient", "synth", "synthesizer"),
)
POOL = tuple(tag for kind in KINDS for tag in kind)
FOLDERS = "0123456789abcdef"
COLUMNS = ["clip_id", "track_number", "title", "artist", "album", "url", "segmentStart", "segmentEnd", "original_url"]


def clips(config: Config) -> list[PlannedClip]:
    """Two clips of each song, in the folder of its artist."""
    found = []
    for i in range(config.n_tracks):
        song, second = divmod(i, 2)
        kind, folder = song % len(KINDS), FOLDERS[song % len(FOLDERS)]
        start = 29 * second
        path = f"mp3/{folder}/artist_{song}-album_{song}-01-song_{song}-{start}-{start + 29}.mp3"
        true, given = tags(KINDS[kind][: 2 + second], POOL, config.planted, seed=config.seed, number=i)
        said = (("song", song), ("start", start), ("tags", given), ("true", true))
        found.append(PlannedClip(path, KINDS[kind][0], kind, i, "MP3", Hertz(16_000), said))
    return found


def files(clips: Sequence[PlannedClip], config: Config) -> dict[str, bytes]:
    """Both tables, and the lists of a split that keeps songs together."""
    annotations = [_row(["clip_id", *NAMES, "mp3_path"])]
    info = [_row([*COLUMNS, "mp3_path"])]
    lists: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for clip in clips:
        number, mp3 = 2 + clip.number, clip.path.removeprefix("mp3/")
        annotations.append(_row([number, *(int(tag in clip["tags"]) for tag in NAMES), mp3]))
        song, start = clip["song"], clip["start"]
        info.append(
            _row([number, 1, f"Song {song}", f"Artist {song}", f"Album {song}", "", start, start + 29, "", mp3])
        )
        lists[parts(song + 1)[-1]].append(mp3.replace(".mp3", ".npy"))
    lines = {f"splits/cleaned/{part}_list.txt": "".join(f"{m}\n" for m in mp3s) for part, mp3s in lists.items()}
    tables = {"annotations_final.csv": "".join(annotations), "clip_info_final.csv": "".join(info)}
    return {name: text.encode() for name, text in (tables | lines).items()}


def _row(cells: Sequence[object]) -> str:
    return "\t".join(f'"{cell}"' for cell in cells) + "\n"


LAYOUT = DatasetLayout("magnatagatune", 64, 29.0, clips, files, lambda clip: f"magnatagatune:{2 + clip.number}")
