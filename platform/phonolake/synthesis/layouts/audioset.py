"""AudioSet on disk: segment tables with three lines of comment, labels, ontology, quality counts, a file a segment."""

import json
from collections import Counter
from collections.abc import Sequence
from string import ascii_letters, digits

import numpy as np

from phonolake.records import Hertz
from phonolake.synthesis.layouts.contract import Config, DatasetLayout, PlannedClip

# A part of the real ontology: ids, names and children. The last column says whether segments carry the label.
ONTOLOGY = (
    ("/m/04rlf", "Music", ("/t/dd00028",), True),
    (
        "/t/dd00028",
        "Music role",
        ("/m/025td0t", "/m/02cjck", "/m/03r5q_", "/m/0l14gg", "/m/07pkxdp", "/m/01z7dr"),
        False,
    ),
    ("/m/025td0t", "Background music", (), True),
    ("/m/02cjck", "Theme music", (), True),
    ("/m/03r5q_", "Jingle (music)", (), True),
    ("/m/0l14gg", "Soundtrack music", (), True),
    ("/m/07pkxdp", "Lullaby", (), True),
    ("/m/01z7dr", "Video game music", (), True),
    ("/m/09x0r", "Speech", ("/m/05zppz",), True),
    ("/m/05zppz", "Male speech, man speaking", (), True),
)
ROLES = [(label, name) for label, name, _, used in ONTOLOGY[2:8] if used]
LETTERS = ascii_letters + digits + "-_"
TABLES = {"balanced": "balanced_train_segments.csv", "eval": "eval_segments.csv"}


def clips(config: Config) -> list[PlannedClip]:
    """Segments of the roles in turn; a third of them carries a second role, and the first id begins with a dash."""
    rng = np.random.default_rng([config.seed, 1])
    found = []
    for i in range(config.n_tracks):
        kind = i % len(ROLES)
        ids = [ROLES[kind][0], "/m/04rlf", *([ROLES[(kind + 1) % len(ROLES)][0]] if i % 3 == 0 else [])]
        start = 10 * int(rng.integers(0, 20))
        ytid = ("-" if i == 0 else "") + "".join(LETTERS[j] for j in rng.integers(0, len(LETTERS), 11 - (i == 0)))
        table = "eval" if i % 4 == 3 else "balanced"
        said = (("ytid", ytid), ("start", start), ("ids", tuple(ids)), ("table", table))
        found.append(PlannedClip(f"audio/{ytid}_{start}.wav", ROLES[kind][1], kind, i, "WAV", Hertz(44_100), said))
    return found


def files(clips: Sequence[PlannedClip], config: Config) -> dict[str, bytes]:
    """Segments, labels with their hierarchy, and how many labels were checked."""
    used = [(label, name) for label, name, _, carried in ONTOLOGY if carried]
    nodes = [
        {"id": label, "name": name, "description": "", "citation_uri": "", "positive_examples": [],
         "child_ids": list(children), "restrictions": [] if carried else ["abstract"]}
        for label, name, children, carried in ONTOLOGY
    ]  # fmt: skip
    index = ["index,mid,display_name", *(f'{i},{label},"{name}"' for i, (label, name) in enumerate(used))]
    quality = ["label_id,num_rated,num_true", *(f"{label},10,{9 - i % 3}" for i, (label, _) in enumerate(used))]
    tables = {name: _table([c for c in clips if c["table"] == table], config) for table, name in TABLES.items()}
    return tables | {
        "class_labels_indices.csv": _text(index),
        "ontology.json": json.dumps(nodes, indent=2).encode(),
        "qa_true_counts.csv": _text(quality),
    }


def _table(segments: list[PlannedClip], config: Config) -> bytes:
    labels = Counter(label for segment in segments for label in segment["ids"])
    counts = f"num_ytids={len(segments)}, num_segs={len(segments)}, num_unique_labels={len(labels)}"
    lines = [
        "# Segments csv created by Phonolake",
        f"# {counts}, num_positive_labels={labels.total()}",
        "# YTID, start_seconds, end_seconds, positive_labels",
    ]
    for s in segments:
        lines.append(f'{s["ytid"]}, {s["start"]:.3f}, {s["start"] + 10:.3f}, "{",".join(s["ids"])}"')
    return _text(lines)


def _text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


LAYOUT = DatasetLayout("audioset", 48, 10.0, clips, files)
