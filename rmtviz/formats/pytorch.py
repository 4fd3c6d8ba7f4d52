"""PyTorch's zip files (`.pt`, `.pth`, TorchScript), read without torch and without running them.

Such a file is a zip archive with a pickle that describes objects and one entry of bytes for
each storage. The pickle is followed by `pickles`, which calls nothing; here the calls that
make tensors are given their meaning, and every other object is either looked into, for
tensors that it holds, or left out. That also reads whole pickled modules, under the names
that `state_dict()` gives, and files with a Namespace or a numpy number beside the weights.
"""

import io
import itertools
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from rmtviz.checkpoint import Checkpoint, Tensor
from rmtviz.errors import BadOption, ExtraMissing
from rmtviz.formats import pickles, zips
from rmtviz.formats.base import (
    EXTENDED,
    LOOSE,
    RECORD,
    Contents,
    Format,
    Leaf,
    Limits,
    Node,
    Source,
    flat,
    little,
    place,
    short,
)
from rmtviz.formats.pickles import Global, Made, Outside

_NUMPY = tuple(np.dtype(code) for code in "?BHILbhilefdFD")
_DTYPES: Mapping[str, np.dtype] = MappingProxyType(
    {f"torch.{dtype.name}": dtype for dtype in (*_NUMPY, *EXTENDED.values())}
)
"""Number types as torch names them."""

_UNTYPED = "torch.storage.UntypedStorage"
_STORAGES: Mapping[str, np.dtype] = MappingProxyType(
    {
        "torch.BoolStorage": np.dtype("?"),
        "torch.ByteStorage": np.dtype("u1"),
        "torch.CharStorage": np.dtype("i1"),
        "torch.ShortStorage": np.dtype("i2"),
        "torch.IntStorage": np.dtype("i4"),
        "torch.LongStorage": np.dtype("i8"),
        "torch.HalfStorage": np.dtype("f2"),
        "torch.BFloat16Storage": EXTENDED["bfloat16"],
        "torch.FloatStorage": np.dtype("f4"),
        "torch.DoubleStorage": np.dtype("f8"),
        "torch.ComplexFloatStorage": np.dtype("c8"),
        "torch.ComplexDoubleStorage": np.dtype("c16"),
        _UNTYPED: np.dtype("u1"),
    }
)
"""Number types by the class of storage that holds them."""

_ORDERS: Mapping[bytes, Literal["<", ">"]] = MappingProxyType({b"little": "<", b"big": ">"})
_ARRAYS = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
_REBUILD = "torch._utils._rebuild_"
_WRAPPED = (f"{_REBUILD}parameter", f"{_REBUILD}parameter_with_state")
_STRIDED = (f"{_REBUILD}tensor", f"{_REBUILD}tensor_v2", f"{_REBUILD}tensor_v3")
_TYPED = ("torch._tensor._rebuild_from_type", "torch._tensor._rebuild_from_type_v2")


def read(source: Source, limits: Limits) -> Contents | None:
    """Return what a PyTorch zip file holds; see `Format`."""
    entries = zips.entries(source, limits)
    names = [name for name in entries or () if f"/{name}".endswith("/data.pkl")]
    if entries is None or len(names) != 1:
        return None
    pickle, folder = entries[names[0]], names[0].removesuffix("data.pkl")
    if pickle.length > limits.header_bytes:
        raise source.refuse("limit_header", size=pickle.length, limit=limits.header_bytes)
    order = entries.get(f"{folder}byteorder")
    mark = _ORDERS.get(order.head(7) if order else b"little")
    if mark is None:
        raise source.refuse("pytorch_order")
    value = pickles.parse(source, bytes(pickle.read(0, pickle.length)), limits)
    return _Archive(source, limits, entries, folder, mark).contents(value)


