"""Where a trained model lies in a lake: a folder of its run, with the weights and the tracks that it learned from."""

from pathlib import Path

from phonolake.store import folders
from phonolake.store.place import Place

FOLDER = "models"
# In the folder of a finished model.
WEIGHTS = "weights"
TRACKS = "tracks.parquet"


def folder(place: Place | Path, run_id: str) -> Path:
    """The folder of a run on this machine, whether or not it exists."""
    return Place.at(place).root / FOLDER / run_id


def fetch(place: Place | Path, run_id: str) -> Path:
    """The same folder, with what the lake holds of the run."""
    return folders.fetch(Place.at(place), f"{FOLDER}/{run_id}")


def send(place: Place, run_id: str) -> None:
    """Let everybody see a folder that was written on this machine."""
    folders.send(place, f"{FOLDER}/{run_id}")


def weights(place: Place | Path, run_id: str) -> Path:
    """The folder that `phonolake.models.storage.load` takes."""
    return fetch(place, run_id) / WEIGHTS
