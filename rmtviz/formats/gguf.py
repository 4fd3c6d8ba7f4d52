"""GGUF files: llama.cpp's weights, most of them rounded to a few bits a number.

The list of tensors is read here, every length checked against the file; what the codes of a
block mean is known to the package gguf, which turns them into numbers when a tensor is asked
for. Codes are never shown as if they were weights. A file of plain numbers needs no package.
"""

import json
import math
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rmtviz import extras
from rmtviz.checkpoint import Skipped, Tensor
from rmtviz.formats.base import EXTENDED, Contents, Format, Place, place
from rmtviz.formats.pickles import stream
from rmtviz.formats.sources import Limits, Source, short, whole

_SIGN = b"GGUF"
_EMBEDDING = re.compile(r"(^|[._])(token|position|type)_(embd|types)\.weight$|token_types\.weight$")
_EXPERTS = re.compile(r"_exps\.weight$")

_PLAIN: Mapping[int, np.dtype] = {
    0: np.dtype("f4"),
    1: np.dtype("f2"),
    24: np.dtype("i1"),
    25: np.dtype("i2"),
    26: np.dtype("i4"),
    27: np.dtype("i8"),
    28: np.dtype("f8"),
    30: EXTENDED["bfloat16"],
}
"""Number types by their number in the format, for those that are plain numbers."""

_SCALARS: Mapping[int, str] = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
"""The codes of `struct` for the types that a note may have, by their number in the format."""

_TEXT, _ARRAY = 8, 9

_Listed = tuple[str, tuple[int, ...], int, int]
"""A tensor's name, shape, the number of its type, and its place among the tensors' bytes."""

Order = Literal["<", ">"]
"""Little-endian or big-endian, as numpy and `struct` write it."""


@dataclass(frozen=True, slots=True)
class Rounded:
    """The numbers that the codes of rounded weights stand for, made when they are asked for."""

    codes: Place
    shape: tuple[int, ...]
    code: int

    def __call__(self) -> NDArray[Any]:
        """Return the numbers as float32."""
        gguf = extras.package("gguf", "gguf")
        with np.errstate(all="ignore"):  # a scale may be anything
            numbers = gguf.dequantize(self.codes(), gguf.GGMLQuantizationType(self.code))
        return np.asarray(numbers, np.float32).reshape(self.shape)

    @property
    def effort(self) -> int:
        """The bytes that loading makes, the numbers at half.

        A code of two bits becomes a float of 32, more than `Limits.growth`; but layers are
        loaded one after the other, and what is made does not stay.
        """
        return self.codes.effort + math.prod(self.shape) * 2


class _Cursor:
    """A place in a file's header from which values are taken one after the other."""

    def __init__(self, source: Source, order: Order, limits: Limits) -> None:
        self.source = source
        self.order = order
        self.limits = limits
        self.steps = 0
        self.stream = stream(source)

    @property
    def at(self) -> int:
        """The number of bytes before this place."""
        return self.stream.tell()

    def bytes(self, count: int) -> bytes:
        """Take so many bytes."""
        if self.at + count > self.limits.header_bytes:
            size, limit = self.at + count, self.limits.header_bytes
            raise self.source.refuse("limit_header", size=size, limit=limit)
        taken = self.stream.read(count)
        if len(taken) < count:
            raise self.source.refuse("file_cut", length=self.source.length)
        return taken

    def number(self, code: str) -> Any:
        """Take one number of a type of `struct`."""
        form = struct.Struct(self.order + code)
        return form.unpack(self.bytes(form.size))[0]

    def text(self) -> str:
        """Take a text with its length before it."""
        return self.bytes(self.number("Q")).decode("utf-8", "surrogateescape")

    def note(self, kind: int, depth: int = 0) -> object:
        """Take a note's value; an array's are passed over, for no array is needed."""
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind == _TEXT:
            return self.text()
        if kind != _ARRAY or depth > 4:
            raise self.source.refuse("gguf_damaged")
        inner, count = self.number("I"), self.number("Q")
        if inner in _SCALARS:
            self.bytes(count * struct.calcsize(self.order + _SCALARS[inner]))
        else:
            self.steps += count
            if self.steps > self.limits.steps:
                raise self.source.refuse("limit_steps", limit=self.limits.steps)
            for _ in range(count):
                self.note(inner, depth + 1)
        return None


