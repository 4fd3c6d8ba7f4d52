"""Every few epochs: the paper's own schedule."""

from dataclasses import dataclass

from rmtviz.knobs import knob
from rmtviz.schedules.base import Moment, Repeated


@dataclass(frozen=True, slots=True)
class Every(Repeated):
    """Cut after epoch `first`, and again every few epochs.

    Source: Shmalo, Jenkins and Krupchytskyi, arXiv 2303.08986, section 4.4 (every three).
    """

    first: int = knob(3, low=0, high=200)
    every: int = knob(3, low=1, high=200)

    def ready(self, moment: Moment) -> bool:
        past = moment.epoch - self.first
        return past >= 0 and past % self.every == 0
