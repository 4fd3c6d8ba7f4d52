"""Once: a single cut after a chosen epoch."""

from dataclasses import dataclass

from rmtviz.knobs import knob
from rmtviz.schedules.base import Moment, Schedule


@dataclass(frozen=True, slots=True)
class Once(Schedule):
    """Cut once, after this epoch: 0 is before the first step, the last one is after training."""

    epoch: int = knob(3, low=0, high=200)

    def due(self, moment: Moment) -> bool:
        return moment.epoch == self.epoch
