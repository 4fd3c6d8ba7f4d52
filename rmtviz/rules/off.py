"""Off: keep everything."""

from dataclasses import dataclass
from typing import ClassVar

from rmtviz.analysis import LayerAnalysis
from rmtviz.rules.base import Keep, Rule


@dataclass(frozen=True, slots=True)
class Off(Rule):
    """Keep all singular values: nothing is changed."""

    fitted: ClassVar[bool] = False

    def __call__(self, layer: LayerAnalysis) -> Keep:
        return Keep(layer.spectrum.p, "off")
