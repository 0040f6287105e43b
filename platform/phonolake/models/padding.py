"""TensorFlow's "same" padding, which PyTorch has for a stride of one only.

Shape suffixes: B batch, C channels, T steps; the last dimensions of any tensor here are those that are padded.
"""

from collections.abc import Sequence

from torch import Tensor, nn


def same(x: Tensor, lengths: Sequence[int], stride: int) -> Tensor:
    """Pad the last dimensions with zeros, so that a convolution gives ceil(n / stride) values of n.

    Parameters
    ----------
    x : Tensor
        Its last ``len(lengths)`` dimensions are padded; of an odd number of zeros the end gets one more.
    lengths : sequence of int
        Length of the kernel in each of them.
    stride : int
        Of the convolution, in all of them.
    """
    margins: list[int] = []
    for length, n in zip(reversed(lengths), reversed(x.shape), strict=False):
        n_out = -(-n // stride)
        total = max((n_out - 1) * stride + length - n, 0)
        margins += [total // 2, total - total // 2]
    return nn.functional.pad(x, margins)


class SameConv2d(nn.Conv2d):
    """A convolution with square kernel and "same" padding at any stride."""

    def __init__(self, n_in: int, n_out: int, length: int, stride: int = 1) -> None:
        super().__init__(n_in, n_out, length, stride=stride)

    def forward(self, x_BCFT: Tensor) -> Tensor:
        """Compute maps_BCFT."""
        maps_BCFT: Tensor = super().forward(same(x_BCFT, self.kernel_size, self.stride[0]))
        return maps_BCFT
