"""The singular values of one matrix, and the conventions of the whole package.

W is m × n' (rows × columns). Everywhere p = min, n = max of the two sides, and the aspect
ratio is c = p/n in (0, 1]. Eigenvalues are those of (1/n) W Wᴴ (the p × p side): λ = s²/n.
σ² = E|w|² is the variance of the entries of the noise, real or complex. The law's edges are
λ± = σ² (1 ± √c)², in singular values √(n λ±) = σ (√n ± √p). Inside the package everything is
on the scale of eigenvalues; people are shown singular values unless they ask for eigenvalues.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from rmtviz import blas, markup
from rmtviz.checkpoint import double, precise
from rmtviz.words import say

Array = NDArray[np.float64]


BLOCK = 2**20
"""So many entries of a matrix are converted at a time, or as many as an eighth of a Gram matrix."""

DOUBLE = 2.0**-52
"""The relative rounding ε of float64."""

TINY = 1e-12
"""Where an eigenvalue is this share of the largest, the Gram matrix has lost its digits."""


class NotFiniteError(ValueError):
    """A matrix with NaN or infinite entries, or squares of them, has no spectrum."""


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """All p singular values of an m × n' matrix: descending, float64, read-only.

    `precision` is the relative rounding ε of the numbers in which the matrix is stored.
    `estimated` is 0 for exact values; else the values are quantiles (`estimation`), and it is the
    largest standard error of their distribution function, a share of the p values. `beta` is 1
    for a real matrix, 2 for a complex one: by it noise scatters, not its mean law.

    Raises:
        ValueError: not p values, or values that are negative, not finite or not descending.
    """

    values: Array
    shape: tuple[int, int]
    precision: float = DOUBLE
    estimated: float = 0.0
    beta: int = 1

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.float64)
        if values.shape != (min(self.shape),) or not values.size:
            raise ValueError(f"{values.shape} singular values cannot belong to {self.shape}")
        if not (np.isfinite(values).all() and values[-1] >= 0 and (np.diff(values) <= 0).all()):
            raise ValueError("singular values must be finite, non-negative and descending")
        values.flags.writeable = False
        object.__setattr__(self, "values", values)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: how many values, of what matrix, from where to where."""
        rows, columns = self.shape
        head = say(
            "notebook.spectrum",
            p=len(self.values),
            rows=rows,
            columns=columns,
            largest=self.values[0],
            smallest=self.values[-1],
        )
        note = say("notebook.estimated", error=self.estimated) if self.estimated else ""
        return markup.shown(head, note=note)

    @classmethod
    def of(cls, matrix: NDArray[Any]) -> "Spectrum":
        """Return the singular values of a matrix (m × n'), computed in double precision.

        By the Gram matrix, and where that would lose a small value by a full SVD instead.
        Both routes release the interpreter lock.

        Raises:
            ValueError: not two-dimensional, or empty.
            NotFiniteError: NaN or infinite entries, or so large that their squares are.
        """
        return cls.by_gram(matrix) or cls.by_svd(matrix)

    @classmethod
    def by_gram(cls, matrix: NDArray[Any]) -> "Spectrum | None":
        """Return the square roots of the eigenvalues of the Gram matrix of the smaller side.

        They are right to 1e-11 of the largest for any value that is not tiny beside it;
        None where one is: below 1e-6 of the largest. Raises what `of` raises.
        """
        return Gram.of(matrix).spectrum()

    @classmethod
    def by_product(
        cls, second: NDArray[Any], first: NDArray[Any], scale: float = 1.0
    ) -> "Spectrum":
        """Return the singular values of the product s B A (m × r and r × n) without making it.

        With B = Q R and Aᵀ = Q' R' they are those of the small s R R'ᵀ, and zeros.

        Raises:
            NotFiniteError: NaN or infinite entries, or so large that their squares are.
        """
        peak(second), peak(first)
        left, right = (np.linalg.qr(double(each)).R for each in (second, first.T))
        shape = (len(second), first.shape[1])
        values = np.zeros(min(shape))
        found = np.linalg.svd(scale * (left @ right.T), compute_uv=False)
        values[: len(found)] = found
        return cls(values, shape, rounding(second), beta=max(symmetry(second), symmetry(first)))

    @classmethod
    def by_svd(cls, matrix: NDArray[Any]) -> "Spectrum":
        """Return the singular values by a full SVD (LAPACK's gesdd). Raises what `of` raises."""
        wide = on_side(matrix)
        unit = peak(wide)
        full = wide.astype(precise(wide.dtype))
        full /= unit or 1.0
        values = np.asarray(np.linalg.svd(full, compute_uv=False), dtype=np.float64)
        shape = (int(matrix.shape[0]), int(matrix.shape[1]))
        return cls(unit * values, shape, rounding(matrix), beta=symmetry(matrix))

    @classmethod
    def gaussian(
        cls,
        shape: tuple[int, int],
        rng: np.random.Generator,
        sigma: float = 1.0,
        beta: int = 1,
    ) -> "Spectrum":
        """Draw the spectrum of a matrix of independent N(0, σ²) entries, without the matrix.

        Exact in law, from 2p − 1 random numbers: the singular values of a p × p bidiagonal
        matrix of independent χ variables, of β times as many degrees of freedom, over √β.
        Source: Dumitriu and Edelman, J. Math. Phys. 43 (2002) 5830.
        """
        from scipy.linalg import eigvalsh_tridiagonal

        p, n = min(shape), max(shape)
        d = rng.chisquare(beta * np.arange(n, n - p, -1.0)) / beta
        e = rng.chisquare(beta * np.arange(p - 1.0, 0.0, -1.0)) / beta
        diagonal = d + np.concatenate([[0.0], e])
        squares = eigvalsh_tridiagonal(diagonal, np.sqrt(d[:-1] * e))
        return cls(sigma * np.sqrt(np.maximum(squares[::-1], 0.0)), shape, beta=beta)

    @property
    def p(self) -> int:
        """The smaller side: the number of singular values."""
        return min(self.shape)

    @property
    def n(self) -> int:
        """The larger side."""
        return max(self.shape)

    @property
    def ratio(self) -> float:
        """The aspect ratio c = p/n."""
        return self.p / self.n

    @property
    def eigenvalues(self) -> Array:
        """λ = s²/n, descending."""
        return self.values**2 / self.n

    @property
    def energy(self) -> float:
        """The squared Frobenius norm Σ s²."""
        return float(self.values @ self.values)

    @property
    def hard_rank(self) -> int:
        """The number of values above the rounding of the numbers in which the matrix is stored.

        Rounding to a relative precision ε adds noise of at most ε/2 of each entry, whose largest
        value is about ½ ε ‖W‖_F (1/√p + 1/√n); in float64 the decomposition's own rounding, s₁ n ε,
        is larger.
        """
        sides = 1 / math.sqrt(self.p) + 1 / math.sqrt(self.n)
        stored = self.precision * math.sqrt(self.energy) * sides / 2
        return int(np.count_nonzero(self.values > max(stored, self.values[0] * self.n * DOUBLE)))

    def singular(self, eigenvalue: float) -> float:
        """Return the singular value √(n λ) of an eigenvalue λ."""
        return math.sqrt(self.n * eigenvalue)


