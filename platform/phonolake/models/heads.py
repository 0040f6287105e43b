"""The common base of networks with a linear output layer.

Shape suffixes: B batch, K classes, E embedding values.
"""

import numpy as np
from torch import Tensor, nn

from phonolake.errors import UsageError
from phonolake.models.network import Network


class LinearHead(Network):
    """A network whose logits are a linear map of its embedding; a subclass makes `head` and writes `embed`.

    Parameters
    ----------
    n_classes : int
        K, at least 1.
    name : str
        What the message calls it if K is less.

    Attributes
    ----------
    head : nn.Linear
        Its weight (K, E) holds one label vector per class.
    """

    head: nn.Linear

    def __init__(self, n_classes: int, name: str) -> None:
        super().__init__()
        check_classes(n_classes, name)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits_BK of what `embed` reads."""
        return self.classify(self.embed(x))

    def classify(self, embedding_BE: Tensor) -> Tensor:
        """Compute the logits_BK from what `embed` gave."""
        logits_BK: Tensor = self.head(embedding_BE)
        return logits_BK

    def label_vectors(self) -> np.ndarray:
        """The weights_KE of `head`."""
        return np.asarray(self.head.weight.detach().cpu())


def check_classes(n_classes: int, name: str) -> None:
    """Raise a `UsageError` for a network without classes."""
    if n_classes < 1:
        raise UsageError(f"{name} needs at least 1 class, received n_classes={n_classes}.")
