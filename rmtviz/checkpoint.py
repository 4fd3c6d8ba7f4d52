"""A checkpoint: named tensors with a digest, the one currency between file, mathematics and torch.

Never changed: reading makes one, pruning maps one to another, training yields them,
writing takes one. Tensors are read when asked for, so a checkpoint may be larger than memory.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from rmtviz import markup
from rmtviz.errors import BadOption
from rmtviz.words import say

BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
"""Last parts of names of tensors that are state but are not trained."""

PLAIN = "weights"
"""The name of the copy of the weights that a file gives as the weights."""

GLANCE = 64
"""So many numbers of two tensors are compared before all are."""

FLOATS: Mapping[str, np.dtype] = MappingProxyType(
    {
        np.dtype(kind).name: np.dtype(kind)
        for kind in (
            np.float64,
            np.float32,
            np.float16,
            ml_dtypes.bfloat16,
            ml_dtypes.float8_e4m3fn,
            ml_dtypes.float8_e4m3fnuz,
            ml_dtypes.float8_e5m2,
            ml_dtypes.float8_e5m2fnuz,
        )
    }
)
"""The floating dtypes that are read as numbers, by name."""

COMPLEX = ("complex64", "complex128")
"""The complex dtypes that are: two floating numbers beside each other, which count as one."""

COARSE = tuple(name for name in FLOATS if name.startswith("float8"))
"""Those of eight bits: changed weights would lose in them what is measured here, and overflow."""


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """One tensor that is read when asked for: shape, dtype, and how to load its numbers.

    `codes` is the type of the codes that stand for its numbers where it came from and is written
    back to, `packed` the bytes that it takes there.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    load: Callable[[], NDArray[Any]]
    codes: str = ""
    packed: int | None = None

    @classmethod
    def of(cls, array: NDArray[Any]) -> "Tensor":
        """Return a tensor that holds a read-only copy of this array."""
        copy = np.array(array, order="C")
        copy.flags.writeable = False
        return cls(copy.shape, copy.dtype, lambda: copy)

    def read(self) -> NDArray[Any]:
        """Return the numbers, read-only, C order, of the stated shape and dtype."""
        array = np.require(self.load(), requirements=["C"])
        array = array.view() if array.flags.writeable else array
        array.flags.writeable = False
        return array

    def start(self) -> bytes:
        """Return the first bytes of the numbers, where that is possible without the others."""
        some = getattr(self.load, "start", self.load)()
        return some.reshape(-1)[:GLANCE].tobytes()

    @property
    def size(self) -> int:
        """The number of elements."""
        count = 1
        for side in self.shape:
            count *= side
        return count

    @property
    def nbytes(self) -> int:
        """The bytes of the elements as numbers."""
        return self.size * self.dtype.itemsize

    @property
    def stored(self) -> int:
        """The bytes of the elements as stored."""
        return self.nbytes if self.packed is None else self.packed

    @property
    def written(self) -> np.dtype:
        """The number type in which changed weights are stored: the same, or bfloat16 for 8 bits."""
        return np.dtype(ml_dtypes.bfloat16) if self.dtype.name in COARSE else self.dtype

    @property
    def floating(self) -> bool:
        """Whether the elements are floating-point numbers that we read, real or complex."""
        return self.dtype.name in FLOATS or self.dtype.name in COMPLEX


