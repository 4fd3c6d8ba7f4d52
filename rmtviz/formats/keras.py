"""Keras files (`.keras`, `.weights.h5`, `.h5`), and other HDF5 files of named arrays.

Keras puts a layer's outputs last and PyTorch puts them first. Here the tensors are named and
turned as PyTorch has them, without touching a number: a transposed tensor is the same place
read with other strides. So everything after reading, and what is written in the end, knows one
layout. Since version 3 Keras numbers a layer's variables; which is which follows from the
layer's class, which names its group. An array that is no variable of Keras stays as it is.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtviz.checkpoint import Skipped, Tensor
from rmtviz.formats import _hdf5, zips
from rmtviz.formats._hdf5 import Path
from rmtviz.formats.base import Contents, Format, Node, Place, row_major
from rmtviz.formats.sources import Blob, Limits, Source, short

_INSIDE = "model.weights.h5"
_BETWEEN = ("layers", "vars", "model_weights", "_layer_checkpoint_dependencies")
_OPTIMIZER = ("optimizer", "optimizer_weights")
_CELL = re.compile(r"cell|.*_cell")
_HEADS = ("query", "key", "value", "query_dense", "key_dense", "value_dense")
_PLAIN: Mapping[str, str] = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "embeddings": "weight",
    "bias": "bias",
}
"""PyTorch's names of the variables that are not turned."""


@dataclass(frozen=True, slots=True)
class Swapped:
    """A GRU's three gates with the first two exchanged: Keras has (z, r, n), PyTorch (r, z, n)."""

    place: Place

    def __call__(self) -> NDArray[Any]:
        update, reset, new = np.split(self.place(), 3)
        return np.concatenate([reset, update, new])

    @property
    def effort(self) -> int:
        """The bytes that loading makes."""
        return self.place.effort


@dataclass(frozen=True, slots=True)
class Found:
    """A tensor as PyTorch has it, and what it is.

    `kind` is a key of `kinds.SINGLE`, `groups` the number of a convolution's, `other` the
    reason why it is no layer.
    """

    tensor: Tensor
    kind: str | None = None
    groups: int = 1
    other: str | None = None


def is_keras(source: Source, limits: Limits) -> bool:
    """Return whether a file is HDF5, or a `.keras` archive around one."""
    if source.head(8) == _hdf5.SIGN:
        return True
    return source.head(2) == b"PK" and _INSIDE in (zips.entries(source, limits) or {})


def read(source: Source, limits: Limits) -> Contents | None:
    """Return what a Keras or HDF5 file holds; see `Format`."""
    if not is_keras(source, limits):
        return None
    held, names = _hdf5.datasets(source, _inside(source, limits), limits)
    layers, optimizer = _grouped(held)
    labels = _labels(layers, names)
    found: dict[str, Found] = {}
    for path, variables in layers.items():
        for own, it in _turned(path, labels[path], _numbered(path, variables)).items():
            name = f"{labels[path]}.{own}".removeprefix(".")
            if name in found:
                raise source.refuse("name_twice", name=short(name))
            found[name] = it
    tree: dict[str, Node] = {name: it.tensor for name, it in found.items()}
    if optimizer:
        tree["optimizer"] = optimizer
    left_out = tuple(item for item in held.values() if isinstance(item, Skipped))
    return Contents(tree, _metadata(found), left_out)


def _inside(source: Source, limits: Limits) -> Blob:
    """Return the bytes of the HDF5 file: the source itself, or what a `.keras` archive holds."""
    entries = zips.entries(source, limits)
    if entries is None:
        return source
    entry = entries[_INSIDE]
    most = limits.growth * source.length + limits.spare
    if entry.length > most:
        raise source.refuse("limit_growth", size=entry.length, length=source.length, limit=most)
    if not entry.deflated:
        return entry
    return Source.of(bytes(entry.read(0, entry.length)), source.name)


def _grouped(
    held: Mapping[Path, Tensor | Skipped],
) -> tuple[dict[Path, dict[str, Tensor]], dict[str, Node]]:
    """Return the variables of each layer by their own names, and those of the optimiser."""
    layers: dict[Path, dict[str, Tensor]] = {}
    optimizer: dict[str, Node] = {}
    for path, item in held.items():
        if isinstance(item, Skipped):
            continue
        if path[0] in _OPTIMIZER:
            optimizer[".".join(path[1:])] = item
        else:
            layers.setdefault(path[:-1], {})[path[-1].removesuffix(":0")] = item
    return layers, optimizer


