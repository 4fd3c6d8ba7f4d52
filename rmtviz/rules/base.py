"""What every rule returns: which singular values of a layer to keep, their new values, and why."""

import abc
import math
from dataclasses import dataclass
from typing import ClassVar

from rmtviz import knobs
from rmtviz.analysis import LayerAnalysis


@dataclass(frozen=True, slots=True)
class Keep:
    """How many values to keep, and the reason as a key under `reason` in the catalogue.

    `values` are the new values of the kept directions (None: unchanged), `kept` their places
    in the descending order, from 0 (None: the first `rank`).

    Raises:
        ValueError: not as many values or places as the rank says, a value that is negative or
            not finite, or places that do not ascend.
    """

    rank: int
    reason: str
    values: tuple[float, ...] | None = None
    kept: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not sound(self.rank, self.values, self.kept):
            raise ValueError(f"{self} keeps no set of singular values")


def sound(
    rank: int, values: tuple[float, ...] | None = None, kept: tuple[int, ...] | None = None
) -> bool:
    """Return whether these are a rank, new values and kept places that belong together."""
    if values is not None and not (
        len(values) == rank and all(math.isfinite(value) and value >= 0 for value in values)
    ):
        return False
    places = tuple(range(rank)) if kept is None else kept
    ascend = all(low < high for low, high in zip((-1, *places), places, strict=False))
    return rank >= 1 and len(places) == rank and ascend


def at_least_one(above: int, reason: str) -> Keep:
    """Return that the first `above` values stay, for a reason; the first, where none is above."""
    return Keep(above, reason) if above else Keep(1, "none_above")


@dataclass(frozen=True, slots=True)
class Rule(abc.ABC):
    """A way to choose what of a layer stays; its fields are its knobs.

    `fitted` says whether it asks the fit, so that a doubt about the fit is one about the cut.
    """

    fitted: ClassVar[bool] = True

    def __post_init__(self) -> None:
        knobs.check(self)

    @abc.abstractmethod
    def __call__(self, layer: LayerAnalysis) -> Keep:
        """Return which of the layer's singular values to keep."""
