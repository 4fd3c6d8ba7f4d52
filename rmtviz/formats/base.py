"""What the readers share: a source of bytes, its limits, and tensors as places in bytes.

Every reader works in two steps. Opening reads a header, checks all that it says against the
size of the file, and makes a `Place` for each tensor; nothing is allocated on a header's word.
Loading, when somebody asks for a tensor, reads that place and no more.
"""

import functools
import math
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from rmtviz.checkpoint import GLANCE, Checkpoint, Skipped, Tensor, double
from rmtviz.errors import BadOption, FileRefused

LARGEST = 2**40
"""More elements than any tensor of a network has: a shape beyond it is a fault."""

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
class Limits:
    """How much one file may ask of the machine.

    `header_bytes` bounds each header, directory or pickle; `steps` the opcodes of a pickle;
    `depth` how deep its groups are nested; `sides` and `elements` a single shape. All tensors
    together may take `growth` times the bytes of the file and `spare` bytes on top: that is
    room for compressed, expanded and shared tensors, and none for a bomb. An upload may have
    `upload_bytes`; one that a library reads is tried first in a process of its own, which may
    take `memory` bytes and `seconds`. Each can be set: RMTVIZ_LIMIT_TENSORS=1000.
    """

    header_bytes: int = 25_000_000
    tensors: int = 100_000
    steps: int = 1_000_000
    depth: int = 100
    sides: int = 64
    elements: int = LARGEST
    growth: int = 10
    spare: int = 2**28
    upload_bytes: int = 200_000_000
    memory: int = 2**32
    seconds: int = 30

    @classmethod
    def configured(cls, settings: Mapping[str, str] = os.environ) -> "Limits":
        """Return the limits, with those of the environment in place of the usual ones.

        Raises:
            BadOption: a setting is no whole number above zero.
        """
        given = {}
        for knob in fields(cls):
            name = f"RMTVIZ_LIMIT_{knob.name.upper()}"
            if word := settings.get(name, "").strip():
                if not (word.isascii() and word.isdecimal() and 0 < int(word[:20]) < 2**63):
                    raise BadOption("limit_setting", name=name, value=short(word))
                given[knob.name] = int(word)
        return cls(**given)


class Blob(Protocol):
    """Bytes of which any stretch can be read."""

    @property
    def length(self) -> int: ...

    def head(self, count: int) -> bytes:
        """Return the first bytes, fewer where there are fewer."""

    def read(self, offset: int, count: int) -> memoryview:
        """Return exactly these bytes."""

    def effort(self, count: int) -> int:
        """Return how many bytes have to be made to read a stretch of `count`."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file's bytes under its name, in memory or on disk.

    A file on disk is opened for each read, so a source can be copied, pickled and shared
    between threads; a file that is no longer the one first seen is refused.
    """

    origin: bytes | Path = field(repr=False)
    name: str
    length: int
    stamp: tuple[int, ...] = ()

    @classmethod
    def of(cls, origin: bytes | str | Path, name: str | None = None) -> "Source":
        """Return the source of these bytes, or of the file at this path.

        Raises:
            FileRefused: there is no such file, or it is a folder or cannot be read.
        """
        if isinstance(origin, bytes):
            return cls(origin, name or "bytes", len(origin))
        path = Path(origin)
        label = name or whole(path.name) or str(path)
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError, ValueError):
            raise FileRefused("file_missing", source=label) from None
        except OSError as error:
            raise _unreadable(label, error) from None
        if stat.S_ISDIR(found.st_mode):
            raise FileRefused("file_folder", source=label)
        if not stat.S_ISREG(found.st_mode):
            raise FileRefused("file_special", source=label)
        return cls(path, label, found.st_size, _stamp(found))

    def head(self, count: int) -> bytes:
        return bytes(self.read(0, min(count, self.length)))

    def read(self, offset: int, count: int) -> memoryview:
        if offset < 0 or count < 0 or offset + count > self.length:
            raise self.refuse("file_cut", length=self.length)
        if isinstance(self.origin, bytes):
            return memoryview(self.origin)[offset : offset + count]
        try:
            return self._read_file(self.origin, offset, count)
        except OSError as error:
            raise _unreadable(self.name, error) from None

    def effort(self, count: int) -> int:
        return count

    def refuse(self, key: str, **values: object) -> FileRefused:
        """Return the refusal of this file, for the caller to raise."""
        return FileRefused(key, source=self.name, **values)

    def _read_file(self, path: Path, offset: int, count: int) -> memoryview:
        view, done = np.empty(count, np.uint8).data, 0
        with path.open("rb", buffering=0) as file:
            if _stamp(os.fstat(file.fileno())) != self.stamp:
                raise self.refuse("file_changed")
            file.seek(offset)
            while done < count:
                step = file.readinto(view[done:])
                if not step:
                    raise self.refuse("file_changed")
                done += step
        return view.toreadonly()


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of another blob's bytes."""

    blob: Blob
    start: int
    length: int

    def head(self, count: int) -> bytes:
        return bytes(self.read(0, min(count, self.length)))

    def read(self, offset: int, count: int) -> memoryview:
        return self.blob.read(self.start + offset, count)

    def effort(self, count: int) -> int:
        return self.blob.effort(count)


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


@functools.lru_cache(maxsize=1024)
def short(text: str, width: int = 60) -> str:
    """Return text from a file fit for a sentence: one printable line, no longer than `width`."""
    line = " ".join(text[: 4 * width].split())
    clean = "".join(sign if sign.isprintable() else "\ufffd" for sign in line[: width + 1])
    return clean if len(clean) <= width else clean[: width - 1] + "…"


def whole(text: str) -> str:
    """Return text that any file can hold: half of a surrogate pair becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def _counts(values: Sequence[object]) -> tuple[int, ...] | None:
    """Return the values if all are integers from 0 to 2⁶³ − 1, else None."""
    counts = tuple(value for value in values if type(value) is int and 0 <= value < 2**63)
    return counts if len(counts) == len(values) else None


def _bound(shape: Sequence[int]) -> int:
    """Return the number of elements with sides of 0 taken as 1, which numpy bounds as well."""
    return math.prod(max(side, 1) for side in shape)


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _unreadable(name: str, error: OSError) -> FileRefused:
    return FileRefused("file_unreadable", source=name, reason=error.strerror or error)
