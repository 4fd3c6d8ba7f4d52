"""Which tensors are layers, as matrices; what is skipped and why; in which order they follow.

A linear layer `L` is a floating tensor `L.weight` with two sides (rows = outputs,
columns = inputs). A factored layer `L` is a pair `L.0.weight` (r × n), `L.1.weight` (m × r)
that the checkpoint's own record names: its matrix is the product, m × n.
"""

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtviz.checkpoint import BUFFERS, Checkpoint, Skipped, Tensor
from rmtviz.errors import CannotRun, OrderUnknown

EMBEDDING = re.compile(r"(^|[._])(tok|word|position|pos)?_?(wte|wpe|emb|embed|embedding)s?($|[._])")
"""Own names of tables whose rows are looked up and not multiplied."""


def _linear(parts: Sequence[NDArray[np.floating]]) -> NDArray[np.floating]:
    return parts[0]


def _factored(parts: Sequence[NDArray[np.floating]]) -> NDArray[np.floating]:
    return np.asarray(parts[1], dtype=np.float64) @ np.asarray(parts[0], dtype=np.float64)


KINDS: Mapping[str, Callable[[Sequence[NDArray[np.floating]]], NDArray[np.floating]]] = {
    "linear": _linear,
    "factored": _factored,
}
"""How the tensors of a layer become its matrix, by kind."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that acts as an m × n' matrix: its name, kind, tensors, and (m, n')."""

    name: str
    kind: str
    tensors: tuple[str, ...]
    shape: tuple[int, int]

    def matrix(self, checkpoint: Checkpoint) -> NDArray[np.floating]:
        """Return the layer's matrix, in the numbers in which it is stored."""
        return KINDS[self.kind]([checkpoint[name] for name in self.tensors])

    def parameters(self, checkpoint: Checkpoint) -> int:
        """The number of stored weights, without the bias."""
        return sum(checkpoint.tensors[name].size for name in self.tensors)

    @property
    def bias(self) -> str:
        """The name that this layer's bias has, if there is one."""
        return _stem(self.tensors[-1]) + ".bias"


def find(checkpoint: Checkpoint) -> tuple[tuple[Layer, ...], tuple[Skipped, ...]]:
    """Return the layers, in the order in which they follow, and every other tensor with its reason.

    Where the shapes do not chain, or chain in several ways, the order is that of the names.
    """
    layers: list[Layer] = []
    taken: set[str] = set()
    pairs = factored_pairs(checkpoint)
    for name, (first, second) in pairs.items():
        a, b = checkpoint.tensors[first], checkpoint.tensors[second]
        layers.append(Layer(name, "factored", (first, second), (b.shape[0], a.shape[1])))
        taken |= {first, second}
    skipped = list(checkpoint.left_out)
    for name, tensor in checkpoint.tensors.items():
        if name in taken:
            continue
        reason = _reason(name, tensor)
        if reason is None:
            stem = _stem(name)
            label = name if stem in checkpoint or stem in pairs else stem
            layers.append(Layer(label, "linear", (name,), (tensor.shape[0], tensor.shape[1])))
        else:
            skipped.append(Skipped(name, tensor.shape, tensor.dtype.name, reason))
    try:
        ordered = chain(layers)
    except CannotRun:
        ordered = tuple(sorted(layers, key=lambda layer: natural(layer.name)))
    return ordered, tuple(sorted(skipped, key=lambda item: natural(item.name)))


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
        a, b = checkpoint.tensors.get(first), checkpoint.tensors.get(second)
        matrices = a and b and len(a.shape) == len(b.shape) == 2 and a.floating and b.floating
        taken = str(name) in checkpoint
        if a and b and matrices and not taken and a.shape[0] == b.shape[1] and a.size and b.size:
            pairs[str(name)] = (first, second)
    return pairs


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
    if len(tensor.shape) > 2:
        return "convolution" if len(tensor.shape) in (3, 4, 5) else "many_sides"
    owner = [part for part in _stem(name).lower().split(".") if not part.isdecimal()][-1:]
    return "embedding" if owner and EMBEDDING.search(owner[0]) else None


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
