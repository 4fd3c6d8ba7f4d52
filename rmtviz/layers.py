"""Which tensors are layers, as matrices; what is skipped and why; in which order they follow.

A layer `L` is a floating tensor `L.weight` whose kind (see `kinds`) says how it holds a matrix,
or one of several equal blocks of rows of such a matrix: query, key and value in one tensor,
the gates of a recurrent layer, the groups of a convolution. A factored layer `L` is a pair
`L.0.weight`, `L.1.weight` that the checkpoint's own record names: its matrix is the product.
"""

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtviz import kinds
from rmtviz.checkpoint import BUFFERS, Checkpoint, Skipped, Tensor
from rmtviz.errors import CannotRun, OrderUnknown
from rmtviz.kinds import KINDS, PAIRS, Kind


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that acts as an m × n' matrix: its name, kind, tensors, and (m, n').

    `part` is (index, of) where the layer is one of so many equal blocks of rows of the
    matrix that its tensor holds.
    """

    name: str
    kind: str
    tensors: tuple[str, ...]
    shape: tuple[int, int]
    part: tuple[int, int] | None = None

    @property
    def factored(self) -> bool:
        """Whether the layer is stored as two tensors."""
        return len(self.tensors) == 2

    @property
    def rule(self) -> Kind:
        """The bijection between each of the layer's tensors and its matrix."""
        return KINDS[self.kind]

    @property
    def rows(self) -> slice:
        """The rows that are this layer's in the matrix that its tensor holds."""
        start = self.part[0] * self.shape[0] if self.part else 0
        return slice(start, start + self.shape[0])

    def matrix(self, checkpoint: Checkpoint) -> NDArray[np.floating]:
        """Return the layer's matrix, in the numbers in which it is stored; a pair's in float64."""
        held = [self.rule.to_matrix(checkpoint[name]) for name in self.tensors]
        if not self.factored:
            return held[0][self.rows]
        first, second = (np.asarray(each, dtype=np.float64) for each in held)
        return second @ first

    def parameters(self, checkpoint: Checkpoint) -> int:
        """The number of stored weights, without the bias."""
        total = sum(checkpoint.tensors[name].size for name in self.tensors)
        return total // self.part[1] if self.part else total

    def holding(self, tensor: Tensor, matrix: NDArray[np.float64]) -> Tensor:
        """Return this layer's one tensor with another matrix in the place of the layer's."""
        array = matrix.astype(tensor.dtype)
        if self.part:
            whole = self.rule.to_matrix(tensor.read()).copy()
            whole[self.rows] = array
            array = whole
        return Tensor.of(self.rule.from_matrix(array, tensor.shape))

    @property
    def bias(self) -> str:
        """The name that this layer's bias has, if there is one."""
        return kinds.bias_name(self.tensors[-1])


def find(checkpoint: Checkpoint) -> tuple[tuple[Layer, ...], tuple[Skipped, ...]]:
    """Return the layers, in the order in which they follow, and every other tensor with its reason.

    Convolutions go by their names, and before a chain of other layers. Where the shapes do
    not chain, or chain in several ways, the order is that of the names.
    """
    pairs = factored_pairs(checkpoint)
    layers = [_pair(checkpoint, name, *pair) for name, pair in pairs.items()]
    skipped = list(checkpoint.left_out)
    taken = {name for pair in pairs.values() for name in pair}
    rest = {name: t for name, t in checkpoint.tensors.items() if name not in taken}
    others = _others(checkpoint)
    known = _kinds(checkpoint, {name: t for name, t in rest.items() if name not in others})
    convolved = {name: rest[name].shape for name in rest if known.get(name) == "convolution"}
    outputs = [KINDS[kind].shape(rest[name].shape)[0] for name, kind in known.items()]
    ordered = {name: convolved[name] for name in sorted(convolved, key=natural)}
    groups = {**kinds.groups(ordered, outputs), **_groups(checkpoint)}
    names = set(checkpoint.tensors) | set(pairs)
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
        layers += _blocks(checkpoint, name, kind, label, count)
    return _ordered(layers), tuple(sorted(skipped, key=lambda item: natural(item.name)))


