"""Kolmogorov distance: the law that comes closest to the whole bulk."""

import math
from dataclasses import dataclass

import numpy as np

from rmtviz import tracy_widom
from rmtviz.fits.base import Spectral, deflated
from rmtviz.knobs import knob
from rmtviz.marchenko_pastur import MarchenkoPastur
from rmtviz.spectrum import Spectrum


@dataclass(frozen=True, slots=True)
class Kolmogorov(Spectral):
    """Bring the law as close to the whole bulk as it can come. For many spikes.

    σ̂² is where the largest excess of the law over the bulk's distribution function equals the
    largest lack, so that their maximum, the Kolmogorov distance, is least. A value is a spike
    above the Tracy–Widom quantile of `level` for σ̂; with the spikes taken out the fit is made
    again, until none is found or the rest no longer fits better.

    Sources: minimum-distance estimation, Wolfowitz, Ann. Math. Stat. 28 (1957) 75; constants of
    the edge: Ma, Bernoulli 18 (2012) 322.
    """

    level: float = knob(0.10, low=1e-6, high=0.999)

    def estimate(self, spectrum: Spectrum) -> tuple[float, float]:
        t = tracy_widom.quantile(1 - self.level, spectrum.beta)

        def one(part: Spectrum) -> tuple[float, float]:
            variance = closest(part)
            centre, scale = tracy_widom.largest_eigenvalue(part.p, part.n, part.beta)
            return variance, variance * (centre + t * scale) / part.n

        return deflated(spectrum, one)


def closest(spectrum: Spectrum) -> float:
    """Return the σ² whose law has the least Kolmogorov distance to all eigenvalues.

    The excess falls with σ² and the lack rises, so they cross once.
    """
    from scipy.optimize import brentq

    values = spectrum.eigenvalues[::-1]
    below = np.arange(len(values)) / len(values)
    above = below + 1 / len(values)
    unit = MarchenkoPastur(spectrum.ratio)

    def surplus(log: float) -> float:
        level = unit.cdf(values / math.exp(log))
        return float((level - below).max() - (above - level).max())

    start = math.log(float(values.mean()))
    low, high = start - 1.0, start + 1.0
    while surplus(low) < 0:
        low -= 2.0
    while surplus(high) > 0:
        high += 2.0
    return math.exp(float(brentq(surplus, low, high, xtol=1e-12)))
