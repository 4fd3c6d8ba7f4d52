"""Claim: of a 784-1000-10 network 56 directions are predicted to be enough, and they are.

Example 4.1: SGD (momentum 0.9, rate 0.08, batch 128), ten epochs, linear logits. The rank that
BEMA predicts for the first layer, the Kolmogorov distance of its bulk to the law, and the
accuracy on the 10,000 test images with that layer cut to a rank, without any more training; the
last layer's 10 values are too few to judge. Here 55,000 images are trained on, 60,000 in the paper.
Beside plain truncation the same layer cut by what 5,000 training images give it, its smallest
entries set to zero, and its values moved to where noise pushed them from.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from _results import keep, middle, quick
from numpy.typing import NDArray

from rmtviz import analysis, layers, pruning, rules, sparse, whitening
from rmtviz.checkpoint import Checkpoint, Tensor
from rmtviz.datasets import Samples
from rmtviz.evaluation import evaluate
from rmtviz.factors import Calibration, Factors
from rmtviz.fits import BEMA
from rmtviz.networks import MLP
from rmtviz.training import Training, initial, train

RANKS = (5, 10, 15, 20, 25, 30, 35, 40, 50, 60, 80, 100, 200, 400)
FEW = (5, 8, 10, 15, 20, 30)
"""The ranks at which the ways to choose directions are compared."""

SHARES = (0.5, 0.2, 0.1, 0.05, 0.02)
"""The shares of the first layer's entries that stay, the largest."""

SEEN = 5_000


def rows() -> Iterator[dict[str, Any]]:
    """Yield a row an epoch, those of the spectrum, and one for each way to cut."""
    recipe = Training(
        widths=(1000,),
        epochs=2 if quick() else 10,
        train_samples=500 if quick() else 55_000,
        optimiser="sgd",
        learning_rate=0.08,
        rate="constant",
    )
    data = recipe.data()
    choice, test = recipe.network(data), data.split("test")
    for record in train(recipe):
        accuracy = evaluate(choice(record.checkpoint), test).accuracy
        yield {
            "epoch": record.epoch,
            "train_accuracy": record.train_accuracy,
            "test_accuracy": accuracy,
            "start": dict(record.start),
        }
    weights = record.checkpoint
    found = analysis.analyze(weights, BEMA(alpha=0.25), each=True)
    yield spectrum(found)
    yield from untrained(recipe)
    for row, cut in cuts(weights, found, choice, data.split("train").first(SEEN)):
        yield {**row, "test_accuracy": evaluate(choice(cut), test).accuracy}


def spectrum(found: analysis.Analysis) -> dict[str, Any]:
    """Return what the law says of the first layer, and how far the last one is from it."""
    first, last = found
    values = first.spectrum.values
    threshold = rules.OptimalThreshold(noise="median")
    return {
        "predicted_rank": first.spikes,
        "threshold_rank": threshold(first).rank,
        "distance": first.ks,
        "distance_middle": middle(first.spectrum),
        "sigma": first.sigma and first.sigma * np.sqrt(784),
        "sigma_at_start": float(np.sqrt(1 / 3)),
        "energy_above": float((values[: first.spikes] ** 2).sum() / first.spectrum.energy),
        "stable_rank": float(first.spectrum.energy / values[0] ** 2),
        "below": first.below,
        "last_layer": str(last.status),
        "last_distance_middle": middle(last.spectrum),
    }


def untrained(recipe: Training) -> Iterator[dict[str, Any]]:
    """Yield how far layers are from the law before the first step, by shape."""
    for layer in analysis.analyze(initial(replace(recipe, widths=(1000, 500)))):
        distance = middle(layer.spectrum)
        yield {"untrained": layer.layer.shape, "status": str(layer.status), "distance": distance}


def cuts(
    weights: Checkpoint, found: analysis.Analysis, choice: MLP, seen: Samples
) -> Iterator[tuple[dict[str, Any], Checkpoint]]:
    """Yield the network with its first layer cut in each way, and which way that is."""
    layer, spikes = found.layers[0].layer, found.layers[0].spikes or 1
    known = pruning.factors(weights, layer)
    for rank in sorted({*RANKS, *FEW, spikes, 784}):
        stored = min(rank * (784 + 1000), 784_000) + 1000 + 10_010
        cut = pruning.at_rank(weights, layer, known, rank)
        yield {"way": "plain", "rank": rank, "parameters": stored}, cut
    given = whitening.moments(choice(weights), seen, 0)
    scale = np.abs(seen.images).mean(axis=0).ravel() ** 0.5 + 1e-6
    for rank in FEW:
        cut = replace(weights, tensors=weights.tensors | scaled(weights, layer, scale, rank))
        yield {"way": "asvd", "rank": rank}, cut
        for way, affine in {"whitened": False, "affine": True}.items():
            how = Calibration(seen.dataset, seen.name, SEEN, affine=affine)
            turned = whitening.turned(weights, layer, given, how)
            yield {"way": way, "rank": rank}, pruning.at_rank(weights, layer, turned, rank)
    for share in SHARES:
        yield {"entries": share}, sparse.largest(weights, layer.tensors, share)
    for loss in ("frobenius", "operator"):
        plan = pruning.plan(found, rules.Shrinkage(loss=loss))
        yield {"shrunk": loss}, pruning.apply(weights, plan)


def scaled(
    weights: Checkpoint, layer: layers.Layer, scale: NDArray[np.float64], rank: int
) -> dict[str, Tensor]:
    """Return the layer's tensor cut as ASVD does: inputs in units of their mean size (α = ½)."""
    matrix = layer.matrix(weights).astype(np.float64)
    cut = Factors.of(matrix * scale).truncated(rank) / scale
    return {layer.tensors[0]: Tensor.of(cut.astype(np.float32))}


if __name__ == "__main__":
    keep("example_4_1", rows(), claim=__doc__.splitlines()[0], seeds=[0])
