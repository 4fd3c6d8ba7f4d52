"""Kritchman–Nadler: test the spikes one after another, and take their share of the noise out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtviz import tracy_widom
from rmtviz.fits.base import Spectral
from rmtviz.knobs import knob
from rmtviz.spectrum import Spectrum


@dataclass(frozen=True, slots=True)
class KritchmanNadler(Spectral):
    """Test one eigenvalue after another against what noise alone would give. For many spikes.

    For k = 0, 1, … spikes, σ̂² solves

        σ² = [Σ_{i>k} λ_i + Σ_{i≤k} (λ_i − ρ_i)] / (p − k),
        ρ_i = (b_i + √(b_i² − 4 λ_i σ²))/2,   b_i = λ_i + σ² − σ² (p − k)/n,

    and the search ends at the first k with n λ_{k+1} ≤ σ̂² (μ + t s): centring and scale of
    the largest of p − k noise eigenvalues, t the upper Tracy–Widom quantile of `level`, each
    for real or for complex matrices.

    Sources: Kritchman and Nadler, Chemom. Intell. Lab. Syst. 94 (2008) 19, eqs. 13–17, and
    IEEE Trans. Signal Process. 57 (2009) 3930; constants of Ma, Bernoulli 18 (2012) 322.
    """

    level: float = knob(0.10, low=1e-6, high=0.999)

    def estimate(self, spectrum: Spectrum) -> tuple[float, float]:
        t = tracy_widom.quantile(1 - self.level, spectrum.beta)
        p, n = spectrum.p, spectrum.n
        eigenvalues = spectrum.eigenvalues
        tail = np.cumsum(eigenvalues[::-1])[::-1]
        variance, cut = float(tail[0]) / p, 0.0
        for k in range(p // 2 + 1):
            spikes, rest = eigenvalues[:k], float(tail[k])
            centre, scale = tracy_widom.largest_eigenvalue(p - k, n, spectrum.beta)
            height = (centre + t * scale) / n
            # a rough σ², from that of one spike fewer, is enough where a spike is clear
            variance = noise_variance(spikes, rest, p, n, start=variance, tolerance=1e-4)
            cut = variance * height
            if eigenvalues[k] <= 1.01 * cut:
                variance = noise_variance(spikes, rest, p, n)
                cut = variance * height
                if eigenvalues[k] <= cut:
                    break
        return variance, cut


def noise_variance(
    spikes: NDArray[np.float64],
    rest: float,
    p: int,
    n: int,
    *,
    start: float | None = None,
    tolerance: float = 1e-12,
) -> float:
    """Return σ² given the k spikes' eigenvalues and the sum of the p − k others.

    The iteration begins at `start` (None: the mean of the others) and ends where a step is
    below the `tolerance`, relative to σ².
    """
    left = p - len(spikes)
    variance = rest / left if start is None else start
    for _ in range(100):
        b = spikes + variance * (1 - left / n)
        rho = (b + np.sqrt(np.maximum(b * b - 4 * variance * spikes, 0.0))) / 2
        new = (rest + float((spikes - rho).sum())) / left
        if abs(new - variance) <= tolerance * variance:
            return new
        variance = new
    return variance
