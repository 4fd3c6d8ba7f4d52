"""What the matrix of a layer multiplies, from what the layer as a module is given."""

import torch
from torch import nn
from torch.nn.functional import unfold


def multiplied(layer: nn.Module, values: torch.Tensor) -> torch.Tensor:
    """Return the columns (N · places, n) that a Linear, a convolution or a pair of them multiplies.

    Of a convolution they are its window at each place of its output, margins included, in the
    order of its matrix: (inputs, window).
    """
    first = next(each for each in layer.modules() if not isinstance(each, nn.Sequential))
    if not isinstance(first, nn.Conv2d):
        return values
    margins = tuple(map(int, first.padding))
    windows = unfold(values, first.kernel_size, padding=margins, stride=first.stride)
    return windows.transpose(1, 2).flatten(0, 1)
