"""Cutting by data: layers in the directions of what they really give, not of their weights.

Plain truncation keeps what is large in the weights; this keeps what is large in the outputs
W x over calibration samples (see `Factors.seen`), as ASVD and SVD-LLM do. Such a plan is a
`PruningPlan` like any other; its `calibration` says which samples, and these are needed again
to apply it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rmtviz import layers, pruning
from rmtviz.checkpoint import Checkpoint
from rmtviz.cuts import PruningPlan
from rmtviz.datasets import Samples
from rmtviz.errors import CannotRun, PlanRefused
from rmtviz.factors import Calibration, Factors
from rmtviz.layers import Layer
from rmtviz.networks import Choice, Runner, Transparent

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """What a layer is given on average: E[x] (n,) and E[xxᵀ] (n × n)."""

    mean: Array
    second: Array


def moments(network: Runner, samples: Samples, index: int) -> Moments:
    """Return the moments of what layer number `index` is given, over samples and places.

    Raises:
        CannotRun: the network does not show it.
    """
    if not isinstance(network, Transparent):
        raise CannotRun("inputs_hidden")
    columns = network.layers[index].shape[1]
    total, second, count = np.zeros(columns), np.zeros((columns, columns)), 0
    for batch in network.given(samples.images, index):
        exact = batch.astype(np.float64)
        total += exact.sum(axis=0)
        second += exact.T @ exact
        count += len(exact)
    return Moments(total / count, second / count)


def turned(checkpoint: Checkpoint, layer: Layer, seen: Moments, how: Calibration) -> Factors:
    """Return a layer's factors in the directions of its outputs, from what it is given.

    The mean is left to the bias where that is wanted and the layer has one of its own.
    """
    own = layer.part is None and layers.bias(checkpoint, layer) is not None
    matrix = layer.matrix(checkpoint).astype(np.float64)
    return Factors.seen(matrix, seen.second, seen.mean if how.affine and own else None, how)


def factors(
    checkpoint: Checkpoint, plan: PruningPlan, choice: Choice, samples: Samples
) -> Mapping[str, Factors]:
    """Return the factors of all layers that a plan made by data cuts, from its samples.

    Raises:
        PlanRefused: the plan is of other samples.
        CannotRun: the network does not show what its layers are given.
    """
    how = plan.calibration
    if how is None:
        raise ValueError("the plan needs no data")
    told = (samples.dataset, samples.name)
    if told != (how.dataset, how.split) or len(samples) < how.samples:
        raise PlanRefused("plan_calibration", **asdict(how))
    network, some = choice(checkpoint), samples.first(how.samples)
    cuts = {cut.name: cut for cut in plan.cuts if cut.form != "whole"}
    known: dict[str, Factors] = {}
    for index, layer in enumerate(network.layers):
        if layer.name not in cuts:
            continue
        seen = moments(network, some, index)
        known[layer.name] = turned(checkpoint, layer, seen, how)
        if how.sequential:
            done = tuple(cuts[name] for name in known)
            network = choice(pruning.apply(checkpoint, replace(plan, cuts=done), known))
    return known
