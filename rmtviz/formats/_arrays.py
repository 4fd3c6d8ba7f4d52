"""numpy's arrays inside a pickle: what the calls that make them would have made."""

import re
from dataclasses import dataclass

import numpy as np

from rmtviz.formats.base import EXTENDED
from rmtviz.formats.pickles import Global, Made

_MODULES = ("numpy.core.", "numpy._core.")
_EMPTY = tuple(f"{module}multiarray._reconstruct" for module in _MODULES)
_BUFFER = tuple(f"{module}numeric._frombuffer" for module in _MODULES)
_JAX = "jax._src.array._reconstruct_array"
_CODE = re.compile(r"[?]|[biufc][0-9]{1,2}")


@dataclass(frozen=True, slots=True)
class Found:
    """An array as a pickle describes it; `data` is None where the bytes are elsewhere."""

    shape: tuple[object, ...]
    dtype: object
    fortran: bool
    data: bytes | None


def found(value: Made) -> Found | None:
    """Return the array that a call would have made, or None where it makes none."""
    state = value.state
    if value.name == _JAX and len(value.args) > 2:
        state = value.args[2]
    elif value.name in _BUFFER:
        match value.args:
            case [data, dtype, tuple(shape), order, *_]:
                return Found(shape, dtype, order == "F", raw(data))
        return None
    elif value.name not in _EMPTY:
        return None
    match state:
        case [_, tuple(shape), dtype, bool(fortran), data]:
            return Found(shape, dtype, fortran, raw(data))
    return Found((), None, False, None)


def number_type(value: object) -> np.dtype | None:
    """Return the number type that a pickle describes, or None where it is of no numbers."""
    match value:
        case Made(name="numpy.dtype", args=[str(code), *_], state=[_, str(order), *_]):
            pass
        case Made(name="numpy.dtype", args=[Global(name=name), *_]):
            return EXTENDED.get(name.rpartition(".")[2])
        case _:
            return None
    if not _CODE.fullmatch(code):
        return None
    try:
        return np.dtype(code).newbyteorder(">" if order == ">" else "<")
    except TypeError:
        return None


def raw(value: object) -> bytes | None:
    """Return the bytes that stand here; before protocol 3 they are text and a call."""
    match value:
        case bytes() | bytearray():
            return bytes(value)
        case Made(name="_codecs.encode", args=[str(text), "latin1" | "latin-1"]):
            try:
                return text.encode("latin-1")
            except UnicodeEncodeError:
                return None
    return None
