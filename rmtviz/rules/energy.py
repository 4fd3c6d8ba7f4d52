"""A share of energy: keep the fewest values that hold it."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rmtviz.analysis import LayerAnalysis
from rmtviz.knobs import knob
from rmtviz.rules.base import Keep, Rule


@dataclass(frozen=True, slots=True)
class EnergyShare(Rule):
    """Keep the fewest singular values whose squares sum to this share of the squared norm."""

    fitted: ClassVar[bool] = False

    share: float = knob(0.9, low=0.0, high=1.0)

    def __call__(self, layer: LayerAnalysis) -> Keep:
        held = np.cumsum(layer.spectrum.values**2)
        if self.share >= 1 or held[-1] == 0:
            return Keep(layer.spectrum.p, "energy")
        return Keep(int(np.searchsorted(held, self.share * held[-1])) + 1, "energy")
