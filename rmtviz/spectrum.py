"""The singular values of one matrix, and the conventions of the whole package.

W is m × n' (rows × columns). Everywhere p = min, n = max of the two sides, and the aspect
ratio is c = p/n in (0, 1]. Eigenvalues are those of (1/n) W Wᵀ (the p × p side): λ = s²/n.
σ² is the variance of the entries of the noise. The law's edges are λ± = σ² (1 ± √c)², in
singular values √(n λ±) = σ (√n ± √p). Inside the package everything is on the scale of
eigenvalues; people are shown singular values unless they ask for eigenvalues.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


BLOCK = 2**20
"""So many entries of a matrix are converted to float64 at a time."""


class NotFiniteError(ValueError):
    """A matrix with NaN or infinite entries, or squares of them, has no spectrum."""


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """All p singular values of an m × n' matrix: descending, float64, read-only.

    Raises:
        ValueError: not p values, or values that are negative, not finite or not descending.
    """

    values: Array
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.float64)
        if values.shape != (min(self.shape),) or not values.size:
            raise ValueError(f"{values.shape} singular values cannot belong to {self.shape}")
        if not (np.isfinite(values).all() and values[-1] >= 0 and (np.diff(values) <= 0).all()):
            raise ValueError("singular values must be finite, non-negative and descending")
        values.flags.writeable = False
        object.__setattr__(self, "values", values)

    @classmethod
    def of(cls, matrix: NDArray[np.floating]) -> "Spectrum":
        """Return the singular values of a real matrix (m × n'), computed in float64.

        They are the square roots of the eigenvalues of the Gram matrix of the smaller side,
        which are right to 1e-11 of the largest for any value that is not tiny beside it;
        where one is (below 1e-6 of the largest), a full SVD is made instead. Both routes
        release the interpreter lock.

        Raises:
            ValueError: not two-dimensional, or empty.
            NotFiniteError: NaN or infinite entries, or so large that their squares are.
        """
        if matrix.ndim != 2 or not matrix.size:
            raise ValueError(f"a matrix has two sides, both at least 1, not {matrix.shape}")
        shape = (int(matrix.shape[0]), int(matrix.shape[1]))
        wide = matrix if shape[0] <= shape[1] else matrix.T
        unit = _unit(wide)
        if unit == 0:
            return cls(np.zeros(len(wide)), shape)
        gram = np.asarray(np.linalg.eigvalsh(_gram(wide, unit))[::-1], dtype=np.float64)
        if gram[-1] > 1e-12 * gram[0]:
            return cls(unit * np.sqrt(gram), shape)
        full = np.asarray(wide, dtype=np.float64) / unit
        values = np.linalg.svd(full, compute_uv=False)
        return cls(np.asarray(unit * values, dtype=np.float64), shape)

    @classmethod
    def gaussian(
        cls, shape: tuple[int, int], rng: np.random.Generator, sigma: float = 1.0
    ) -> "Spectrum":
        """Draw the spectrum of a matrix of independent N(0, σ²) entries, without the matrix.

        Exact in law, from 2p − 1 random numbers: the singular values of a p × p bidiagonal
        matrix of independent χ variables. Source: Dumitriu and Edelman, J. Math. Phys. 43
        (2002) 5830, β = 1.
        """
        from scipy.linalg import eigvalsh_tridiagonal

        p, n = min(shape), max(shape)
        d = rng.chisquare(np.arange(n, n - p, -1.0))
        e = rng.chisquare(np.arange(p - 1.0, 0.0, -1.0))
        diagonal = d + np.concatenate([[0.0], e])
        squares = eigvalsh_tridiagonal(diagonal, np.sqrt(d[:-1] * e))
        return cls(sigma * np.sqrt(np.maximum(squares[::-1], 0.0)), shape)

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
        """The number of values above rounding: s > s₁ · n · 2⁻⁵²."""
        return int(np.count_nonzero(self.values > self.values[0] * self.n * 2.0**-52))

    def singular(self, eigenvalue: float) -> float:
        """Return the singular value √(n λ) of an eigenvalue λ."""
        return math.sqrt(self.n * eigenvalue)


def _blocks(wide: NDArray[np.floating]) -> Iterator[Array]:
    """Yield the columns in float64, a few at a time, so that no second copy of all is made."""
    step = max(1, BLOCK // len(wide))
    for start in range(0, wide.shape[1], step):
        yield np.asarray(wide[:, start : start + step], dtype=np.float64)


def _unit(wide: NDArray[np.floating]) -> float:
    """Return what to divide by so that squares neither overflow nor vanish: 1, or the largest.

    Raises:
        NotFiniteError: NaN or infinite entries, or so large that their squares are.
    """
    peaks = [float(np.abs(block).max()) for block in _blocks(wide)]
    largest = math.nan if any(map(math.isnan, peaks)) else max(peaks)
    if not math.isfinite(largest * largest * wide.size):
        raise NotFiniteError("the matrix has NaN or infinite entries, or far too large ones")
    return 1.0 if 1e-100 < largest < 1e100 else largest


def _gram(wide: NDArray[np.floating], unit: float) -> Array:
    """Return the Gram matrix of the rows in float64, in units of the square of `unit`."""
    total = np.zeros((len(wide), len(wide)))
    for block in _blocks(wide):
        scaled = block if unit == 1.0 else block / unit
        total += scaled @ scaled.T
    return total
