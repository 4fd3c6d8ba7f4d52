"""What a matrix's entries are like: heavy tails, and rows and columns of unequal variance.

The Marchenko–Pastur law asks for independent entries of one variance. Where these numbers are
large it may fail, or its edge may lie elsewhere, however well the middle of the spectrum fits.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtviz.checkpoint import double, precise

Array = NDArray[np.float64]

BLOCK = 2**16
"""So many entries of a matrix are converted to double precision at a time."""

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
    Laplace. Of complex ones it is their fourth cumulant as well, (E|x|⁴ − |E x²|²)/(E|x|²)² − 2
    with x = w − μ: 0 for Gaussian entries, −1 where all have one modulus. `row_spread` and
    `column_spread` are the standard deviation of the rows' (columns') mean squares over their
    mean, less what chance alone would give; 0 for equal variances.
    """

    kurtosis: float
    row_spread: float
    column_spread: float

    @classmethod
    def of(cls, matrix: NDArray[Any]) -> "Entries":
        """Return the numbers of a finite matrix (m × n'), read once in blocks of rows."""
        moments = _Moments.of(matrix, 1.0)
        if not 1e-120 < moments.variance < 1e120:  # else fourth powers could leave the range
            peak = max(float(np.abs(block).max()) for block in _blocks(matrix))
            moments = _Moments.of(matrix, peak or 1.0)
        m, n = matrix.shape
        if moments.variance <= 1e-24 * abs(moments.mean) ** 2:
            return cls(0.0, 0.0, 0.0)
        fourth = moments.fourth / moments.variance**2
        return cls(
            float(fourth - abs(moments.second / moments.variance) ** 2 - 2),
            _spread(moments.rows, (fourth - 1) / n),
            _spread(moments.columns, (fourth - 1) / m),
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
    """Moments of the entries x = w − μ about their mean μ, and mean |x|² of rows and columns.

    `variance` is E|x|², `second` E x², `fourth` E|x|⁴; for real entries the first two are one.
    """

    mean: complex
    variance: float
    second: complex
    fourth: float
    rows: Array
    columns: Array

    @classmethod
    def of(cls, matrix: NDArray[Any], unit: float) -> "_Moments":
        """Sum the powers of the entries, in this unit, block by block."""
        m, n = matrix.shape
        sums = [np.zeros(side, precise(matrix.dtype)) for side in (m, n)]
        squares = [np.zeros(m), np.zeros(n)]
        plain, cubes, fourths = 0j, 0j, 0.0
        start = 0
        with np.errstate(over="ignore", invalid="ignore"):
            for block in _blocks(matrix):
                block = block if unit == 1.0 else block / unit
                place = slice(start, start + len(block))
                start += len(block)
                square = (block * block.conj()).real
                for total, part in ((sums, block), (squares, square)):
                    total[0][place] = part.sum(axis=1)
                    total[1] += part.sum(axis=0)
                plain += complex(np.vdot(block.conj(), block))
                cubes += complex(np.vdot(square, block))
                fourths += float(np.vdot(square, square))
            mean = sums[0].sum() / (m * n)
            aside, offset = mean.conjugate(), abs(mean) ** 2
            rows, columns = (
                (square - 2 * (aside * total).real) / count + offset
                for total, square, count in zip(sums, squares, (n, m), strict=True)
            )
            size = squares[0].sum() / (m * n)
            fourth = fourths - 4 * (aside * cubes).real + 2 * (aside**2 * plain).real
            fourth = fourth / (m * n) + 4 * offset * size - 3 * offset**2
            second = plain / (m * n) - mean**2
        return cls(mean, float(size - offset), second, float(fourth), rows, columns)


def _blocks(matrix: NDArray[Any]) -> Iterator[NDArray[Any]]:
    step = max(1, BLOCK // matrix.shape[1])
    for start in range(0, matrix.shape[0], step):
        yield double(matrix[start : start + step])


def _spread(squares: Array, chance: float) -> float:
    """Return the relative scatter of mean squares beyond that of equal variances."""
    return math.sqrt(max(float(np.var(squares)) / float(squares.mean()) ** 2 - chance, 0.0))
