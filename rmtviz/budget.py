"""The smallest network within a budget: a search over the layers' curves, checked jointly.

Each layer's curve says what a rank costs and what it loses; their sum is a guess of what a plan
loses. A Lagrange multiplier trades one for the other: for each, every layer takes its own best
rank, and the plans so found are really run on the selection set. From the best of them a greedy
search goes on in smaller and smaller steps, a layer down, up, or one down and another up, each
step checked in the same way. Test images are not looked at.
"""

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rmtviz import tradeoff
from rmtviz.errors import BadOption
from rmtviz.layers import Layer
from rmtviz.tradeoff import Curve
from rmtviz.workpiece import Outcome, Workpiece

STEPS = (0.7, 0.85, 0.95)
"""By what share a layer's rank is changed in a step of the search, at first and later."""

MOST = 200
"""So many plans are run at most."""

UNITS: Mapping[str, float] = {"": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "k": 1e3, "m": 1e6, "g": 1e9}
"""What the words after a number multiply it by."""

Ranks = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Budget:
    """What is wanted: least `cost` at a limited loss, or most accuracy at a limited cost.

    `cost` is a field of `Size`. With `lose`, the accuracy may fall by so much (0.005 is half a
    point), and the 95 % interval of its change on selection samples has to say so: of many
    plans that are tried, the one that looks best looks better than it is. With `most`, the cost
    may be so much; with neither, the most accurate network is wanted.
    """

    cost: str = "parameters"
    lose: float | None = None
    most: float | None = None

    def met(self, found: Outcome, whole: Outcome) -> bool:
        """Return whether an outcome stays within the budget."""
        if self.lose is not None:
            return found.paired.low >= -self.lose or found.plan.cuts == whole.plan.cuts
        return self.most is None or self.price(found) <= self.most

    def price(self, found: Outcome) -> float:
        """Return what an outcome costs."""
        return float(getattr(found.size, self.cost))

    def worth(self, found: Outcome, whole: Outcome) -> tuple[bool, float, float]:
        """Return what to sort by: the outcome that is wanted most comes last."""
        met, price = self.met(found, whole), self.price(found)
        cheap = met if self.lose is not None else not met
        return (met, -price, found.accuracy) if cheap else (met, found.accuracy, -price)

    def chosen(self, found: Iterable[Outcome], whole: Outcome) -> Outcome:
        """Return the best of the outcomes.

        Raises:
            BadOption: none is within the budget; names the nearest.
        """
        best = max(found, key=lambda one: self.worth(one, whole))
        if not self.met(best, whole):
            raise BadOption("budget_reach", cost=self.cost, most=self.most, best=self.price(best))
        return best


