"""A convolution as what it is to a picture: one large linear operator, and its singular values.

Exact for circular padding and stride 1: the Fourier transform makes the operator a block for
each frequency. Source: Sedghi, Gupta and Long, ICLR 2019, arXiv 1805.10408. Entries repeat
all over such an operator, so the Marchenko–Pastur law says nothing about these values.
"""

import math

import numpy as np
from numpy.typing import NDArray

from rmtviz.checkpoint import Checkpoint, double
from rmtviz.errors import BadOption
from rmtviz.layers import Layer

MOST = 2**26
"""No operator is taken apart whose blocks hold more numbers together."""


def window(checkpoint: Checkpoint, layer: Layer) -> tuple[int, ...]:
    """Return the sides of a convolution's window; none for other layers."""
    shape = checkpoint.tensors[layer.tensors[0]].shape
    return layer.rule.moved(shape)[2:] if layer.rule.window else ()


def values(checkpoint: Checkpoint, layer: Layer, sides: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the singular values of a convolution on pictures of these sides, descending.

    There are min(outputs, inputs) for each place of the picture.

    Raises:
        BadOption: no convolution of so many sides, a picture smaller than the window, or an
            operator that is too large.
    """
    kernel = window(checkpoint, layer)
    rows, columns = layer.shape
    blocks = math.prod(sides) * rows * (columns // max(1, math.prod(kernel)))
    small = any(side < k for side, k in zip(sides, kernel, strict=False))
    if not kernel or len(kernel) != len(sides) or small or blocks > MOST:
        raise BadOption("operator_sides", layer=layer.name, sides="×".join(map(str, sides)))
    tensor = double(layer.matrix(checkpoint)).reshape(rows, -1, *kernel)
    axes = tuple(range(2, tensor.ndim))
    transfer = np.fft.fftn(tensor, sides, axes)
    found = np.linalg.svd(np.moveaxis(transfer, (0, 1), (-2, -1)), compute_uv=False)
    return np.sort(found.ravel())[::-1]
