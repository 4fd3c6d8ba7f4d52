"""Accuracy against rank: what a layer can lose, seen on data and not in theory."""

import bisect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtviz import pruning
from rmtviz.datasets import Samples
from rmtviz.evaluation import paired_interval
from rmtviz.factors import Factors
from rmtviz.networks import Network, Runner

Array = NDArray[np.float64]

GRID = 20
"""The number of ranks that a curve begins with, closer together where they are small."""


SLOW = 1_000
"""The number of samples for networks that have to be run as a whole at every rank."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Accuracy against the kept rank of one layer, the other layers as they are.

    `ranks` ascend to the full rank; `accuracy`, `low` and `high` belong to them: the
    accuracy on `samples` images, and the 95 % interval of its paired difference to the
    whole network. `needed` is the smallest rank from which on no loss is shown, that is,
    no interval lies wholly below zero; None if the data cannot say.
    """

    layer: str
    split: str
    samples: int
    ranks: tuple[int, ...]
    accuracy: Array
    low: Array
    high: Array
    needed: int
    unit: str = "images"

    def at(self, rank: int) -> float:
        """Return the accuracy at a rank, between two measured ones on the line between them."""
        return float(np.interp(rank, self.ranks, self.accuracy))


def curve(network: Runner, index: int, factors: Factors, samples: Samples) -> Curve:
    """Return the curve of layer number `index` of a network, from its factors.

    In a chain of layers the inputs of the layer are computed once and projected on its
    directions; each rank adds its directions' share and runs what lies behind the layer.
    Any other network is run anew at each rank, on the first `SLOW` samples. The grid is
    refined around the smallest rank that shows no loss until that rank is exact.
    """
    full = int(np.count_nonzero(factors.values > 1e-7 * factors.values[0])) or 1
    samples = samples if isinstance(network, Network) else samples.first(SLOW)
    labels = samples.labels
    answer = _answers(network, index, factors, samples)
    right = network.logits(samples.images).argmax(axis=1) == labels
    measured: dict[int, tuple[float, float, float]] = {}

    def measure(rank: int) -> float:
        """Measure a rank once; return the upper end of the interval of its change."""
        if rank not in measured:
            measured[rank] = _row(right, right if rank == full else answer(rank) == labels)
        return measured[rank][2]

    for rank in grid(full):
        measure(rank)
    needed = _smallest(sorted(measured), measure)
    ranks = sorted(measured)
    accuracy, low, high = np.array([measured[rank] for rank in ranks]).T
    return Curve(
        network.layers[index].name,
        samples.name,
        len(samples),
        tuple(ranks),
        accuracy,
        low,
        high,
        needed,
        samples.unit,
    )


def _answers(
    network: Runner, index: int, factors: Factors, samples: Samples
) -> Callable[[int], NDArray[np.int64]]:
    """Return what gives the answers (N,) to the samples with a layer cut to a rank."""
    if isinstance(network, Network):
        chain = network
        inner = chain.hidden(samples.images, index) @ factors.right.astype(np.float32)
        outer = (factors.left * factors.values).astype(np.float32)
        bias = chain.bias(index)
        return lambda rank: chain.rest(inner[:, :rank] @ outer[:, :rank].T + bias, index).argmax(
            axis=1
        )
    if network.origin is None:
        raise ValueError("a network that is no chain of layers says what it was made of")
    whole, choice = network.origin
    layer = network.layers[index]

    def answer(rank: int) -> NDArray[np.int64]:
        cut = pruning.at_rank(whole, layer, factors, rank)
        answers: NDArray[np.int64] = choice(cut).logits(samples.images).argmax(axis=1)
        return answers

    return answer


def grid(full: int) -> tuple[int, ...]:
    """Return about `GRID` ranks from 1 to the full rank, closer together where small."""
    steps = np.unique(np.round(np.geomspace(1, full, GRID)).astype(int))
    return tuple(int(step) for step in steps)


def _smallest(ranks: list[int], measure: Callable[[int], float]) -> int:
    """Return the smallest rank from which on no loss is shown, by bisection below the grid's."""
    last_loss = max((i for i, rank in enumerate(ranks) if measure(rank) < 0), default=-1)
    if last_loss < 0:
        return ranks[0]
    low, high = ranks[last_loss], ranks[last_loss + 1]
    between = range(low + 1, high)
    return low + 1 + bisect.bisect_left(between, True, key=lambda rank: measure(rank) >= 0)


def _row(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> tuple[float, float, float]:
    low, high = paired_interval(
        int((after & ~before).sum()), int((before & ~after).sum()), len(before)
    )
    return float(after.mean()), low, high
