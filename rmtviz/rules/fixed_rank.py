"""A fixed rank: keep so many values in every layer."""

from dataclasses import dataclass
from typing import ClassVar

from rmtviz.analysis import LayerAnalysis
from rmtviz.knobs import knob
from rmtviz.rules.base import Keep, Rule


@dataclass(frozen=True, slots=True)
class FixedRank(Rule):
    """Keep this many singular values in every layer, or all where a layer has fewer."""

    fitted: ClassVar[bool] = False

    rank: int = knob(32, low=1, high=65536)

    def __call__(self, layer: LayerAnalysis) -> Keep:
        return Keep(min(self.rank, layer.spectrum.p), "fixed_rank")