def _pair(checkpoint: Checkpoint, name: str, first: str, second: str) -> Layer:
    """Return the factored layer of two tensors."""
    kind = _pair_kind(checkpoint, first, second) or "linear"
    a, b = (KINDS[kind].shape(checkpoint.tensors[each].shape) for each in (first, second))
    return Layer(name, PAIRS[kind], (first, second), (b[0], a[1]))


def _blocks(
    checkpoint: Checkpoint, name: str, kind: str, label: str, groups: int
) -> Iterator[Layer]:
    """Yield the layers in one tensor: itself, or its equal blocks of rows, called `label[part]`."""
    rows, columns = KINDS[kind].shape(checkpoint.tensors[name].shape)
    labels: Sequence[str] = ()
    if groups > 1 and rows % groups == 0:
        labels = [str(group) for group in range(groups)]
    if not KINDS[kind].window or name.removesuffix(".weight").endswith(("to_qkv", "to_kv")):
        labels = kinds.fused(name, (rows, columns)) or kinds.gates(
            name, rows, _hidden(checkpoint, name)
        )
    if not labels:
        yield Layer(label, kind, (name,), (rows, columns))
        return
    for index, part in enumerate(labels):
        shape = (rows // len(labels), columns)
        yield Layer(f"{label}[{part}]", kind, (name,), shape, (index, len(labels)))


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


def told_kinds(checkpoint: Checkpoint) -> Mapping[str, str]:
    """Return what the checkpoint's record says of the kinds of its tensors, by name."""
    record = checkpoint.about.get("kinds")
    entries = record.items() if isinstance(record, dict) else ()
    return {name: kind for name, kind in entries if type(kind) is str}


def _others(checkpoint: Checkpoint) -> Mapping[str, str]:
    """Return the reasons on record, by name, why tensors that look like layers are none."""
    record = checkpoint.about.get("others")
    entries = record.items() if isinstance(record, dict) else ()
    return {name: reason for name, reason in entries if reason in ("embedding", "constant")}


def _groups(checkpoint: Checkpoint) -> Mapping[str, int]:
    """Return what the checkpoint's record says of the groups of its convolutions, by name."""
    record = checkpoint.about.get("groups")
    entries = record.items() if isinstance(record, dict) else ()
    return {name: count for name, count in entries if type(count) is int and count > 0}


def holds(kind: str, tensor: Tensor) -> bool:
    """Return whether a tensor can be of a kind."""
    low, high = KINDS[kind].sides
    return tensor.floating and low <= len(tensor.shape) <= high and tensor.size > 0


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


def chain(layers: Iterable[Layer], order: Sequence[str] | None = None) -> tuple[Layer, ...]:
    """Return the layers so that each one's inputs are the outputs of the one before.

    Shapes decide; between equal shapes the natural order of the names. Where shapes allow
    several orders, names that differ only in their numbers decide; else somebody must be
    asked, and `order` (all layer names) is the answer.

    Raises:
        OrderUnknown: several orders, and the names do not decide.
        CannotRun: no order chains, or `order` does not.
    """
    by_name = {layer.name: layer for layer in sorted(layers, key=lambda x: natural(x.name))}
    if order is not None:
        if sorted(order) != sorted(by_name):
            raise CannotRun("order_names", order=", ".join(order), names=", ".join(by_name))
        given = tuple(by_name[name] for name in order)
        if not _chains(given):
            raise CannotRun("order_shapes", shapes=_shapes(given))
        return given
    named = tuple(by_name.values())
    if not named:
        raise CannotRun("no_layers")
    if _chains(named) and len({re.sub(r"\d+", "#", layer.name) for layer in named}) == 1:
        return named
    found = _orders(named, limit=2)
    if not found:
        raise CannotRun("no_chain", shapes=_shapes(named))
    if len(found) > 1:
        raise OrderUnknown("order_unknown", shapes=_shapes(named), names=", ".join(by_name))
    return found[0]


def bias(checkpoint: Checkpoint, layer: Layer) -> str | None:
    """Return the name of the layer's bias tensor, or None where it has none."""
    tensor = checkpoint.tensors.get(layer.bias)
    fits = tensor is not None and tensor.floating and tensor.shape == (layer.shape[0],)
    return layer.bias if fits else None


def factored_pairs(checkpoint: Checkpoint) -> Mapping[str, tuple[str, str]]:
    """Return the pairs that the checkpoint's record names as one layer, by layer name."""
    pairs: dict[str, tuple[str, str]] = {}
    recorded = checkpoint.about.get("factored", [])
    for name in recorded if isinstance(recorded, list) else []:
        first, second = f"{name}.0.weight", f"{name}.1.weight"
        if str(name) not in checkpoint and _pair_kind(checkpoint, first, second):
            pairs[str(name)] = (first, second)
    return pairs


def _pair_kind(checkpoint: Checkpoint, first: str, second: str) -> str | None:
    """Return the kind of the two tensors of a factored layer; None where they can be none."""
    tensors = [checkpoint.tensors.get(name) for name in (first, second)]
    told = told_kinds(checkpoint).get(second, "")
    for kind in [told] if told in PAIRS else ["linear", "convolution"]:
        a, b = tensors
        if a and b and holds(kind, a) and holds(kind, b):
            return kind if KINDS[kind].whole(a.shape, b.shape) else None
    return None


def suspected_pairs(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Return the layers that look factored without a record that says so: to ask about.

    That is `L.0.weight` (r × n) without a bias and `L.1.weight` (m × r), where r is smaller
    than both m and n. Whether an activation runs between the two, the file cannot say.
    """
    known = factored_pairs(checkpoint)
    names = []
    for first, a in checkpoint.tensors.items():
        stem = first.removesuffix(".0.weight")
        b = checkpoint.tensors.get(f"{stem}.1.weight")
        if stem == first or stem in known or b is None or f"{stem}.0.bias" in checkpoint:
            continue
        matrices = len(a.shape) == len(b.shape) == 2
        if matrices and a.shape[0] == b.shape[1] and a.shape[0] < min(a.shape[1], b.shape[0]):
            names.append(stem)
    return tuple(sorted(names, key=natural))


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """Return a sort key under which "layer10" follows "layer9"."""
    parts = re.split(r"(\d+)", name)
    numbers = [part.lstrip("0") for part in parts]
    key = (
        (len(number), number) if part.isdecimal() else (-1, part)
        for part, number in zip(parts, numbers, strict=True)
    )
    return (*key, (-2, name))  # "a01" and "a1" are equal so far


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
    if len(tensor.shape) < 2:
        return "bias" if name.endswith("bias") else "vector"
    if len(tensor.shape) > 5:
        return "many_sides"
    if "depthwise_kernel" in name:
        return "depthwise"
    owner = [part for part in _stem(name).lower().split(".") if not part.isdecimal()][-1:]
    if owner and kinds.EMBEDDING.search(owner[0]):
        return "embedding"
    return "vector" if len(tensor.shape) > 2 and tensor.size == max(tensor.shape) else None


def _chains(layers: Sequence[Layer]) -> bool:
    return all(a.shape[0] == b.shape[1] for a, b in itertools.pairwise(layers))


def _orders(layers: Sequence[Layer], limit: int) -> list[tuple[Layer, ...]]:
    """Return up to `limit` chains that differ in their shapes; equal shapes go by name order."""
    left = Counter(layer.shape for layer in layers)
    by_inputs: dict[int, list[tuple[int, int]]] = {}
    for each in left:
        by_inputs.setdefault(each[1], []).append(each)
    found: list[tuple[Layer, ...]] = []
    path: list[tuple[int, int]] = []
    choices: list[Iterator[tuple[int, int]]] = [iter(left)]
    steps = 0
    while choices and len(found) < limit and steps < 20_000:
        shape = next(choices[-1], None)
        if shape is None:
            choices.pop()
            if path:
                left[path.pop()] += 1
        elif left[shape]:
            steps += 1
            left[shape] -= 1
            path.append(shape)
            choices.append(iter(by_inputs.get(shape[0], [])))
            if len(path) == len(layers):
                named: dict[tuple[int, int], list[Layer]] = {}
                for layer in reversed(layers):
                    named.setdefault(layer.shape, []).append(layer)
                found.append(tuple(named[each].pop() for each in path))
    return found


def _shapes(layers: Sequence[Layer]) -> str:
    return ", ".join(f"{layer.name} {layer.shape[0]}×{layer.shape[1]}" for layer in layers)
