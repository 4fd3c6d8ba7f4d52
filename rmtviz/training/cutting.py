"""A cut in the middle of training: the layers' matrices, and what the optimiser remembers of them.

Where W becomes B A, gradients become those of the factors: G_A = Bᴴ G_W and G_B = G_W Aᴴ. An
average of gradients goes the same way, exactly; an average of squares as if entries were
independent: by the squared sizes of B and A, which keeps it positive.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtviz import pruning
from rmtviz.checkpoint import Checkpoint, double
from rmtviz.factors import Factors
from rmtviz.layers import Layer, bias
from rmtviz.layers import find as find_layers
from rmtviz.pruning import LayerCut, PruningPlan

Array = NDArray[Any]

SQUARES = ("exp_avg_sq", "max_exp_avg_sq", "square_avg", "sum")
"""The moments that are averages or sums of squares, by the names that torch's optimisers give."""


def cut(checkpoint: Checkpoint, plan: PruningPlan) -> Checkpoint:
    """Return the checkpoint with the plan's cuts made; a pair is cut as the matrix that it is."""
    found = {layer.name: layer for layer in find_layers(checkpoint)[0]}
    made = [each for each in plan.cuts if each.form != "whole"]
    return pruning.apply(
        checkpoint, plan, {each.name: _factors(checkpoint, found[each.name], each) for each in made}
    )


def carried(
    moments: Mapping[str, Array], before: Checkpoint, after: Checkpoint, kinds: tuple[str, ...]
) -> dict[str, Array]:
    """Return the moments of the tensors after a cut, from those before it.

    `moments` are named like "exp_avg.0.weight". A tensor that the cut left alone, or only
    overwrote, keeps its own; a bias takes its along.
    """
    old = {layer.name: layer for layer in find_layers(before)[0]}
    carried: dict[str, Array] = {}
    for layer in find_layers(after)[0]:
        was = old[layer.name]
        for kind in kinds:
            held = [double(np.asarray(moments[f"{kind}.{name}"])) for name in was.tensors]
            new = projected(held, _matrices(before, was), _matrices(after, layer), kind in SQUARES)
            carried |= {f"{kind}.{name}": m for name, m in zip(layer.tensors, new, strict=True)}
            there, here = bias(before, was), bias(after, layer)
            if there is not None and here is not None:
                carried[f"{kind}.{here}"] = np.asarray(moments[f"{kind}.{there}"])
    return carried


def projected(held: list[Array], old: list[Array], new: list[Array], squares: bool) -> list[Array]:
    """Return the moments of a layer's new tensors: [M_W], or [M_A, M_B] in the order applied."""
    if len(new) == 1 or (len(old) == 2 and all(a is b for a, b in zip(old, new, strict=True))):
        return held
    inner, outer = new
    if len(old) == 1:  # W → B A
        (whole,) = held
        right, left = (_squared(x) if squares else x for x in (inner, outer))
        return [left.conj().T @ whole, whole @ right.conj().T]
    # B A → B' A' with A' = T A and B' = B S: G_A' = Sᴴ G_A, G_B' = G_B Tᴴ
    side = np.linalg.lstsq(old[1], outer, rcond=None)[0]
    turn = np.linalg.lstsq(old[0].T, inner.T, rcond=None)[0].T
    if squares:
        side, turn = _squared(side), _squared(turn)
    return [side.conj().T @ held[0], held[1] @ turn.conj().T]


def told(plan: PruningPlan, before: float, kept: str) -> dict[str, Any]:
    """Return what was cut as plain values, beside the selection accuracy just before the cut."""
    return {
        "rule": plan.rule,
        "moments": kept,
        "selection_accuracy_before": before,
        "layers": [_plain(each) for each in plan.cuts],
    }


def _factors(checkpoint: Checkpoint, layer: Layer, cut: LayerCut) -> Factors:
    """Return as many of a layer's directions as a cut needs, a pair's through its small core."""
    if layer.factored:
        return Factors.of_pair(*_matrices(checkpoint, layer))
    return Factors.of(double(layer.matrix(checkpoint)), cut.reach)


def _plain(each: LayerCut) -> dict[str, Any]:
    names = ("values", "kept")
    return {name: value for name, value in asdict(each).items() if name not in names}


def _matrices(checkpoint: Checkpoint, layer: Layer) -> list[Array]:
    return [double(checkpoint[name]) for name in layer.tensors]


def _squared(array: Array) -> Array:
    return np.abs(array) ** 2
