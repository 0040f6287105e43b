"""The interface of networks.

Shape suffixes: B batch, C channels, F mel bands, T frames, S samples, K classes, E embedding values, D columns.
"""

import numpy as np
from torch import Tensor, nn

from phonolake.errors import UsageError


class Network(nn.Module):
    """The interface of networks besides `forward(x) -> logits_BK`, with x_BFT, x_BCFT (images) or x_BS (audio)."""

    def embed(self, x: Tensor) -> Tensor:
        """Compute the embedding_BE of each input."""
        raise NotImplementedError

    def classify(self, embedding_BE: Tensor) -> Tensor:
        """Compute the logits_BK from the result of `embed`, equal to those of `forward`."""
        raise NotImplementedError

    def answer(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute embedding_BE and logits_BK in one pass."""
        embedding_BE = self.embed(x)
        return embedding_BE, self.classify(embedding_BE)

    def label_vectors(self) -> np.ndarray:
        """The output weights_KD: one row per class.

        Raises
        ------
        UsageError
            If the logits are not a linear map of the embedding, so that no weights stand for a class.
        """
        raise UsageError(f"{type(self).__name__} has no linear output layer, so it has no label vectors.")

    def embed_text(self, text: str) -> np.ndarray:
        """The vector (E,) of a text, in the same space as those of audio.

        Raises
        ------
        UsageError
            If the network reads no texts.
        """
        raise UsageError(f"{type(self).__name__} has no text tower, so it cannot read {text!r}.")

    def penalty(self) -> Tensor | None:
        """A term that training adds to the loss, such as the L2 norm of some layers; None for none."""
        return None
