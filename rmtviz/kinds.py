"""How a tensor holds a layer's matrix: the bijections tensor ⇄ matrix, and how to tell them.

A layer's matrix has a row for each output and a column for each input; a convolution's, for
each input at each place of its window, in the order (inputs, window). Every kind is an order
of the tensor's axes that puts the outputs first, so each is undone exactly.

Which kind a tensor is, its shape seldom says alone. In this order: what the checkpoint's record
says (key "kinds", written by readers of files that know, or by a person), the name, the length
of the bias. Nothing else is guessed.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]
Array = NDArray[Any]

EMBEDDING = re.compile(
    r"(^|[._])((tok|word|position|pos)?_?(wte|wpe|emb|embed|embedding)s?|relative_attention_bias)($|[._])"
)
"""Own names of tables whose rows are looked up and not multiplied."""

BACKWARDS = re.compile(r"(^|[._/])(de|up)_?conv|conv\dd?_?transpose|transposed?_?conv")
"""Names of transposed convolutions, whose tensor has its inputs first."""

CONV1D = re.compile(r"(^|[._])c_(attn|fc|proj)($|[._])")
"""Names that GPT-2 gives to layers which hold their inputs first, and nanoGPT to plain ones."""

KERNEL = re.compile(r"(^|[._/])(recurrent_)?kernel(:0)?$")
"""Last parts of names in Keras and Flax, where the outputs are the last axis."""


BIAS = re.compile(r"bias$|(^|[._/])bias:0$|(^|[._])intercepts_\.\d+$")
"""Ends of names of what is added, whatever its sides: Keras's GRU has two rows of them."""

COEFFICIENTS = re.compile(r"(^|[._])coefs_\.(?=\d+$)")
"""Names of scikit-learn's weights, which have the outputs last; `intercepts_` are the biases."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A bijection between tensors of `sides` (fewest, most) axes and matrices.

    `axes(d)` is the order of the d axes that makes them (outputs, inputs, window…);
    `window` whether there is a window; `pairs` whether a matrix of lower rank can be
    stored as two tensors of this kind that are applied one after the other. The outputs are
    the first `leading` of the ordered axes: two in a stack of matrices, one below the other.
    """

    axes: Callable[[int], Shape]
    sides: tuple[int, int]
    window: bool = False
    pairs: bool = True
    leading: int = 1

    def to_matrix(self, tensor: Array) -> Array:
        """Return the matrix (m × n) that a tensor holds."""
        moved = tensor.transpose(self.axes(tensor.ndim))
        return moved.reshape(self.shape(tensor.shape))

    def from_matrix(self, matrix: Array, shape: Shape) -> Array:
        """Return the tensor of this shape that holds a matrix."""
        axes = self.axes(len(shape))
        moved = matrix.reshape([shape[axis] for axis in axes])
        return np.ascontiguousarray(moved.transpose(np.argsort(axes)))

    def shape(self, shape: Shape) -> tuple[int, int]:
        """Return the sides (m, n) of the matrix that a tensor of this shape holds."""
        moved = self.moved(shape)
        return math.prod(moved[: self.leading]), math.prod(moved[self.leading :])

    def pair(self, shape: Shape, rank: int) -> tuple[Shape, Shape]:
        """Return the shapes of the two tensors that stand for one of rank r.

        The first maps to r outputs and has the window, the second has a window of one place.
        """
        outputs, inputs, *window = self.moved(shape)
        first = (rank, inputs, *window)
        return self._back(first), self._back((outputs, rank, *(1 for _ in window)))

    def whole(self, first: Shape, second: Shape) -> Shape | None:
        """Return the shape of the one tensor that such a pair stands for; None: it is no pair."""
        low, high = self.sides
        if len(first) != len(second) or not low <= len(first) <= high or 0 in (*first, *second):
            return None
        (rank, *rest), (outputs, inner, *window) = self.moved(first), self.moved(second)
        fits = self.pairs and rank == inner and set(window) <= {1}
        return self._back((outputs, *rest)) if fits else None

    def moved(self, shape: Shape) -> Shape:
        """Return the sides of a tensor in the order (outputs, inputs, window…)."""
        return tuple(shape[axis] for axis in self.axes(len(shape)))

    def _back(self, moved: Shape) -> Shape:
        return tuple(moved[place] for place in np.argsort(self.axes(len(moved))))


def _kept(sides: int) -> Shape:
    return tuple(range(sides))


def _inputs_first(sides: int) -> Shape:
    return (1, 0, *range(2, sides))


def _outputs_last(sides: int) -> Shape:
    return (sides - 1, sides - 2, *range(sides - 2))


SINGLE: Mapping[str, Kind] = {
    "linear": Kind(_kept, (2, 2)),
    "transposed": Kind(_inputs_first, (2, 2)),
    "convolution": Kind(_kept, (3, 5), window=True),
    "transposed_convolution": Kind(_inputs_first, (3, 5), window=True),
    "convolution_outputs_last": Kind(_outputs_last, (3, 5), window=True),
    "bilinear": Kind(_kept, (3, 3), pairs=False),
    "embedding": Kind(_kept, (2, 2), pairs=False),
    **dict.fromkeys(("rnn", "gru", "lstm"), Kind(_kept, (3, 3), pairs=False, leading=2)),
}

PAIRS: Mapping[str, str] = {
    name: "factored" if name == "linear" else f"factored_{name}"
    for name, kind in SINGLE.items()
    if kind.pairs
}
"""The name of the kind of a layer that is stored as two tensors, by the kind of the two."""

