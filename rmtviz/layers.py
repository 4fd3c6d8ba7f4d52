"""Which tensors are layers, as matrices; what is skipped and why; in which order they follow.

A layer `L` is a floating tensor `L.weight` whose kind (see `kinds`) says how it holds a matrix,
or one of several equal blocks of rows of such a matrix: query, key and value in one tensor,
the gates of a recurrent layer, the groups of a convolution. A factored layer `L` is a pair
`L.0.weight`, `L.1.weight` that the checkpoint's own record names: its matrix is the product.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtviz import kinds
from rmtviz.chains import chain as chain
from rmtviz.checkpoint import BUFFERS, Checkpoint, Skipped, Tensor, double
from rmtviz.errors import CannotRun
from rmtviz.heads import Block, Heads, blocks, role
from rmtviz.kinds import ADAPTERS, KINDS, PAIRS, Kind
from rmtviz.pairs import adapters, pair_kind, scale
from rmtviz.pairs import alpha_at as alpha_at
from rmtviz.pairs import factored_pairs as factored_pairs
from rmtviz.pairs import holds as holds
from rmtviz.pairs import natural as natural
from rmtviz.pairs import suspected_pairs as suspected_pairs
from rmtviz.pairs import told_kinds as told_kinds


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that acts as an m × n' matrix: its name, kind, tensors, and (m, n').

    `part` is (index, of) where the layer is one of so many equal blocks of rows of the
    matrix that its tensor holds; of columns where it lies `across`; that block of each of so
    many equal `groups` of rows. `twins` are tensors with the same numbers as its first:
    weights that are tied, and stay so. `scale` is what the product of two tensors is
    multiplied by: in a low-rank update W + s B A. `codes` is the type of the codes that stand
    for the weights where they are stored, if any do.
    """

    name: str
    kind: str
    tensors: tuple[str, ...]
    shape: tuple[int, int]
    part: tuple[int, int] | None = None
    twins: tuple[str, ...] = ()
    scale: float = 1.0
    groups: int = 1
    across: bool = False
    codes: str = ""

    @property
    def factored(self) -> bool:
        """Whether the layer is stored as two tensors."""
        return len(self.tensors) == 2

    @property
    def adapter(self) -> bool:
        """Whether it is a low-rank update of another layer."""
        return self.kind in ADAPTERS.values()

    @property
    def rule(self) -> Kind:
        """The bijection between each of the layer's tensors and its matrix."""
        return KINDS[self.kind]

    @property
    def pairs(self) -> bool:
        """Whether the layer can be stored as two tensors; a table that is looked up cannot."""
        return self.part is None and self.rule.pairs and not any(map(_table, self.twins))

    @property
    def place(self) -> tuple[Any, Any]:
        """The rows and columns that are this layer's in the matrix that its tensor holds."""
        if self.part is None:
            return slice(None), slice(None)
        index, of = self.part
        side = self.shape[self.across] // self.groups
        starts = side * (index + of * np.arange(self.groups))
        chosen = (starts[:, None] + np.arange(side)).ravel()
        mine = slice(index * side, (index + 1) * side) if self.groups == 1 else chosen
        return (slice(None), mine) if self.across else (mine, slice(None))

    @property
    def stem(self) -> str:
        """The name without that of its part."""
        return self.name[: self.name.rfind("[")] if self.part else self.name

    def whole(self, checkpoint: Checkpoint) -> "Layer":
        """Return the layer that its tensors are, of which it may be a part."""
        if self.part is None:
            return self
        shape = self.rule.shape(checkpoint.tensors[self.tensors[0]].shape)
        return replace(self, name=self.stem, shape=shape, part=None, groups=1, across=False)

    def matrix(self, checkpoint: Checkpoint) -> NDArray[Any]:
        """Return the layer's matrix, in the numbers in which it is stored; a pair's in double."""
        held = self.held(checkpoint)
        if not self.factored:
            part: NDArray[Any] = held[0][self.place]
            return part
        first, second = map(double, held)
        product: NDArray[Any] = self.scale * (second @ first)
        return product

    def held(self, checkpoint: Checkpoint) -> list[NDArray[Any]]:
        """Return the matrices that the layer's tensors hold, the first one first."""
        return [self.rule.to_matrix(checkpoint[name]) for name in self.tensors]

    def parameters(self, checkpoint: Checkpoint) -> int:
        """The number of stored weights, without the bias."""
        total = sum(checkpoint.tensors[name].size for name in self.tensors)
        return total // self.part[1] if self.part else total

    def holding(self, tensor: Tensor, matrix: NDArray[Any]) -> Tensor:
        """Return this layer's one tensor with another matrix in the place of the layer's."""
        array = matrix.astype(tensor.written)
        if self.part:
            whole = self.rule.to_matrix(tensor.read()).astype(tensor.written)
            whole[self.place] = array
            array = whole
        return Tensor.of(self.rule.from_matrix(array, tensor.shape))

    def tied(self) -> Iterator["Layer"]:
        """Yield this layer under the names of its twins."""
        for twin in self.twins:
            name = _stem(twin) + self.name.removeprefix(self.stem)
            if self.factored:
                name = twin.removesuffix(".0.weight")
                yield replace(self, name=name, tensors=(twin, f"{name}.1.weight"), twins=())
            else:
                yield replace(self, name=name, tensors=(twin,), twins=())

    @property
    def uses(self) -> int:
        """How often its matrix is multiplied by: under its own name and those of its twins."""
        return 1 + sum(not _table(twin) for twin in self.twins)

    @property
    def bias(self) -> str:
        """The name that this layer's bias has, if there is one."""
        return kinds.bias_name(self.tensors[-1])


