"""Looks at the spectra during training, cheap enough to go unnoticed, and what they show."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtviz import analysis, decomposition, layers, tracy_widom
from rmtviz.analysis import Analysis, LayerAnalysis
from rmtviz.checkpoint import Checkpoint
from rmtviz.decomposition import LayerSpectrum, Spectra
from rmtviz.fits import BEMA, censored
from rmtviz.fits.base import SMALLEST
from rmtviz.layers import Layer
from rmtviz.schedules import Look
from rmtviz.spectrum import Spectrum

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


def prepare(shapes: Iterable[tuple[int, int]]) -> None:
    """Compute the quantile that all looks at layers of these shapes share, once a process.

    It takes up to 0.2 s, of no run in particular, and is kept.
    """
    count = sum(min(shape) >= SMALLEST for shape in shapes)
    level = 1 - (1 - BEMA().level) ** (1 / max(count, 1))
    tracy_widom.quantile(1 - level)


def look(checkpoint: Checkpoint, epoch: int, before: Seen | None = None) -> Seen:
    """Return what the spectra of a network say; layers that hardly moved are not read again."""
    found, _ = layers.find(checkpoint)
    moved = [layer for layer in found if before is None or _moved(layer, checkpoint, before)]
    read = _decomposed(checkpoint, moved)
    fresh = {item.layer.name: item for item in read.layers}
    old = {item.name: item for item in before.found} if before else {}
    items = tuple(fresh.get(layer.name) or _kept(old[layer.name]) for layer in found)
    fitted = analysis.fit(replace(read, layers=items), BEMA(), checkpoint)
    refitted = tuple(_refitted(layer, fitted.level) for layer in fitted)
    weights = dict(before.weights) if before else {}
    weights |= dict.fromkeys(fresh, checkpoint)
    return Seen(epoch, weights, replace(fitted, layers=refitted))


def start(checkpoint: Checkpoint, initial: Checkpoint, found: Analysis) -> dict[str, float | None]:
    """Return, by layer, the cosine between its bulk and its initial matrix W₀.

    The bulk is W without its k leading directions, as they are found by four steps of block
    power iteration from k + 10 fixed directions (the cosine is then right to 0.002); None
    without a fit.
    """
    return {
        layer.name: _cosine(
            layer.layer.matrix(checkpoint), _whole(layer.layer).matrix(initial), layer.spikes
        )
        for layer in found
    }


def _whole(layer: Layer) -> Layer:
    """Return a layer as it was before a cut made two tensors of it."""
    return replace(layer, tensors=(f"{layer.name}.weight",)) if layer.factored else layer


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


def _decomposed(checkpoint: Checkpoint, wanted: list[Layer]) -> Spectra:
    """Return the spectra of these layers, those of pairs from their small factors."""
    whole = [layer for layer in wanted if not layer.factored]
    found = decomposition.decompose(checkpoint, only=whole)
    pairs = [(layer, layer.held(checkpoint)) for layer in wanted if layer.factored]
    small = [
        LayerSpectrum(layer, layer.parameters(checkpoint), Spectrum.by_product(outer, inner))
        for layer, (inner, outer) in pairs
    ]
    return replace(found, layers=(*found.layers, *small))


def _kept(layer: LayerAnalysis) -> LayerSpectrum:
    return LayerSpectrum(layer.layer, layer.parameters, layer.spectrum, layer.entries)


def _refitted(layer: LayerAnalysis, level: float) -> LayerAnalysis:
    """Return a pair's layer with the law fitted to the values that an earlier cut left."""
    if not layer.layer.factored:
        return layer
    fit = censored.fit(layer.spectrum, layer.rank, BEMA().at(level))
    return replace(layer, fit=fit, ranks={"bema": fit.spikes})


def _cosine(matrix: NDArray[Any], initial: NDArray[Any], spikes: int | None) -> float | None:
    """Return ⟨W − UUᵀW, W₀⟩ / (‖W − UUᵀW‖ ‖W₀‖), U the leading directions; in W₀'s precision.

    As UUᵀ is a projection, ‖W − UUᵀW‖² = ‖W‖² − ‖UᵀW‖², and no third matrix is made.
    """
    if spikes is None:
        return None
    flat = matrix.shape[0] <= matrix.shape[1]
    w, w0 = (each.astype(initial.dtype, copy=False) for each in (matrix, initial))
    w, w0 = (w, w0) if flat else (w.T, w0.T)
    energy, product = float(np.vdot(w, w)), float(np.vdot(w, w0))
    if spikes:
        draws = np.random.Generator(np.random.PCG64(0)).standard_normal((len(w), spikes + 10))
        block = draws.astype(w.dtype)
        for _ in range(4):
            block = np.linalg.qr(w @ (w.T @ block))[0]
        rows = block.T @ w
        lead = np.linalg.eigh(rows @ rows.T)[1][:, -spikes:]
        carried = lead.T @ rows
        energy -= float(np.vdot(carried, carried))
        product -= float(np.vdot(carried, (block @ lead).T @ w0))
    norms = math.sqrt(max(energy, 0.0)) * float(np.linalg.norm(w0))
    return product / norms if norms else None
