"""Measure what cuts at multiples of the noise edge do to the two trained demo networks.

Both hidden layers are cut at a multiple of BEMA's edge, from no cut to twice the edge; a layer
keeps one direction at least. Written are

- assets/models/noisy.cuts.json, the numbers of the lesson on wrong labels: the network is run
  on the 10,000 test images, on the 5,000 selection images with their noisy labels, and on
  the training images whose label is wrong;
- assets/models/clean.cuts.json, the curve on the first page: accuracy on the 5,000 selection
  images against the numbers stored.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from rmtviz import datasets, evaluation, layers, networks, pruning
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import Samples
from rmtviz.fits import BEMA
from rmtviz.lessons import Cuts
from rmtviz.networks import Choice
from rmtviz.rules import NoiseEdge
from rmtviz.site import home
from rmtviz.ui.library import Model, sample

MODELS = home() / "assets" / "models"
FACTORS = np.round(np.arange(0, 2.001, 0.02), 2)


def cuts(model: Model, factors: np.ndarray) -> Iterator[tuple[list[int], Checkpoint]]:
    """Yield the ranks of the hidden layers, and the network cut to them, for each factor."""
    analysis = model.analysed(BEMA())
    hidden = [layer for layer in analysis if layer.cut is not None]
    found = {layer.name: layer for layer in layers.find(model.checkpoint)[0]}
    known = {layer.name: pruning.factors(model.checkpoint, found[layer.name]) for layer in hidden}
    for factor in factors:
        kept = [max(1, int((at.spectrum.values > factor * (at.cut or 0)).sum())) for at in hidden]
        overrides = {layer.name: rank for layer, rank in zip(hidden, kept, strict=True)}
        plan = pruning.plan(analysis, NoiseEdge(), overrides)
        yield kept, pruning.apply(model.checkpoint, plan, known)


def measure(factors: np.ndarray) -> Cuts:
    """Return what cuts at these multiples of the edge do to the network with wrong labels."""
    model = sample("noisy")
    data, choice = running(model)
    wrong = _wrong(data, model.checkpoint.about["trained"]["train_samples"])
    parts = (data.split("test"), data.split("selection"), wrong)
    ranks, accuracy = [], []
    for kept, cut in cuts(model, factors):
        network = choice(cut)
        ranks.append(kept)
        accuracy.append([evaluation.evaluate(network, part).accuracy for part in parts])
    test, selection, repeated = np.array(accuracy).T.round(4)
    counts = [len(part) for part in parts]
    return Cuts(model.digest, *counts, factors, np.array(ranks), test, selection, repeated)


def saved(factors: np.ndarray) -> dict[str, Any]:
    """Return the clean network's share of numbers stored and its accuracy, a cut each."""
    model = sample("clean")
    data, choice = running(model)
    selection = data.split("selection")
    points: dict[float, dict[str, float]] = {}
    for factor, (_, cut) in zip(factors, cuts(model, factors), strict=True):
        share = cut.parameters / model.checkpoint.parameters
        accuracy = evaluation.evaluate(choice(cut), selection).accuracy
        points[share] = {"factor": factor, "stored": round(share, 5), "accuracy": accuracy}
    shown = [points[share] for share in sorted(points)]
    return {"digest": model.digest, "samples": len(selection), "points": shown}


def running(model: Model) -> tuple[datasets.Dataset, Choice]:
    """Return the data of a demo network, and the choice that runs it."""
    data, foreign = datasets.of(model.checkpoint)
    return data, networks.detect(model.checkpoint, data, foreign)


def _wrong(data: datasets.Dataset, count: int) -> Samples:
    """Return those of the first training images whose labels are wrong."""
    train = data.split("train").first(count)
    chosen = train.labels != data.clean_labels[:count]
    return Samples("train", train.images[chosen], train.labels[chosen], data.name, data.outputs)


if __name__ == "__main__":
    for name, record in (("noisy", measure(FACTORS).to_dict()), ("clean", saved(FACTORS))):
        (MODELS / f"{name}.cuts.json").write_text(json.dumps(record) + "\n", "utf-8")
