"""Cutting: a plan to look at, then a new checkpoint. The original is never changed.

The factored form, defined here and nowhere else: a layer `L.weight` (m × n) of rank r becomes
`L.0.weight` (r × n, without bias) and `L.1.weight` (m × r) with `L.1.bias`, in the layer's
dtype: `nn.Sequential(Linear(n, r, bias=False), Linear(r, m))`, no activation between. A
convolution becomes two: one with its window, stride and padding to r channels without bias,
then one with a window of one place and the bias. Both tensors are of the layer's kind, so a
layer that holds its inputs first does so in both. The names of such layers stand in the
checkpoint's own record under "factored". A layer that is a part of a tensor (a gate, a query)
is written back into it, dense.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtviz import knobs, layers, sparse
from rmtviz.analysis import Analysis, LayerAnalysis
from rmtviz.checkpoint import Checkpoint, Tensor, double
from rmtviz.costs import Size as Size
from rmtviz.cuts import FORMS as FORMS
from rmtviz.cuts import LayerCut as LayerCut
from rmtviz.cuts import PruningPlan as PruningPlan
from rmtviz.errors import BadOption, PlanRefused
from rmtviz.factors import Factors as Factors
from rmtviz.fits import METHODS
from rmtviz.kinds import KINDS, PAIRS
from rmtviz.layers import Layer
from rmtviz.rules import CONTROLS, RULES, Keep, Rule

Array = NDArray[np.float64]

BELOW = 0.01
"""Up to this share of values below the lower edge is put down to a variance fitted too high."""


def plan(
    analysis: Analysis,
    rule: Rule,
    overrides: Mapping[str, int] | None = None,
    *,
    form: str = "auto",
    include_last: bool = False,
    careful: bool = False,
) -> PruningPlan:
    """Return what the rule would cut, a rank for any layer in `overrides` instead of the rule's.

    The last (classifier) layer stays whole unless `include_last` or an override says so.
    With `careful`, for choices that nobody named, layers stay whole where the methods
    disagree about the cut, and where it would remove values below the law's lower edge,
    if they are more than `BELOW` of all: in trained transformers those carry information
    (Staats, Thamm and Rosenow, arXiv 2410.17770).

    Raises:
        BadOption: an unknown form, layer, or a rank outside 1 … rank of the layer.
    """
    if form not in FORMS:
        raise BadOption("unknown_name", name=form, known=", ".join(FORMS))
    wanted = dict(overrides or {})
    cuts = []
    for layer in analysis:
        last = layer is analysis.layers[-1] and len(analysis.layers) > 1
        if layer.name in wanted:
            keep = Keep(_within(wanted.pop(layer.name), layer), "chosen")
        elif last and not include_last:
            keep = Keep(layer.spectrum.p, "last")
        else:
            keep = rule(layer)
            doubt = _doubt(layer, keep) if careful else None
            keep = Keep(layer.spectrum.p, doubt) if doubt else keep
        cuts.append(_cut(layer, keep, form))
    if wanted:
        known = ", ".join(layer.name for layer in analysis)
        raise BadOption("unknown_layer", name=next(iter(wanted)), known=known)
    return PruningPlan(
        analysis.digest,
        _described({**RULES, **CONTROLS}, rule),
        _described(METHODS, analysis.method),
        tuple(cuts),
    )


def factors(checkpoint: Checkpoint, layer: Layer) -> Factors:
    """Return a layer's factors: the slow part of a cut, the same for every rank."""
    if layer.adapter:
        first, second = map(double, layer.held(checkpoint))
        return Factors.of_pair(first, layer.scale * second)
    return Factors.of(double(layer.matrix(checkpoint)))