def _metadata(found: Mapping[str, Found]) -> Mapping[str, str]:
    """Return what is known of the tensors, as our own record."""
    record = {
        "kinds": {name: it.kind for name, it in found.items() if it.kind},
        "groups": {name: it.groups for name, it in found.items() if it.groups > 1},
        "others": {name: it.other for name, it in found.items() if it.other},
    }
    about: dict[str, Any] = {key: value for key, value in record.items() if value}
    return {"rmtviz": json.dumps({"conventions": "keras", **about})} if about else {}


def _labels(layers: Mapping[Path, object], names: Mapping[Path, str]) -> Mapping[Path, str]:
    """Return what each group's layer is called: by its own name, where those differ."""
    own = {path: ".".join(_parts(path, names)) for path in layers}
    plain = {path: ".".join(_parts(path, {})) for path in layers}
    return next((each for each in (own, plain) if len(set(each.values())) == len(each)), None) or {
        path: ".".join(path) for path in layers
    }


def _parts(path: Path, names: Mapping[Path, str]) -> list[str]:
    """Return a layer's path without what Keras puts between: "layers", "vars", a name twice."""
    parts = [
        names.get((*path[: place + 1], "vars"), part)
        for place, part in enumerate(path)
        if part not in _BETWEEN
    ]
    if path[-1:] != ("vars",) and parts[:1] and parts[0] in parts[1:]:
        del parts[0]
    return parts[:-1] if len(parts) > 1 and _CELL.fullmatch(parts[-1]) else parts


