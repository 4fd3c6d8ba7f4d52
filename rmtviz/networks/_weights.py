"""A checkpoint's tensors as torch modules, in float32 whatever they are stored in."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rmtviz import layers
from rmtviz.checkpoint import Checkpoint
from rmtviz.errors import CannotRun
from rmtviz.layers import Layer

NAMED = 5
"""Of a long list of tensors, so many are named in a refusal."""


def linear(checkpoint: Checkpoint, layer: Layer) -> nn.Module:
    """Return a layer as a module: a Linear, or for a factored layer a Sequential of two.

    Raises:
        CannotRun: weights that are complex or not finite.
    """
    held = zip(layer.tensors, weights(checkpoint, layer), strict=True)
    stages = [_linear(name, matrix) for name, matrix in held]
    if (name := layers.bias(checkpoint, layer)) is not None:
        stages[-1].bias = parameter(name, checkpoint[name])
    return nn.Sequential(*stages) if layer.factored else stages[0]


def convolution(
    checkpoint: Checkpoint,
    layer: Layer,
    margins: tuple[tuple[int, int], tuple[int, int]],
    stride: int,
) -> list[nn.Module]:
    """Return a convolution as a module, or for a factored one a Sequential of two.

    `margins` are the places added above and below, left and right; uneven ones are added by
    a module of their own before it.

    Raises:
        CannotRun: weights that are complex or not finite.
    """
    (above, below), (left, right) = margins
    even = above == below and left == right
    stages: list[nn.Conv2d] = []
    for name, matrix in zip(layer.tensors, weights(checkpoint, layer), strict=True):
        shape = layer.rule.moved(checkpoint.tensors[name].shape)
        first = not stages
        made = nn.Conv2d(
            shape[1],
            shape[0],
            (shape[2], shape[3]),
            stride=stride if first else 1,
            padding=(above, left) if first and even else 0,
            bias=False,
            device="meta",
        )
        made.weight = parameter(name, matrix.reshape(shape))
        stages.append(made)
    if (bias := layers.bias(checkpoint, layer)) is not None:
        stages[-1].bias = parameter(bias, checkpoint[bias])
    whole = nn.Sequential(*stages) if layer.factored else stages[0]
    return [whole] if even else [nn.ZeroPad2d((left, right, above, below)), whole]


def weights(checkpoint: Checkpoint, layer: Layer) -> list[NDArray[Any]]:
    """Return the matrices of a layer, or of its pair in the order in which they are applied."""
    return [layer.rule.to_matrix(checkpoint[name]) for name in layer.tensors]


def parameter(name: str, array: NDArray[Any]) -> nn.Parameter:
    """Return an array of this name as a frozen parameter.

    Raises:
        CannotRun: complex numbers, or such that are not finite.
    """
    if np.iscomplexobj(array):
        raise CannotRun("weights_complex", name=name)
    with np.errstate(over="ignore"):
        single = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(single).all():
        raise CannotRun("weights_not_finite", name=name)
    return nn.Parameter(torch.tensor(single), requires_grad=False)


def all_used(checkpoint: Checkpoint, found: Sequence[Layer], more: Sequence[str] = ()) -> None:
    """Refuse a checkpoint with a tensor that the network would ignore, be it a norm's scale.

    A whole number that stands alone, such as a step counter, changes nothing and is let pass.

    Raises:
        CannotRun: names the tensors.
    """
    used = {name for each in found for name in (*each.tensors, layers.bias(checkpoint, each))}
    unused = [
        name
        for name, tensor in checkpoint.tensors.items()
        if name not in used | set(more) and (tensor.floating or tensor.size > 1)
    ]
    if unused:
        shown = ", ".join(unused[:NAMED]) + (", …" if len(unused) > NAMED else "")
        raise CannotRun("unused_tensors", count=len(unused), names=shown)


def _linear(name: str, matrix: NDArray[Any]) -> nn.Linear:
    rows, columns = matrix.shape
    made = nn.Linear(columns, rows, bias=False, device="meta")
    made.weight = parameter(name, matrix)
    return made
