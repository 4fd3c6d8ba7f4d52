"""Claim: of a 784-1000-10 network 56 directions are predicted to be enough, and they are.

Example 4.1: SGD (momentum 0.9, rate 0.08, batch 128), ten epochs, linear logits. The rank that
BEMA predicts for the first layer, the Kolmogorov distance of its bulk to the law, and the
accuracy on the 10,000 test images with that layer cut to a rank, without any more training; the
last layer's 10 values are too few to judge. Here 55,000 images are trained on, 60,000 in the paper.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from _results import keep, quick

from rmtviz import analysis, layers, pruning
from rmtviz.evaluation import evaluate
from rmtviz.fits import BEMA
from rmtviz.training import Training, train

RANKS = (5, 10, 15, 20, 25, 30, 35, 40, 50, 60, 80, 100, 200, 400)


def rows() -> Iterator[dict[str, Any]]:
    """Yield a row an epoch, one for the spectrum, and one for each rank."""
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
        yield {"epoch": record.epoch, "test_accuracy": accuracy, "start": dict(record.start)}
    weights = record.checkpoint
    first, last = analysis.analyze(weights, BEMA(alpha=0.25), each=True)
    values = first.spectrum.values
    yield {
        "predicted_rank": first.spikes,
        "distance": first.ks,
        "sigma": first.sigma and first.sigma * np.sqrt(784),
        "sigma_at_start": float(np.sqrt(1 / 3)),
        "energy_above": float((values[: first.spikes] ** 2).sum() / first.spectrum.energy),
        "stable_rank": float(first.spectrum.energy / values[0] ** 2),
        "last_layer": str(last.status),
    }
    layer = layers.find(weights)[0][0]
    known = pruning.factors(weights, layer)
    for rank in sorted({*RANKS, first.spikes or 1, 784}):
        cut = pruning.at_rank(weights, layer, known, rank)
        stored = min(rank * (784 + 1000), 784_000) + 1000 + 10_010
        accuracy = evaluate(choice(cut), test).accuracy
        yield {"rank": rank, "test_accuracy": accuracy, "parameters": stored}


if __name__ == "__main__":
    keep("example_4_1", rows(), claim=__doc__.splitlines()[0], seeds=[0])
