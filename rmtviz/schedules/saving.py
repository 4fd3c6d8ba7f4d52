"""Where it saves: a layer is cut only if that makes it much smaller."""

from dataclasses import dataclass

from rmtviz.knobs import knob
from rmtviz.pruning import LayerCut
from rmtviz.schedules.base import Moment, Repeated


@dataclass(frozen=True, slots=True)
class Saving(Repeated):
    """Look after every few epochs, and cut only the layers of which `least` of the weights go."""

    every: int = knob(1, low=1, high=200)
    least: float = knob(0.5, low=0.0, high=1.0)

    def ready(self, moment: Moment) -> bool:
        return moment.epoch > 0 and moment.epoch % self.every == 0

    def worth(self, cut: LayerCut) -> bool:
        return cut.parameters_before - cut.parameters_after >= self.least * cut.parameters_before
