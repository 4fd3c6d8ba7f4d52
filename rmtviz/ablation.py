"""What one direction of a layer does: the answers that change when it alone is taken out."""

from dataclasses import dataclass

import numpy as np

from rmtviz.datasets import Samples
from rmtviz.factors import Factors
from rmtviz.networks import Network


@dataclass(frozen=True, slots=True)
class Ablation:
    """What the network answers without one direction, on `samples` samples.

    `to_wrong` right answers become wrong and `to_right` wrong ones right; `changed` counts
    these and the answers that were and stay wrong. `label` is the class of which most change,
    None where nothing does.
    """

    samples: int
    changed: int
    to_wrong: int
    to_right: int
    label: int | None


def ablations(
    network: Network, index: int, factors: Factors, samples: Samples, count: int
) -> tuple[Ablation, ...]:
    """Return what the first `count` directions of layer number `index` do, each taken out alone.

    W − sᵢ uᵢ vᵢᵀ in place of W: the inputs of the layer are projected once, and each direction
    is subtracted from its outputs.
    """
    inner = network.hidden(samples.images, index) @ factors.right.astype(np.float32)
    outer = (factors.left * factors.values).astype(np.float32)
    outputs = inner @ outer.T + network.bias(index)
    whole = network.rest(outputs, index).argmax(axis=1)
    found = []
    for i in range(min(count, len(factors.values))):
        less = outputs - np.outer(inner[:, i], outer[:, i])
        found.append(_compared(whole, network.rest(less, index).argmax(axis=1), samples))
    return tuple(found)


def _compared(before: np.ndarray, after: np.ndarray, samples: Samples) -> Ablation:
    labels, changed = samples.labels, before != after
    return Ablation(
        len(samples),
        int(changed.sum()),
        int((changed & (before == labels)).sum()),
        int((changed & (after == labels)).sum()),
        int(np.bincount(labels[changed]).argmax()) if changed.any() else None,
    )
