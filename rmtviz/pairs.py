"""Which two tensors are one layer, by what the checkpoint's own record says of its names."""

import math
import re
from collections.abc import Mapping

import numpy as np

from rmtviz.checkpoint import FLOATS, Checkpoint, Tensor, precise
from rmtviz.kinds import ADAPTERS, KINDS, PAIRS

ADAPTER = re.compile(r"^(?P<stem>.*lora[._])(?P<word>A|down)(?P<end>(\.\w+)?(\.weight)?)$")
"""The first tensor of a low-rank update; for embeddings its name is another."""

SECOND = {"A": "B", "down": "up"}
"""What the second tensor has in the place of the first one's word."""


def told_kinds(checkpoint: Checkpoint) -> Mapping[str, str]:
    """Return what the checkpoint's record says of the kinds of its tensors, by name."""
    record = checkpoint.about.get("kinds")
    entries = record.items() if isinstance(record, dict) else ()
    return {name: kind for name, kind in entries if type(kind) is str}


def holds(kind: str, tensor: Tensor) -> bool:
    """Return whether a tensor can be of a kind."""
    low, high = KINDS[kind].sides
    return tensor.floating and low <= len(tensor.shape) <= high and tensor.size > 0


def factored_pairs(checkpoint: Checkpoint) -> Mapping[str, tuple[str, str]]:
    """Return the pairs that the checkpoint's record names as one layer, by layer name."""
    pairs: dict[str, tuple[str, str]] = {}
    recorded = checkpoint.about.get("factored", [])
    for name in recorded if isinstance(recorded, list) else []:
        first, second = f"{name}.0.weight", f"{name}.1.weight"
        if str(name) not in checkpoint and pair_kind(checkpoint, first, second):
            pairs[str(name)] = (first, second)
    return pairs


def adapters(checkpoint: Checkpoint) -> Mapping[str, tuple[str, str]]:
    """Return the pairs (A, B) of low-rank updates W + s B A, by their names as layers."""
    pairs: dict[str, tuple[str, str]] = {}
    for first in checkpoint.tensors:
        if found := ADAPTER.match(first):
            second = f"{found['stem']}{SECOND[found['word']]}{found['end']}"
            if pair_kind(checkpoint, first, second) in ADAPTERS:
                name = found["stem"].rstrip("._") + found["end"].removesuffix(".weight")
                pairs[name] = (first, second)
    return pairs


def scale(checkpoint: Checkpoint, first: str) -> float:
    """Return the scale s of an update: on record, or α/r where the file has its α; else 1."""
    told = checkpoint.about.get("scales")
    known = told.get(first) if isinstance(told, dict) else None
    if isinstance(known, float | int) and 0 < known < math.inf:
        return float(known)
    return _alpha(checkpoint, first)[1] / checkpoint.tensors[first].shape[0]


def alpha_at(checkpoint: Checkpoint, first: str, rank: int) -> dict[str, Tensor]:
    """Return the α, by its name, with which an update of this rank keeps its scale."""
    name, _ = _alpha(checkpoint, first)
    if name not in checkpoint:
        return {}
    old = checkpoint[name].astype(np.float64)
    new = old * rank / checkpoint.tensors[first].shape[0]
    return {name: Tensor.of(new.astype(checkpoint.tensors[name].dtype))}


def _alpha(checkpoint: Checkpoint, first: str) -> tuple[str, float]:
    """Return the name of the α beside an update, and α; the rank, where it is not there."""
    found = ADAPTER.match(first)
    stem = found["stem"].rstrip("._").removesuffix("lora") if found else ""
    name, rank = f"{stem}alpha", float(checkpoint.tensors[first].shape[0])
    tensor = checkpoint.tensors.get(name)
    if tensor is None or tensor.size != 1 or tensor.dtype.name not in FLOATS:
        return "", rank
    alpha = float(tensor.read().reshape(-1)[0])
    return (name, alpha) if math.isfinite(alpha) and alpha > 0 else ("", rank)


def pair_kind(checkpoint: Checkpoint, first: str, second: str) -> str | None:
    """Return the kind of the two tensors of a factored layer; None where they can be none."""
    tensors = [checkpoint.tensors.get(name) for name in (first, second)]
    told = told_kinds(checkpoint).get(second, "")
    for kind in [told] if told in PAIRS else ["linear", "convolution"]:
        a, b = tensors
        alike = a and b and precise(a.dtype) is precise(b.dtype)
        if a and b and alike and holds(kind, a) and holds(kind, b):
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