ADAPTERS: Mapping[str, str] = {"linear": "lora", "convolution": "lora_convolution"}
"""The name of the kind of a low-rank update (LoRA, Hu and others 2021), by the kind of its two."""

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        **SINGLE,
        **{pair: SINGLE[name] for table in (PAIRS, ADAPTERS) for name, pair in table.items()},
    }
)
"""How the tensor of a layer, or each of its two, holds a matrix, by the layer's kind."""


def kind(name: str, shape: Shape, bias: int | None, backwards: bool) -> str:
    """Return the kind of a tensor of two to five sides, by its name and its bias's length.

    `backwards` says whether the file's layers named as GPT-2 names them have inputs first.
    """
    last = KERNEL.search(name) is not None or COEFFICIENTS.search(name) is not None
    inputs_first = bias == shape[1] != shape[0]
    if len(shape) == 2:
        named = backwards and bias in (None, shape[1]) and CONV1D.search(name) is not None
        return "transposed" if last or inputs_first or named else "linear"
    if len(shape) == 3 and "bilinear" in name.lower():
        return "bilinear"
    if last:
        return "convolution_outputs_last"
    named = bias in (None, shape[1]) and BACKWARDS.search(name.lower()) is not None
    return "transposed_convolution" if inputs_first or named else "convolution"


def bias_name(name: str) -> str:
    """Return the name that the bias beside a tensor of this name has."""
    if KERNEL.search(name):
        return re.sub(r"(recurrent_)?kernel(:0)?$", r"bias\2", name)
    if COEFFICIENTS.search(name):
        return COEFFICIENTS.sub(r"\1intercepts_.", name)
    return name.removesuffix(".weight") + ".bias"


QKV = ("q", "k", "v")
"""What attention calls its queries, keys and values."""

FUSED: Sequence[tuple[re.Pattern[str], tuple[str, ...]]] = (
    (re.compile(r"(^|[._])(in_proj|c_attn|w?qkv(_proj)?|to_qkv)(_weight)?$"), QKV),
    (re.compile(r"(^|[._])(c_attn|to_kv)$"), ("k", "v")),
)
"""Own names of several layers in one tensor, one below the other, and what these are.

Not among them is `query_key_value`: its rows alternate from head to head, and the number of
heads is not in the file.
"""

GATES: Mapping[int, tuple[str, ...]] = {4: ("i", "f", "g", "o"), 3: ("r", "z", "n")}
"""The gates of an LSTM and of a GRU, in PyTorch's order, by their number."""

STACKED: Mapping[str, tuple[str, ...]] = {
    "rnn": ("",),
    "gru": ("z", "r", "n"),
    "lstm": ("i", "o", "f", "g"),
}
"""The gates in a recurrent tensor of ONNX (directions, gates · h, inputs), in its order, by kind.

They have PyTorch's letters: what ONNX calls c and h are g and n there.
"""

RECURRENT = re.compile(r"(^|[._])weight_(ih|hh)(?P<end>_l\d+(_reverse)?)?$")


def fused(name: str, matrix: tuple[int, int]) -> tuple[str, ...]:
    """Return what the equal blocks of rows of a fused attention tensor are; none for others."""
    own = name.removesuffix(".weight").lower()
    rows, columns = matrix
    for names, labels in FUSED:
        free = own.endswith(("to_qkv", "to_kv")) and rows % len(labels) == 0
        if names.search(own) and (rows == len(labels) * columns or free):
            return labels
    return ()


def beside(name: str) -> tuple[str, str]:
    """Return the names of the hidden-to-hidden and of the projecting tensor of this cell."""
    found = RECURRENT.search(name)
    if found is None:
        return "", ""
    stem, end = name[: found.start()] + found[1], found["end"] or ""
    return f"{stem}weight_hh{end}", f"{stem}weight_hr{end}"


def gates(name: str, rows: int, hidden: Shape) -> tuple[str, ...]:
    """Return the gates in a recurrent tensor; `hidden` are (gates · h, h) of its cell."""
    if RECURRENT.search(name) is None or len(hidden) != 2 or not hidden[1]:
        return ()
    labels = GATES.get(hidden[0] // hidden[1], ())
    return labels if hidden[0] == len(labels) * hidden[1] == rows else ()


def stacked(kind: str, shape: Shape) -> tuple[str, ...]:
    """Return what the equal blocks of rows of a recurrent tensor of ONNX are; none for others."""
    labels = STACKED.get(kind, ())
    if not labels or shape[0] not in (1, 2) or shape[1] % len(labels):
        return ()
    if shape[0] == 1:
        return labels if len(labels) > 1 else ()
    ways = ("forward", "backward")
    return tuple(f"{way}.{label}".rstrip(".") for way in ways for label in labels)


def groups(convolutions: Mapping[str, Shape], outputs: Sequence[int]) -> Mapping[str, int]:
    """Return the number of groups of those convolutions that show it, by name.

    The tensor of a convolution in g groups has only a g-th of its inputs. `convolutions` come
    in the order in which they follow; `outputs` are the numbers of outputs of all layers. One
    input after a layer of C outputs, where C divides the outputs, is depthwise: C groups. For
    others the file has to show no layer that could give so few inputs, more than four groups
    (fewer may be a gate or a reshuffle), and a layer before that gives all.
    """
    found: dict[str, int] = {}
    given = set(outputs)
    before = 0
    for name, shape in convolutions.items():
        rows, columns = shape[:2]
        named = re.search(r"(^|[._/])(dw|depthwise)", name.lower()) is not None
        if columns == 1 and rows > 1 and (named or (before > 1 and rows % before == 0)):
            found[name] = rows if before < 2 or rows % before else before
        elif columns > 1 and before > 4 * columns and before % columns == 0:
            count = before // columns
            if rows % count == 0 and columns not in given:
                found[name] = count
        before = rows
    return found
