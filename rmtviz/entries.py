"""What a matrix's entries are like: heavy tails, and rows and columns of unequal variance.

The Marchenko–Pastur law asks for independent entries of one variance. Where these numbers are
large it may fail, or its edge may lie elsewhere, however well the middle of the spectrum fits.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 2**20
"""So many entries of a matrix are converted to float64 at a time."""

HEAVY = 1.0
"""From this excess kurtosis on the edge is corrected: false spikes come 1.4 times as often."""

EXTREME = 6.0
"""Beyond this one it is not: a first-order correction says nothing, and a few large entries,
which may well be signal, are enough to come here."""

UNEVEN = 0.5
"""From this spread on rows or columns are called uneven."""


@dataclass(frozen=True, slots=True)
class Entries:
    """The excess kurtosis of the entries, and how much the variances of rows and columns differ.

    `kurtosis` is E(w − μ)⁴/(E(w − μ)²)² − 3: 0 for Gaussian entries, −1.2 for uniform ones, 3 for
    Laplace. `row_spread` and `column_spread` are the standard deviation of the rows' (columns')
    mean squares over their mean, less what chance alone would give; 0 for equal variances.
    """

    kurtosis: float
    row_spread: float
    column_spread: float

    @classmethod
    def of(cls, matrix: NDArray[np.floating]) -> "Entries":
        """Return the numbers of a finite matrix (m × n'), in blocks of rows."""
        m, n = matrix.shape
        peak = max(float(np.abs(block).max()) for block in _blocks(matrix)) or 1.0
        mean = sum(float((block / peak).sum()) for block in _blocks(matrix)) / (m * n)
        rows, columns, fourth = np.zeros(m), np.zeros(n), 0.0
        start = 0
        for block in _blocks(matrix):
            squares = (block / peak - mean) ** 2
            rows[start : start + len(block)] = squares.mean(axis=1)
            columns += squares.sum(axis=0) / m
            fourth += float((squares**2).sum())
            start += len(block)
        variance = float(rows.mean())
        if variance <= 0:
            return cls(0.0, 0.0, 0.0)
        kurtosis = fourth / (m * n) / variance**2
        return cls(
            kurtosis - 3,
            _spread(rows, (kurtosis - 1) / n),
            _spread(columns, (kurtosis - 1) / m),
        )

    @property
    def heavy(self) -> bool:
        """Whether the tails are heavy enough to move the edge of noise."""
        return self.kurtosis >= HEAVY

    @property
    def extreme(self) -> bool:
        """Whether the tails are heavier than the edge can be corrected for."""
        return self.kurtosis > EXTREME

    @property
    def uneven(self) -> bool:
        """Whether rows or columns differ much in variance."""
        return max(self.row_spread, self.column_spread) >= UNEVEN


def _blocks(matrix: NDArray[np.floating]) -> list[NDArray[np.float64]]:
    step = max(1, BLOCK // matrix.shape[1])
    return [
        np.asarray(matrix[start : start + step], dtype=np.float64)
        for start in range(0, matrix.shape[0], step)
    ]


def _spread(squares: NDArray[np.float64], chance: float) -> float:
    """Return the relative scatter of mean squares beyond that of equal variances."""
    return math.sqrt(max(float(np.var(squares)) / float(squares.mean()) ** 2 - chance, 0.0))