@dataclass(frozen=True, slots=True)
class Skipped:
    """A tensor that is not analysed: its name, shape, dtype, and the reason as a catalogue key."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    reason: str
    other: str = ""

    @property
    def why(self) -> str:
        """The reason in words; `other` is the tensor that it names, where it names one."""
        return say(f"skipped.{self.reason}", other=self.other)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Named tensors, where they came from, and what reading left out.

    `source` is a file's name as people know it, `format` a key of `formats.FORMATS` (or
    "arrays"), `metadata` what the file says of itself, as text by key. `graph` is the ONNX
    file that the tensors came from, where it was one: what runs them. `copies` are other
    copies of the same weights in the file, by name; `copy` is the name of the one taken.
    """

    tensors: Mapping[str, Tensor]
    source: str = "arrays"
    format: str = "arrays"
    metadata: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[Skipped, ...] = ()
    graph: bytes | None = field(default=None, repr=False)
    copies: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict, repr=False)
    copy: str = PLAIN

    def __post_init__(self) -> None:
        object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))

    @classmethod
    def of(cls, arrays: Mapping[str, Any], **about: Any) -> "Checkpoint":
        """Return a checkpoint of a mapping from names to arrays (numpy, or torch tensors).

        Arrays at one place of memory are one tensor: tied weights.
        """
        held = {name: _numpy(array) for name, array in arrays.items()}
        places = {name: (x.ctypes.data, x.shape, x.strides, x.dtype) for name, x in held.items()}
        tensors = {place: Tensor.of(held[name]) for name, place in places.items()}
        return cls({name: tensors[place] for name, place in places.items()}, **about)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.tensors[name].read()

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __contains__(self, name: object) -> bool:
        return name in self.tensors

    def __len__(self) -> int:
        return len(self.tensors)

    def __repr__(self) -> str:
        return (
            f"Checkpoint({self.source!r}, {self.format}, {len(self)} tensors, "
            f"{self.parameters:,} parameters, {self.digest[:12]})"
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows: its file, and its tensors."""
        head = say(
            "cli.file",
            source=self.title,
            format=self.format,
            parameters=self.parameters,
            bytes=self.bytes,
        )
        rows = (
            {
                "tensor": name,
                "sides": " × ".join(map(str, each.shape)) or "–",
                "dtype": each.dtype.name,
            }
            for name, each in self.tensors.items()
        )
        return markup.shown(head, rows)

    @functools.cached_property
    def digest(self) -> str:
        """The sha256 of the content: sorted names, dtypes, shapes, bytes; not of the container."""
        total = hashlib.sha256()
        for name in sorted(self.tensors):
            tensor = self.tensors[name]
            head = json.dumps([name, tensor.dtype.name, list(tensor.shape)])
            total.update(head.encode())
            array = tensor.read()
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            total.update(little.reshape(-1).view(np.uint8).data)
        return total.hexdigest()

    @functools.cached_property
    def twins(self) -> Mapping[str, str]:
        """The tensors that stand under an earlier name too, and that name: tied weights.

        Those are tensors in one place of a file, for certain (`shares`), and matrices of equal
        numbers, very likely; but not matrices of one or two numbers only, such as zeros or an
        identity, which begin equal without being tied.
        """
        full = [name for name, it in self.tensors.items() if it.floating and it.size]
        found: dict[str, str] = {}
        for names in self._alike(full, lambda tensor: tensor.load):
            found |= dict.fromkeys(names[1:], names[0])
        groups = [
            [name for name in full if len(self.tensors[name].shape) > 1 and name not in found]
        ]
        for key in (lambda tensor: b"", Tensor.start, _numbers):
            groups = [same for names in groups for same in self._alike(names, key)]
        for names in groups:
            found |= dict.fromkeys(names[1:], names[0])
        return MappingProxyType({name: _first(name, found) for name in full if name in found})

    def shares(self, name: str, other: str) -> bool:
        """Return whether two tensors are one: tied for certain, and not only equal."""
        return self.tensors[name].load == self.tensors[other].load

    def _alike(self, names: list[str], key: Callable[[Tensor], Any]) -> list[list[str]]:
        """Return the groups of two or more of these with one shape, dtype and key."""
        groups: dict[Any, list[str]] = {}
        for name in names:
            tensor = self.tensors[name]
            groups.setdefault((tensor.shape, tensor.dtype.name, key(tensor)), []).append(name)
        return [group for group in groups.values() if len(group) > 1]

    @property
    def _once(self) -> Mapping[str, Tensor]:
        return {name: it for name, it in self.tensors.items() if name not in self.twins}

    @property
    def parameters(self) -> int:
        """The number of trained numbers: elements of floating tensors that are no buffers.

        A complex number is one, and twins are counted once.
        """
        return sum(t.size for name, t in self._once.items() if t.floating and not _buffer(name))

    @property
    def buffers(self) -> int:
        """The number of all other elements."""
        return sum(t.size for t in self._once.values()) - self.parameters

    @property
    def bytes(self) -> int:
        """The bytes of all tensors as stored."""
        return sum(t.stored for t in self.tensors.values())

    @property
    def about(self) -> Mapping[str, Any]:
        """What rmtviz itself recorded in the file (metadata key "rmtviz"); empty elsewhere."""
        try:
            record = json.loads(self.metadata.get("rmtviz", "{}"))
        except ValueError:
            return {}
        return record if isinstance(record, dict) else {}

    @property
    def title(self) -> str:
        """The source, with the name of the copy that was taken where it is not the plain one."""
        return self.source if self.copy == PLAIN else f"{self.source} ({self.copy})"

    def taking(self, copy: str) -> "Checkpoint":
        """Return the checkpoint with another copy of its weights; this one becomes a copy.

        Raises:
            BadOption: no copy of this name.
        """
        if copy == self.copy:
            return self
        if copy not in self.copies:
            known = ", ".join((self.copy, *self.copies))
            raise BadOption("unknown_name", name=copy, known=known)
        others = {name: it for name, it in self.copies.items() if name != copy}
        listed = [item for item in self.left_out if item.name != copy]
        listed.append(Skipped(self.copy, (), "dict", "copy"))
        return replace(
            self,
            tensors=self.copies[copy],
            copies={self.copy: self.tensors, **others},
            copy=copy,
            left_out=tuple(listed),
        )

    def minus(self, other: "Checkpoint") -> "Checkpoint":
        """Return the difference of the floating tensors that both have in the same shape.

        In double precision, read when asked for; nothing else is in it.
        """

        def difference(name: str) -> Callable[[], NDArray[Any]]:
            return lambda: double(self[name]) - double(other[name])

        shared = {
            name: Tensor(tensor.shape, np.dtype(precise(tensor.dtype)), difference(name))
            for name, tensor in self.tensors.items()
            if tensor.floating
            and name in other
            and other.tensors[name].shape == tensor.shape
            and precise(other.tensors[name].dtype) is precise(tensor.dtype)
        }
        return replace(self, tensors=shared, left_out=())

    def with_about(self, **record: Any) -> "Checkpoint":
        """Return the same checkpoint with entries of our own record added or replaced."""
        merged = {**self.about, **record}
        return replace(self, metadata={**self.metadata, "rmtviz": json.dumps(merged)})


def precise(dtype: np.dtype) -> type[np.float64] | type[np.complex128]:
    """Return the type of double precision in which numbers of a dtype are computed."""
    return np.complex128 if dtype.kind == "c" else np.float64


def double(array: NDArray[Any]) -> NDArray[Any]:
    """Return the numbers in float64, or in complex128 where they are complex."""
    return array.astype(precise(array.dtype), copy=False)


def _first(name: str, found: Mapping[str, str]) -> str:
    while name in found:
        name = found[name]
    return name


def _numbers(tensor: Tensor) -> object:
    """Return what only equal numbers share; of one or two numbers only, what nothing shares."""
    array = tensor.read()
    first = array.reshape(-1)[0]
    others = array[array != first]
    if (others == others[:1]).all():
        return object()
    return hashlib.sha256(array.reshape(-1).view(np.uint8).data).digest()


def _buffer(name: str) -> bool:
    return name.rpartition(".")[2] in BUFFERS


def _numpy(array: Any) -> NDArray[Any]:
    """Return a numpy array of a numpy array or a torch tensor (bf16 included), without torch."""
    if hasattr(array, "detach"):
        array = array.detach().cpu()
        if str(array.dtype) == "torch.bfloat16":
            import torch

            bits: NDArray[Any] = array.contiguous().view(torch.int16).numpy()
            return bits.view(ml_dtypes.bfloat16)
        return np.asarray(array.numpy())
    return np.asarray(array)
