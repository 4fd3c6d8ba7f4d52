"""Optimal shrinkage: keep the spikes, and take from each what the noise added."""

from dataclasses import dataclass

from rmtviz import spiked
from rmtviz.analysis import LayerAnalysis
from rmtviz.knobs import knob
from rmtviz.rules.base import Keep, Rule, at_least_one


@dataclass(frozen=True, slots=True)
class Shrinkage(Rule):
    """Keep the spikes above the noise edge with new values, the best for a chosen loss.

    A spike s becomes σ√n η(s/(σ√n)), for noise of the fit's σ beside its spikes
    (`spiked.beside`) and the shrinker η of the loss, the norm of the error
    (`spiked.frobenius`, `spiked.operator`, `spiked.nuclear`). Spikes that shrink to zero go.
    Optimal for the error of the matrix, not for the accuracy of the network.

    At least one value is kept: where all shrink to zero, the largest, as it is. A layer
    without a fitted bulk is left whole, and so is one where only the equalised matrix has a
    σ. Sources: Gavish and Donoho, IEEE Trans. Inf. Theory 63 (2017) 2137, arXiv 1405.7511;
    operator norm: Leeb, arXiv 2005.11807.
    """

    loss: str = knob("frobenius", among=tuple(spiked.LOSSES))

    def __call__(self, layer: LayerAnalysis) -> Keep:
        spectrum = layer.spectrum
        if layer.bulk is None:
            return Keep(spectrum.p, str(layer.status))
        if layer.fit.equalised is not None:
            return Keep(spectrum.p, "equalised")
        bulk = layer.bulk
        unit, ratio = spiked.beside(spectrum.shape, bulk.sigma, bulk.spikes)
        spikes = spectrum.values[: bulk.spikes]
        shrunk = unit * spiked.LOSSES[self.loss](spikes / unit, ratio)
        values = tuple(float(value) for value in shrunk if value > 0)
        if not values:
            return at_least_one(0, "shrinkage")
        return Keep(len(values), "shrinkage", values)