def _numbered(path: Path, variables: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return variables that Keras 3 numbers under the names that they have in the layer."""
    if path[-1:] != ("vars",) or not all(key.isdecimal() for key in variables):
        return variables
    tensors = [variables[key] for key in sorted(variables, key=lambda key: (len(key), key))]
    names = _names(path, [tensor.shape for tensor in tensors])
    return dict(zip(names, tensors, strict=False)) if len(names) >= len(tensors) else variables


def _names(path: Path, shapes: Sequence[tuple[int, ...]]) -> Sequence[str]:
    """Return the names of a layer's variables in Keras's order; none where they can't be told."""
    layer = path[-2] if len(path) > 1 else ""
    if "normalization" in layer:
        every = ("gamma", "beta", "moving_mean", "moving_variance")
        if "batch" not in layer or len(shapes) == 4:
            return every
        return every[2:] if len(shapes) == 2 else ()
    if layer.startswith("embedding"):
        return ("embeddings",)
    if "separable" in layer:
        return ("depthwise_kernel", "pointwise_kernel", "bias")
    if len(shapes) > 1 and _cell(shapes[0], shapes[1]):
        return ("kernel", "recurrent_kernel", "bias")
    return ("kernel", "bias") if shapes and len(shapes[0]) > 1 else ()


def _cell(kernel: Sequence[int], recurrent: Sequence[int]) -> int:
    """Return the number of gates of a recurrent cell with these two; 0: they are none."""
    if len(kernel) != 2 or len(recurrent) != 2 or not recurrent[0]:
        return 0
    gates, rest = divmod(recurrent[1], recurrent[0])
    return gates if not rest and kernel[1] == recurrent[1] and gates in (1, 3, 4) else 0


def _turned(path: Path, label: str, variables: Mapping[str, Tensor]) -> Mapping[str, Found]:
    """Return a layer's variables by PyTorch's names, each turned to PyTorch's order."""
    kernel, recurrent = variables.get("kernel"), variables.get("recurrent_kernel")
    if kernel and recurrent and (gates := _cell(kernel.shape, recurrent.shape)):
        return _recurrent(label, variables, gates)
    if "pointwise_kernel" in variables:
        return _separable(path, label, variables)
    found: dict[str, Found] = {}
    for own, tensor in variables.items():
        if own in ("kernel", "depthwise_kernel") and 1 < len(tensor.shape) < 6:
            depthwise = own == "depthwise_kernel" or _is_depthwise(path, label, variables)
            it = _depthwise(tensor) if depthwise else _kernel(path, label, tensor, variables)
            found["weight"] = it
        elif own == "bias" and len(tensor.shape) == 2:  # of heads
            found["bias"] = Found(_viewed(tensor, (tensor.size,), (1,)))
        else:
            other = "embedding" if own == "embeddings" else None
            found[_PLAIN.get(own, own)] = Found(tensor, other=other)
    return found


def _separable(path: Path, label: str, variables: Mapping[str, Tensor]) -> Mapping[str, Found]:
    """Return a separable convolution as the two that it is."""
    first = {key: it for key, it in variables.items() if key == "depthwise_kernel"}
    second = {key: it for key, it in variables.items() if key not in first}
    second["kernel"] = second.pop("pointwise_kernel")
    return {
        f"{part}.{own}": it
        for part, held in (("depthwise", first), ("pointwise", second))
        for own, it in _turned((), f"{label}.{part}", held).items()
    }


def _kernel(path: Path, label: str, tensor: Tensor, variables: Mapping[str, Tensor]) -> Found:
    """Return a kernel with its outputs first: of a product, of attention's heads, of a window."""
    sides, last = tensor.shape, label.rpartition(".")[2]
    bias = variables["bias"].shape if "bias" in variables else ()
    if len(sides) == 3 and (last in _HEADS or len(bias) == 2):
        sides = (sides[0], sides[1] * sides[2])
    elif len(sides) == 3 and last in ("attention_output", "output_dense"):
        sides = (sides[0] * sides[1], sides[2])
    elif len(sides) > 2 and "einsum" in _words(path, label):
        return Found(tensor, other="constant")
    turned = _viewed(tensor, _outputs_first(sides), _outputs_first(row_major(sides)))
    if len(sides) == 2:
        return Found(turned, "linear")
    backwards = "transpose" in _words(path, label) or bias == sides[-2:-1] != sides[-1:]
    return Found(turned, "transposed_convolution" if backwards else "convolution")


def _outputs_first(sides: tuple[int, ...]) -> tuple[int, ...]:
    """Return (window…, inputs, outputs) as (outputs, inputs, window…)."""
    return (*sides[:-3:-1], *sides[:-2])


def _is_depthwise(path: Path, label: str, variables: Mapping[str, Tensor]) -> bool:
    """Return whether a kernel is (window…, inputs, multiplier), by its bias or by the name."""
    *window, inputs, times = variables["kernel"].shape
    if not window or "bias" not in variables:
        return bool(window) and "depthwise" in _words(path, label)
    return inputs > 1 and variables["bias"].shape == (inputs * times,)


def _depthwise(tensor: Tensor) -> Found:
    """Return a depthwise kernel (window…, C, k) as PyTorch has it: (C·k, 1, window…)."""
    *window, inputs, times = tensor.shape
    count = inputs * times
    steps = row_major((*window, count))[:-1]
    turned = _viewed(tensor, (count, 1, *window), (1, 0, *steps))
    return Found(turned, "convolution", max(inputs, 1))


def _words(path: Path, label: str) -> str:
    """Return all that says of what class a layer is: the name of its group, and its own."""
    return " ".join((*path[-2:], label)).lower()


def _recurrent(label: str, variables: Mapping[str, Tensor], gates: int) -> Mapping[str, Found]:
    """Return a cell's variables by PyTorch's names, its gates in PyTorch's order."""
    end = "_l0_reverse" if label.rpartition(".")[2].startswith("backward") else "_l0"
    found: dict[str, Found] = {}
    for own, name in (("kernel", "weight_ih"), ("recurrent_kernel", "weight_hh")):
        inputs, outputs = variables[own].shape
        turned = _viewed(variables[own], (outputs, inputs), (1, outputs))
        found[name + end] = Found(_gates(turned, gates), "linear")
    bias = variables.get("bias")
    if bias and len(bias.shape) == 2 and bias.shape[0] == 2:
        width = bias.shape[1]
        for row, name in enumerate(("bias_ih", "bias_hh")):
            found[name + end] = Found(_gates(_viewed(bias, (width,), (1,), row * width), gates))
    elif bias:
        found[f"bias_ih{end}"] = Found(_gates(bias, gates))
    rest = variables.keys() - {"kernel", "recurrent_kernel", "bias"}
    return {**found, **{own: Found(variables[own]) for own in sorted(rest)}}


def _gates(tensor: Tensor, gates: int) -> Tensor:
    """Return a cell's tensor with its gates in PyTorch's order."""
    if gates != 3 or not isinstance(tensor.load, Place):
        return tensor
    return Tensor(tensor.shape, tensor.dtype, Swapped(tensor.load))


def _viewed(
    tensor: Tensor, shape: tuple[int, ...], strides: tuple[int, ...], start: int = 0
) -> Tensor:
    """Return a tensor's elements in another shape, from an element on; strides count elements."""
    held = tensor.load
    if not isinstance(held, Place):
        return tensor
    steps = tuple(step if side > 1 else 0 for side, step in zip(shape, strides, strict=True))
    offset = held.offset + start * held.dtype.itemsize
    return Tensor(shape, tensor.dtype, Place(held.blob, offset, shape, steps, held.dtype))


KERAS = Format("Keras, HDF5 (.keras, .h5)", ".h5", read, None, known=is_keras)
