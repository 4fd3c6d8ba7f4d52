"""Accuracy, loss and outputs against rank: what a layer can lose, seen on data, not in theory."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtviz import markup, pruning
from rmtviz.datasets import Samples
from rmtviz.evaluation import cross_entropies, paired_interval
from rmtviz.factors import Factors
from rmtviz.networks import Network, Runner
from rmtviz.words import say

Array = NDArray[np.float64]

GRID = 14
"""The number of ranks that a curve begins with, closer together where they are small."""

RANKS = 24
"""The number of ranks of a finished curve: those of the grid, and others where it bends."""

SLOW = 1_000
"""The number of samples for networks that have to be run as a whole at every rank."""


@dataclass(frozen=True, slots=True)
class Point:
    """What a network makes of some samples with one layer cut to a rank.

    `low` and `high` bound the 95 % interval of the change in accuracy to the whole network,
    `spread` is the standard error of the change in loss, both paired; `error` is
    ‖f'(x) − f(x)‖ / ‖f(x)‖ over the logits of all samples.
    """

    rank: int
    accuracy: float
    low: float
    high: float
    loss: float
    spread: float
    error: float


@dataclass(frozen=True, slots=True)
class Curve:
    """What a network reads against the kept rank of one layer, the other layers as they are.

    `points` ascend in rank up to the full one.
    """

    layer: str
    split: str
    samples: int
    points: tuple[Point, ...]
    unit: str = "images"

    @property
    def ranks(self) -> tuple[int, ...]:
        """The measured ranks, ascending."""
        return tuple(point.rank for point in self.points)

    @property
    def accuracy(self) -> Array:
        """The accuracy at each measured rank."""
        return self.each("accuracy")

    @property
    def low(self) -> Array:
        """The lower ends of the intervals of the change in accuracy."""
        return self.each("low")

    @property
    def high(self) -> Array:
        """The upper ends of the intervals of the change in accuracy."""
        return self.each("high")

    @property
    def needed(self) -> int:
        """The smallest measured rank from which on no loss of accuracy is shown.

        That is, no interval lies wholly below zero; in a finished curve, the rank below shows
        a loss.
        """
        return self.points[_shown(self.points) + 1].rank

    def each(self, quantity: str) -> Array:
        """Return a quantity of `Point` at each measured rank."""
        return np.array([getattr(point, quantity) for point in self.points])

    def at(self, rank: int, quantity: str = "accuracy") -> float:
        """Return a quantity at a rank, between two measured ones on the line between them."""
        return float(np.interp(rank, self.ranks, self.each(quantity)))

    def _repr_html_(self) -> str:
        """Return what a notebook shows: what was read right at each rank."""
        head = say(
            "notebook.curve",
            layer=self.layer,
            samples=self.samples,
            unit=say(f"unit.{self.unit}"),
            split=self.split,
        )
        rows = (
            {
                "rank": f"{each.rank}",
                "read": f"{each.accuracy:.2%}",
                "interval": f"{100 * each.low:+.2f} … {100 * each.high:+.2f}",
                "loss": f"{each.loss:.4f}",
            }
            for each in self.points
        )
        return markup.shown(head, rows)


def curve(network: Runner, index: int, factors: Factors, samples: Samples) -> Curve:
    """Return the finished curve of layer number `index` of a network: see `growing`."""
    *_, last = growing(network, index, factors, samples)
    return last


def curves(network: Runner, factors: Callable[[int], Factors], samples: Samples) -> Iterator[Curve]:
    """Yield the curves of all layers as they grow, one layer after the other.

    `factors` gives those of layer number i, when its turn comes.
    """
    for index in range(len(network.layers)):
        yield from growing(network, index, factors(index), samples)


def growing(network: Runner, index: int, factors: Factors, samples: Samples) -> Iterator[Curve]:
    """Yield the curve of layer number `index` after each measured rank, from its factors.

    In a chain of layers the inputs of the layer are computed once and projected on its
    directions; each rank adds its directions' share and runs what lies behind the layer.
    Any other network is run anew at each rank, on the first `SLOW` samples. The full rank
    comes first, then `grid`, then what `following` asks for.
    """
    samples = samples if isinstance(network, Network) else samples.first(SLOW)
    full = int(np.count_nonzero(factors.values > 1e-7 * factors.values.max())) or 1
    outputs = _cut(network, index, factors, samples)
    whole = network.logits(samples.images).astype(np.float64)
    points = {full: _point(full, whole, whole, samples.labels)}
    waiting = list(grid(full))[:-1]
    name = network.layers[index].name
    while True:
        found = tuple(points[rank] for rank in sorted(points))
        yield Curve(name, samples.name, len(samples), found, samples.unit)
        rank = waiting.pop(0) if waiting else following(found)
        if rank is None:
            return
        points[rank] = _point(rank, outputs(rank), whole, samples.labels)


def grid(full: int) -> tuple[int, ...]:
    """Return up to `GRID` ranks from 1 to the full rank, closer together where small."""
    steps = np.unique(np.round(np.geomspace(1, full, GRID)).astype(int))
    return tuple(int(step) for step in steps)


def following(points: tuple[Point, ...]) -> int | None:
    """Return the rank to measure after these, which ascend; None: the curve is finished.

    First the middle between the last rank that shows a loss and the next, until the smallest
    rank without one is exact; then, up to `RANKS` ranks, where the accuracy bends most.
    """
    last = _shown(points)
    if last >= 0 and points[last + 1].rank - points[last].rank > 1:
        return (points[last].rank + points[last + 1].rank) // 2
    return _bend(points) if len(points) < RANKS else None


def _shown(points: tuple[Point, ...]) -> int:
    """Return the place of the last point that shows a loss; −1: none does."""
    return max((place for place, point in enumerate(points) if point.high < 0), default=-1)


def _bend(points: tuple[Point, ...]) -> int | None:
    """Return the middle of the wider gap beside the sharpest bend that has room; None: no room.

    How sharp: how far a point lies from the line between its neighbours, over log rank.
    """
    x = np.log([point.rank for point in points])
    y = np.array([point.accuracy for point in points])
    best, chosen = -1.0, None
    for i in range(1, len(points) - 1):
        gaps = [(x[j + 1] - x[j], j) for j in (i - 1, i) if points[j + 1].rank - points[j].rank > 1]
        off = abs(y[i] - np.interp(x[i], x[[i - 1, i + 1]], y[[i - 1, i + 1]]))
        if gaps and off > best:
            _, j = max(gaps)
            middle = round(math.sqrt(points[j].rank * points[j + 1].rank))
            best, chosen = off, min(max(middle, points[j].rank + 1), points[j + 1].rank - 1)
    return chosen


def _cut(
    network: Runner, index: int, factors: Factors, samples: Samples
) -> Callable[[int], NDArray[np.floating]]:
    """Return what gives the logits (N, classes) for the samples with a layer cut to a rank."""
    if isinstance(network, Network):
        chain = network
        inner = chain.hidden(samples.images, index) @ factors.right.astype(np.float32)
        outer = (factors.left * factors.values).astype(np.float32)
        bias = chain.bias(index)

        def cut(rank: int) -> NDArray[np.floating]:
            shift = factors.shift(rank)
            added = bias if shift is None else bias + shift.astype(np.float32)
            return chain.rest(inner[:, :rank] @ outer[:, :rank].T + added, index)

        return cut
    if network.origin is None:
        raise ValueError("a network that is no chain of layers says what it was made of")
    whole, choice = network.origin
    layer = network.layers[index]
    return lambda rank: choice(pruning.at_rank(whole, layer, factors, rank)).logits(samples.images)


def _point(
    rank: int, after: NDArray[np.floating], before: Array, labels: NDArray[np.int64]
) -> Point:
    """Return what the logits after a cut say beside those before it."""
    logits = after.astype(np.float64)
    now, was = logits.argmax(axis=1) == labels, before.argmax(axis=1) == labels
    low, high = paired_interval(int((now & ~was).sum()), int((was & ~now).sum()), len(labels))
    losses = cross_entropies(logits, labels)
    change = losses - cross_entropies(before, labels)
    spread = float(change.std(ddof=1)) / math.sqrt(len(labels)) if len(labels) > 1 else math.inf
    error = float(np.linalg.norm(logits - before) / (np.linalg.norm(before) or 1.0))
    return Point(rank, float(now.mean()), low, high, float(losses.mean()), spread, error)
