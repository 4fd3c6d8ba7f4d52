"""ScreeNOT against a table, and against its formulas written down a second time, in loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from rmtviz import screenot, spiked
from rmtviz.marchenko_pastur import MarchenkoPastur
from rmtviz.spectrum import Spectrum

RATIOS = (1.0, 0.5, 0.25, 0.1)

PERFECT = {0.5: 1.978593, 0.25: 1.758026, 0.1: 1.581647}
"""Thresholds for the square roots of the 2,000 quantiles of the law at (i + ½)/2000."""


def perfect(c: float, p: int = 2000) -> np.ndarray:
    return np.sqrt(MarchenkoPastur(c).ppf((np.arange(p, 0, -1) - 0.5) / p))


def threshold_again(values: np.ndarray, c: float, k: int) -> float:
    """The threshold by loops, with the derivative of log D by differences."""
    z = sorted(float(value) for value in values)
    if k:
        gap = z[-k - 1] - z[-2 * k - 1]
        top = z[-k - 1]
        for place in range(1, k + 1):
            depth = (1 - ((place - 1) / k) ** (2 / 3)) / (2 ** (2 / 3) - 1)
            z[-place] = top + gap * depth

    def log_d(log_y: float) -> float:
        y = math.exp(log_y)
        phi = sum(y / (y * y - t * t) for t in z) / len(z)
        return math.log(phi * (c * phi + (1 - c) / y))

    def excess(y: float) -> float:
        step = 1e-4 * (1 - max(z) / y)
        return (log_d(math.log(y) + step) - log_d(math.log(y) - step)) / (2 * step) + 4

    return float(brentq(excess, max(z) * (1 + 1e-6), 10 * max(z), xtol=1e-13))


@pytest.mark.parametrize("c", PERFECT)
def test_threshold_of_the_perfect_bulk_is_that_of_the_table(c: float) -> None:
    assert screenot.threshold(perfect(c), c, 0) == pytest.approx(PERFECT[c], abs=1e-6)


@pytest.mark.parametrize("c", RATIOS)
def test_threshold_of_the_perfect_bulk_is_the_optimal_one_for_known_noise(c: float) -> None:
    gaps = [screenot.threshold(perfect(c, p), c, 0) - spiked.hard_threshold(c) for p in (250, 2000)]
    assert abs(gaps[1]) < 2e-5
    assert abs(gaps[1]) < abs(gaps[0]) / 4


@pytest.mark.parametrize("c", RATIOS)
@pytest.mark.parametrize("bound", [0, 1, 7, 20])
def test_threshold_is_its_formula(c: float, bound: int) -> None:
    spectrum = Spectrum.gaussian((60, round(60 / c)), np.random.default_rng(bound))
    found = screenot.threshold(spectrum.values, c, bound)
    assert found == pytest.approx(threshold_again(spectrum.values, c, bound), rel=1e-6)


def test_pseudo_noise_replaces_the_first_by_the_edge_of_the_rest() -> None:
    values = np.array([100.0, 50, 20, 8, 7, 6, 5, 3, 2, 1])
    noise = screenot.pseudo_noise(values, 3)
    assert noise[3:].tolist() == values[3:].tolist()
    step = (8 - 5) / (2 ** (2 / 3) - 1)
    expected = [8 + step, 8 + step * (1 - (1 / 3) ** (2 / 3)), 8 + step * (1 - (2 / 3) ** (2 / 3))]
    assert noise[:3] == pytest.approx(expected)
    assert (np.diff(noise) <= 0).all()
    assert screenot.pseudo_noise(values, 0).tolist() == values.tolist()


def test_pseudo_noise_is_exact_where_the_edge_is() -> None:
    # values that fall from an edge at 10 like the power ⅔ of their place are put back
    values = 10 - np.arange(40.0) ** (2 / 3) / 4
    assert screenot.pseudo_noise(values, 12) == pytest.approx(values)


@pytest.mark.parametrize("bound", [-1, 5, 6, 100])
def test_a_bound_that_leaves_too_little_is_refused(bound: int) -> None:
    with pytest.raises(ValueError, match=str(bound)):
        screenot.pseudo_noise(np.arange(11.0, 0, -1), bound)


def test_no_noise_is_no_threshold() -> None:
    assert screenot.threshold(np.array([5.0, 4, 0, 0, 0, 0, 0]), 0.5, 2) == 0


@given(st.integers(0, 2**32), st.integers(-100, 100), st.sampled_from(RATIOS))
def test_threshold_scales_and_forgets_the_spikes(seed: int, power: int, c: float) -> None:
    values = Spectrum.gaussian((40, round(40 / c)), np.random.default_rng(seed)).values.copy()
    plain = screenot.threshold(values, c, 5)
    assert plain > values[5]
    assert screenot.threshold(values * 10.0**power, c, 5) == pytest.approx(plain * 10.0**power)
    values[:5] *= np.array([100, 30, 9, 5, 2.0])  # up to the bound, whatever they are
    assert screenot.threshold(np.sort(values)[::-1], c, 5) == pytest.approx(plain)


@given(st.integers(0, 2**32), st.sampled_from(RATIOS))
def test_psi_rises_to_minus_two(seed: int, c: float) -> None:
    rng = np.random.default_rng(seed)
    noise = np.sort(rng.random(30) ** rng.uniform(0.1, 3))[::-1]
    noise /= noise[0]
    points = 1 + np.logspace(-6, 6, 60)
    values = [screenot.psi(float(y), noise, c) for y in points]
    assert (np.diff(values) > -1e-9).all()
    assert values[0] < -1000
    assert values[-1] == pytest.approx(-2, abs=1e-3)
