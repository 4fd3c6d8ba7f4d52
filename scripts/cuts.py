"""Measure what cuts at multiples of the noise edge do to the network with wrong labels.

Writes assets/models/noisy.cuts.json, the numbers of the lesson on wrong labels: both hidden
layers are cut at a multiple of BEMA's edge, from no cut to twice the edge, and the network
is run on the 10,000 test images, on the 5,000 selection images with their noisy labels, and
on the training images whose label is wrong. A layer keeps one direction at least.
"""

import json

import numpy as np

from rmtviz import datasets, evaluation, layers, networks, pruning
from rmtviz.datasets import Samples
from rmtviz.fits import BEMA
from rmtviz.lessons import Cuts
from rmtviz.rules import NoiseEdge
from rmtviz.site import home
from rmtviz.ui.library import sample

FILE = home() / "assets" / "models" / "noisy.cuts.json"
FACTORS = np.round(np.arange(0, 2.001, 0.02), 2)


def measure(factors: np.ndarray) -> Cuts:
    """Return what cuts at these multiples of the edge do to the shipped network."""
    model = sample("noisy")
    analysis = model.analysed(BEMA())
    hidden = [layer for layer in analysis if layer.cut is not None]
    data, foreign = datasets.of(model.checkpoint)
    choice = networks.detect(model.checkpoint, data, foreign)
    found = {layer.name: layer for layer in layers.find(model.checkpoint)[0]}
    known = {layer.name: pruning.factors(model.checkpoint, found[layer.name]) for layer in hidden}
    wrong = _wrong(data, model.checkpoint.about["trained"]["train_samples"])
    parts = (data.split("test"), data.split("selection"), wrong)
    ranks, accuracy = [], []
    for factor in factors:
        kept = [max(1, int((at.spectrum.values > factor * (at.cut or 0)).sum())) for at in hidden]
        overrides = {layer.name: rank for layer, rank in zip(hidden, kept, strict=True)}
        plan = pruning.plan(analysis, NoiseEdge(), overrides)
        network = choice(pruning.apply(model.checkpoint, plan, known))
        ranks.append(kept)
        accuracy.append([evaluation.evaluate(network, part).accuracy for part in parts])
    test, selection, repeated = np.array(accuracy).T.round(4)
    counts = [len(part) for part in parts]
    return Cuts(model.digest, *counts, factors, np.array(ranks), test, selection, repeated)


def _wrong(data: datasets.Dataset, count: int) -> Samples:
    """Return those of the first training images whose labels are wrong."""
    train = data.split("train").first(count)
    chosen = train.labels != data.clean_labels[:count]
    return Samples("train", train.images[chosen], train.labels[chosen], data.name, data.outputs)


if __name__ == "__main__":
    FILE.write_text(json.dumps(measure(FACTORS).to_dict()) + "\n", "utf-8")
