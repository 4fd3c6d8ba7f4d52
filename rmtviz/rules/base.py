"""What every rule returns: how many singular values of a layer to keep, and why."""

import abc
from dataclasses import dataclass

from rmtviz import knobs
from rmtviz.analysis import LayerAnalysis


@dataclass(frozen=True, slots=True)
class Keep:
    """The rank to keep, and the reason as a key under `reason` in the catalogue."""

    rank: int
    reason: str


@dataclass(frozen=True, slots=True)
class Rule(abc.ABC):
    """A way to choose a layer's rank; its fields are its knobs."""

    def __post_init__(self) -> None:
        knobs.check(self)

    @abc.abstractmethod
    def __call__(self, layer: LayerAnalysis) -> Keep:
        """Return how many of the layer's singular values to keep."""
