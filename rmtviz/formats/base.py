"""What the readers share: tensors as places in bytes, and what a file holds.

Every reader works in two steps. Opening reads a header, checks all that it says against the
size of the file, and makes a `Place` for each tensor; nothing is allocated on a header's word.
Loading, when somebody asks for a tensor, reads that place and no more.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from rmtviz.checkpoint import GLANCE, Checkpoint, Skipped, Tensor, double
from rmtviz.formats.sources import LARGEST, Blob, Limits, Source, short

RECORD = "__rmtviz__"
"""The entry that carries our own record where a format has no room for metadata."""

LOOSE = "tensor"
"""The name of a tensor that stands in a file alone and without a name."""

EXTENDED: Mapping[str, np.dtype] = MappingProxyType(
    {
        np.dtype(kind).name: np.dtype(kind)
        for kind in (
            ml_dtypes.bfloat16,
            ml_dtypes.float8_e4m3fn,
            ml_dtypes.float8_e4m3fnuz,
            ml_dtypes.float8_e5m2,
            ml_dtypes.float8_e5m2fnuz,
            ml_dtypes.float8_e8m0fnu,
        )
    }
)
"""Number types beyond numpy's own, by name."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor's elements lie in a blob: the way to load it. Strides count elements."""

    blob: Blob
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype

    def __call__(self) -> NDArray[Any]:
        """Return the elements in C order and in the machine's byte order."""
        native = self.dtype.newbyteorder("=")
        if self.span == 0:
            return np.empty(self.shape, native)
        data = self.blob.read(self.offset, self.span * self.dtype.itemsize)
        steps = [step * self.dtype.itemsize for step in self.strides]
        view = np.ndarray(self.shape, self.dtype, data, strides=steps)
        return np.require(view.astype(native, copy=False), requirements=["C", "A"])

    def start(self) -> NDArray[Any]:
        """Return the first elements of the last side, the others unread and nothing verified."""
        sides = [1] * (len(self.shape) - 1) + [min(side, GLANCE) for side in self.shape[-1:]]
        some = replace(self, shape=tuple(sides))
        end = self.offset + some.span * self.dtype.itemsize
        if some.effort > end:  # of something packed the beginning alone is cheaper
            some = replace(some, blob=Source.of(self.blob.head(end)))
        return some()

    @property
    def span(self) -> int:
        """The number of elements from the first to the last, both included."""
        return span(self.shape, self.strides)

    @property
    def effort(self) -> int:
        """The bytes that loading makes."""
        itemsize = self.dtype.itemsize
        return max(math.prod(self.shape) * itemsize, self.blob.effort(self.span * itemsize))


@dataclass(frozen=True, slots=True, eq=False)
class Combined:
    """How to load a tensor that is made of others: computed from them in double precision."""

    rule: Callable[..., NDArray[Any]]
    parts: tuple[Tensor, ...]
    dtype: np.dtype

    def __call__(self) -> NDArray[Any]:
        """Return the numbers; what divides by zero is not finite."""
        with np.errstate(all="ignore"):
            made = self.rule(*(double(part.read()) for part in self.parts))
            return made.astype(self.dtype)


@dataclass(frozen=True, slots=True)
class Leaf:
    """What stands in a file beside tensors: its kind in a word, and why it is left out."""

    kind: str
    reason: str = "no_tensor"


Node = Tensor | Leaf | Mapping[str, "Node"]
"""A tensor, something else, or a group of both by name."""


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """What a reader found: the tree as the file has it, metadata, and tensors it had to leave.

    `graph` are the file's bytes where it says how the network runs; its names are then final.
    """

    tree: Mapping[str, Node]
    metadata: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[Skipped, ...] = ()
    graph: bytes | None = None


@dataclass(frozen=True, slots=True)
class Format:
    """A file format. `read` returns None where the bytes are of another format.

    With `graph` it is written only from a checkpoint that was read from it; without `write`
    it is only read. Where a library reads it, `known` tells files of the format by our own
    means: an upload of such a file is tried first in a process of its own. `lacks` are number
    types of weights that it cannot hold.
    """

    title: str
    suffix: str
    read: Callable[[Source, Limits], Contents | None]
    write: Callable[[Checkpoint], bytes] | None
    graph: bool = False
    known: Callable[[Source, Limits], bool] | None = None
    lacks: tuple[str, ...] = ()


def place(
    source: Source,
    name: str,
    dtype: np.dtype,
    shape: Sequence[object],
    *,
    blob: Blob,
    offset: int = 0,
    end: int | None = None,
    strides: Sequence[object] | None = None,
    limits: Limits,
) -> Tensor:
    """Return the tensor whose elements start at this byte of a blob, in C order by default.

    Raises:
        FileRefused: shape or strides are no counts, or the elements pass the end.
    """
    sides = _counts(shape)
    if sides is None or len(sides) > limits.sides or _bound(sides) > LARGEST:
        raise source.refuse("tensor_shape", name=short(name))
    if _bound(sides) > limits.elements:
        raise source.refuse("limit_elements", name=short(name), limit=limits.elements)
    steps = row_major(sides) if strides is None else _counts(strides)
    if steps is None or len(steps) != len(sides):
        raise source.refuse("tensor_bounds", name=short(name))
    steps = tuple(step if side > 1 else 0 for side, step in zip(sides, steps, strict=True))
    last = offset + span(sides, steps) * dtype.itemsize
    if offset < 0 or last > (blob.length if end is None else end):
        raise source.refuse("tensor_bounds", name=short(name))
    return Tensor(sides, dtype.newbyteorder("="), Place(blob, offset, sides, steps, dtype))


def flat(tree: Mapping[str, Node], prefix: str = "") -> Iterator[tuple[str, Tensor | Leaf]]:
    """Yield what stands at the ends of a tree, under names joined by dots."""
    for name, node in tree.items():
        if isinstance(node, Mapping):
            yield from flat(node, f"{prefix}{name}.")
        else:
            yield prefix + name, node


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the strides of C order, in elements."""
    steps, step = [], 1
    for side in reversed(shape):
        steps.append(step)
        step *= max(side, 1)
    return tuple(reversed(steps))


def span(shape: Sequence[int], strides: Sequence[int]) -> int:
    """Return how many elements lie from the first to the last; none where a side is 0."""
    if 0 in shape:
        return 0
    return 1 + sum((side - 1) * step for side, step in zip(shape, strides, strict=True))


def little(tensor: Tensor) -> NDArray[Any]:
    """Return a tensor's numbers in its own shape and in little-endian order."""
    array = tensor.read().reshape(tensor.shape)
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _counts(values: Sequence[object]) -> tuple[int, ...] | None:
    """Return the values if all are integers from 0 to 2⁶³ − 1, else None."""
    counts = tuple(value for value in values if type(value) is int and 0 <= value < 2**63)
    return counts if len(counts) == len(values) else None


def _bound(shape: Sequence[int]) -> int:
    """Return the number of elements with sides of 0 taken as 1, which numpy bounds as well."""
    return math.prod(max(side, 1) for side in shape)
