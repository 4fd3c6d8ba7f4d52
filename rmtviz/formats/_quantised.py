"""Quantised weights as the numbers that they stand for; codes are never shown as weights.

A code q of 8 bits stands for s (q − z): its scale s and zero point z are tensors beside it, one
for all, one a row, or one a block. 8-bit floating-point numbers without stand for themselves. Codes
of fewer bits are packed in ways that the file does not tell (with or without an offset, in this or
that order), and are left out with that reason. What is read is written back as plain numbers.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rmtviz.checkpoint import COARSE, FLOATS, Skipped, Tensor
from rmtviz.formats.base import Combined

Array = NDArray[np.float64]
Tensors = Mapping[str, Tensor]

SCALES = ("{0}_scale_inv", "{0}_scale", "{0}.scale", "{1}.SCB", "{1}.scale_weight", "{1}.scale")
"""Names of scales, by those of the codes with and without ".weight": of compressed-tensors and
DeepSeek (whose `scale_inv` is multiplied by, too), of bitsandbytes, and of others."""

ZEROS = ("{0}_zero_point", "{0}.zero_point", "{1}.zero_point")
"""Names of zero points."""

PACKED = ("qweight", "qzeros", "weight_packed")
"""Last parts of names of codes of fewer than eight bits, as GPTQ, AWQ and others have them."""

BESIDE = ("scales", "weight_scale")
"""What stands beside such codes."""

BLOCK = 128
"""The side of a block where the tensor's side is no multiple of the number of blocks."""

FULL = 127.0
"""What a scale of bitsandbytes is divided by: it is the largest number of its row."""


def dequantised(tensors: Tensors) -> tuple[dict[str, Tensor], tuple[Skipped, ...]]:
    """Return the tensors with the numbers in the place of codes and scales, and what these were."""
    made = dict(tensors)
    left: list[Skipped] = []
    for name, codes in tensors.items():
        if _packed(name, tensors) or f"{name}.absmax" in tensors:
            del made[name]
            left.append(Skipped(name, codes.shape, codes.dtype.name, "codes"))
            stem = name.removesuffix(name.rpartition(".")[2])
            for near in (f"{stem}{scales}" for scales in BESIDE):
                if it := made.pop(near, None):  # once, of codes and of their zero points
                    left.append(Skipped(near, it.shape, it.dtype.name, "beside"))
        elif _coded(codes):
            scale, *zero = (next(_beside(tensors, name, names), "") for names in (SCALES, ZEROS))
            used = [each for each in (scale, *zero) if each]
            unit = FULL if scale.endswith(".SCB") else 1.0
            found = number(codes, [tensors[each] for each in used], unit) if scale else None
            if found:
                made[name] = found
                for each in used:
                    it = made.pop(each, tensors[each])
                    left.append(Skipped(each, it.shape, it.dtype.name, "scale", name))
    return made, tuple(left)


def _packed(name: str, tensors: Tensors) -> bool:
    """Return whether a tensor holds several codes in a number, as its name and its scales say."""
    last = name.rpartition(".")[2]
    stem = name.removesuffix(last)
    return last in PACKED and any(f"{stem}{scales}" in tensors for scales in BESIDE)


def blocks(scales: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return how many elements on each side of a shape one scale is for; None: they do not fit.

    One scale is for all; a vector of them has one for each row.
    """
    if math.prod(scales) == 1:
        return shape
    sides = scales + (1,) * (len(shape) - 1) if len(scales) == 1 else scales
    if len(sides) != len(shape) or 0 in sides:
        return None
    found = tuple(
        side // count if side % count == 0 else BLOCK
        for side, count in zip(shape, sides, strict=True)
    )
    covered = all(
        -(-side // block) == n for side, block, n in zip(shape, found, sides, strict=True)
    )
    return found if covered else None


def spread(values: Array, shape: tuple[int, ...]) -> Array:
    """Return scales as one for each element, sides of one block as 1."""
    sizes = blocks(values.shape, shape) or shape
    counts = [-(-side // block) for side, block in zip(shape, sizes, strict=True)]
    values = values.reshape(counts)
    for axis, (side, block, count) in enumerate(zip(shape, sizes, counts, strict=True)):
        if count > 1:
            values = np.take(np.repeat(values, block, axis), range(side), axis)
    return values


def number(codes: Tensor, beside: Sequence[Tensor], unit: float = 1.0) -> Tensor | None:
    """Return the tensor of numbers that codes stand for, by a scale and perhaps a zero point.

    None where these do not fit, or codes without a sign have no zero point.
    """
    signed = codes.dtype.kind != "u" or len(beside) == 2
    fits = all(blocks(each.shape, codes.shape) for each in beside)
    if not (signed and fits and beside[0].dtype.name in FLOATS):
        return None
    dtype = np.dtype(np.float32)
    return Tensor(codes.shape, dtype, Combined(partial(_affine, unit), (codes, *beside), dtype))


def _affine(unit: float, codes: Array, scale: Array, zero: Array | None = None) -> Array:
    """Return s (q − z), the scale in units of `unit`."""
    if zero is not None:
        codes = codes - spread(zero, codes.shape)
    return codes * spread(scale / unit, codes.shape)


def _coded(tensor: Tensor) -> bool:
    """Return whether a tensor may be one of codes."""
    kind = tensor.dtype.name
    return tensor.size > 0 and (
        (len(tensor.shape) > 1 and kind in ("int8", "uint8")) or kind in COARSE
    )


def _beside(tensors: Tensors, name: str, names: tuple[str, ...]) -> Iterator[str]:
    stem = name.removesuffix(".weight")
    return (found for each in names if (found := each.format(name, stem)) in tensors)
