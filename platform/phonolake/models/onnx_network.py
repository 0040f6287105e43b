"""Imported networks as ONNX files: ONNX Runtime runs the unchanged graph on the CPU.

The whole file is stored among the weights, as bytes; it contains no Python, and no other file is read.

Shape suffixes: B batch, E embedding values, K classes.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from phonolake.errors import PhonolakeError, UsageError
from phonolake.models.network import Network
from phonolake.models.registry import NetworkCard

FOREIGN = NetworkCard(
    name="onnx",
    input="audio:16000",
    summary="A network that others trained, as an ONNX file; its own card says what it reads.",
    source="https://onnx.ai",
)
# How the axes of a window of the input lie: batch, channel, frequency, time (frames, or samples of audio).
AXES = ("BT", "BCT", "BFT", "BTF", "BCFT", "BCTF")


def build(**_: Any) -> "OnnxNetwork":
    """Raise a `UsageError`: it is imported, and not trained."""
    raise UsageError("an ONNX file is imported (`phonolake models import onnx FILE --card CARD`) and cannot be trained")


def blank(**arguments: Any) -> "OnnxNetwork":
    """Build a network whose file is about to be read."""
    return OnnxNetwork(**arguments)


class OnnxNetwork(Network):
    """An ONNX file as a network.

    Parameters
    ----------
    n_classes : int
        K; 0 where it only embeds.
    n_frames : int
        Steps of a window.
    n_bytes : int
        Of the file.
    input, axes : str
        Name of the input, and how its axes lie: one of `AXES`.
    scores, embedding : str or None
        Names of the outputs: of the K scores, and of the vectors. If one is missing, the other replaces it.
    """

    file: Tensor

    def __init__(
        self,
        n_classes: int,
        n_frames: int,
        n_bytes: int,
        input: str,
        axes: str,
        scores: str | None = None,
        embedding: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.n_classes, self.n_frames = n_classes, n_frames
        self.input, self.axes = input, axes
        self.scores, self.embedding = scores, embedding
        self.register_buffer("file", torch.zeros(n_bytes, dtype=torch.uint8))
        self._session: Any = None

    def embed(self, x: Tensor) -> Tensor:
        """Compute embedding_BE of x_BFT or x_BS."""
        return self.answer(x)[0]

    def classify(self, embedding_BE: Tensor) -> Tensor:
        """Raise a `UsageError`: the graph gives both at once."""
        raise UsageError("an ONNX file gives scores and vectors together: ask for both")

    def answer(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute embedding_BE and scores_BK."""
        session = self.session()
        names = list(dict.fromkeys(name for name in (self.embedding, self.scores) if name))
        given = self._laid_out(x).cpu().numpy()
        one_by_one = session.get_inputs()[0].shape[0] == 1
        parts = [given[n : n + 1] for n in range(len(given))] if one_by_one else [given]
        found: dict[str, list[np.ndarray]] = {name: [] for name in names}
        for part in parts:
            for name, values in zip(names, self._run(session, names, part), strict=True):
                found[name].append(_by_window(values, len(part)))
        arrays = {name: torch.from_numpy(np.concatenate(several)) for name, several in found.items()}
        embedding_BE = arrays[self.embedding or names[0]]
        scores_BK = arrays[self.scores] if self.scores else torch.zeros(len(x), 0)
        return embedding_BE, scores_BK

    def _run(self, session: Any, names: list[str], part: np.ndarray) -> list[np.ndarray]:
        try:
            answered: list[np.ndarray] = session.run(names, {self.input: part})
        except Exception as error:
            said = str(error).splitlines()[0]
            raise PhonolakeError(f"the ONNX file does not take windows of shape {part.shape}: {said}") from error
        return answered

    def session(self) -> Any:
        """ONNX Runtime's session of the file.

        Raises
        ------
        UsageError
            When ONNX Runtime is not installed.
        PhonolakeError
            When the file is no graph that it can run.
        """
        if self._session is None:
            try:
                import onnxruntime
            except ModuleNotFoundError as error:
                raise UsageError("ONNX files need ONNX Runtime: pip install 'phonolake[onnx]'") from error
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            options.inter_op_num_threads = 1
            options.log_severity_level = 4
            try:
                self._session = onnxruntime.InferenceSession(
                    self.file.numpy().tobytes(), options, providers=["CPUExecutionProvider"]
                )
            # It raises its own exceptions, whose classes are not public.
            except Exception as error:
                said = str(error).splitlines()[0]
                raise PhonolakeError(f"ONNX Runtime cannot run this file: {said}") from error
        return self._session

    def _laid_out(self, x: Tensor) -> Tensor:
        """Windows x_BFT or x_BT with the axes as the graph has them."""
        if "TF" in self.axes:
            x = x.transpose(1, 2)
        return x.unsqueeze(1).contiguous() if "C" in self.axes else x.contiguous()


def _by_window(values: np.ndarray, n: int) -> np.ndarray:
    """One row for each window: means over what a graph gives several rows of, such as frames."""
    if values.shape[0] != n:
        values = values.reshape(n, -1, values.shape[-1])
    flat: np.ndarray = values.reshape(n, -1, values.shape[-1]).mean(axis=1, dtype=np.float32)
    return flat
