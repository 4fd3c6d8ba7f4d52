"""Permutation: a null made of the layer's own entries, whatever their law."""

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from rmtviz.checkpoint import double
from rmtviz.fits.base import Matrix, Method, MPFit, Promises, Status, fitted, screen
from rmtviz.knobs import knob
from rmtviz.spectrum import Spectrum


@dataclass(frozen=True, slots=True)
class Permutation(Method):
    """Compare each spike with shuffled copies of what is left beside the spikes found so far.

    The residual after k spikes has its entries shuffled and dealt into a (p − k) × (n − k)
    matrix of the same energy, `draws` times; a value is a spike if it exceeds the ⌈(1 − level)
    (draws + 1)⌉-th of their largest values, the exact level for exchangeable noise, or above
    all of them where the level is below 1/(draws + 1). This goes on until no spike is found.
    σ̂² is the residual's energy over (p − k)(n − k), 1.5 % too low for 20 spikes in 100 rows.

    Shuffling the whole matrix would leave the signal's energy in the null, and shuffling the
    residual in place would spread (p − k)(n − k) degrees of freedom over pn entries. The
    shuffles are always the same, of entries sorted by size: a matrix has one fit, whatever the
    order of its rows.

    Source: Dobriban and Owen, "Deterministic parallel analysis", JRSS B 81 (2019) 163, arXiv
    1711.04155; parallel analysis: Buja and Eyuboglu, Multivar. Behav. Res. 27 (1992) 509.
    """

    promises: ClassVar[Promises] = Promises(entry_laws=True, rotation=False)
    needs_matrix: ClassVar[bool] = True

    level: float = knob(0.10, low=0.005, high=0.999)
    draws: int = knob(19, low=9, high=199)

    def at(self, level: float) -> Self:
        """Return it at another level, as small as so many draws can tell."""
        return replace(self, level=max(level, 1 / (self.draws + 1)))

    def __call__(
        self, spectrum: Spectrum, matrix: Matrix | None = None, *, kurtosis: float = 0.0
    ) -> MPFit:
        """Fit the law; the entries' own kurtosis is in the null, so none is taken from outside."""
        status = screen(spectrum)
        if status is not Status.OK or matrix is None:
            return MPFit(self, Status.NO_MATRIX if status is Status.OK else status)
        entries = double(matrix())
        return fitted(self, spectrum, lambda scaled: self._estimate(scaled, entries))

    def _estimate(self, spectrum: Spectrum, entries: NDArray[Any]) -> tuple[float, float]:
        rng = np.random.default_rng(spectrum.p)
        wide = entries if entries.shape[0] <= entries.shape[1] else entries.T
        wide = wide / np.abs(wide).max()
        wide = wide * math.sqrt(spectrum.energy / _energy(wide))
        directions = np.linalg.eigh(wide @ wide.conj().T)[1][:, ::-1]
        p, n, spikes = spectrum.p, spectrum.n, 0
        while True:
            kept = directions[:, :spikes]
            left = wide - kept @ (kept.conj().T @ wide)
            cut = self._largest(left, spikes, rng)
            variance = _energy(left) / ((p - spikes) * (n - spikes))
            above = int(np.count_nonzero(spectrum.eigenvalues > cut))
            if above <= spikes or above > p // 2:
                return variance, cut
            spikes = above

    def _largest(self, left: NDArray[Any], spikes: int, rng: np.random.Generator) -> float:
        """Return the quantile of the largest eigenvalue s²/n of shuffled residuals."""
        p, n = left.shape
        height, width = p - spikes, n - spikes
        entries = left.ravel()[np.argsort(np.abs(left), axis=None, kind="stable")]
        tops = []
        for _ in range(self.draws):
            dealt = rng.permutation(entries)[: height * width].reshape(height, width)
            energy = _energy(left) / _energy(dealt)
            tops.append(float(np.linalg.eigvalsh(dealt @ dealt.conj().T)[-1]) * energy / n)
        place = math.ceil((1 - self.level) * (self.draws + 1))
        return float(sorted(tops)[min(place, self.draws) - 1])


def _energy(matrix: NDArray[Any]) -> float:
    """Return the squared Frobenius norm."""
    return float(np.vdot(matrix, matrix).real)