def find(checkpoint: Checkpoint) -> tuple[tuple[Layer, ...], tuple[Skipped, ...]]:
    """Return the layers, in the order in which they follow, and every other tensor with its reason.

    Convolutions go by their names, and before a chain of other layers. Where the shapes do
    not chain, or chain in several ways, the order is that of the names.
    """
    pairs, updates = factored_pairs(checkpoint), adapters(checkpoint)
    layers = [_pair(checkpoint, name, *pair) for name, pair in pairs.items()]
    layers += [_update(checkpoint, name, *pair) for name, pair in updates.items()]
    skipped = list(checkpoint.left_out)
    taken = {name for pair in (*pairs.values(), *updates.values()) for name in pair}
    rest = {name: t for name, t in checkpoint.tensors.items() if name not in taken}
    others, heads = _others(checkpoint), Heads.recorded(checkpoint.about)
    known = _kinds(checkpoint, {name: t for name, t in rest.items() if name not in others})
    convolved = {name: rest[name].shape for name in rest if known.get(name) == "convolution"}
    outputs = [KINDS[kind].shape(rest[name].shape)[0] for name, kind in known.items()]
    ordered = {name: convolved[name] for name in sorted(convolved, key=natural)}
    groups = {**kinds.groups(ordered, outputs), **_groups(checkpoint)}
    names = set(checkpoint.tensors) | set(pairs) | set(updates)
    for name, tensor in rest.items():
        kind = known.get(name)
        count = groups.get(name, 1) if name in convolved else 1
        reason = None if kind else _reason(name, tensor) or others.get(name)
        if count > 1 and tensor.shape[1] == 1:
            reason = "depthwise"
        if reason or kind is None:
            skipped.append(Skipped(name, tensor.shape, tensor.dtype.name, reason or "vector"))
            continue
        stem = _stem(name)
        label = name if stem in names and stem != name else stem
        layers += _blocks(checkpoint, name, kind, label, count, heads)
    once, tied = _tied(
        checkpoint, layers, [item.name for item in skipped if item.reason == "embedding"]
    )
    skipped = [item for item in skipped if item.name not in tied]
    for name, other in tied.items():
        tensor = checkpoint.tensors[name]
        reason = "tied" if checkpoint.shares(name, other) else "alike"
        skipped.append(Skipped(name, tensor.shape, tensor.dtype.name, reason, other))
    return _ordered(once), tuple(sorted(skipped, key=lambda item: natural(item.name)))


