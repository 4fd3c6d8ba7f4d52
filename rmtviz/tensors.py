"""One tensor that is read when asked for, and the types of numbers that are read as weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

GLANCE = 64
"""So many numbers of two tensors are compared before all are."""

FLOATS: Mapping[str, np.dtype] = MappingProxyType(
    {
        np.dtype(kind).name: np.dtype(kind)
        for kind in (
            np.float64,
            np.float32,
            np.float16,
            ml_dtypes.bfloat16,
            ml_dtypes.float8_e4m3fn,
            ml_dtypes.float8_e4m3fnuz,
            ml_dtypes.float8_e5m2,
            ml_dtypes.float8_e5m2fnuz,
        )
    }
)
"""The floating dtypes that are read as numbers, by name."""

COMPLEX = ("complex64", "complex128")
"""The complex dtypes that are: two floating numbers beside each other, which count as one."""

COARSE = tuple(name for name in FLOATS if name.startswith("float8"))
"""Those of eight bits: changed weights would lose in them what is measured here, and overflow."""


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """One tensor that is read when asked for: shape, dtype, and how to load its numbers.

    `codes` is the type of the codes that stand for its numbers where it came from and is written
    back to, `packed` the bytes that it takes there.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    load: Callable[[], NDArray[Any]]
    codes: str = ""
    packed: int | None = None

    @classmethod
    def of(cls, array: NDArray[Any]) -> "Tensor":
        """Return a tensor that holds a read-only copy of this array."""
        copy = np.array(array, order="C")
        copy.flags.writeable = False
        return cls(copy.shape, copy.dtype, lambda: copy)

    def read(self) -> NDArray[Any]:
        """Return the numbers, read-only, C order, of the stated shape and dtype."""
        array = np.require(self.load(), requirements=["C"])
        array = array.view() if array.flags.writeable else array
        array.flags.writeable = False
        return array

    def start(self) -> bytes:
        """Return the first bytes of the numbers, where that is possible without the others."""
        some = getattr(self.load, "start", self.load)()
        return some.reshape(-1)[:GLANCE].tobytes()

    @property
    def size(self) -> int:
        """The number of elements."""
        count = 1
        for side in self.shape:
            count *= side
        return count

    @property
    def nbytes(self) -> int:
        """The bytes of the elements as numbers."""
        return self.size * self.dtype.itemsize

    @property
    def stored(self) -> int:
        """The bytes of the elements as stored."""
        return self.nbytes if self.packed is None else self.packed

    @property
    def written(self) -> np.dtype:
        """The number type in which changed weights are stored: the same, or bfloat16 for 8 bits."""
        return np.dtype(ml_dtypes.bfloat16) if self.dtype.name in COARSE else self.dtype

    @property
    def floating(self) -> bool:
        """Whether the elements are floating-point numbers that we read, real or complex."""
        return self.dtype.name in FLOATS or self.dtype.name in COMPLEX


def precise(dtype: np.dtype) -> type[np.float64] | type[np.complex128]:
    """Return the type of double precision in which numbers of a dtype are computed."""
    return np.complex128 if dtype.kind == "c" else np.float64


def double(array: NDArray[Any]) -> NDArray[Any]:
    """Return the numbers in float64, or in complex128 where they are complex."""
    return array.astype(precise(array.dtype), copy=False)
