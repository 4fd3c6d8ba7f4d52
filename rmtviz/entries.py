"""What a matrix's entries are like: heavy tails, and rows and columns of unequal variance.

The Marchenko–Pastur law asks for independent entries of one variance. Where these numbers are
large it may fail, or its edge may lie elsewhere, however well the middle of the spectrum fits.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BLOCK = 2**16
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
        """Return the numbers of a finite matrix (m × n'), read once in blocks of rows."""
        moments = _Moments.of(matrix, 1.0)
        if not 1e-120 < moments.variance < 1e120:  # else fourth powers could leave the range
            peak = max(float(np.abs(block).max()) for block in _blocks(matrix))
            moments = _Moments.of(matrix, peak or 1.0)
        m, n = matrix.shape
        if moments.variance <= 1e-24 * moments.mean**2:
            return cls(0.0, 0.0, 0.0)
        kurtosis = moments.fourth / moments.variance**2
        return cls(
            kurtosis - 3,
            _spread(moments.rows, (kurtosis - 1) / n),
            _spread(moments.columns, (kurtosis - 1) / m),
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


@dataclass(frozen=True, slots=True, eq=False)
class _Moments:
    """Mean, variance and fourth central moment, and mean squares of rows and columns about it."""

    mean: float
    variance: float
    fourth: float
    rows: Array
    columns: Array

    @classmethod
    def of(cls, matrix: NDArray[np.floating], unit: float) -> "_Moments":
        """Sum the powers of the entries, in this unit, block by block."""
        m, n = matrix.shape
        sums, squares = [np.zeros(m), np.zeros(n)], [np.zeros(m), np.zeros(n)]
        cubes = fourths = 0.0
        start = 0
        with np.errstate(over="ignore", invalid="ignore"):
            for block in _blocks(matrix):
                block = block if unit == 1.0 else block / unit
                place = slice(start, start + len(block))
                start += len(block)
                square = block * block
                for total, part in ((sums, block), (squares, square)):
                    total[0][place] = part.sum(axis=1)
                    total[1] += part.sum(axis=0)
                cubes += float(np.vdot(square, block))
                fourths += float(np.vdot(square, square))
            mean = np.float64(sums[0].sum() / (m * n))
            rows, columns = (
                (square - 2 * mean * total) / count + mean**2
                for total, square, count in zip(sums, squares, (n, m), strict=True)
            )
            second = np.float64(squares[0].sum() / (m * n))
            fourth = fourths / (m * n) - 4 * mean * cubes / (m * n) + 6 * mean**2 * second
            variance, fourth = second - mean**2, fourth - 3 * mean**4
        return cls(float(mean), float(variance), float(fourth), rows, columns)


def _blocks(matrix: NDArray[np.floating]) -> Iterator[Array]:
    step = max(1, BLOCK // matrix.shape[1])
    for start in range(0, matrix.shape[0], step):
        yield np.asarray(matrix[start : start + step], dtype=np.float64)


def _spread(squares: Array, chance: float) -> float:
    """Return the relative scatter of mean squares beyond that of equal variances."""
    return math.sqrt(max(float(np.var(squares)) / float(squares.mean()) ** 2 - chance, 0.0))
