"""Claim: cuts every three epochs take the published networks from 78–88 to 88–98 %.

Examples 4.3 to 4.7, their topologies, SGD (momentum 0.9, rate 0.05, batch 128), cuts after every
third epoch that keep 45 % of the values below the edge, the published bound on the distance to
the law, a fresh optimiser after each cut: with ReLU on the logits, as published, and without.
Reduced to 6,000 images and 9 epochs; `--full` takes all images and the published epochs, days on
a processor. Accuracy on the 10,000 test images and the classes that are ever predicted, with
cuts and without. A layer that is stored as two is cut as the matrix that it is, so that
no chains grow, and sizes differ from the published ones; `tests/unit/test_paper.py` has those.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from _results import keep, quick

from rmtviz.evaluation import evaluate
from rmtviz.rules import BulkShare
from rmtviz.schedules import Every
from rmtviz.training import Training, train

EXAMPLES = {
    "4.3": ((3000, 3000, 500), 0.15, 90),
    "4.4": ((1500, 1500, 500, 500), 0.012, 300),
    "4.5": ((1500, 1500, 500, 500), 0.1, 300),
    "4.6": ((2500, 2500, 2500, 2500, 500), 0.05, 30),
    "4.7": ((3000, 3000, 3000), 0.01, 90),
}
"""By example: widths, the largest distance to the law at which a layer is cut, epochs."""

REDUCED = ("4.4", "4.5")
"""Those that a processor trains in minutes, reduced."""


def rows() -> Iterator[dict[str, Any]]:
    """Yield a row for each run."""
    full = "--full" in sys.argv
    for name in EXAMPLES if full else REDUCED:
        widths, distance, epochs = EXAMPLES[name]
        schedule = Every(gate="distance", distance=distance, moments="restart")
        base = Training(
            widths=(40,) if quick() else widths,
            epochs=min(epochs, 200) if full else 4 if quick() else 9,
            train_samples=55_000 if full else 300 if quick() else 6_000,
            optimiser="sgd",
            learning_rate=0.05,
            rate="constant",
            rule=BulkShare(0.45),
        )
        for logits in ("relu", "linear"):
            for cuts in (None, schedule):
                yield row(name, replace(base, logits=logits, schedule=cuts))


def row(name: str, recipe: Training) -> dict[str, Any]:
    """Return what a run reached."""
    data = recipe.data()
    choice, test = recipe.network(data), data.split("test")
    records = list(train(recipe))
    found = [evaluate(choice(record.checkpoint), test) for record in records[1:]]
    return {
        "example": name,
        "logits": recipe.logits,
        "cuts": [record.epoch for record in records if record.cut],
        "epochs": recipe.epochs,
        "train_samples": recipe.train_samples,
        "test_accuracy": [each.accuracy for each in found],
        "classes_predicted": [10 - len(each.never_predicted) for each in found],
        "share": records[-1].parameters / records[0].parameters,
        "ranks": dict(records[-1].ranks),
    }


if __name__ == "__main__":
    keep("published", rows(), claim=__doc__.splitlines()[0], seeds=[0])
