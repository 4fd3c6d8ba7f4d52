"""BEMA: bulk eigenvalue matching analysis, the method of the paper behind this tool."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rmtviz import tracy_widom
from rmtviz.fits.base import Promises, Spectral
from rmtviz.knobs import knob
from rmtviz.marchenko_pastur import MarchenkoPastur, midpoint_quantiles
from rmtviz.spectrum import Spectrum


@dataclass(frozen=True, slots=True)
class BEMA(Spectral):
    """Match the middle eigenvalues with the quantiles of the law. For few spikes.

    With q_k the quantile of the law (σ = 1) at (k − ½)/p and λ_k the k-th smallest
    eigenvalue, over the central share 1 − 2α of k:

        σ̂² = Σ q_k λ_k / Σ q_k²,
        cut = σ̂² [(1 + √c)² + t n^(−2/3) c^(−1/6) (1 + √c)^(4/3)],

    t the upper Tracy–Widom quantile of `level`, the chance of a false spike in pure noise.
    The variance comes out too high where spikes are many (5.7 % for 20 in 300 × 784).

    Source: Ke, Ma and Lin, JASA 118 (2023) 374, arXiv 2006.00436, Algorithm 1; used by
    Shmalo, Jenkins and Krupchytskyi, arXiv 2303.08986, section 3.3.
    """

    promises: ClassVar[Promises] = Promises(many_spikes=False)
    beside: ClassVar[bool] = False

    alpha: float = knob(0.2, low=0.0, high=0.45)
    level: float = knob(0.10, low=1e-6, high=0.999)

    def estimate(self, spectrum: Spectrum) -> tuple[float, float]:
        p, c = spectrum.p, spectrum.ratio
        first = int(np.ceil(self.alpha * p))
        middle = slice(max(first - 1, 0), int(np.floor((1 - self.alpha) * p)))
        q = midpoint_quantiles(p, c)[middle]
        variance = float(q @ spectrum.eigenvalues[::-1][middle] / (q @ q))
        margin = tracy_widom.quantile(1 - self.level, spectrum.beta) * tracy_widom.edge_width(
            c, spectrum.n
        )
        return variance, variance * (MarchenkoPastur(c).support[1] + margin)
