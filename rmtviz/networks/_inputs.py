"""What the matrices of a network's layers multiply when samples run through it."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import unfold

from rmtviz.networks.base import HOLDERS, one_thread


def given(
    stages: nn.Sequential, batches: Iterable[torch.Tensor], index: int
) -> Iterator[NDArray[np.float32]]:
    """Yield what the matrix of layer number `index` multiplies (N · places, n), for each batch."""
    place = [i for i, stage in enumerate(stages) if isinstance(stage, HOLDERS)][index]
    before = stages[:place]
    for batch in batches:
        with one_thread(), torch.inference_mode():
            yield _multiplied(stages[place], before(batch)).numpy()


def _multiplied(layer: nn.Module, values: torch.Tensor) -> torch.Tensor:
    """Return the columns that a Linear, a convolution or a pair of them multiplies.

    Of a convolution they are its window at each place of its output, margins included, in the
    order of its matrix: (inputs, window).
    """
    first = next(each for each in layer.modules() if not isinstance(each, nn.Sequential))
    if not isinstance(first, nn.Conv2d):
        return values
    margins = tuple(map(int, first.padding))
    windows = unfold(values, first.kernel_size, padding=margins, stride=first.stride)
    return windows.transpose(1, 2).flatten(0, 1)