def apply(
    checkpoint: Checkpoint, plan: PruningPlan, known: Mapping[str, Factors] | None = None
) -> Checkpoint:
    """Return the pruned checkpoint; `known` may hold layers' factors that were made before.

    It has to where the plan was made by data: see `whitening.factors`.

    Raises:
        PlanRefused: the plan was made for another checkpoint, names a layer that is not
            there, needs a tensor name that is taken, or factors that only data give.
    """
    if plan.digest != checkpoint.digest:
        raise PlanRefused("plan_other", plan=plan.digest[:12], checkpoint=checkpoint.digest[:12])
    found = {layer.name: layer for layer in layers.find(checkpoint)[0]}
    tensors = dict(checkpoint.tensors)
    factored = set(layers.factored_pairs(checkpoint))
    kinds = dict(layers.told_kinds(checkpoint))
    changed: list[str] = []
    for cut in plan.cuts:
        if cut.form == "whole":
            continue
        layer = found.get(cut.name)
        if layer is None or (cut.form == "factored" and not layer.pairs):
            raise PlanRefused("plan_layer", name=cut.name)
        parts = _parts(checkpoint, plan, layer, known or {})
        for each in (layer, *layer.tied()):
            old = {name: tensors.pop(name) for name in each.tensors}
            bias = None if each.part else layers.bias(checkpoint, each)
            held = None if bias is None else tensors.pop(bias)
            new, bias = _stored(each, parts, cut, old)
            kinds = _kinds_after(kinds, each, new)
            if held is not None:
                new[bias] = _shifted(held, parts.shift(cut.rank_after, cut.kept))
            for name in new:
                if name in tensors:
                    raise PlanRefused("name_taken", name=name, layer=cut.name)
            tensors.update(new)
            changed += [name for name in new if name != bias]
            if each.adapter:
                tensors |= layers.alpha_at(checkpoint, each.tensors[0], cut.rank_after)
            elif cut.form == "factored":
                factored |= {each.name}
            else:
                factored -= {each.name}
    pruned = replace(checkpoint, tensors=tensors)
    if plan.density < 1:
        pruned = sparse.largest(pruned, changed, plan.density)
    if factored or "factored" in checkpoint.about:
        pruned = pruned.with_about(factored=sorted(factored, key=layers.natural))
    return pruned.with_about(kinds=kinds) if kinds or "kinds" in checkpoint.about else pruned


def at_rank(checkpoint: Checkpoint, layer: Layer, known: Factors, rank: int) -> Checkpoint:
    """Return the checkpoint with one layer cut to a rank, dense, from its factors."""
    cut = LayerCut(layer.name, len(known.values), rank, 0, 0, "dense", None, "chosen")
    one = PruningPlan(checkpoint.digest, "", "", (cut,), calibration=known.calibration)
    return apply(checkpoint, one, {layer.name: known})


def error(
    layer: LayerAnalysis,
    rank: int,
    values: tuple[float, ...] | None = None,
    kept: tuple[int, ...] | None = None,
) -> float:
    """Return the share of the layer's Frobenius norm that a cut changes, by rank or in full.

    With s the layer's values, K the kept places and s' their new values:
    √(Σ_{i∉K} s_i² + Σ_{i∈K} (s_i − s'_i)²)/‖W‖_F.
    """
    left, energy = layer.spectrum.values.copy(), layer.spectrum.energy
    places = slice(rank) if kept is None else list(kept)
    left[places] -= left[places] if values is None else values
    return float(np.sqrt(left @ left / energy)) if energy else 0.0


def _cut(layer: LayerAnalysis, keep: Keep, form: str) -> LayerCut:
    before, (m, n) = layer.rank, layer.layer.shape
    places = range(keep.rank) if keep.kept is None else keep.kept
    rank = sum(place < before for place in places)  # a factored layer has no more
    values = None if keep.values is None else keep.values[:rank]
    kept = None if keep.kept is None or rank == before else keep.kept[:rank]
    smaller = rank * (m + n) < m * n
    if rank == before and values is None:
        stored, after = "whole", layer.parameters
    elif layer.layer.adapter or (
        layer.layer.pairs and (form == "factored" or (form == "auto" and smaller))
    ):
        stored, after = "factored", rank * (m + n)
    else:
        stored, after = "dense", m * n
    return LayerCut(
        layer.name,
        before,
        rank,
        layer.parameters,
        after,
        stored,
        layer.stable,
        keep.reason,
        values,
        kept,
    )


