"""The Dyson Equalizer: for noise whose rows and columns have variances of their own."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rmtviz.checkpoint import double
from rmtviz.fits.base import Matrix, Method, MPFit, Promises, Status, fitted, screen
from rmtviz.fits.kritchman_nadler import KritchmanNadler
from rmtviz.knobs import knob
from rmtviz.spectrum import Spectrum, shifted

Array = NDArray[np.float64]

DEPTH = 2.0
"""The resolvent is taken at this multiple of the median singular value."""

FLOOR = 1e-12
"""No variance is taken for smaller than this share of the largest: rounding alone is as large."""


@dataclass(frozen=True, slots=True)
class Dyson(Method):
    """Bring the noise of all rows and columns to one variance, and look for spikes there.

    The noise of entry (i, j) has variance x_i y_j; both are read off the resolvent of the matrix
    (`equalised`), with no model of the noise. What is left to one variance is fitted by
    Kritchman and Nadler's method at this `level`. Law, edge and histogram are those of the
    equalised matrix; of the matrix itself only the rank is said, and a cut is made in it.

    Source: Landa and Kluger, "The Dyson Equalizer", Information and Inference 14 (2025), arXiv
    2306.11263, Algorithm 1. They equalise once, at η the median singular value, and take σ = 1;
    here it is twice, at η = 2 medians, and σ is fitted (docs/decisions/0008).
    """

    promises: ClassVar[Promises] = Promises(entry_laws=True, unequal_variances=True, rotation=False)
    needs_matrix: ClassVar[bool] = True

    level: float = knob(0.10, low=1e-6, high=0.999)

    def __call__(
        self, spectrum: Spectrum, matrix: Matrix | None = None, *, kurtosis: float = 0.0
    ) -> MPFit:
        """Fit the law to the equalised matrix, at the kurtosis 0: unequal rows feign one."""
        status = screen(spectrum)
        if status is not Status.OK or matrix is None:
            return MPFit(self, Status.NO_MATRIX if status is Status.OK else status)
        return self.of(equalised(matrix()))

    def of(self, spectrum: Spectrum) -> MPFit:
        """Return the fit of a spectrum that is already that of the equalised matrix."""
        fit = fitted(self, spectrum, KritchmanNadler(level=self.level).estimate)
        return MPFit(self, fit.status, fit.bulk, spectrum)


def equalised(matrix: NDArray[Any]) -> Spectrum:
    """Return the spectrum of the equalised matrix; rows and columns of zeros are left out."""
    wide = double(matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T)
    wide = wide[np.any(wide, axis=1)][:, np.any(wide, axis=0)]
    wide = shifted(wide, -math.frexp(float(np.abs(wide).max()))[1])
    for _ in range(2):
        rows, columns = variances(wide)
        wide = wide / np.sqrt(rows)[:, None] / np.sqrt(columns)
    return Spectrum.of(wide)


def variances(matrix: NDArray[Any]) -> tuple[Array, Array]:
    """Return x (p) and y (n): the noise of entry (i, j) of a p × n matrix has variance x_i y_j.

    With G = W Wᴴ, η a multiple of the median singular value, and the resolvent's diagonals

        g_i = η [(G + η²)⁻¹]_ii,    h_j = (1 − [Wᴴ (G + η²)⁻¹ W]_jj)/η,

    the Dyson equation for such noise says 1/g_i = η + x_i Σ y_j h_j and 1/h_j = η + y_j Σ x_i g_i,
    with Σ x_i g_i · Σ y_j h_j = p − η Σ g_i. Landa and Kluger (2025), equations 13–18.
    """
    p, _ = matrix.shape
    gram = matrix @ matrix.conj().T
    eta = DEPTH * math.sqrt(float(np.median(np.linalg.eigvalsh(gram))))
    inverse = np.linalg.inv(gram + eta**2 * np.eye(p))
    g = eta * np.diag(inverse).real
    h = (1 - np.einsum("ij,ij->j", matrix.conj(), inverse @ matrix).real) / eta
    total = math.sqrt(p - eta * float(g.sum()))
    x, y = (1 / g - eta) / total, (1 / h - eta) / total
    return np.maximum(x, FLOOR * x.max()), np.maximum(y, FLOOR * y.max())
