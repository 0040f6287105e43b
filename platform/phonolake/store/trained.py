"""Where a trained model lies in a lake: a folder of its run, with the weights and the tracks that it learned from."""

from pathlib import Path

FOLDER = "models"
# In the folder of a finished model.
WEIGHTS = "weights"
TRACKS = "tracks.parquet"


def folder(lake: Path, run_id: str) -> Path:
    """The folder of a run below that of the lake, whether or not it exists."""
    return lake / FOLDER / run_id


def weights(lake: Path, run_id: str) -> Path:
    """The folder that `phonolake.models.storage.load` takes."""
    return folder(lake, run_id) / WEIGHTS
