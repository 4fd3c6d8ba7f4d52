"""ONNX graphs: their initialisers and constants, read by the package onnx; nothing is run.

What the graph does with its tensors goes on record (`graphs.roles`), and the graph itself stays
with the checkpoint: it says how the network runs, and is written back with other weights.
Codes become the numbers that the graph computes with (`codes`). Numbers kept in another file are
named and refused, never looked for.
"""

import re
from typing import Any

from numpy.typing import NDArray

from rmtviz import codes, graphs, protos
from rmtviz.checkpoint import Skipped, Tensor
from rmtviz.formats.base import Contents, Format
from rmtviz.formats.sources import Limits, Source, short

SIGN = re.compile(rb"\x08[\x01-\x20](?:\x12[\0-\x40]|[\x1a\x22\x28\x32\x3a\x42])", re.DOTALL)
"""A small version number, then the producer's name, or another field of a model."""


def is_onnx(source: Source, limits: Limits) -> bool:
    """Return whether a file begins as ONNX files do."""
    return SIGN.match(source.head(80)) is not None


def read(source: Source, limits: Limits) -> Contents | None:
    """Return what an ONNX file holds; see `Format`."""
    if not is_onnx(source, limits):
        return None
    content = bytes(source.read(0, source.length))
    model = protos.parse(content, source.name)
    held = list(protos.tensors(model))
    if len(held) > limits.tensors:
        raise source.refuse("limit_tensors", limit=limits.tensors)
    tree: dict[str, Tensor] = {}
    left_out = []
    for name, proto in held:
        if name in tree:
            raise source.refuse("name_twice", name=short(name))
        array = _array(source, name, proto)
        if array.dtype.kind in "OSU":
            left_out.append(Skipped(name, array.shape, "text", "no_number"))
        else:
            tree[name] = Tensor.of(array)
    parts, weights = _decoded(source, model, tree, limits)
    tree |= weights
    notes = {entry.key: entry.value for entry in model.metadata_props}
    return Contents(tree, notes, (*left_out, *parts), graph=content)


def _decoded(
    source: Source, model: object, tree: dict[str, Tensor], limits: Limits
) -> tuple[list[Skipped], dict[str, Tensor]]:
    """Take codes and scales out of a tree, and return them, and the weights by name.

    Raises:
        FileRefused: many weights are made of the same codes, and take too much together.
    """
    found, unknown = codes.find(model)
    size = sum(coded.weights().nbytes for coded in found)
    most = limits.growth * source.length + limits.spare
    if size > most:
        raise source.refuse("limit_growth", size=size, length=source.length, limit=most)
    left_out = [_skipped(tree, name, "rounded") for name in unknown if name in tree]
    for coded in found:
        parts = dict.fromkeys(coded.beside, "grid")
        if coded.rounding is None and coded.name != coded.tensor:
            parts[coded.tensor] = "coded"
        left_out += [
            _skipped(tree, name, reason, coded.name)
            for name, reason in parts.items()
            if name in tree
        ]
    return left_out, {coded.name: coded.weights() for coded in found}


def _skipped(tree: dict[str, Tensor], name: str, reason: str, other: str = "") -> Skipped:
    tensor = tree.pop(name)
    return Skipped(name, tensor.shape, tensor.dtype.name, reason, other)


def _array(source: Source, name: str, proto: object) -> NDArray[Any]:
    """Return a tensor's numbers.

    Raises:
        FileRefused: they are not as many as its shape says, or of a type that nobody knows.
    """
    try:
        return protos.array(proto)
    except (ValueError, TypeError, KeyError, OverflowError, NotImplementedError):
        raise source.refuse("tensor_bounds", name=short(name)) from None


ONNX = Format("ONNX", ".onnx", read, graphs.write, graph=True, known=is_onnx)