@dataclass(frozen=True, slots=True, eq=False)
class Gram:
    """The Gram matrix W Wᴴ of the smaller side, in units of `unit`²; its lower triangle counts."""

    values: NDArray[Any]
    unit: float
    shape: tuple[int, int]
    precision: float
    beta: int

    @classmethod
    def of(cls, matrix: NDArray[Any]) -> "Gram":
        """Return the Gram matrix in double precision. Raises what `Spectrum.of` raises."""
        wide = on_side(matrix)
        shape = (int(matrix.shape[0]), int(matrix.shape[1]))
        values, about = _gram(wide, 1.0), (shape, rounding(matrix), symmetry(matrix))
        if 1e-200 < values.diagonal().real.max() < 1e200:
            return cls(values, 1.0, *about)
        unit = peak(wide)  # entries that are not finite, or whose squares overflow or vanish
        return cls(_gram(wide, unit) if unit else values, unit, *about)

    def spectrum(self) -> Spectrum | None:
        """Return what `Spectrum.by_gram` returns. Once: the matrix is overwritten."""
        if self.unit == 0:
            return Spectrum(np.zeros(min(self.shape)), self.shape, self.precision)
        squares = blas.eigenvalues(self.values)[::-1]
        if squares[-1] <= TINY * squares[0]:
            return None
        values = self.unit * np.sqrt(squares)
        return Spectrum(values, self.shape, self.precision, beta=self.beta)


def symmetry(matrix: NDArray[Any]) -> int:
    """Return β: 1 where all entries are real, also in a complex dtype, and 2 elsewhere."""
    return 2 if np.iscomplexobj(matrix) and bool(matrix.imag.any()) else 1


def rounding(matrix: NDArray[Any]) -> float:
    """Return the relative rounding ε of a matrix's numbers; that of float64 for whole numbers."""
    try:
        return float(ml_dtypes.finfo(matrix.dtype).eps)  # type: ignore[no-untyped-call]
    except ValueError:
        return DOUBLE


def shifted(array: NDArray[Any], exponent: int) -> NDArray[Any]:
    """Return numbers in double precision times 2^exponent, exactly, without overflow on the way."""
    parts = np.ascontiguousarray(array).view(np.float64)
    return np.ldexp(parts, exponent).view(array.dtype)


def on_side(matrix: NDArray[Any]) -> NDArray[Any]:
    """Return the matrix on its side, so that it has no more rows than columns."""
    if matrix.ndim != 2 or not matrix.size:
        raise ValueError(f"a matrix has two sides, both at least 1, not {matrix.shape}")
    return matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T


def blocks(wide: NDArray[Any], entries: int = BLOCK) -> Iterator[NDArray[Any]]:
    """Yield the columns in double precision, a few at a time: no second copy of all is made."""
    step = max(1, entries // len(wide))
    for start in range(0, wide.shape[1], step):
        with np.errstate(invalid="ignore"):  # of NaN there is a kind that warns
            block = double(wide[:, start : start + step])
        yield block


def peak(wide: NDArray[Any]) -> float:
    """Return the largest absolute entry, as what to divide by.

    Raises:
        NotFiniteError: NaN or infinite entries, or so large that their squares are.
    """
    peaks = [float(np.abs(block).max()) for block in blocks(wide)]
    largest = math.nan if any(map(math.isnan, peaks)) else max(peaks)
    if not math.isfinite(largest * largest * wide.size):
        raise NotFiniteError("the matrix has NaN or infinite entries, or far too large ones")
    return largest


def _gram(wide: NDArray[Any], unit: float) -> NDArray[Any]:
    """Return the lower triangle of the Gram matrix of the rows, in units of `unit`²."""
    total = np.zeros((len(wide), len(wide)), precise(wide.dtype))
    for block in blocks(wide, max(BLOCK, len(wide) ** 2 // 8)):
        blas.add_gram(total, block if unit == 1.0 else block / unit)
    return total
