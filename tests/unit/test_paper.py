"""What the paper states and can be checked without training: its networks' sizes, exactly."""

import itertools

import numpy as np
import pytest

from rmtviz import analysis, pruning
from rmtviz.checkpoint import Checkpoint, Tensor
from rmtviz.rules import BulkShare, FixedRank


def chain(*sides: int) -> Checkpoint:
    """A chain of linear layers with these sides, a bias on every one, and no numbers."""
    kind = np.dtype(np.float32)
    shapes = {}
    for place, (columns, rows) in enumerate(itertools.pairwise(sides)):
        shapes |= {f"{place}.weight": (rows, columns), f"{place}.bias": (rows,)}
    return Checkpoint(
        {
            name: Tensor(s, kind, lambda s=s: np.broadcast_to(np.float32(0), s))
            for name, s in shapes.items()
        }
    )


def sides(words: str) -> tuple[int, ...]:
    return tuple(map(int, words.split()))


EXAMPLES = {
    "4.3": (
        (784, 3000, 3000, 500, 10),
        12_863_510,
        sides("784 367 176 89 54 35 3000 143 293 627 1366 629 294 139 3000 71 124 241 500 10"),
        3_881_124,
    ),
    "4.4": (
        (784, 1500, 1500, 500, 500, 10),
        4_435_010,
        (784, 354, 167, 1500, 309, 677, 309, 1500, 228, 500, 105, 227, 107, 500, 10),
        2_554_157,
    ),
    "4.5": (
        (784, 1500, 1500, 500, 500, 10),
        4_435_010,
        sides("784 354 164 1500 144 309 677 309 144 1500 107 228 500 51 107 227 107 53 500 10"),
        1_943_563,
    ),
    "4.6": (
        (784, 2500, 2500, 2500, 2500, 500, 10),
        21_975_510,
        sides("784 362 2500 518 1134 518 2500 518 1134 518 2500 518 1134 518 2500 234 500 10"),
        13_207_896,
    ),
    "4.7": (
        (784, 3000, 3000, 3000, 10),
        20_391_010,
        (784, 361, 3000, 1359, 3000, 1359, 3000, 10),
        17_716_113,
    ),
}
"""By example: sides before, parameters before, sides after, parameters after (arXiv 2303.08986)."""


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_five_examples_have_the_published_numbers_of_parameters(name: str) -> None:
    before, count, after, left = EXAMPLES[name]
    assert chain(*before).parameters == count
    assert chain(*after).parameters == left


def test_the_follow_ups_networks_too() -> None:
    assert chain(784, *[3000] * 5, 500, 10).parameters == 39_872_510
    assert chain(784, *[3000] * 3, 10).parameters == 20_391_010


def test_a_published_chain_holds_one_matrix_in_five_and_two_would_do() -> None:
    """Example 4.3's first layer: 784-367-176-89-54-35-3000 has rank 35 at most."""
    published = chain(784, 367, 176, 89, 54, 35, 3000)
    pair = Checkpoint.of({"0.0.weight": np.ones((35, 784)), "0.1.weight": np.ones((3000, 35))})
    assert published.parameters - 3_000 > 3.6 * pair.parameters
    assert pair.parameters == 35 * (784 + 3_000)


def test_example_4_1_keeps_twenty_directions_in_35_680_weights() -> None:
    weights = np.random.default_rng(0).standard_normal((1000, 784))
    checkpoint = Checkpoint.of({"0.weight": weights, "2.weight": np.ones((10, 1000))})
    cut = pruning.plan(analysis.analyze(checkpoint), FixedRank(20))["0"]
    assert cut.parameters_before == 784_000
    assert cut.parameters_after == 15_680 + 20_000 == 35_680


@pytest.mark.parametrize("seed", range(3))
def test_forty_five_per_cent_of_a_random_layer_are_352_or_one_more(seed: int) -> None:
    """The notebook's 353: one more by an off-by-one, or (one draw in ten) by a chance spike."""
    weights = np.random.default_rng(seed).uniform(-1, 1, (1000, 784))
    (layer,) = analysis.analyze({"w": weights})
    cut = pruning.plan(analysis.analyze({"w": weights}), BulkShare(0.45), form="factored")["w"]
    assert cut.rank_after == layer.spikes + int(0.45 * (784 - layer.spikes))
    assert cut.rank_after in (352, 353)
    assert cut.parameters_after == (784 + 1000) * cut.rank_after
