"""Vectors by a model of a lake: of recordings that no lake holds, as if it had taken them in, and of texts."""

from collections.abc import Callable

import numpy as np

from phonolake.errors import UsageError
from phonolake.inference.outside import OutsideRecording
from phonolake.inference.predictor import Predictor
from phonolake.inference.vector_inputs import Embeddings
from phonolake.models.loaded import LoadedNetwork
from phonolake.store import trained
from phonolake.store.lake import Lake


def embed(lake: Lake, run_id: str, recording: OutsideRecording) -> np.ndarray:
    """The embedding_E of a recording by the model of a run.

    Raises
    ------
    AudioError
        When the recording cannot be decoded, or is not what the model can read.
    UsageError
        When the model gives no embedding, or reads what cannot be made of one recording; when the vectors of the run
        were imported, so that no model is there.
    """
    weights = trained.weights(lake.place, run_id)
    if not weights.parent.exists():
        raise UsageError(
            f"the vectors of {run_id} were imported, so there is no model that could hear a file: name another --model"
        )
    predictor = Predictor.load(weights)
    if isinstance(predictor.input, Embeddings):
        scored = predictor.score(embed(lake, predictor.input.run_id, recording))
    else:
        scored = predictor.score_recording(recording)
    if scored.embedding is None:
        raise UsageError(f"{run_id} gives no embedding")
    return scored.embedding


def text_reader(lake: Lake, run_id: str) -> Callable[[str], np.ndarray]:
    """What gives the vector (E,) of a text by the text tower of a run; a `UsageError` for one that it cannot read."""
    model = Predictor.load(trained.weights(lake.place, run_id)).model
    assert isinstance(model, LoadedNetwork)
    return model.network.embed_text
