"""ScreeNOT: the optimal threshold where the noise follows no known law."""

import math
from dataclasses import dataclass

import numpy as np

from rmtviz import screenot
from rmtviz.analysis import LayerAnalysis
from rmtviz.fits import Status
from rmtviz.knobs import knob
from rmtviz.rules.base import Keep, Rule, at_least_one


@dataclass(frozen=True, slots=True)
class ScreeNOT(Rule):
    """Keep the values above the threshold with the least Frobenius error, for any noise bulk.

    The noise may be correlated or of unequal variance: only its singular values must fill one
    bounded bulk. The method needs a bound on the rank, here a share of the p values, and
    reads the bulk's edge from as many values below.

    A quarter is the default because too small a bound costs the signal and too large a one
    lets in noise, which costs less. Trained layers measured here have up to 115 spikes of
    512. Of 30 in noise of unequal variances (300 × 500) a quarter keeps 29 and a twentieth
    none; of 4 in noise of log-normal variances, a quarter keeps 8 to 18 and a twentieth 4 to
    6. On pure noise a quarter moves the threshold up by 3 % at most. Where no gap parts the
    spikes from the bulk, the rank moves with the bound. Optimal for the error of the matrix,
    not for the accuracy of the network.

    At least one value is kept; a layer that is too small or has no noise is left whole.
    Source: Donoho, Gavish and Romanov, Ann. Stat. 51 (2023) 122, arXiv 2009.12297.
    """

    bound: float = knob(0.25, low=0.01, high=0.45)

    def __call__(self, layer: LayerAnalysis) -> Keep:
        spectrum = layer.spectrum
        if layer.status in (Status.TOO_SMALL, Status.DEGENERATE, Status.PRODUCT):
            return Keep(spectrum.p, str(layer.status))
        bound = min(math.ceil(self.bound * spectrum.p), (spectrum.p - 2) // 2)
        threshold = screenot.threshold(spectrum.values, spectrum.ratio, bound)
        above = int(np.count_nonzero(spectrum.values > threshold))
        return at_least_one(above, "screenot")
