"""Import published weights as a stored model, into the model home and a lake.

The published tagger choi-msd lacks its batch statistics, so they are computed from given music here; the networks of
musicnn have theirs in the file.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from phonolake.audio.decode import decode
from phonolake.audio.encoded import Encoded
from phonolake.errors import AudioError, PhonolakeError, UsageError, unknown
from phonolake.files import replacing, sha256
from phonolake.inference.crops import windows
from phonolake.lineage import CODE_VERSION, canonical, digest
from phonolake.models import choi_msd, home, registry, storage
from phonolake.models.choi_msd import ChoiTagger
from phonolake.models.importers import choi_weights, musicnn_weights
from phonolake.models.loaded_network import LoadedNetwork
from phonolake.models.network import Network
from phonolake.progress import say
from phonolake.records import Hertz
from phonolake.sources import contract
from phonolake.sources import folder as audio_folder
from phonolake.stages import source_root
from phonolake.stages.ingest_files import encoded
from phonolake.stages.source_root import Root
from phonolake.store import mirror, query, schema, tracks, trained
from phonolake.store.lake import Change, Lake
from phonolake.store.outcomes import Outcome, finish, now
from phonolake.store.shards import SUFFIX, keep_rows

IMPORTABLE = (choi_msd.CARD.name, *musicnn_weights.NAMES)
# Clips for the statistics: their first maps, two megabytes each, are in memory together.
CLIPS = 128


@dataclass(frozen=True, slots=True)
class Config:
    """What to import.

    Parameters
    ----------
    model : str
        Name in the registry.
    file : str
        A path or an address of the published file; of the networks of musicnn the package's wheel, its folder, or an
        unpacked copy.
    calibrate : str, optional
        For choi-msd a lake, or a folder of recordings, for the batch-norm statistics. Without, it has label vectors but
        cannot tag.
    lake : str, optional
        A lake that gets the model as a run, so that it can score tracks.
    """

    model: str
    file: str
    calibrate: str | None = None
    lake: str | None = None


@dataclass(frozen=True, slots=True)
class Music:
    """Decoded music for calibration: its name, its clips x_S, and the number of recordings."""

    name: str
    recordings: int
    clips: list[np.ndarray]


def run(config: Config) -> list[Outcome]:
    """Import the model; the outcome counts the clips for calibration.

    Raises
    ------
    UsageError
        For a model that cannot be imported or needs no calibration, or a file, folder or lake that does not exist.
    PhonolakeError
        When the file is not the published one, or none of the music can be decoded.
    """
    if config.model not in IMPORTABLE:
        raise unknown("model with published weights", config.model, IMPORTABLE)
    if config.calibrate is not None and config.model in musicnn_weights.NAMES:
        raise UsageError(
            f"{config.model} needs no calibration, because its file has the statistics: leave --calibrate out"
        )
    started = now()
    lake = None if config.lake is None else Lake.open(config.lake)
    home.check_writable()
    with mirror.brought(config.file, folder=True) as path:
        network, card = _published(config, path)
    if config.calibrate is not None and isinstance(network, ChoiTagger):
        music = _music(config.calibrate)
        say(f"Calibrating with {len(music.clips)} clips of {music.recordings} recordings.")
        network.calibrate(music.clips)
        clips = [hashlib.sha256(clip.tobytes()).hexdigest() for clip in music.clips]
        card["calibration"] = {
            "music": music.name,
            "recordings": music.recordings,
            "clips": len(clips),
            "digest": digest(clips),
        }
    storage.save(network, card, home.place(config.model))
    n = card["calibration"]["clips"] if "calibration" in card else 0
    run_id = f"{config.model}-{digest(card)}"
    outcome = Outcome("import", run_id, n, n, 0, config.model)
    if lake is not None:
        register(lake, config, network, card, outcome, started)
    return [outcome]


def of_home(name: str, lake_path: str) -> Outcome:
    """Add a model of the model home to a lake as a run, once.

    Raises
    ------
    UsageError
        When there is no such model.
    """
    started, lake = now(), Lake.open(lake_path)
    model = home.load(name)
    assert isinstance(model, LoadedNetwork)
    card = dict(model.card)
    outcome = Outcome("import", f"{name}-{digest(card)}", 0, 0, 0, name)
    if f"{outcome.run_id}{SUFFIX}" not in lake.shards("models"):
        register(lake, Config(name, str(home.place(name)), lake=lake_path), model.network, card, outcome, started)
    return outcome


def _published(config: Config, path: Path) -> tuple[Network, dict[str, Any]]:
    """The network as it was published, and its card."""
    if config.model in musicnn_weights.NAMES:
        network, card = musicnn_weights.read(config.model, path)
        return network, card | {"code_version": CODE_VERSION}
    return choi_weights.read(path), _card(config, path)


def _card(config: Config, path: Path) -> dict[str, Any]:
    return {
        "model": config.model,
        "build": choi_weights.BUILD,
        "classes": list(choi_msd.TAGS),
        "activation": "sigmoid",
        "weights": {
            "url": choi_weights.URL,
            "sha256": sha256(path),
            "licence": "MIT, (c) 2016 Keunwoo Choi",
        },
        "code_version": CODE_VERSION,
    }


def register(lake: Lake, config: Any, network: Any, card: dict[str, Any], outcome: Outcome, started: Any) -> None:
    """Commit the model as a run of the lake, with the name of the outcome: its folder first, then its rows."""
    run_id = str(outcome.run_id)
    folder = trained.folder(lake.place, run_id)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / trained.TRACKS) as temporary:
        # It was not trained on the lake's tracks.
        pq.write_table(pa.table({"track_id": pa.array([], pa.string()), "part": pa.array([], pa.string())}), temporary)
    storage.save(network, card, folder / trained.WEIGHTS)
    trained.send(lake.place, run_id)
    models = schema.table("models")
    row = {
        "run_id": run_id,
        "model": outcome.note,
        "input": card.get("input", registry.get(card["model"]).CARD.input),
        "labels": card["classes"],
        "split": "none",
        "test_fold": None,
        "card": canonical(card),
        "code_version": CODE_VERSION,
    }
    shard = keep_rows(lake.path("models", run_id), models.arrow, [row])
    lake.commit({"models": Change(models, [shard]), "runs": finish(lake, config, [outcome], started)})


# -- music to calibrate with -------------------------------------------------------------------------------------------


def _music(place: str) -> Music:
    lake = Lake.find(place)
    name = Path(place).expanduser().resolve().name
    if lake is not None:
        return _decoded(name, _of_lake(lake))
    if not mirror.is_remote(place) and not Path(place).expanduser().is_dir():
        raise UsageError(f"--calibrate {place}: there is neither a lake nor a folder of recordings")
    with source_root.opened(place, contract.get(audio_folder.CARD.name)) as root:
        return _decoded(name, _of_folder(root))


def _decoded(name: str, recordings: Iterable[tuple[str, Encoded]]) -> Music:
    clips: list[np.ndarray] = []
    n = 0
    for title, data in recordings:
        try:
            y = decode(data, sr=Hertz(choi_msd.SR))
        except AudioError as error:
            say(f"{title} is left out ({error}).")
            continue
        if not y.size or not np.any(y):
            say(f"{title} is left out (silence).")
            continue
        n += 1
        clips += cut(y)
        if len(clips) >= CLIPS:
            break
    if not clips:
        raise PhonolakeError(f"none of the recordings in {name} can be decoded, so there is nothing to calibrate with")
    return Music(name, n, clips[:CLIPS])


def cut(y: np.ndarray) -> list[np.ndarray]:
    """Clips of 29 s that cover a recording: the last one ends with it, a short recording is repeated."""
    return [window_1S[0] for window_1S in windows(y[None], choi_msd.N_SAMPLES)]


def _of_folder(root: Root) -> Iterator[tuple[str, Encoded]]:
    looker = root.looker(follows_links=True)
    for recording in audio_folder.recordings(root.path):
        with encoded(looker.look(recording)) as data:
            yield recording.source_id, data


def _of_lake(lake: Lake) -> Iterator[tuple[str, bytes]]:
    """Evenly spaced tracks of the lake, without those that are stored in several pieces."""
    with query.connect(lake) as connection:
        rows = connection.execute(
            "SELECT track_id FROM audio WHERE piece IS NULL ORDER BY md5(track_id), track_id"
        ).fetchall()
        for (track_id,) in rows[:CLIPS]:
            yield track_id, tracks.read_audio(connection, track_id).data
