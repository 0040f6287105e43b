"""The middle version of the studies, on made corpora: under two hours of two cores. What it prints stands in
`docs/studies.md`.

Whoever runs it again goes on where it ended: corpora, features and trainings that are there are not made again.
"""

import argparse
from pathlib import Path

from phonolake.cli.main import main

FRONT_ENDS = (
    "vgg",
    "7x96",
    "7x86",
    "timbral",
    "temporal",
    "timbral-temporal",
    "timbral-time",
    "sample-level",
    "frame-level",
    "frame-level-as-published",
    "frame-level-many",
    "frame-level-many-as-published",
)


def run(*words: object) -> None:
    """A command, said before it is done; one that fails ends all."""
    line = [str(word) for word in words]
    print(f"\n$ phonolake {' '.join(line)}", flush=True)
    if code := main(line):
        raise SystemExit(code)


def corpus(root: Path, name: str, *options: object) -> Path:
    """A lake of a made corpus."""
    lake = root / f"lake-{name}"
    run("synth", name, root / name, *options, "--format", "csv")
    run("ingest", name, root / name, "--lake", lake, "--format", "csv")
    return lake


def robustness(root: Path) -> None:
    """Tags that depend on each other and are wrong at a known rate; their truth is a source of its own."""
    lake = corpus(root, "msd", "--tracks", 360, "--seconds", 4, "--missing", 0.1, "--false", 0.05, "--together", 0.7)
    run("labels", "import", root / "msd" / "truth.csv", "--source", "truth", "--lake", lake, "--format", "csv")
    run("extract", "--spectrogram", "mel-96-12k", "--spectrogram", "stft-257-12k", "--lake", lake, "--format", "csv")
    run("study", "robustness", "--size", "middle", "--truth", "truth", "--lake", lake)


def fma_genres(root: Path) -> None:
    """Genres of made music, a tenth of them wrong."""
    lake = corpus(root, "fma", "--tracks", 320, "--seconds", 5, "--label-noise", 0.1)
    run("split", "--folds", 5, "--lake", lake, "--format", "csv")
    run("extract", "--spectrogram", "mel-128x128", "--lake", lake, "--format", "csv")
    run("study", "fma-genres", "--size", "middle", "--split", "official", "--lake", lake)


def random_networks(root: Path, sounds: Path | None) -> None:
    """ESC-10 where it is at hand, else made sounds in its layout."""
    if sounds is None:
        lake = corpus(root, "esc10")
    else:
        lake = root / "lake-esc10"
        run("ingest", "esc10", sounds, "--lake", lake, "--format", "csv")
    wanted = ["--features", "mfcc-120", "--spectrogram", "mel-96-12k"]
    for front in FRONT_ENDS:
        for draw in ("", "-draw-1", "-draw-2"):
            wanted += ["--features", f"random-{front}-small{draw}"]
    run("extract", *wanted, "--lake", lake, "--format", "csv")
    run("study", "random-networks", "--repeats", 3, "--size", "middle", "--lake", lake)


def sample_level(root: Path) -> None:
    """Tags of made music, over waveforms."""
    lake = corpus(root, "magnatagatune", "--tracks", 320, "--seconds", 4)
    run("extract", "--spectrogram", "mel-128-22k-729", "--lake", lake, "--format", "csv")
    run("study", "sample-level", "--size", "middle", "--lake", lake)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where corpora and lakes go")
    parser.add_argument("--esc10", type=Path, help="folder of ESC-10")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    random_networks(options.folder, options.esc10)
    robustness(options.folder)
    fma_genres(options.folder)
    sample_level(options.folder)
