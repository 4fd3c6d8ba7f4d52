"""Guesses, from the weights alone, of which cut loses more; and how often they are right.

Without data nobody knows an accuracy. A guess puts cuts in an order and says no more; what the
order is worth is measured where there are data (`agreement`).
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtviz.analysis import Analysis
from rmtviz.tradeoff import Curve

Array = NDArray[np.float64]

SHARES = (0.02, 0.05, 0.1, 0.2, 0.5)
"""Layers are compared at these shares of their directions kept."""


def cut_energy(analysis: Analysis, index: int, rank: int) -> float:
    """Return the share of a layer's norm that a cut removes: √(Σ_{i>r} s_i²) / ‖W‖_F."""
    values = analysis.layers[index].spectrum.values
    return float(np.linalg.norm(values[rank:]) / (np.linalg.norm(values) or 1.0))


def at_the_outputs(analysis: Analysis, index: int, rank: int) -> float:
    """Return how far the cut part could move the network's outputs, in its layers' gains.

    √(Σ_{i>r} s_i²), times the mean gain ‖W_j‖_F/√n_j of each layer in front, times the largest
    gain s₁(W_j) of each behind.
    """
    spectra = [layer.spectrum for layer in analysis.layers]
    shapes = [layer.layer.shape for layer in analysis.layers]
    moved = float(np.linalg.norm(spectra[index].values[rank:]))
    for j, (spectrum, shape) in enumerate(zip(spectra, shapes, strict=True)):
        if j < index:
            moved *= float(np.linalg.norm(spectrum.values)) / math.sqrt(shape[1])
        elif j > index:
            moved *= float(spectrum.values[0])
    return moved


def stable_rank(analysis: Analysis, index: int, rank: int) -> float:
    """Return the layer's stable rank ‖W‖_F² / s₁² for each direction that is kept."""
    values = analysis.layers[index].spectrum.values
    return float((values @ values) / (values[0] ** 2 or 1.0)) / rank


def cut_signal(analysis: Analysis, index: int, rank: int) -> float:
    """Return the share of the layer's energy above the noise edge that a cut removes."""
    layer = analysis.layers[index]
    spikes = layer.spectrum.values[: layer.spikes or 0]
    return float((spikes[rank:] @ spikes[rank:]) / ((spikes @ spikes) or 1.0))


GUESSES: Mapping[str, Callable[[Analysis, int, int], float]] = {
    "cut-energy": cut_energy,
    "at-the-outputs": at_the_outputs,
    "stable-rank": stable_rank,
    "cut-signal": cut_signal,
}
"""The guesses by name: of analysis, layer number and rank, larger where more should be lost."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a guess orders cuts as the measured loss of accuracy does.

    `correlation` is Spearman's over all `points` cuts of all layers; `ordered` the share of
    `pairs` of layers, cut to the same share of their directions, that it puts in the right order.
    """

    guess: str
    points: int
    correlation: float
    pairs: int
    ordered: float


def agreement(guess: str, analysis: Analysis, curves: Sequence[Curve]) -> Agreement:
    """Return how far a guess agrees with the finished curves of some of the layers."""
    call = GUESSES[guess]
    places = {layer.name: index for index, layer in enumerate(analysis.layers)}
    guessed = [
        call(analysis, places[curve.layer], rank) for curve in curves for rank in curve.ranks[:-1]
    ]
    lost = [curve.accuracy[-1] - accuracy for curve in curves for accuracy in curve.accuracy[:-1]]
    right = total = 0
    for share, (one, other) in itertools.product(SHARES, itertools.combinations(curves, 2)):
        ranks = [max(1, round(share * curve.ranks[-1])) for curve in (one, other)]
        true = [c.accuracy[-1] - c.at(r) for c, r in zip((one, other), ranks, strict=True)]
        said = [
            call(analysis, places[c.layer], r) for c, r in zip((one, other), ranks, strict=True)
        ]
        if true[0] != true[1]:
            total += 1
            right += (said[0] > said[1]) == (true[0] > true[1])
    ordered = right / total if total else 0.0
    return Agreement(guess, len(lost), spearman(guessed, lost), total, ordered)


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
    """Return Spearman's rank correlation, ties sharing their mean rank; 0 where one is constant."""
    a, b = (_ranks(np.asarray(each, dtype=np.float64)) for each in (x, y))
    a, b = a - a.mean(), b - b.mean()
    size = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / size if size else 0.0


def _ranks(values: Array) -> Array:
    """Return the rank of each value from 0, equal ones sharing their mean."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    means: Array = np.cumsum(counts) - (counts + 1) / 2
    return means[places]