def every(checkpoint: Checkpoint) -> tuple[Layer, ...]:
    """Return the layers as a network runs them: one that has several names under each of them."""
    found = (each for layer in find(checkpoint)[0] for each in (layer, *layer.tied()))
    return _ordered([each for each in found if not _table(each.tensors[0])])


def _tied(
    checkpoint: Checkpoint, layers: Sequence[Layer], tables: Sequence[str]
) -> tuple[Sequence[Layer], Mapping[str, str]]:
    """Return each layer once, with its tensor's other names; and those names with the first one.

    A layer of another kind on the same tensor is no twin; a table that is looked up is one.
    """
    twins = checkpoint.twins
    once: dict[tuple[object, ...], Layer] = {}
    first: dict[str, str] = {}
    for layer in layers:
        key: tuple[object, ...] = (
            *(twins.get(name, name) for name in layer.tensors),
            layer.kind,
            layer.part,
            layer.groups,
            layer.across,
            layer.name if layer.adapter else "",  # an update is nobody's twin
        )
        known = once.setdefault(key, layer)
        if known is not layer:
            once[key] = replace(known, twins=(*known.twins, layer.tensors[0]))
            first |= zip(layer.tensors, known.tensors, strict=True)
    looked: dict[str, list[str]] = {}
    for name in tables:
        looked.setdefault(twins.get(name, name), []).append(name)
    for key, layer in list(once.items()):
        others = () if layer.factored else looked.pop(str(key[0]), ())  # of the first alone
        once[key] = replace(layer, twins=(*layer.twins, *others))
        first |= dict.fromkeys(others, layer.tensors[0])
    return list(once.values()), first


def _pair(checkpoint: Checkpoint, name: str, first: str, second: str) -> Layer:
    """Return the factored layer of two tensors."""
    kind = pair_kind(checkpoint, first, second) or "linear"
    a, b = (KINDS[kind].shape(checkpoint.tensors[each].shape) for each in (first, second))
    return Layer(name, PAIRS[kind], (first, second), (b[0], a[1]))


def _update(checkpoint: Checkpoint, name: str, first: str, second: str) -> Layer:
    """Return the low-rank update that two tensors are."""
    pair = _pair(checkpoint, name, first, second)
    kind = ADAPTERS[pair_kind(checkpoint, first, second) or "linear"]
    return replace(pair, kind=kind, scale=scale(checkpoint, first))