def _parts(
    checkpoint: Checkpoint, plan: PruningPlan, layer: Layer, known: Mapping[str, Factors]
) -> Factors:
    """Return a layer's factors as the plan wants them: the known ones, or its singular ones."""
    parts = known.get(layer.name)
    if parts is not None and parts.calibration == plan.calibration:
        return parts
    if plan.calibration is not None:
        raise PlanRefused("plan_calibration", **asdict(plan.calibration))
    return factors(checkpoint, layer)


def _shifted(bias: Tensor, shift: Array | None) -> Tensor:
    """Return a bias with something added to it."""
    if shift is None:
        return bias
    return Tensor.of((double(bias.read()) + shift).astype(bias.dtype))


def _stored(
    layer: Layer, parts: Factors, cut: LayerCut, old: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], str]:
    """Return the new tensors of a layer by name, and the name of its bias."""
    stem, rule = layer.name, layer.rule
    shapes = [old[name].shape for name in layer.tensors]
    dtype = old[layer.tensors[-1]].written
    shape = rule.whole(*shapes) if layer.factored else shapes[0]
    if shape is None:
        raise PlanRefused("plan_layer", name=cut.name)
    if cut.form == "factored" or layer.adapter:
        pair = parts.pair(cut.rank_after, cut.values, cut.kept)
        names = (f"{stem}.0.weight", f"{stem}.1.weight") if not layer.adapter else layer.tensors
        root = np.sqrt(layer.scale)
        new = {
            name: Tensor.of(rule.from_matrix((matrix / root).astype(dtype), side))
            for name, matrix, side in zip(
                names, pair, rule.pair(shape, cut.rank_after), strict=True
            )
        }
        return new, f"{stem}.1.bias"
    dense = parts.truncated(cut.rank_after, cut.values, cut.kept)
    if not layer.factored:
        (name,) = layer.tensors
        return {name: layer.holding(old[name], dense)}, layer.bias
    tensor = Tensor.of(rule.from_matrix(dense.astype(dtype), shape))
    return {f"{stem}.weight": tensor}, f"{stem}.bias"


def _kinds_after(
    kinds: Mapping[str, str], layer: Layer, new: Mapping[str, Tensor]
) -> dict[str, str]:
    """Return the record of kinds with a layer's new tensors: where it was there, or is needed.

    Names and biases tell a kind, and both change with a pair.
    """
    if set(new) == set(layer.tensors):
        return dict(kinds)
    kind = next(name for name in PAIRS if KINDS[name] is layer.rule)
    needed = kind not in ("linear", "convolution") or not kinds.keys().isdisjoint(layer.tensors)
    left = {name: word for name, word in kinds.items() if name not in layer.tensors}
    return left | (dict.fromkeys(new, kind) if needed else {})


def _doubt(layer: LayerAnalysis, keep: Keep) -> str | None:
    """Return why a cut that nobody named is better not made, as a reason; None: it may be."""
    p = layer.spectrum.p
    kept = range(keep.rank) if keep.kept is None else keep.kept
    if len(kept) == p:
        return None
    if not layer.stable:
        return "unstable"
    below = range(p - (layer.below or 0), p)
    return "below_edge" if len(below) > BELOW * p and not set(below) <= set(kept) else None


def _within(rank: int, layer: LayerAnalysis) -> int:
    if not 1 <= rank <= layer.spectrum.p:
        raise BadOption("rank_range", rank=rank, layer=layer.name, high=layer.spectrum.p)
    return rank


def _described(table: Mapping[str, type], choice: Any) -> str:
    """Return a choice as "name(knob=value)", or its name alone where it has no knobs."""
    knob_values = ", ".join(f"{name}={value}" for name, value in knobs.values(choice).items())
    name = knobs.label(table, choice)
    return f"{name}({knob_values})" if knob_values else name