def write(checkpoint: Checkpoint) -> bytes:
    """Return the checkpoint as PyTorch saves a state dict.

    Raises:
        ExtraMissing: torch is not installed.
    """
    try:
        import torch
    except ImportError:
        raise ExtraMissing("extra_missing", package="torch", extra="torch") from None
    state: dict[str, Any] = {}
    for name, tensor in checkpoint.tensors.items():
        if name == RECORD:
            raise BadOption("write_name", name=name, format="pytorch")
        dtype = getattr(torch, tensor.dtype.name, None)
        if dtype is None or f"torch.{tensor.dtype.name}" not in _DTYPES:
            raise BadOption(
                "write_dtype", name=short(name), dtype=tensor.dtype.name, format="pytorch"
            )
        raw = torch.from_numpy(little(tensor).reshape(-1).view(np.uint8).copy())
        numbers = raw.view(dtype) if tensor.size else torch.empty(0, dtype=dtype)
        state[name] = numbers.reshape(tensor.shape)
    if "rmtviz" in checkpoint.metadata:
        state[RECORD] = checkpoint.metadata["rmtviz"]
    buffer = io.BytesIO()
    torch.save(OrderedDict(state), buffer)
    return buffer.getvalue()


@dataclass(slots=True)
class _Archive:
    """The objects of one file on their way to a tree of tensors; each is met once."""

    source: Source
    limits: Limits
    entries: Mapping[str, zips.Entry]
    folder: str
    order: Literal["<", ">"]
    met: dict[int, Node] = field(default_factory=dict)

    def contents(self, value: object) -> Contents:
        """Return what the file holds, from the object that its pickle describes."""
        node = self.node(value, "", 0)
        parts = _parts(value) or {}
        if isinstance(node, Mapping):
            tree = {name: item for name, item in node.items() if name != RECORD}
        elif isinstance(node, Tensor):
            tree = {LOOSE: node}
        else:
            tree = {name: _leaf(part) for name, part in parts.items()} or {LOOSE: node}
        record = parts.get(RECORD)
        return Contents(tree, {"rmtviz": record} if isinstance(record, str) else {})

    def node(self, value: object, name: str, depth: int) -> Node:
        """Return the tensor, the group of tensors, or the word for what stands here."""
        if not isinstance(value, dict | list | tuple | Made):
            return _leaf(value)
        if depth > self.limits.depth:
            raise self.source.refuse("limit_depth", limit=self.limits.depth)
        if id(value) not in self.met:
            self.met[id(value)] = _leaf(value)  # what it is inside itself
            self.met[id(value)] = self._open(value, name, depth)
        return self.met[id(value)]

    def _open(self, value: object, name: str, depth: int) -> Node:
        """Return the node of something with parts; only what is set by name is listed if useless.

        The parts of an object come out flat, named as `state_dict()` names them: an attribute
        `model` of a module is no wrapper.
        """
        if isinstance(value, Made) and value.name.startswith((_REBUILD, *_TYPED)):
            return self._rebuilt(value.name, value.args, name, depth)
        nodes = {
            key: self.node(part, f"{name}.{key}" if name else key, depth + 1)
            for key, part in (_parts(value) or {}).items()
        }
        if not any(map(_matters, nodes.values())):
            return _leaf(value)
        if isinstance(value, dict) or (isinstance(value, Made) and value.pairs):
            return nodes
        nodes = {key: node for key, node in nodes.items() if _matters(node)}
        if not (isinstance(value, Made) and _state(value)):
            return nodes
        ends = dict(itertools.islice(flat(nodes), self.limits.tensors + 1))
        if len(ends) > self.limits.tensors:
            raise self.source.refuse("limit_tensors", limit=self.limits.tensors)
        return {key: node for key, node in ends.items() if _matters(node)}

    def _rebuilt(self, function: str, args: tuple[object, ...], name: str, depth: int) -> Node:
        """Return what torch's function of this name would make of these arguments."""
        if depth > self.limits.depth:
            raise self.source.refuse("limit_depth", limit=self.limits.depth)
        if function in _WRAPPED and args:
            return self.node(args[0], name, depth + 1)
        match args:
            case [Global(name=inner), _, tuple(rest), *_] if function in _TYPED:
                return self._rebuilt(inner, rest, name, depth + 1)
            case [Outside(value=storage), int(start), [*shape], [*strides], *rest] if (
                function in _STRIDED
            ):
                return self._tensor(name, storage, start, shape, strides, rest)
        if function in _STRIDED:
            raise self.source.refuse("pytorch_tensor", name=short(name))
        return Leaf(short(function.rpartition("_rebuild_")[2]), "tensor_kind")

    def _tensor(
        self,
        name: str,
        storage: object,
        start: int,
        shape: Sequence[object],
        strides: Sequence[object],
        rest: Sequence[object],
    ) -> Node:
        """Return the tensor on this storage, with every number checked against the storage."""
        match storage:
            case ["storage", Global(name=kind), str(key), _, int(count), *_]:
                held = _STORAGES.get(kind)
            case _:
                raise self.source.refuse("pytorch_tensor", name=short(name))
        dtype = held
        if kind == _UNTYPED:
            dtype = next((_DTYPES.get(it.name) for it in rest if isinstance(it, Global)), None)
        lazily = any(isinstance(it, dict) and (it.get("conj") or it.get("neg")) for it in rest)
        if held is None or dtype is None or lazily:
            return Leaf(short(kind.rpartition(".")[2]), "tensor_kind")
        entry = self.entries.get(f"{self.folder}data/{key}")
        end = count * held.itemsize
        if entry is None or end > entry.length:
            raise self.source.refuse("pytorch_storage", name=short(name))
        return place(
            self.source,
            name,
            dtype.newbyteorder(self.order),
            shape,
            blob=entry,
            offset=start * dtype.itemsize,
            end=end,
            strides=strides,
            limits=self.limits,
        )


