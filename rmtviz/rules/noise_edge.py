"""The noise edge: keep what can be told from random (RMT-SVD)."""

from dataclasses import dataclass

from rmtviz.analysis import LayerAnalysis
from rmtviz.rules.base import Keep, Rule, at_least_one


@dataclass(frozen=True, slots=True)
class NoiseEdge(Rule):
    """Keep the singular values above the fitted noise edge, at least one.

    A layer without a fitted bulk is left whole. Source: Shmalo, Jenkins and Krupchytskyi,
    arXiv 2303.08986, section 4.2.
    """

    def __call__(self, layer: LayerAnalysis) -> Keep:
        if layer.spikes is None:
            return Keep(layer.spectrum.p, str(layer.status))
        return at_least_one(layer.spikes, "noise_edge")
