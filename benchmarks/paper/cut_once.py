"""Claim: cut once during training, MNIST keeps 97 % at 5.5 % of the parameters.

784-1000-500-10, SGD (momentum 0.9, rate 0.05, batch 128), 30,000 images, 8 epochs, linear
logits: no cut; one cut after epoch 3 that keeps 45 % of the values below the edge, or none of
them; and a cut of random weights before the first step, which the paper's notebook makes.
The layers' ranks and the accuracy on the 10,000 test images, at the end and around the cut.
"""

from collections.abc import Iterator
from typing import Any

from _results import keep, quick

from rmtviz.evaluation import evaluate
from rmtviz.rules import BulkShare
from rmtviz.schedules import Once, Schedule
from rmtviz.training import Training, train

RUNS: dict[str, tuple[Schedule | None, float]] = {
    "no cut": (None, 0.0),
    "after 3, none kept": (Once(epoch=3), 0.0),
    "after 3, 45 % kept": (Once(epoch=3), 0.45),
    "before training, 45 % kept": (Once(epoch=0), 0.45),
    "after 3, none kept, optimiser begun anew": (Once(epoch=3, moments="restart"), 0.0),
}
SEEDS = (0, 1)


def rows() -> Iterator[dict[str, Any]]:
    """Yield a row for each run."""
    epochs, images = (4, 500) if quick() else (8, 30_000)
    for seed in SEEDS[:1] if quick() else SEEDS:
        for name, (schedule, share) in RUNS.items():
            recipe = Training(
                widths=(1000, 500),
                epochs=epochs,
                train_samples=images,
                optimiser="sgd",
                learning_rate=0.05,
                rate="constant",
                schedule=schedule,
                rule=BulkShare(share),
                seed=seed,
            )
            data = recipe.data()
            choice, test = recipe.network(data), data.split("test")
            spent = looked = 0.0
            cut = None
            for record in train(recipe):
                spent += record.seconds + record.spectra_seconds
                looked += record.spectra_seconds
                cut = record.cut or cut
            found = evaluate(choice(record.checkpoint), test)
            yield {
                "run": name,
                "seed": seed,
                "test_accuracy": found.accuracy,
                "test_samples": found.samples,
                "ranks": dict(record.ranks),
                "parameters": record.parameters,
                "share": record.parameters / (784 * 1000 + 1000 * 500 + 500 * 10 + 1510),
                "selection_before_cut": cut and cut["selection_accuracy_before"],
                "spectra_share": looked / spent,
            }


if __name__ == "__main__":
    keep("cut_once", rows(), claim=__doc__.splitlines()[0])
