"""Off: keep everything."""

from dataclasses import dataclass

from rmtviz.analysis import LayerAnalysis
from rmtviz.rules.base import Keep, Rule


@dataclass(frozen=True, slots=True)
class Off(Rule):
    """Keep all singular values: nothing is changed."""

    def __call__(self, layer: LayerAnalysis) -> Keep:
        return Keep(layer.spectrum.p, "off")
