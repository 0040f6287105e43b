"""The folder of a trained model in a lake: the weights and the list of training tracks."""

from pathlib import Path

from phonolake.store import folders
from phonolake.store.place import Place

FOLDER = "models"
# File in the folder of a finished model.
WEIGHTS = "weights"
TRACKS = "tracks.parquet"


def folder(place: Place | Path, run_id: str) -> Path:
    """The local folder of a run, whether or not it exists."""
    return Place.at(place).root / FOLDER / run_id


def fetch(place: Place | Path, run_id: str) -> Path:
    """The same folder, with the files of the run."""
    return folders.fetch(Place.at(place), f"{FOLDER}/{run_id}")


def send(place: Place, run_id: str) -> None:
    """Publish a folder that was written on this machine."""
    folders.send(place, f"{FOLDER}/{run_id}")


def weights(place: Place | Path, run_id: str) -> Path:
    """The folder for `phonolake.models.storage.load`."""
    return fetch(place, run_id) / WEIGHTS
