"""One call of every command, on a lake that the demo made."""

from pathlib import Path

# `{lake}` is a lake, `{music}` the recordings that it was made of, `{new}` a place where nothing is, `{file}` an audio
# file, `{csv}` answers of raters, `{sheet}` labels, `{sides}` a split, `{probabilities}` those of a model, `{vectors}`
# those of another and `{grid}` what to vary. What a command needs besides (a network, weights) it asks for in one line.
# Answers are not kept: tests only read the demo.
WORDS = {
    "annotations agreement": "--lake {lake}",
    "annotations export": "--lake {lake}",
    "annotations import": "{csv} --lake {lake}",
    "annotations progress": "--lake {lake}",
    "annotations sample": "check --positive 1 --negative 1 --lake {lake}",
    "annotations triplets": "near --count 2 --lake {lake}",
    "benchmark": "--quick --lake {lake}",
    "crossval": "logistic-regression --lake {lake}",
    "dashboard": "--headless --port {port} --lake {lake}",
    "datasets": "",
    "datasets list": "",
    "datasets show": "fma",
    "demo": "{new} --tracks 80 --epochs 1",
    "download": "fma {new} --file fma_metadata --mirror http://127.0.0.1:9",
    "duplicates": "--lake {lake}",
    "embeddings export": "{new}.npz --lake {lake}",
    "embeddings import": "theirs {vectors} --lake {lake}",
    "embeddings remove": "theirs --lake {lake}",
    "ensemble": "random-forest random-forest --lake {lake}",
    "extract": "--features music-role-97 --lake {lake}",
    "features": "",
    "features list": "",
    "features show": "mfcc-120",
    "forget": "fma:000002 --lake {lake}",
    "index": "--again --lake {lake}",
    "ingest": "folder {music} --name again --lake {lake}",
    "jobs": "--lake {lake}",
    "labels classes confusion": "--no-save --lake {lake}",
    "labels classes importance": "--no-save --lake {lake}",
    "labels classes map": "--of mfcc-120 --method pca --no-save --lake {lake}",
    "labels classes removal": "--no-save --lake {lake}",
    "labels classes roc": "--no-save --lake {lake}",
    "labels import": "{sheet} --source mine --lake {lake}",
    "labels networks": "k2c2 k2c2 --lake {lake}",
    "labels remove": "mine --lake {lake}",
    "labels cooccurrence": "--no-save --lake {lake}",
    "labels evaluation": "--no-save --lake {lake}",
    "labels noise": "--no-save --lake {lake}",
    "labels validate": "--no-save --lake {lake}",
    "labels vectors": "--no-save --lake {lake}",
    "ledger": "--lake {lake}",
    "licences": "--lake {lake}",
    "models": "",
    "models fetch": "choi-msd --url http://127.0.0.1:9/x",
    "models filters": "k2c2 --lake {lake}",
    "models import": "choi-msd {file}",
    "models list": "",
    "models show": "k2c2",
    "neighbours duplicates": "--lake {lake}",
    "neighbours graph": "-k 3 --lake {lake}",
    "neighbours path": "fma:000002 fma:000002 --lake {lake}",
    "plan": "{music} --cores 2 --storage-rate 100",
    "predictions import": "{probabilities} --model theirs --lake {lake}",
    "predictions remove": "theirs --lake {lake}",
    "rejects": "--lake {lake}",
    "run": "{music} --source fma --lake {new}",
    "runs": "--lake {lake}",
    "runs heard": "--lake {lake}",
    "runs compare": "random-forest k2c2 --lake {lake}",
    "score": "--lake {lake}",
    "serve": "--port {port} --lake {lake}",
    "similar": "{file} --lake {lake}",
    "splits check": "--lake {lake}",
    "splits import": "{sides} --lake {lake}",
    "splits list": "--lake {lake}",
    "splits remove": "sides --lake {lake}",
    "split": "--folds 3 --seed 7 --lake {lake}",
    "sql": "FROM(tracks) --lake {lake}",
    "status": "--lake {lake}",
    "study": "",
    "study ablate": "{grid} --size tiny --dry-run --lake {lake}",
    "study fma-genres": "--part deviations --lake {lake}",
    "study music-role": "--features {music}",
    "study random-networks": "--part deviations --lake {lake}",
    "study robustness": "--part ground-truth",
    "study sample-level": "--part deviations --lake {lake}",
    "synth": "gtzan {new} --tracks 4 --seconds 1",
    "tag": "{file}",
    "train": "logistic-regression --lake {lake}",
    "validate": "fma {music}",
    "verify": "--lake {lake}",
}
# They go on until a signal ends them.
ENDLESS = {"dashboard", "serve"}
READERS = {"datasets", "features", "models", "labels", "rejects", "runs", "splits", "sql", "status", "study"}
# These answer at once, from what is there.
READING = tuple(
    name
    for name in WORDS
    if name.split()[0] in READERS
    and name
    not in {"models fetch", "models import", "models filters", "study music-role", "study ablate", "labels networks"}
    and name.split()[-1] not in {"import", "remove"}
)


def words_of(name: str, **places: object) -> list[str]:
    """What to type: the command's name and a call of it."""
    return [*name.split(), *(word.format(**{k: str(v) for k, v in places.items()}) for word in WORDS[name].split())]


def places(demo: Path, folder: Path, *, lake: Path | None = None, port: int = 0) -> dict[str, object]:
    """Where the words point to; `folder` is for what comes about."""
    answers = folder / "answers.csv"
    answers.write_text("track_id,label,value,rater,annotated_at,sample\n")
    sheet, sides, grid = folder / "moods.csv", folder / "sides.csv", folder / "grid.toml"
    grid.write_text('[grid]\nmodel = "random-forest"\n')
    sheet.write_text("track_id,mood\nfma:000002,calm\n")
    sides.write_text("track_id,part\nfma:000002,test\n")
    probabilities = folder / "theirs.csv"
    probabilities.write_text("track_id,Rock,Folk\nfma:000002,0.25,0.75\n")
    vectors = folder / "vectors.csv"
    vectors.write_text("track_id,v1,v2\nfma:000002,0.6,0.8\n")
    return {
        "probabilities": probabilities,
        "vectors": vectors,
        "sheet": sheet,
        "sides": sides,
        "grid": grid,
        "lake": lake or demo / "lake",
        "music": demo / "music",
        "file": next((demo / "music").rglob("*.mp3")),
        "new": folder / "new",
        "csv": answers,
        "port": port,
    }
