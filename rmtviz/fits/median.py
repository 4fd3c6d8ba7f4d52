"""Median matching: one quantile tells the noise's variance."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rmtviz import tracy_widom
from rmtviz.fits.base import Promises, Spectral
from rmtviz.knobs import knob
from rmtviz.marchenko_pastur import MarchenkoPastur
from rmtviz.spectrum import Spectrum


@dataclass(frozen=True, slots=True)
class Median(Spectral):
    """Match the median eigenvalue with that of the law. For few spikes; the simplest method.

        σ̂² = median(λ)/μ_c,   μ_c the median of the law at σ = 1,

    and the cut as in BEMA. One quantile is less exact than many: where the matrix is square,
    σ̂ scatters so much that false spikes come at twice the level.

    Source: Gavish and Donoho, IEEE Trans. Inf. Theory 60 (2014) 5040, arXiv 1305.5870,
    section III.E.
    """

    promises: ClassVar[Promises] = Promises(level=False, many_spikes=False)
    beside: ClassVar[bool] = False

    level: float = knob(0.10, low=1e-6, high=0.999)

    def estimate(self, spectrum: Spectrum) -> tuple[float, float]:
        law = MarchenkoPastur(spectrum.ratio)
        variance = float(np.median(spectrum.eigenvalues)) / float(law.ppf(0.5))
        margin = tracy_widom.quantile(1 - self.level, spectrum.beta) * tracy_widom.edge_width(
            spectrum.ratio, spectrum.n
        )
        return variance, variance * (law.support[1] + margin)
