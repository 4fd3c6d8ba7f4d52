"""The objects of a pickle on their way to a tree of tensors: what each call would have made.

The pickle was followed by `pickles`, which calls nothing; here the calls that make tensors
and arrays are given their meaning, and every other object is either looked into, for tensors
that it holds, or left out.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from rmtviz.checkpoint import Tensor
from rmtviz.formats import _arrays as arrays
from rmtviz.formats import _legacy as legacy
from rmtviz.formats._legacy import DTYPES, STORAGES, UNTYPED, plain
from rmtviz.formats._quantised import number
from rmtviz.formats.base import LOOSE, RECORD, Contents, Leaf, Node, flat, place, row_major
from rmtviz.formats.pickles import Global, Made, Outside
from rmtviz.formats.sources import Blob, Limits, Source, short

_LOADED = "torch.storage._load_from_bytes"
_REBUILD = "torch._utils._rebuild_"
_WRAPPED = (f"{_REBUILD}parameter", f"{_REBUILD}parameter_with_state")
_STRIDED = (f"{_REBUILD}tensor", f"{_REBUILD}tensor_v2", f"{_REBUILD}tensor_v3")
_QUANTISED = f"{_REBUILD}qtensor"
_TYPED = ("torch._tensor._rebuild_from_type", "torch._tensor._rebuild_from_type_v2")


@dataclass(slots=True)
class Objects:
    """The objects of one file on their way to a tree of tensors; each is met once."""

    source: Source
    limits: Limits
    storages: Mapping[str, Blob]
    order: Literal["<", ">"] = "<"
    met: dict[int, Node] = field(default_factory=dict)

    def contents(self, value: object) -> Contents:
        """Return what the file holds, from the object that its pickle describes."""
        node = self.node(value, "", 0)
        parts = _parts(value) or {}
        if isinstance(node, Mapping):
            tree = {name: item for name, item in node.items() if name != RECORD}
        elif _matters(node):
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
        if isinstance(value, Made) and (array := arrays.found(value)):
            return self._array(array, name)
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
            case [Made(name=loader, args=[data]), *rest] if (
                function in _STRIDED and loader == _LOADED
            ):
                held = legacy.parse(
                    Source.of(arrays.raw(data) or b"", self.source.name), self.limits
                )
                nested = Objects(self.source, self.limits, held.storages)
                return nested._rebuilt(function, (held.value, *rest), name, depth + 1)
            case [storage, start, shape, strides, tuple(how), *_] if function == _QUANTISED:
                codes = self._rebuilt(_STRIDED[0], (storage, start, shape, strides), name, depth)
                return self._numbers(codes, how, name, depth)
        if function in _STRIDED:
            raise self.source.refuse("pytorch_tensor", name=short(name))
        return Leaf(short(function.rpartition("_rebuild_")[2]), "tensor_kind")

    def _numbers(self, codes: Node, how: tuple[object, ...], name: str, depth: int) -> Node:
        """Return the numbers that a quantised tensor's codes stand for, as the tensor says."""
        match how:
            case [Global(name="torch.per_tensor_affine"), float(scale), int(zero)]:
                one = np.array([scale, zero], np.float64)
                beside: list[Node] = [Tensor.of(one[:1]), Tensor.of(one[1:])]
            case [Global(name="torch.per_channel_affine"), Made() as scale, Made() as zero, 0]:
                beside = [self.node(each, name, depth + 1) for each in (scale, zero)]
            case _:
                return Leaf("qtensor", "tensor_kind")
        found = [each for each in (codes, *beside) if isinstance(each, Tensor)]
        made = number(found[0], found[1:]) if len(found) == 3 else None
        return made or Leaf("qtensor", "tensor_kind")

    def _array(self, array: arrays.Found, name: str) -> Node:
        """Return the tensor of a numpy array whose bytes stand in the pickle itself."""
        dtype = arrays.number_type(array.dtype)
        if dtype is None or array.data is None:
            return Leaf("ndarray", "tensor_kind")
        blob = Source.of(array.data, self.source.name)
        shape = array.shape
        counts = [side if type(side) is int and side >= 0 else 0 for side in shape]
        tensor = place(
            self.source,
            name,
            dtype,
            shape,
            blob=blob,
            strides=row_major(counts[::-1])[::-1] if array.fortran else None,
            limits=self.limits,
        )
        if tensor.nbytes != blob.length:
            raise self.source.refuse("tensor_bounds", name=short(name))
        return tensor

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
            case ["storage", Global(name=kind), str(key), _, int(count), *more]:
                held = STORAGES.get(plain(kind))
            case _:
                raise self.source.refuse("pytorch_tensor", name=short(name))
        dtype = held
        if kind == UNTYPED:
            dtype = next((DTYPES.get(it.name) for it in rest if isinstance(it, Global)), None)
        lazily = any(isinstance(it, dict) and (it.get("conj") or it.get("neg")) for it in rest)
        if held is None or dtype is None or lazily:
            return Leaf(short(kind.rpartition(".")[2]), "tensor_kind")
        entry = self.storages.get(key)
        match more:
            case [[str(), int(first), int(seen)], *_]:
                start, count = start + first, first + seen
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
    if pairs := value.pairs or _written(value):
        return _named(pairs)
    state = _state(value)
    if state is None:
        held = value.items or (value.state if isinstance(value.state, list | tuple) else None)
        return _parts(held or value.args)
    return _module(state) if {"_parameters", "_modules"} <= state.keys() else _named(state)


def _written(value: Made) -> dict[object, object]:
    """Return the pairs of an ordered dict as Python 2 writes it: as a list, with the call."""
    match value:
        case Made(name="collections.OrderedDict", args=[[*items]]):
            pairs = [item for item in items if isinstance(item, list | tuple) and len(item) == 2]
            return {key: part for key, part in pairs if isinstance(key, str)}
    return {}


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
    if isinstance(value, Made) and arrays.found(value):
        return Leaf("ndarray", "tensor_kind")
    name = value.name if isinstance(value, Made | Global) else type(value).__name__
    return Leaf(short(name.rpartition(".")[2]))
