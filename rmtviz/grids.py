"""How codes stand for numbers: s (q − z), with scale and zero point along the codes."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtviz.checkpoint import COARSE

SCALES = ("float16", "bfloat16", "float32", "float64")
"""The types that a scale may have, and with it the numbers that are made of codes."""

INTEGERS = {f"{sign}int{bits}": bits for bits in (2, 4, 8, 16) for sign in ("", "u")}
"""The types of codes that numbers are rounded to, and their bits."""

READ = (*INTEGERS, "int32", "float4_e2m1fn", *COARSE)
"""The types of codes that are read."""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Scale and zero point, by their names in the graph, and how they lie along the codes.

    One for all; one for each place along `axis`; or one for each `block` places along it.
    """

    names: tuple[str, ...]
    scale: NDArray[Any]
    zero: NDArray[Any] | None
    axis: int
    block: int

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Return whether there is a scale, and perhaps a zero point, for each code."""
        known = self.scale.dtype.name in SCALES
        known &= self.zero is None or self.zero.dtype.name in READ
        each = (self.scale, self.scale if self.zero is None else self.zero)
        return known and all(self._sides(it.shape, shape) is not None for it in each)

    def numbers(self, codes: NDArray[Any]) -> NDArray[Any]:
        """Return s (q − z), in the type of the scale."""
        with np.errstate(all="ignore"):
            shifted = codes.astype(np.float64) - self._spread(self.zero, codes.shape)
            return (shifted * self._spread(self.scale, codes.shape)).astype(self.scale.dtype)

    def rounded(self, numbers: NDArray[Any], dtype: np.dtype) -> NDArray[np.float64]:
        """Return the codes of a type that numbers x become: x/s + z, to even from halves."""
        scale = self._spread(self.scale, numbers.shape).astype(np.float32)
        count = 2 ** INTEGERS[dtype.name]
        least = 0 if dtype.name.startswith("u") else -count // 2
        with np.errstate(all="ignore"):
            near = np.rint(numbers.astype(np.float32) / scale).astype(np.float64)
            near = np.nan_to_num(near, nan=0.0) + self._spread(self.zero, numbers.shape)
        codes: NDArray[np.float64] = np.clip(near, least, least + count - 1)
        return codes

    def _sides(self, sides: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """Return the sides with which numbers of these sides go along codes of this shape."""
        if math.prod(sides) == 1:
            return (1,) * len(shape)
        if not -len(shape) <= self.axis < len(shape) or self.block < 0:
            return None
        axis = self.axis % len(shape)
        if self.block:
            counts = (*shape[:axis], -(-shape[axis] // self.block), *shape[axis + 1 :])
            return sides if sides == counts else None
        along = tuple(side if place == axis else 1 for place, side in enumerate(shape))
        return along if sides == shape[axis : axis + 1] else None

    def _spread(self, each: NDArray[Any] | None, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Return scales or zero points so that they go along codes of this shape."""
        if each is None:
            return np.zeros(())
        numbers = each.astype(np.float64).reshape(self._sides(each.shape, shape) or ())
        if not self.block or numbers.size == 1:
            return numbers
        return np.repeat(numbers, self.block, self.axis).take(
            range(shape[self.axis]), axis=self.axis
        )