def _parts(value: object) -> Mapping[str, object] | None:
    """Return the parts of a group or an object by name, or None where it has none."""
    if isinstance(value, dict):
        return _named(value)
    if isinstance(value, list | tuple):
        return {str(number): part for number, part in enumerate(value)}
    if not isinstance(value, Made):
        return None
    if value.pairs:
        return _named(value.pairs)
    state = _state(value)
    if state is None:
        held = value.items or (value.state if isinstance(value.state, list | tuple) else None)
        return _parts(held or value.args)
    return _module(state) if {"_parameters", "_modules"} <= state.keys() else _named(state)


def _state(value: Made) -> dict[object, object] | None:
    """Return the attributes of an object, or None where it has none, or has items instead."""
    state = value.state
    if isinstance(state, tuple) and len(state) == 2:
        state = state[1]
    return state if isinstance(state, dict) and not (value.pairs or value.items) else None


def _named(pairs: Mapping[object, object]) -> Mapping[str, object]:
    """Return pairs under text; a key that is no scalar, or taken, becomes its position."""
    found: dict[str, object] = {}
    for position, (key, part) in enumerate(pairs.items()):
        name = str(key) if isinstance(key, str | int | float) else f"#{position}"
        found[name if name not in found else f"#{position}"] = part
    return found


def _module(state: Mapping[object, object]) -> Mapping[str, object]:
    """Return what `state_dict()` of a module lists: parameters, lasting buffers, modules."""
    passing = state.get("_non_persistent_buffers_set")
    if isinstance(passing, Made):  # a set, made from one list
        passing = next(iter(passing.args), None)
    names = {name for name in passing if isinstance(name, str)} if type(passing) is list else set()
    buffers = _group(state.get("_buffers"))
    return {
        **_group(state["_parameters"]),
        **{name: part for name, part in buffers.items() if name not in names},
        **_group(state["_modules"]),
    }


def _group(value: object) -> Mapping[str, object]:
    """Return the entries of a dict, or of what stands for one."""
    pairs = value.pairs if isinstance(value, Made) else value
    return _named(pairs) if isinstance(pairs, dict) else {}


def _matters(node: Node) -> bool:
    """Whether this is a tensor, holds one, or is of a kind that people would call one."""
    return not isinstance(node, Leaf) or node.reason == "tensor_kind"


def _leaf(value: object) -> Leaf:
    """Return the word for a value that is no tensor."""
    if isinstance(value, Made) and value.name in _ARRAYS:
        return Leaf("ndarray", "tensor_kind")
    name = value.name if isinstance(value, Made | Global) else type(value).__name__
    return Leaf(short(name.rpartition(".")[2]))


PYTORCH = Format("PyTorch (.pt, .pth)", ".pt", read, write)
