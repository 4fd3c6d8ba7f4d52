"""A falling share: of the values below the edge fewer stay at every cut."""

from dataclasses import dataclass

from rmtviz.knobs import knob
from rmtviz.rules import Rule
from rmtviz.schedules.base import Moment, Repeated, share_left


@dataclass(frozen=True, slots=True)
class Falling(Repeated):
    """Cut every few epochs, and keep max(0, 1 − epoch/over) of the values below the edge.

    Replaces the share of the rule "bulk-share"; with another rule, that one is applied each
    time. Source: the code of Berlyand, Sandier, Shmalo and Zhang, arXiv 2310.03165
    (`over` = 300; 1000 in its first version).
    """

    every: int = knob(4, low=1, high=200)
    over: int = knob(200, low=1, high=10_000)

    def ready(self, moment: Moment) -> bool:
        return moment.epoch > 0 and moment.epoch % self.every == 0

    def rule(self, rule: Rule, moment: Moment) -> Rule:
        return share_left(rule, max(0.0, 1 - moment.epoch / self.over))
