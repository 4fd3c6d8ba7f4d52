"""Claim: what is learned by heart lies in the bulk. It stands above it.

784-512-512-10 on 6,000 images, SGD (momentum 0.9, rate 0.05, batch 64), 56 epochs: with right
labels and with 40 % re-drawn, MNIST and Fashion-MNIST. For each hidden layer the values above
the edge and the distance of the others to the law; the accuracy on the 10,000 clean test images
at the end, at the best epoch, and with one layer cut, without any more training: at the edge,
at the optimal hard threshold, at rank 10 and 30, and shrunk for the Frobenius norm.
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from _results import keep, quick

from rmtviz import analysis, pruning
from rmtviz.evaluation import evaluate
from rmtviz.lab import Trained
from rmtviz.rules import BulkShare, FixedRank, OptimalThreshold, Rule, Shrinkage
from rmtviz.training import Training, train

CUTS: dict[str, Rule] = {
    "edge": BulkShare(),
    "threshold": OptimalThreshold(noise="median"),
    "shrunk": Shrinkage(),
    "rank 10": FixedRank(10),
    "rank 30": FixedRank(30),
}
SETTINGS = (("mnist", 0.0), ("mnist", 0.4), ("fashion-mnist", 0.4))
SEEDS = (0, 1, 2)


def rows() -> Iterator[dict[str, Any]]:
    """Yield a row for each network."""
    for (dataset, noise), seed in itertools.product(SETTINGS, SEEDS[:1] if quick() else SEEDS):
        recipe = Training(
            dataset=dataset,
            widths=(512, 512),
            epochs=2 if quick() else 56,
            batch_size=64,
            optimiser="sgd",
            learning_rate=0.05,
            rate="constant",
            train_samples=300 if quick() else 6_000,
            label_noise=noise,
            seed=seed,
        )
        yield row(recipe)


def row(recipe: Training) -> dict[str, Any]:
    """Return what a network reached, as it is and cut."""
    data = recipe.data()
    choice, test = recipe.network(data), data.split("test")
    trained = Trained.of(train(recipe))
    weights = trained.last.checkpoint
    found = analysis.analyze(weights)
    hidden = found.layers[:-1]
    cut: dict[str, dict[str, float]] = {}
    for name, rule in CUTS.items():
        plan = pruning.plan(found, rule)
        one = {each.name: pruning.apply(weights, replace(plan, cuts=(each,))) for each in plan.cuts}
        one["both"] = pruning.apply(weights, plan)
        cut[name] = {
            layer: evaluate(choice(one[layer]), test).accuracy
            for layer in (*(each.name for each in hidden), "both")
        }
    return {
        "dataset": recipe.dataset,
        "noise": recipe.label_noise,
        "seed": recipe.seed,
        "train_accuracy": trained.last.train_accuracy,
        "test_accuracy": evaluate(choice(weights), test).accuracy,
        "best_epoch": trained.best.epoch,
        "best_test_accuracy": evaluate(choice(trained.best.checkpoint), test).accuracy,
        "test_samples": len(test),
        "spikes": {each.name: each.spikes for each in hidden},
        "distance": {each.name: each.ks for each in hidden},
        "cut": cut,
    }


if __name__ == "__main__":
    keep("memorised", rows(), claim=__doc__.splitlines()[0], seeds=SEEDS)
