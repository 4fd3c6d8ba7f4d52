"""ONNX graphs: their initialisers and constants, read by the package onnx; nothing is run.

What the graph does with its tensors goes on record (`graphs.roles`), and the graph itself stays
with the checkpoint: it says how the network runs, and is written back with other weights.
Numbers kept in another file are named and refused, never looked for.
"""

import re

import numpy as np

from rmtviz import graphs
from rmtviz.checkpoint import Skipped, Tensor
from rmtviz.formats.base import Contents, Format, Limits, Source, short

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
    model = graphs.parse(content, source.name)
    held = list(graphs.tensors(model))
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
    notes = {entry.key: entry.value for entry in model.metadata_props}
    return Contents(tree, notes, tuple(left_out), graph=content)


def _array(source: Source, name: str, proto: object) -> np.ndarray:
    """Return a tensor's numbers.

    Raises:
        FileRefused: they are not as many as its shape says, or of a type that nobody knows.
    """
    try:
        return np.asarray(graphs.numpy_helper().to_array(proto))
    except (ValueError, TypeError, KeyError, OverflowError, NotImplementedError):
        raise source.refuse("tensor_bounds", name=short(name)) from None


ONNX = Format("ONNX", ".onnx", read, graphs.write, graph=True, known=is_onnx)
