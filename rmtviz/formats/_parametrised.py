"""Weights that a layer makes of several tensors when it runs, put together as it does.

Weight normalisation and spectral normalisation (both as hooks, `weight_g`, and as
parametrisations, `parametrizations.weight.original0`), and the masks of `torch.nn.utils.prune`.
Other parametrisations, such as the orthogonal one, compute what the file does not say: their
tensors are left out with that reason. What was put together is written back as a plain weight.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtviz.checkpoint import Skipped, Tensor
from rmtviz.formats.base import Combined

Array = NDArray[Any]
Tensors = Mapping[str, Tensor]

_PARAMETRISED = re.compile(r"^(?P<stem>.*?)parametrizations\.(?P<name>[^.]+)\.(?P<part>.+)$")

_WANTED = (("original1", "original0"), ("original", "0._u", "0._v"))
"""What a parametrisation that is put together has inside: weight and spectral normalisation."""


def recombined(tensors: Tensors) -> tuple[dict[str, Tensor], tuple[Skipped, ...]]:
    """Return the tensors with the weights that run in the place of what they are made of."""
    kept = dict(tensors)
    left: list[Skipped] = []
    for target, names in _groups(tensors):
        parts = [tensors.get(name) for name in names]
        rule = _rule(names, [part for part in parts if part])
        if rule is None or target in tensors or None in parts:
            continue
        first = kept[names[0]]
        held = tuple(kept.pop(name) for name in names)
        kept[target] = Tensor(first.shape, first.dtype, Combined(rule, held, first.dtype))
        for name, it in zip(names, held, strict=True):
            left.append(Skipped(name, it.shape, it.dtype.name, "recombined", target))
    for name in [name for name in kept if _PARAMETRISED.match(name)]:
        it = kept.pop(name)
        left.append(Skipped(name, it.shape, it.dtype.name, "parametrised"))
    return kept, tuple(left)


def normalised(v: Array, g: Array) -> Array:
    """Return g v/‖v‖, the norm over every side on which g has one entry only.

    Source: Salimans and Kingma (2016), arXiv 1602.07868, equation 2.
    """
    sides = tuple(i for i, side in enumerate(g.shape) if side == 1) if g.shape else None
    norms: Array = np.sqrt(np.sum(np.abs(v) ** 2, axis=sides, keepdims=bool(g.shape)))
    return g * v / norms


def over_norm(w: Array, u: Array, v: Array) -> Array:
    """Return W/σ with σ = uᴴ W v, where u and v are near the first singular directions.

    A transposed convolution has its outputs on the second side. Where the lengths fit both,
    the larger σ is the right one: for the other side u and v are strangers.
    Source: Miyato and others (2018), arXiv 1802.05957, equation 8.
    """
    matrices = [np.moveaxis(w, side, 0).reshape(w.shape[side], -1) for side in (0, 1)]
    fitting = (m for m in matrices if m.shape == (len(u), len(v)))
    return w / max(float((u.conj() @ m @ v).real) for m in fitting)


def masked(w: Array, mask: Array) -> Array:
    """Return the weights that were not pruned, and zeros."""
    return w * mask


def _groups(tensors: Tensors) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the names of weights that are perhaps made of others, and the names of these."""
    found = {name: match for name in tensors if (match := _PARAMETRISED.match(name))}
    inside: dict[tuple[str, str], set[str]] = {}
    for name, match in found.items():
        before = name.removesuffix(match["part"])
        inside.setdefault((before, match["stem"] + match["name"]), set()).add(match["part"])
    for (before, target), parts in inside.items():
        for wanted in _WANTED:
            if parts == set(wanted):
                yield target, tuple(before + part for part in wanted)
    for name in tensors:
        if name.endswith("_v") and f"{name[:-2]}_g" in tensors:
            yield name[:-2], (name, f"{name[:-2]}_g")
        if name.endswith("_orig"):
            stem = name.removesuffix("_orig")
            yield stem, (name, f"{stem}_u", f"{stem}_v")
            yield stem, (name, f"{stem}_mask")


def _rule(names: tuple[str, ...], parts: list[Tensor]) -> Callable[..., Array] | None:
    """Return how such tensors make a weight; None where their shapes say that they do not."""
    if len(parts) != len(names) or not parts[0].floating or not parts[0].size:
        return None
    shape, *others = (part.shape for part in parts)
    if len(parts) == 3:
        fits = [
            others == [(side,), (parts[0].size // side,)] for side in shape[:2] if len(shape) > 1
        ]
        return over_norm if any(fits) else None
    if names[1].endswith("_mask"):
        return masked if others[0] == shape else None
    wide = [i for i, side in enumerate(others[0]) if side != 1]
    alone = not others[0] or (len(others[0]) == len(shape) and len(wide) <= 1)
    return normalised if alone and all(others[0][i] == shape[i] for i in wide) else None
