"""Accuracy against size: all rules at their settings on one network, and the best among them.

A recipe is a frozen choice that, called with a workpiece, gives a plan; what it is compared on
is the selection set. Every family that has a setting gets the same number of tries.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from rmtviz import knobs, pruning
from rmtviz.cuts import LayerCut, PruningPlan
from rmtviz.knobs import knob
from rmtviz.rules import (
    EnergyShare,
    FixedRank,
    NoiseEdge,
    Off,
    OptimalThreshold,
    RandomDirections,
    Rule,
    ScreeNOT,
    Shrinkage,
)
from rmtviz.workpiece import Outcome, Workpiece


class Recipe(Protocol):
    """A way to a plan, with its settings."""

    def __call__(self, piece: Workpiece) -> PruningPlan: ...


@dataclass(frozen=True, slots=True)
class Ruled:
    """Cut by a rule, from the weights alone."""

    rule: Rule

    def __call__(self, piece: Workpiece) -> PruningPlan:
        return pruning.plan(piece.analysis, self.rule)


@dataclass(frozen=True, slots=True)
class Whitened:
    """Keep the fewest output directions that carry this share of each layer's outputs on data.

    With `sequential`, a layer's inputs are those behind the layers that were cut before it;
    with `affine`, its bias makes up for the mean of what is cut; of the stored entries of all
    cut layers the largest stay, a share `density`. The last layer stays whole.
    """

    share: float = knob(0.99, low=0.0, high=1.0)
    sequential: bool = False
    affine: bool = True
    density: float = knob(1.0, low=0.01, high=1.0)

    def __post_init__(self) -> None:
        knobs.check(self)

    def __call__(self, piece: Workpiece) -> PruningPlan:
        plain = piece.calibrated and replace(piece.calibrated, affine=self.affine)
        ranks = {}
        for each in piece.analysis.layers[:-1]:
            seen = piece.seen(each.name)
            carried = piece.factors(each.name, plain).carried(seen.second)
            held = np.cumsum(np.sort(carried)[::-1])
            ranks[each.name] = min(int(np.searchsorted(held, self.share)) + 1, len(held))
        how = plain and replace(plain, sequential=self.sequential)
        words = ", ".join(f"{name}={value}" for name, value in knobs.values(self).items())
        return replace(piece.recut(ranks, how, f"whitened({words})"), density=self.density)


@dataclass(frozen=True, slots=True)
class Magnitude:
    """Keep the largest entries of all layers together, a share `density` of them; nothing else."""

    density: float = knob(0.1, low=0.001, high=1.0)

    def __post_init__(self) -> None:
        knobs.check(self)

    def __call__(self, piece: Workpiece) -> PruningPlan:
        whole = pruning.plan(piece.analysis, Off())
        cuts = tuple(map(_dense, whole.cuts))
        return replace(whole, rule=f"magnitude({self.density})", cuts=cuts, density=self.density)


TRIES = 8
"""The settings of each family that has any."""

RANKS = (5, 10, 15, 20, 30, 45, 70, 110)
SHARES = (0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99)

FAMILIES: Mapping[str, tuple[Recipe, ...]] = {
    "noise-edge": (Ruled(NoiseEdge()),),
    "optimal-threshold": (Ruled(OptimalThreshold()),),
    "shrinkage": (Ruled(Shrinkage()),),
    "screenot": (Ruled(ScreeNOT()),),
    "energy": tuple(
        Ruled(EnergyShare(share)) for share in (0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
    ),
    "rank": tuple(Ruled(FixedRank(rank)) for rank in RANKS),
    "whitened": tuple(Whitened(share) for share in SHARES),
    "whitened-sequential": tuple(Whitened(share, sequential=True) for share in SHARES),
    "whitened-no-bias": tuple(Whitened(share, affine=False) for share in SHARES),
    "whitened-sparse": tuple(
        Whitened(share, density=density)
        for share in (0.95, 0.97, 0.98, 0.99)
        for density in (0.5, 0.7)
    ),
    "magnitude": tuple(
        Magnitude(density) for density in (0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3)
    ),
    "random": tuple(Ruled(RandomDirections(rank)) for rank in RANKS),
}
"""All ways to cut that are compared, by family, from weak to strong settings."""


def outcomes(
    piece: Workpiece, families: Mapping[str, tuple[Recipe, ...]] = FAMILIES
) -> Iterator[Outcome]:
    """Yield what each recipe of the families gives, as it is found.

    Families that need data are left out where the network hides what its layers are given.
    """
    for family, recipes in families.items():
        for recipe in recipes:
            if not isinstance(recipe, Whitened) or piece.calibrated:
                yield piece.judge(family, recipe(piece))


def pareto(found: Iterable[Outcome], cost: str = "parameters") -> tuple[Outcome, ...]:
    """Return those that no other beats: from the cheapest on, each reads more right than before.

    `cost` is a field of `Size`.
    """
    best: list[Outcome] = []
    for each in sorted(found, key=lambda one: (getattr(one.size, cost), -one.accuracy)):
        if not best or each.accuracy > best[-1].accuracy:
            best.append(each)
    return tuple(best)


def _dense(cut: LayerCut) -> LayerCut:
    return replace(cut, form="dense", reason="magnitude")
