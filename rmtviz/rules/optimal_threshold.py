"""The optimal threshold: keep what lowers the error of the matrix."""

from dataclasses import dataclass

import numpy as np

from rmtviz import spiked
from rmtviz.analysis import LayerAnalysis
from rmtviz.knobs import knob
from rmtviz.rules.base import Keep, Rule, at_least_one


@dataclass(frozen=True, slots=True)
class OptimalThreshold(Rule):
    """Keep the values above the hard threshold with the least expected Frobenius error.

    τ = λ*(c) σ √n, c = p/n, for noise of the fit's σ beside its spikes (`spiked.beside`), or
    τ = ω(c) · (median singular value), which needs no fitted σ, but few spikes. It lies above
    the noise edge: a spike close to the edge points mostly into noise, and adds more error
    than signal. Optimal for the error of the matrix, not for the accuracy of the network.

    At least one value is kept; a layer without a fitted bulk is left whole, and where the
    fit is that of the equalised matrix, so many values are kept as are above the threshold
    there. Source: Gavish and Donoho, IEEE Trans. Inf. Theory 60 (2014) 5040, arXiv 1305.5870.
    """

    noise: str = knob("fit", among=("fit", "median"))

    def __call__(self, layer: LayerAnalysis) -> Keep:
        equalised = layer.fit.equalised
        spectrum = layer.spectrum if equalised is None else equalised
        if layer.bulk is None:
            return Keep(layer.spectrum.p, str(layer.status))
        if self.noise == "fit":
            bulk = layer.bulk
            unit, ratio = spiked.beside(spectrum.shape, bulk.sigma, bulk.spikes)
            threshold = spiked.hard_threshold(ratio) * unit
        else:
            middle = float(np.median(spectrum.values))
            threshold = spiked.hard_threshold_by_median(spectrum.ratio) * middle
        above = int(np.count_nonzero(spectrum.values > threshold))
        return at_least_one(above, "optimal_threshold")
