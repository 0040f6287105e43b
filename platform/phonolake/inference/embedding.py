"""Vectors by a model of a lake: of recordings outside the lake, as if they were in it, and of texts."""

from collections.abc import Callable

import numpy as np

from phonolake.errors import UsageError
from phonolake.inference.outside import OutsideRecording
from phonolake.inference.predictor import Predictor
from phonolake.inference.vector_inputs import Embeddings
from phonolake.models.loaded_network import LoadedNetwork
from phonolake.store import trained
from phonolake.store.lake import Lake


def embed(lake: Lake, run_id: str, recording: OutsideRecording) -> np.ndarray:
    """The embedding_E of a recording by the model of a run.

    Raises
    ------
    AudioError
        When the recording cannot be decoded, or the model cannot read it.
    UsageError
        When the model gives no embedding, or its input cannot be computed from one recording; when the vectors of the
        run were imported, so that there is no model.
    """
    weights = trained.weights(lake.place, run_id)
    if not weights.parent.exists():
        raise UsageError(
            f"the vectors of {run_id} were imported, so there is no model that can read a file: name another --model"
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
    """A function from a text to its vector (E,) by the text tower of a run; a `UsageError` for an unreadable one."""
    model = Predictor.load(trained.weights(lake.place, run_id)).model
    assert isinstance(model, LoadedNetwork)
    return model.network.embed_text
