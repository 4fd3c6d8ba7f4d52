"""Claim: cut once during training, MNIST keeps 97 % at 5.5 % of the parameters.

784-1000-500-10, SGD (momentum 0.9, first rate 0.05, batch 128), 8 epochs, linear logits. On
55,000 images, at a rate that falls to zero: no cut, and one cut after epoch 1, 2 or 3 that keeps
nothing below the edge. On 30,000 at a constant rate also one that keeps 45 % of it, a cut of
random weights before the first step, which the paper's notebook makes, and one of the finished
network, after which nothing is trained. The layers' ranks, the accuracy on the 10,000 test
images, and the share of the time that went into spectra.
"""

import itertools
from collections.abc import Iterator
from typing import Any

from _results import keep, quick

from rmtviz.evaluation import evaluate
from rmtviz.rules import BulkShare
from rmtviz.schedules import Once
from rmtviz.training import Training, train

ALL = {
    "no cut": (None, 0.0),
    "after 3, none kept": (Once(epoch=3), 0.0),
    "after 3, none kept, optimiser begun anew": (Once(epoch=3, moments="restart"), 0.0),
}
EARLIER = {
    "after 1, none kept": (Once(epoch=1), 0.0),
    "after 2, none kept": (Once(epoch=2), 0.0),
}
MORE = {
    "after 3, 45 % kept": (Once(epoch=3), 0.45),
    "before training, 45 % kept": (Once(epoch=0), 0.45),
    "after training, none kept": (Once(epoch=8), 0.0),
}
SETTINGS = ((55_000, "cosine", ALL | EARLIER), (30_000, "constant", ALL | MORE))
SEEDS = (0, 1, 2)
WHOLE = 784 * 1000 + 1000 * 500 + 500 * 10 + 1000 + 500 + 10


def rows() -> Iterator[dict[str, Any]]:
    """Yield a row for each run."""
    epochs = 4 if quick() else 8
    seeds = SEEDS[:1] if quick() else SEEDS
    for (images, rate, runs), seed in itertools.product(SETTINGS, seeds):
        for name, (schedule, share) in runs.items():
            recipe = Training(
                widths=(1000, 500),
                epochs=epochs,
                train_samples=500 if quick() else images,
                optimiser="sgd",
                learning_rate=0.05,
                rate=rate,
                schedule=schedule,
                rule=BulkShare(share),
                seed=seed,
            )
            yield {"run": name, **row(recipe)}


def row(recipe: Training) -> dict[str, Any]:
    """Return what a run reached."""
    records = list(train(recipe))
    last = records[-1]
    data = recipe.data()
    found = evaluate(recipe.network(data)(last.checkpoint), data.split("test"))
    looked = sum(record.spectra_seconds for record in records)
    cuts = [record.cut for record in records if record.cut]
    return {
        "train_samples": recipe.train_samples,
        "rate": recipe.rate,
        "seed": recipe.seed,
        "test_accuracy": found.accuracy,
        "test_samples": found.samples,
        "ranks": dict(last.ranks),
        "parameters": last.parameters,
        "share": last.parameters / WHOLE,
        "selection_before_cut": cuts[0]["selection_accuracy_before"] if cuts else None,
        "spectra_share": looked / (looked + sum(record.seconds for record in records)),
    }


if __name__ == "__main__":
    keep("cut_once", rows(), claim=__doc__.splitlines()[0], seeds=SEEDS)
