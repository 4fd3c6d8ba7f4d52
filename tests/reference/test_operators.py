"""A convolution's singular values as an operator, against the explicit block-circulant matrix."""

import itertools

import numpy as np
import pytest

from rmtviz import layers, operators, pruning
from rmtviz.analysis import analyze
from rmtviz.checkpoint import Checkpoint
from rmtviz.errors import BadOption
from rmtviz.rules import FixedRank


def explicit(tensor: np.ndarray, sides: tuple[int, ...]) -> np.ndarray:
    """The matrix (outputs · places × inputs · places) of a circular convolution, entry by entry."""
    outputs, inputs, *window = tensor.shape
    places = list(itertools.product(*map(range, sides)))
    where = {place: index for index, place in enumerate(places)}
    matrix = np.zeros((outputs * len(places), inputs * len(places)))
    for place, offset in itertools.product(places, itertools.product(*map(range, window))):
        reached = tuple((p + o) % side for p, o, side in zip(place, offset, sides, strict=True))
        for o, i in itertools.product(range(outputs), range(inputs)):
            row, column = o * len(places) + where[place], i * len(places) + where[reached]
            matrix[row, column] += tensor[(o, i, *offset)]
    return matrix


@pytest.mark.parametrize(
    ("shape", "sides"),
    [
        ((3, 2, 3), (7,)),
        ((2, 3, 3, 3), (5, 4)),
        ((4, 4, 1, 1), (3, 3)),
        ((2, 2, 2, 2, 2), (3, 2, 4)),
    ],
)
def test_values_are_those_of_the_explicit_matrix(shape, sides) -> None:
    tensor = np.random.default_rng(0).normal(size=shape)
    whole = Checkpoint.of({"c.weight": tensor})
    (layer,), _ = layers.find(whole)
    expected = np.linalg.svd(explicit(tensor, sides), compute_uv=False)
    assert operators.window(whole, layer) == shape[2:]
    assert operators.values(whole, layer, sides) == pytest.approx(expected, abs=1e-10)


def test_a_factored_convolution_has_the_values_of_its_product() -> None:
    tensor = np.random.default_rng(1).normal(size=(6, 5, 3, 3))
    whole = Checkpoint.of({"c.weight": tensor})
    found = []
    for form in ("dense", "factored"):
        cut = pruning.apply(whole, pruning.plan(analyze(whole), FixedRank(2), form=form))
        (layer,), _ = layers.find(cut)
        found.append(operators.values(cut, layer, (6, 6)))
    assert found[0] == pytest.approx(found[1], abs=1e-10)


@pytest.mark.parametrize("sides", [(2, 2), (5,), (), (10**4, 10**4)])
def test_pictures_that_do_not_suit_are_refused(sides) -> None:
    whole = Checkpoint.of({"c.weight": np.ones((2, 2, 3, 3)), "l.weight": np.ones((4, 2))})
    found = {layer.name: layer for layer in layers.find(whole)[0]}
    with pytest.raises(BadOption):
        operators.values(whole, found["c"], sides)
    with pytest.raises(BadOption):
        operators.values(whole, found["l"], sides)