def read(source: Source, limits: Limits) -> Contents | None:
    """Return what a GGUF file holds; see `Format`.

    Raises:
        FileRefused: as every reader.
        ExtraMissing: weights are rounded, and the package gguf is not installed.
    """
    if source.head(4) != _SIGN or source.length < 8:
        return None
    cursor = _Cursor(source, ">" if source.head(6)[4:] == b"\0\0" else "<", limits)
    notes, listed = _header(cursor, limits)
    step = notes.get("general.alignment", 32)
    if type(step) is not int or not 0 < step <= 2**20:
        raise source.refuse("gguf_damaged")
    start = -(-cursor.at // step) * step
    found: dict[str, Tensor | Skipped] = {}
    for name, shape, code, offset in listed:
        for own, it in _tensors(source, cursor.order, name, shape, code, start + offset, limits):
            if own in found:
                raise source.refuse("name_twice", name=short(own))
            if len(found) >= limits.tensors:
                raise source.refuse("limit_tensors", limit=limits.tensors)
            found[own] = it
    tree = {name: it for name, it in found.items() if isinstance(it, Tensor)}
    left_out = tuple(it for it in found.values() if isinstance(it, Skipped))
    return Contents(tree, _metadata(notes, tree), left_out)


def _header(cursor: _Cursor, limits: Limits) -> tuple[Mapping[str, object], list[_Listed]]:
    """Take a file's notes by key, and its list of tensors."""
    cursor.bytes(len(_SIGN))
    if cursor.number("I") not in (2, 3):
        raise cursor.source.refuse("gguf_version")
    tensors, notes = cursor.number("Q"), cursor.number("Q")
    if tensors > limits.tensors or notes > limits.tensors:
        raise cursor.source.refuse("limit_tensors", limit=limits.tensors)
    told: dict[str, object] = {}
    for _ in range(notes):
        key = cursor.text()
        told[key] = cursor.note(cursor.number("I"))
    return told, [_listed(cursor, limits) for _ in range(tensors)]


def _metadata(notes: Mapping[str, object], names: Iterable[str]) -> Mapping[str, str]:
    """Return what a file says of itself in general, and which tensors are tables of tokens."""
    about = {
        key: whole(value)
        for key, value in notes.items()
        if key.startswith("general.") and isinstance(value, str) and len(value) < 1000
    }
    others = {name: "embedding" for name in names if _EMBEDDING.search(name)}
    return {**about, **({"rmtviz": json.dumps({"others": others})} if others else {})}


def _listed(cursor: _Cursor, limits: Limits) -> _Listed:
    """Take name, shape, type and place of one tensor; the format has the last side first."""
    name, sides = cursor.text(), cursor.number("I")
    if sides > limits.sides:
        raise cursor.source.refuse("tensor_shape", name=short(name))
    shape = tuple(cursor.number("Q") for _ in range(sides))[::-1]
    return name, shape, cursor.number("I"), cursor.number("Q")


def _tensors(
    source: Source,
    order: Order,
    name: str,
    shape: tuple[int, ...],
    code: int,
    start: int,
    limits: Limits,
) -> Iterator[tuple[str, Tensor | Skipped]]:
    """Yield a tensor by its name, or those of a mixture's experts, which lie behind each other."""
    if code in _PLAIN:
        dtype = _PLAIN[code].newbyteorder(order)
        tensor = place(source, name, dtype, shape, blob=source, offset=start, limits=limits)
    else:
        found = _rounded(source, order, name, shape, code, start, limits)
        if isinstance(found, Skipped):
            yield name, found
            return
        tensor = found
    if len(shape) != 3 or not _EXPERTS.search(name) or shape[0] > limits.tensors:
        yield name, tensor
        return
    for expert in range(shape[0]):
        own = f"{name.removesuffix('.weight')}.{expert}.weight"
        yield own, Tensor(shape[1:], tensor.dtype, _part(tensor.load, expert, shape[1:]))


def _part(load: Any, number: int, shape: tuple[int, ...]) -> Place | Rounded:
    """Return how one expert of a stack is loaded."""
    if isinstance(load, Rounded):
        return Rounded(_part_of(load.codes, number), shape, load.code)
    return _part_of(load, number)


def _part_of(stack: Place, number: int) -> Place:
    offset = stack.offset + number * stack.strides[0] * stack.dtype.itemsize
    return Place(stack.blob, offset, stack.shape[1:], stack.strides[1:], stack.dtype)


def _rounded(
    source: Source,
    order: Order,
    name: str,
    shape: tuple[int, ...],
    code: int,
    start: int,
    limits: Limits,
) -> Tensor | Skipped:
    """Return a tensor of rounded numbers, or why the package can't tell its numbers."""
    gguf = extras.package("gguf", "gguf")
    if code not in set(gguf.GGMLQuantizationType) or order == ">":
        return Skipped(name, shape, f"type {code}", "rounded")
    kind = gguf.GGMLQuantizationType(code)
    block, size = gguf.GGML_QUANT_SIZES[kind]
    if not shape or shape[-1] % block:
        raise source.refuse("tensor_shape", name=short(name))
    try:
        gguf.dequantize(np.zeros((1, size), np.uint8), kind)
    except NotImplementedError:
        return Skipped(name, shape, kind.name, "rounded")
    sides = (*shape[:-1], shape[-1] // block * size)
    codes = place(source, name, np.dtype("u1"), sides, blob=source, offset=start, limits=limits)
    assert isinstance(codes.load, Place)
    return Tensor(shape, np.dtype(np.float32), Rounded(codes.load, shape, code))


GGUF = Format("GGUF (.gguf)", ".gguf", read, None)
