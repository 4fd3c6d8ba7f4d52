"""When the spectra have settled: the spikes, or how far the bulk is from the law."""

from dataclasses import dataclass

from rmtviz.knobs import knob
from rmtviz.schedules.base import Moment, Repeated, since


@dataclass(frozen=True, slots=True)
class Settled(Repeated):
    """Cut when every layer's number of spikes, or distance to the law, has come to rest.

    At rest is what stayed within `tolerance` of its largest over the latest `looks` looks at
    the spectra since the latest cut. Layers without a fit have no say; there must be one with.
    """

    watched: str = knob("spikes", among=("spikes", "fit"))
    looks: int = knob(3, low=2, high=50)
    tolerance: float = knob(0.1, low=0.0, high=1.0)

    @property
    def needs(self) -> int:
        return self.looks

    def ready(self, moment: Moment) -> bool:
        recent = [look for look in moment.looks if look.epoch > since(moment)][-self.looks :]
        if len(recent) < self.looks:
            return False
        seen = [look.spikes if self.watched == "spikes" else look.distances for look in recent]
        tracks = [[found.get(name) for found in seen] for name in seen[-1]]
        whole = [[x for x in track if x is not None] for track in tracks if None not in track]
        rest = [max(track) - min(track) <= self.tolerance * max(track) for track in whole]
        return bool(rest) and all(rest)
