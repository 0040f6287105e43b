"""The frame-level baseline of Lee et al. over mel spectrograms: the modules of their 3^n DCNN over 128 bands.

References
----------
.. [1] J. Lee, J. Park, K. L. Kim, J. Nam, "Sample-level Deep Convolutional Neural Networks for Music Auto-tagging Using
       Raw Waveforms", SMC 2017, Sec. 3.1 and Table 3.

Shape suffixes: B batch, F mel bands, T frames, K classes, E embedding values.
"""

from torch import Tensor, nn

from phonolake.errors import UsageError
from phonolake.models import initial
from phonolake.models.heads import LinearHead
from phonolake.models.registry import NetworkCard
from phonolake.models.sample_level import N_EMBEDDING, RECIPE, Modules

N_MELS, M = 128, 3
# Spectrogram and number of modules, by name: Table 3's windows of 729 samples.
INPUTS = {"frame-mel-729": ("mel-128-22k-729", 4)}

CARDS = tuple(
    NetworkCard(
        name=name,
        input=f"spectrogram:{spectrogram}",
        summary=f"3^{n} DCNN over {M**n} frames of a 128-band mel spectrogram at 22,050 Hz.",
        source="Lee, Park, Kim and Nam, Sample-level Deep Convolutional Neural Networks for Music Auto-tagging, 2017",
        recipe=RECIPE,
        deviations=(
            "Mean and deviation of the input are learned over the batches of training, not computed before it.",
            "Widths are those of the last modules of 3^9; the paper gives none for this network.",
        ),
        n_frames=M**n,
    )
    for name, (spectrogram, n) in INPUTS.items()
)


class FrameMel(LinearHead):
    """Modules over a mel spectrogram whose bands are the maps of the input.

    Parameters
    ----------
    n_classes : int
    n : int
        Number of modules; the input has 3^n frames.
    """

    def __init__(self, n_classes: int, n: int) -> None:
        super().__init__(n_classes, "frame-mel")
        self.n_frames = M**n
        # One mean and one deviation for all values: the average over all batches seen (momentum None).
        self.norm = nn.BatchNorm1d(1, momentum=None, affine=False)
        self.modules_ = Modules(N_MELS, M, n)
        self.head = nn.Linear(N_EMBEDDING, n_classes)
        initial.he_uniform(self.head)

    def embed(self, x_BFT: Tensor) -> Tensor:
        """Compute the 512 values of the last convolution from spectrograms log(1 + 10 A)."""
        if x_BFT.ndim != 3 or x_BFT.shape[1:] != (N_MELS, self.n_frames):
            raise UsageError(
                f"frame-mel reads (batch, {N_MELS} bands, {self.n_frames} frames), received {tuple(x_BFT.shape)}."
            )
        normed_BFT = self.norm(x_BFT.flatten(1)[:, None]).view_as(x_BFT)
        embedding_BE: Tensor = self.modules_(normed_BFT)
        return embedding_BE


def build(name: str, n_classes: int, *, n_frames: int, seed: int) -> FrameMel:
    """Build the network with He-uniform weights and zero biases.

    Raises
    ------
    UsageError
        If `n_classes` is below 1, or `n_frames` is not the number of frames of this network.
    """
    _, n = INPUTS[name]
    if n_frames != M**n:
        raise UsageError(f"{name} is built for {M**n} frames, received n_frames={n_frames}.")
    with initial.seeded(seed):
        return FrameMel(n_classes, n)
