"""Looks at the spectra during training, cheap enough to go unnoticed, and what they show."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtviz import analysis, decomposition, layers
from rmtviz.analysis import Analysis, LayerAnalysis
from rmtviz.checkpoint import Checkpoint, double
from rmtviz.datasets import Dataset
from rmtviz.decomposition import LayerSpectrum, Model, Spectra
from rmtviz.factors import Factors
from rmtviz.fits import BEMA, censored
from rmtviz.layers import Layer
from rmtviz.schedules import Look
from rmtviz.spectrum import symmetry
from rmtviz.training.recipe import Training

BUDGET = 0.05
"""Looks are so far apart that they take at most this share of a run, by count of operations."""

EIGEN = 16
"""Beside its n p² a look takes as long as so many p³ of a step's multiply–accumulates; measured."""

MOVED = 1e-3
"""A layer that changed by less than this share of its norm keeps its spectrum.

By Mirsky's inequality its singular values have moved no more than that, in the same norm.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A look: after which epoch, what was found, and each layer's weights when it was read."""

    epoch: int
    weights: Mapping[str, Checkpoint]
    found: Analysis

    @property
    def look(self) -> Look:
        """What a schedule may see of it."""
        spikes = {layer.name: layer.spikes for layer in self.found}
        return Look(self.epoch, spikes, {layer.name: layer.ks for layer in self.found})


def apart(recipe: Training, dataset: Dataset, samples: int) -> int:
    """Return how many epochs lie between two looks, so that they stay within `BUDGET`.

    An epoch is 3 N Σ m n multiply–accumulates, a look Σ (n p² + 16 p³).
    """
    sides = (dataset.pixels, *recipe.widths, dataset.outputs)
    shapes = list(itertools.pairwise(sides))
    epoch = 3 * samples * sum(m * n for m, n in shapes)
    look = sum((max(s) + EIGEN * min(s)) * min(s) ** 2 for s in shapes)
    return math.ceil(look / (BUDGET * epoch))


def look(checkpoint: Checkpoint, epoch: int, before: Seen | None = None) -> Seen:
    """Return what the spectra of a network say; layers that hardly moved are not read again."""
    found, _ = layers.find(checkpoint)
    moved = [layer for layer in found if before is None or _moved(layer, checkpoint, before)]
    fresh = {item.layer.name: item for item in _decomposed(checkpoint, moved)}
    old = {item.name: item for item in before.found} if before else {}
    items = tuple(fresh.get(layer.name) or _kept(old[layer.name]) for layer in found)
    spectra = Spectra(Model.of(checkpoint), items, ())
    fitted = analysis.fit(spectra, BEMA(), checkpoint)
    read = tuple(_refitted(layer, fitted.level) for layer in fitted)
    weights = dict(before.weights) if before else {}
    weights |= dict.fromkeys(fresh, checkpoint)
    return Seen(epoch, weights, replace(fitted, layers=read))


def start(checkpoint: Checkpoint, initial: Checkpoint, found: Analysis) -> dict[str, float | None]:
    """Return, by layer, the cosine between its bulk and its initial matrix W₀.

    The bulk is W without its k leading directions, as they are found by four steps of block
    power iteration from k + 10 fixed directions; None without a fit.
    """
    first = {layer.name: layer for layer in layers.find(initial)[0]}
    return {
        layer.name: _cosine(
            layer.layer.matrix(checkpoint), first[layer.name].matrix(initial), layer.spikes
        )
        for layer in found
        if layer.name in first
    }


def factors(checkpoint: Checkpoint, layer: Layer) -> Factors:
    """Return a layer's factors: those of a pair through its small core, never as a product."""
    if not layer.factored:
        return Factors.of(double(layer.matrix(checkpoint)))
    inner, outer = map(double, layer.held(checkpoint))
    return Factors.of_pair(inner, outer)


def _moved(layer: Layer, checkpoint: Checkpoint, before: Seen) -> bool:
    """Return whether a layer's tensors have changed, by more than `MOVED`, since it was read."""
    then = before.weights.get(layer.name)
    if then is None or any(name not in then for name in layer.tensors):
        return True
    for name in layer.tensors:
        now, was = checkpoint[name], then[name]
        if now.shape != was.shape:
            return True
        if np.linalg.norm(now - was) > MOVED * np.linalg.norm(was):
            return True
    return False


def _decomposed(checkpoint: Checkpoint, wanted: list[Layer]) -> list[LayerSpectrum]:
    """Return the spectra of these layers, those of pairs from their small factors."""
    names = {name for layer in wanted if not layer.factored for name in layer.tensors}
    dense = replace(
        checkpoint, tensors={name: checkpoint.tensors[name] for name in checkpoint if name in names}
    )
    items = list(decomposition.decompose(dense).layers) if names else []
    for layer in wanted:
        if layer.factored:
            found = factors(checkpoint, layer)
            beta = max(symmetry(found.left), symmetry(found.right))
            spectrum = censored.spectrum(found.values, layer.shape, beta)
            items.append(LayerSpectrum(layer, layer.parameters(checkpoint), spectrum))
    return items


def _kept(layer: LayerAnalysis) -> LayerSpectrum:
    return LayerSpectrum(layer.layer, layer.parameters, layer.spectrum, layer.entries)


def _refitted(layer: LayerAnalysis, level: float) -> LayerAnalysis:
    """Return a pair's layer with the law fitted to the values that an earlier cut left."""
    if not layer.layer.factored:
        return layer
    fit = censored.fit(layer.spectrum, layer.rank, BEMA().at(level))
    return replace(layer, fit=fit, ranks={"bema": fit.spikes})


def _cosine(matrix: NDArray[Any], initial: NDArray[Any], spikes: int | None) -> float | None:
    if spikes is None:
        return None
    w, w0 = (np.asarray(each, dtype=np.float64) for each in (matrix, initial))
    if spikes:
        block = np.random.Generator(np.random.PCG64(0)).standard_normal((w.shape[1], spikes + 10))
        for _ in range(4):
            block = w.T @ np.linalg.qr(w @ block)[0]
        basis = np.linalg.qr(w @ block)[0]
        u, _, _ = np.linalg.svd(basis.T @ w, full_matrices=False)
        lead = basis @ u[:, :spikes]
        w = w - lead @ (lead.T @ w)
    norms = float(np.linalg.norm(w) * np.linalg.norm(w0))
    return float(np.vdot(w, w0)) / norms if norms else None