def _blocks(
    checkpoint: Checkpoint, name: str, kind: str, label: str, groups: int, heads: Heads | None
) -> Iterator[Layer]:
    """Yield the layers in one tensor: itself, or its equal blocks of rows, called `label[part]`."""
    tensor = checkpoint.tensors[name]
    sides, coded = tensor.shape, tensor.codes
    rows, columns = KINDS[kind].shape(sides)
    labels: Sequence[str] = kinds.stacked(kind, sides)
    if groups > 1 and rows % groups == 0:
        labels = [str(group) for group in range(groups)]
    plain = KINDS[kind].leading == 1 and not KINDS[kind].window
    if plain or name.removesuffix(".weight").endswith(("to_qkv", "to_kv")):
        labels = kinds.fused(name, (rows, columns)) or kinds.gates(
            name, rows, _hidden(checkpoint, name)
        )
    parts = [Block(part, index, len(labels)) for index, part in enumerate(labels)]
    if heads and plain and (what := role(name, checkpoint.tensors, tuple(labels) == kinds.QKV)):
        parts = blocks(what, (rows, columns), heads) or parts
    if not parts:
        yield Layer(label, kind, (name,), (rows, columns), codes=coded)
    for each in parts:
        shape = (rows, columns // each.of) if each.across else (rows // each.of, columns)
        layer = Layer(f"{label}[{each.label}]", kind, (name,), shape, (each.index, each.of))
        yield replace(layer, groups=each.groups, across=each.across, codes=coded)


def _ordered(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Return the layers in the order in which they follow, as far as it can be known."""
    by_name = sorted(layers, key=lambda layer: natural(layer.name))
    windows = [layer for layer in by_name if layer.rule.window]
    others = [layer for layer in by_name if not layer.rule.window]
    if any(layer.kind.endswith("transposed_convolution") for layer in windows):
        return tuple(by_name)
    try:
        return (*windows, *chain(others))
    except CannotRun:
        return tuple(by_name)


def _kinds(checkpoint: Checkpoint, tensors: Mapping[str, Tensor]) -> Mapping[str, str]:
    """Return the kind of every tensor that can be a layer, by name."""
    recorded = told_kinds(checkpoint)
    known: dict[str, str] = {}
    open_names: list[str] = []
    for name, tensor in tensors.items():
        told = recorded.get(name, "")
        if told in kinds.SINGLE and holds(told, tensor):
            known[name] = told
        elif _reason(name, tensor) is None:
            open_names.append(name)
    lengths = {name: _length(checkpoint, kinds.bias_name(name)) for name in open_names}
    backwards = any(
        kinds.CONV1D.search(name) and lengths[name] == shape[1] != shape[0]
        for name in open_names
        if len(shape := tensors[name].shape) == 2
    )
    for name in open_names:
        known[name] = kinds.kind(name, tensors[name].shape, lengths[name], backwards)
    return known


def _others(checkpoint: Checkpoint) -> Mapping[str, str]:
    """Return the reasons on record, by name, why tensors that look like layers are none."""
    record = checkpoint.about.get("others")
    entries = record.items() if isinstance(record, dict) else ()
    return {name: reason for name, reason in entries if reason in ("embedding", "constant", "bias")}


def _groups(checkpoint: Checkpoint) -> Mapping[str, int]:
    """Return what the checkpoint's record says of the groups of its convolutions, by name."""
    record = checkpoint.about.get("groups")
    entries = record.items() if isinstance(record, dict) else ()
    return {name: count for name, count in entries if type(count) is int and count > 0}


def _hidden(checkpoint: Checkpoint, name: str) -> tuple[int, ...]:
    """Return the shape of the hidden-to-hidden tensor beside a recurrent one: (gates · h, h)."""
    hidden, projection = kinds.beside(name)
    found = checkpoint.tensors.get(hidden), checkpoint.tensors.get(projection)
    shapes = [tensor.shape for tensor in found if tensor and len(tensor.shape) == 2]
    return (shapes[0][0], shapes[-1][1]) if shapes else ()


def _length(checkpoint: Checkpoint, bias: str) -> int | None:
    """Return the length of a bias, or None where there is none."""
    tensor = checkpoint.tensors.get(bias)
    return tensor.shape[0] if tensor and tensor.floating and len(tensor.shape) == 1 else None


def bias(checkpoint: Checkpoint, layer: Layer) -> str | None:
    """Return the name of the layer's bias tensor, or None where it has none."""
    tensor = checkpoint.tensors.get(layer.bias)
    fits = tensor is not None and tensor.floating and tensor.shape == (layer.shape[0],)
    return layer.bias if fits else None


def _stem(name: str) -> str:
    return name.removesuffix(".weight")


def _reason(name: str, tensor: Tensor) -> str | None:
    """Return why a tensor is no layer, as a key under `skipped`; None where it is one."""
    if name.rpartition(".")[2] in BUFFERS:
        return "buffer"
    if not tensor.floating:
        return "not_floating"
    if not math.prod(tensor.shape):
        return "empty"
    if kinds.BIAS.search(name):
        return "bias"
    if len(tensor.shape) < 2:
        return "vector"
    if len(tensor.shape) > 5:
        return "many_sides"
    if "depthwise_kernel" in name:
        return "depthwise"
    if _table(name):
        return "embedding"
    return "vector" if len(tensor.shape) > 2 and tensor.size == max(tensor.shape) else None


def _table(name: str) -> bool:
    """Return whether a name is that of a table whose rows are looked up."""
    owner = [part for part in _stem(name).lower().split(".") if not part.isdecimal()][-1:]
    return bool(owner) and kinds.EMBEDDING.search(owner[0]) is not None
