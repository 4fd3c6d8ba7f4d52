"""Routines that numpy does not offer, from the BLAS and LAPACK that it brings along.

numpy's wheels carry OpenBLAS whole. Called directly, its dsyrk adds to a Gram matrix in place
(numpy makes a second one for each block of columns: 2.7 times the time for 4096 × 11,008), and
so does zherk for complex numbers; its two-stage dsyevd is faster for large matrices and
overwrites its input, and its dsyevr finds a few eigenvectors without the others (16 of 512: a
third of the time). None holds the interpreter lock. Where numpy has another library beneath
it, its own functions do the same.
"""

import ctypes
import functools
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

Array = NDArray[np.float64]

TWO_STAGE = 3072
"""From this side on, two stages are faster than one; measured with one and with two at a time."""

_NAMES = tuple((prefix, suffix) for prefix in ("scipy_", "") for suffix in ("64_", ""))
"""What the builds of OpenBLAS put before and after the names of their routines."""

_ROW_MAJOR, _LOWER, _AS_IT_IS, _TRANSPOSED = 101, 122, 111, 112


def one_thread() -> AbstractContextManager[object]:
    """Let BLAS use one thread inside the block."""
    limited: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="blas")
    return limited


def add_gram(total: NDArray[Any], block: NDArray[Any]) -> None:
    """Add B Bᴴ to a p × p matrix in C order, for a block B of p rows; both real or both complex.

    Only the lower triangle counts: what the upper one holds afterwards is undefined.
    """
    paired = np.iscomplexobj(block)
    update = _routine("cblas_zherk{}" if paired else "cblas_dsyrk{}")
    if update is None:
        with np.errstate(over="ignore", invalid="ignore"):
            total += block @ block.conj().T
        return
    if paired or not block.flags.f_contiguous:  # zherk of the transpose would be the conjugate
        block = np.ascontiguousarray(block)
    p, columns = block.shape
    order, lead = (_AS_IT_IS, columns) if block.flags.c_contiguous else (_TRANSPOSED, p)
    one, place = ctypes.c_double(1.0), ctypes.c_void_p
    update(
        *map(_int, (_ROW_MAJOR, _LOWER, order, p, columns)),
        *(one, place(block.ctypes.data), _int(lead)),
        *(one, place(total.ctypes.data), _int(p)),
    )


def eigenvalues(gram: NDArray[Any]) -> Array:
    """Return the eigenvalues, ascending, of a Hermitian matrix in C order; it is overwritten.

    Only its lower triangle counts.

    Raises:
        np.linalg.LinAlgError: the search for them did not converge.
    """
    staged = len(gram) >= TWO_STAGE and not np.iscomplexobj(gram)
    dsyevd = _routine("dsyevd_2stage_{}") if staged else None
    if dsyevd is None:
        return np.asarray(np.linalg.eigvalsh(gram), dtype=np.float64)
    return _two_stage(dsyevd, gram)


def _two_stage(dsyevd: Callable[..., None], gram: Array) -> Array:
    """Return the eigenvalues by LAPACK's dsyevd_2stage (values only: JOBZ = N)."""
    size, info, found = _int(len(gram)), _int(0), np.empty(len(gram))

    def call(work: Array, whole: NDArray[np.int64], works: int, wholes: int) -> None:
        # To LAPACK, which counts by columns, the lower triangle of C order is the upper one.
        dsyevd(
            *(b"N", b"U", ctypes.byref(size), ctypes.c_void_p(gram.ctypes.data)),
            *(ctypes.byref(size), ctypes.c_void_p(found.ctypes.data)),
            *(ctypes.c_void_p(work.ctypes.data), ctypes.byref(_int(works))),
            *(ctypes.c_void_p(whole.ctypes.data), ctypes.byref(_int(wholes))),
            *(ctypes.byref(info), ctypes.c_size_t(1), ctypes.c_size_t(1)),
        )
        if info.value:
            raise np.linalg.LinAlgError("the eigenvalues did not converge")

    work, whole = np.empty(1), np.ones(1, dtype=np.int64)
    call(work, whole, -1, -1)  # asks how much room it needs
    work, whole = np.empty(int(work[0])), np.empty(len(gram) + 3, dtype=np.int64)
    call(work, whole, len(work), len(whole))
    return found


def leading(gram: Array, count: int) -> Array:
    """Return the eigenvectors (p × count) of a symmetric matrix's largest values, largest first.

    The matrix, in C order, is overwritten; only its lower triangle counts.

    Raises:
        np.linalg.LinAlgError: the search for them did not converge.
    """
    dsyevr = _routine("dsyevr_{}")
    if dsyevr is None:
        vectors = np.linalg.eigh(gram)[1][:, ::-1]
        return np.asarray(vectors[:, :count], dtype=np.float64)
    p, whole = len(gram), np.empty(2 * count, dtype=np.int64)
    values, vectors = np.empty(p), np.empty((count, p))
    size, info, found = _int(p), _int(0), _int(0)
    place, unused, zero = ctypes.c_void_p, ctypes.byref(ctypes.c_double(0)), ctypes.c_double(0)

    def call(work: Array, wholes: NDArray[np.int64], length: int, many: int) -> None:
        # The largest are the last ones: those from p − count + 1 to p.
        dsyevr(
            *(b"V", b"I", b"U", ctypes.byref(size), place(gram.ctypes.data), ctypes.byref(size)),
            *(unused, unused, ctypes.byref(_int(p - count + 1)), ctypes.byref(size)),
            *(ctypes.byref(zero), ctypes.byref(found), place(values.ctypes.data)),
            *(place(vectors.ctypes.data), ctypes.byref(size), place(whole.ctypes.data)),
            *(place(work.ctypes.data), ctypes.byref(_int(length))),
            *(place(wholes.ctypes.data), ctypes.byref(_int(many)), ctypes.byref(info)),
            *(ctypes.c_size_t(1),) * 3,
        )
        if info.value:
            raise np.linalg.LinAlgError("the eigenvectors did not converge")

    work, wholes = np.empty(1), np.ones(1, dtype=np.int64)
    call(work, wholes, -1, -1)  # asks how much room it needs
    work, wholes = np.empty(int(work[0])), np.empty(int(wholes[0]), dtype=np.int64)
    call(work, wholes, len(work), len(wholes))
    return vectors[::-1].T


@functools.cache
def _libraries() -> ThreadpoolController:
    """Return the libraries that are loaded; to look for them takes a millisecond."""
    return ThreadpoolController()


_int = ctypes.c_int64
"""Every integer goes as 64 bits: on a little-endian machine one of 32 is read right from it."""


@functools.cache
def _routine(name: str) -> Callable[..., None] | None:
    """Return a routine of the OpenBLAS that is loaded; None where there is none."""
    if sys.byteorder != "little" or sys.maxsize < 2**32:
        return None
    for library in _libraries().info():
        if library["internal_api"] == "openblas":
            loaded = ctypes.CDLL(library["filepath"])
            for prefix, suffix in _NAMES:
                if hasattr(loaded, full := prefix + name.format(suffix)):
                    found: Callable[..., None] = loaded[full]
                    return found
    return None
