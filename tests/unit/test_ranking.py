"""Guesses without data: what they are by formula, and how their worth is measured."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from rmtviz import pruning, ranking
from rmtviz.analysis import analyze
from rmtviz.checkpoint import Checkpoint
from rmtviz.ranking import GUESSES, SHARES
from rmtviz.tradeoff import Curve, Point

SHAPES = ((40, 60), (30, 40), (10, 30))


@pytest.fixture(scope="module")
def analysis():
    rng = np.random.default_rng(0)
    arrays = {f"{2 * i}.weight": rng.normal(size=shape) for i, shape in enumerate(SHAPES)}
    for name, count in (("0.weight", 3), ("2.weight", 2)):  # spikes far above the edge
        m, n = arrays[name].shape
        left, right = (np.linalg.qr(rng.normal(size=(side, count)))[0] for side in (m, n))
        arrays[name] += left * np.arange(30, 30 + 10 * count, 10) @ right.T
    return analyze(Checkpoint.of(arrays))


def curve(analysis, index: int, lost) -> Curve:
    layer = analysis.layers[index]
    ranks = range(1, layer.spectrum.p + 1)
    points = tuple(Point(r, 0.9 - lost(index, r), 0, 0, 0, 0, 0) for r in ranks)
    return Curve(layer.name, "selection", 100, points)


@pytest.mark.parametrize("guess", GUESSES)
def test_to_cut_more_never_seems_to_lose_less(analysis, guess) -> None:
    for index, layer in enumerate(analysis.layers):
        said = [GUESSES[guess](analysis, index, r) for r in range(1, layer.spectrum.p + 1)]
        assert (np.diff(said) <= 1e-12).all()
        assert guess == "stable-rank" or said[-1] == 0


@pytest.mark.parametrize("guess", GUESSES)
def test_a_guess_that_is_the_truth_agrees_in_full(analysis, guess) -> None:
    scale = GUESSES[guess](analysis, 0, 1) + GUESSES[guess](analysis, 1, 1)

    def lost(index: int, rank: int) -> float:
        full = rank == analysis.layers[index].spectrum.p
        return 0 if full else 0.1 * GUESSES[guess](analysis, index, rank) / scale

    curves = [curve(analysis, index, lost) for index in range(3)]
    found = ranking.agreement(guess, analysis, curves)
    assert found.correlation == pytest.approx(1)
    assert found.ordered == 1
    assert found.points == sum(min(shape) - 1 for shape in SHAPES)
    assert 0 < found.pairs <= 3 * len(SHARES)
    turned = [curve(analysis, index, lambda i, r: -lost(i, r)) for index in range(3)]
    assert ranking.agreement(guess, analysis, turned).correlation == pytest.approx(-1)


def test_the_cut_energy_is_the_error_of_the_plan(analysis) -> None:
    for index, rank in ((0, 5), (1, 12), (2, 9)):
        said = ranking.cut_energy(analysis, index, rank)
        assert said == pytest.approx(pruning.error(analysis.layers[index], rank))


def test_the_gains_are_those_of_the_layers_around() -> None:
    arrays = {"0.weight": 2 * np.eye(4), "2.weight": np.eye(4), "4.weight": np.diag([5.0, 1, 1, 1])}
    analysis = analyze(Checkpoint.of(arrays))
    assert ranking.at_the_outputs(analysis, 1, 3) == pytest.approx(2 * 1 * 5)
    assert ranking.at_the_outputs(analysis, 2, 3) == pytest.approx(2 * 1 * 1)
    assert ranking.stable_rank(analysis, 2, 2) == pytest.approx((25 + 3) / 25 / 2)


def test_the_signal_is_what_is_above_the_edge(analysis) -> None:
    layer = analysis.layers[0]
    assert layer.spikes == 3
    values = layer.spectrum.values
    expected = values[1:3] @ values[1:3] / (values[:3] @ values[:3])
    assert ranking.cut_signal(analysis, 0, 1) == pytest.approx(expected)
    assert ranking.cut_signal(analysis, 0, 3) == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=30))
def test_rank_correlation_is_scipys(pairs) -> None:
    x, y = ([float(each) for each in side] for side in zip(*pairs, strict=True))
    constant = len(set(x)) == 1 or len(set(y)) == 1
    expected = 0.0 if constant else scipy.stats.spearmanr(x, y).statistic
    assert ranking.spearman(x, y) == pytest.approx(expected)
