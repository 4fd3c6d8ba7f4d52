"""Small entries dropped, and what it then takes to store the others."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtviz.checkpoint import Checkpoint, Tensor


def largest(checkpoint: Checkpoint, names: Collection[str], share: float) -> Checkpoint:
    """Return the checkpoint with all but a share of the entries of these tensors set to zero.

    Those of the largest size over all of them stay, one at least.
    """
    sizes = [_sizes(checkpoint[name]).ravel() for name in names]
    if not sizes or share >= 1:
        return checkpoint
    entries = np.concatenate(sizes)
    count = max(1, round(share * len(entries)))
    bound = np.partition(entries, len(entries) - count)[len(entries) - count]
    tensors = dict(checkpoint.tensors)
    for name in names:
        array = checkpoint[name]
        small = _sizes(array) < bound
        tensors[name] = Tensor.of(np.where(small, np.zeros_like(array), array))
    return replace(checkpoint, tensors=tensors)


def held(tensor: Tensor) -> int:
    """Return the number of entries that are not zero."""
    return int(np.count_nonzero(tensor.read()))


def nbytes(tensor: Tensor) -> int:
    """Return the bytes of a tensor in the smallest of three forms.

    As it is; the entries that are not zero, and a bit for each place; or those entries by rows
    (CSR), with a column number of two bytes (four beyond 65,536 columns) beside each, and
    four bytes a row.
    """
    if not tensor.floating or len(tensor.shape) < 2:
        return tensor.stored
    count, rows, wide = held(tensor), tensor.shape[0], tensor.dtype.itemsize
    index = 2 if tensor.size // rows <= 65_536 else 4
    bits = count * wide + -(-tensor.size // 8)
    return min(tensor.stored, bits, count * (wide + index) + 4 * (rows + 1))


def _sizes(array: NDArray[Any]) -> NDArray[np.float32]:
    """Return the absolute values of the entries."""
    return np.abs(array.astype(np.complex64 if array.dtype.kind == "c" else np.float32))
