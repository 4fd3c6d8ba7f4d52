"""A direction taken out alone does what the network without it does."""

import numpy as np
import pytest

from rmtviz import ablation, layers, pruning
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import MNIST
from rmtviz.networks import MLP
from rmtviz.ui.library import sample


@pytest.mark.parametrize("index", [0, 1, 2])
def test_it_is_what_the_network_without_the_direction_answers(index: int) -> None:
    checkpoint = sample("clean").checkpoint
    samples = MNIST()().split("selection").first(300)
    network = MLP()(checkpoint)
    layer = layers.find(checkpoint)[0][index]
    factors = pruning.factors(checkpoint, layer)
    found = ablation.ablations(network, index, factors, samples, 5)
    assert len(found) == 5
    before = network.logits(samples.images).argmax(axis=1)
    weight = f"{layer.name}.weight"
    for i, each in enumerate(found):
        part = factors.values[i] * np.outer(factors.left[:, i], factors.right[:, i])
        less = (checkpoint[weight] - part).astype(np.float32)
        after = (
            MLP()(Checkpoint.of({name: checkpoint[name] for name in checkpoint} | {weight: less}))
            .logits(samples.images)
            .argmax(axis=1)
        )
        assert each.samples == 300
        assert each.changed == (before != after).sum()
        right = samples.labels
        assert each.to_wrong == ((before == right) & (after != right)).sum()
        assert each.to_right == ((before != right) & (after == right)).sum()
        changed = right[before != after]
        if each.label is None:
            assert not len(changed)
        else:
            assert (changed == each.label).sum() == max(np.bincount(changed))
    assert sum(each.changed for each in found) > 0


def test_no_more_than_there_are() -> None:
    checkpoint = sample("clean").checkpoint
    samples = MNIST()().split("selection").first(10)
    factors = pruning.factors(checkpoint, layers.find(checkpoint)[0][2])
    assert len(ablation.ablations(MLP()(checkpoint), 2, factors, samples, 40)) == 10