def parse(kind: str, words: str, whole: Outcome) -> Budget:
    """Return the budget in words: "0.5pt" to `lose`, "1MB" of `bytes`, "50%" of `macs`.

    `kind` is "lose", "parameters", "bytes" or "macs"; a share is one of the whole network's.

    Raises:
        BadOption: words that are no such amount.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(\S*)\s*", words.lower())
    number, unit = (float(found[1]), found[2]) if found else (math.nan, "?")
    if kind == "lose" and unit in ("pt", "pts", "%", "") and number <= 100:
        return Budget(lose=number / 100)
    if kind != "lose" and unit == "%":
        return Budget(kind, most=number / 100 * float(getattr(whole.size, kind)))
    if kind != "lose" and unit in UNITS:
        return Budget(kind, most=number * UNITS[unit])
    raise BadOption("budget_words", option=kind, value=words)


def curves(piece: Workpiece) -> Iterator[Curve]:
    """Yield the curves of all layers as they grow, in the directions that `search` cuts in."""
    names = [layer.name for layer in piece.network.layers]
    return tradeoff.curves(
        piece.network,
        lambda index: piece.factors(names[index], piece.calibrated),
        piece.selection,
    )


def search(piece: Workpiece, budget: Budget, finished: Sequence[Curve]) -> Iterator[Outcome]:
    """Yield every plan that is tried; `budget.chosen` of them all is the answer.

    `finished` are curves of the layers that may be cut: see `curves`.
    """
    space = _Space.of(piece, budget, finished)
    tried: dict[Ranks, Outcome] = {}
    for ranks in (space.whole, *space.path()):
        if ranks not in tried:
            tried[ranks] = space.run(ranks)
            yield tried[ranks]
    best = max(tried, key=lambda ranks: budget.worth(tried[ranks], piece.whole))
    for step in STEPS:
        better: Ranks | None = best
        while better is not None:
            best, better = better, None
            for ranks in space.beside(best, step, tried[best]):
                if ranks in tried or len(tried) >= MOST:
                    continue
                tried[ranks] = space.run(ranks)
                yield tried[ranks]
                worth = budget.worth(tried[ranks], piece.whole)
                if worth > budget.worth(tried[best], piece.whole):
                    better = ranks
                    break
    how = tried[best].plan.calibration
    if how is not None and best != space.whole:
        plan = replace(tried[best].plan, calibration=replace(how, sequential=True))
        yield piece.judge("search", plan)


@dataclass(frozen=True, slots=True)
class _Space:
    """The ranks that may be chosen, layer by layer; one more than the largest means whole."""

    piece: Workpiece
    budget: Budget
    curves: tuple[Curve, ...]
    layers: tuple[Layer, ...]
    tops: Ranks

    @classmethod
    def of(cls, piece: Workpiece, budget: Budget, finished: Sequence[Curve]) -> "_Space":
        """Return the space of the layers that can be stored as two, and gain by it."""
        found = {layer.name: layer for layer in piece.network.layers}
        able = [(curve, found[curve.layer]) for curve in finished]
        able = [x for x in able if x[1].pairs and _top(x[1], x[0]) > 0]
        tops = tuple(_top(layer, curve) for curve, layer in able)
        return cls(piece, budget, tuple(x[0] for x in able), tuple(x[1] for x in able), tops)

    @property
    def whole(self) -> Ranks:
        """The ranks of the network as it is."""
        return tuple(top + 1 for top in self.tops)

    def run(self, ranks: Ranks) -> Outcome:
        """Return what a network of these ranks really reads."""
        cut = {
            layer.name: rank
            for layer, rank, top in zip(self.layers, ranks, self.tops, strict=True)
            if rank <= top
        }
        words = f"search({', '.join(f'{name}={rank}' for name, rank in cut.items())})"
        plan = self.piece.recut(cut, self.piece.calibrated, words)
        return self.piece.judge("search", plan)

    def path(self) -> Iterator[Ranks]:
        """Yield the ranks that are best for each multiplier, from the dearest network on."""
        options = [
            [(rank, self.price(i, rank), self.loss(i, rank)) for rank in self._grid(i)]
            for i in range(len(self.layers))
        ]
        slopes = {
            (b[2] - a[2]) / (a[1] - b[1])
            for choices in options
            for a, b in itertools.permutations(choices, 2)
            if a[1] > b[1] and b[2] > a[2]
        }
        yield from dict.fromkeys(
            tuple(min(choices, key=lambda x: (x[2] + slope * x[1], x[1]))[0] for choices in options)
            for slope in (0.0, *(slope * (1 + 1e-9) for slope in sorted(slopes)))
        )

    def beside(self, ranks: Ranks, step: float, now: Outcome) -> Iterator[Ranks]:
        """Yield ranks a step away that may be better, those first that should lose least."""
        moves = [
            [_lower(rank, step), rank, _higher(rank, step, whole)]
            for rank, whole in zip(ranks, self.whole, strict=True)
        ]
        near = []
        for i, j in itertools.product(range(len(ranks)), repeat=2):
            for low, high in ((0, 1), (1, 2), (0, 2)) if i != j else ((0, 0), (2, 2)):
                changed = list(ranks)
                changed[i], changed[j] = moves[i][low], moves[j][high]
                near.append(tuple(changed))
        price, base = self.budget.price(now), self.total(ranks)
        for other in sorted(dict.fromkeys(near), key=self.lost):
            cost = price + self.total(other) - base
            cheaper = cost < price if self.budget.lose is not None else True
            if other != ranks and cheaper and cost <= (self.budget.most or math.inf):
                yield other

    def price(self, i: int, rank: int) -> float:
        """Return what a layer costs at a rank."""
        layer, checkpoint = self.layers[i], self.piece.checkpoint
        left = rank > self.tops[i]
        weights = layer.parameters(checkpoint) if left else rank * sum(layer.shape)
        if self.budget.cost == "macs":
            return weights * self.piece.network.places.get(layer.name, 1)
        if self.budget.cost != "bytes":
            return weights
        held = [checkpoint.tensors[name] for name in layer.tensors]
        return sum(it.stored for it in held) if left else weights * held[0].written.itemsize

    def loss(self, i: int, rank: int) -> float:
        """Return the accuracy that a layer loses at a rank, by its curve; negative: it gains."""
        curve = self.curves[i]
        whole = curve.points[-1].accuracy
        return 0.0 if rank > self.tops[i] else whole - curve.at(rank)

    def total(self, ranks: Ranks) -> float:
        """Return what all layers cost."""
        return sum(self.price(i, rank) for i, rank in enumerate(ranks))

    def lost(self, ranks: Ranks) -> float:
        """Return what all layers lose, were their losses to add up."""
        return sum(self.loss(i, rank) for i, rank in enumerate(ranks))

    def _grid(self, i: int) -> list[int]:
        top = self.tops[i]
        return [*(rank for rank in self.curves[i].ranks if rank < top), top, top + 1]


def _lower(rank: int, step: float) -> int:
    """Return a rank a step lower, 1 at least."""
    return max(1, min(rank - 1, math.floor(rank * step)))


def _higher(rank: int, step: float, whole: int) -> int:
    """Return a rank a step higher, the whole layer at most."""
    return min(whole, max(rank + 1, math.ceil(rank / step)))


def _top(layer: Layer, curve: Curve) -> int:
    """Return the largest rank at which a layer stored as two is smaller than it is; 0: none."""
    m, n = layer.shape
    if layer.factored:
        return curve.ranks[-1] - 1
    return min((m * n - 1) // (m + n), curve.ranks[-1])
