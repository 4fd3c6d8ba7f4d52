"""Signal plus noise against tables, against the law integrated numerically, and by brute force."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq, minimize_scalar

from rmtviz import spiked
from rmtviz.marchenko_pastur import MarchenkoPastur
from rmtviz.spectrum import Spectrum

LANDING = [
    # c, x, y, near share, far share, η Frobenius, x again, η nuclear
    (1, 1.1, 2.0090909091, 0.1735537190, 0.1735537190, 0.1909090909, 1.1, 0),
    (1, 1.5, 2.1666666667, 0.5555555556, 0.5555555556, 0.8333333333, 1.5, 0.1666666667),
    (1, 2, 2.5, 0.75, 0.75, 1.5, 2, 1.0),
    (1, 3, 3.3333333333, 0.8888888889, 0.8888888889, 2.6666666667, 3, 2.3333333333),
    (0.5, 1, 1.7320508076, 0.3333333333, 0.25, 0.2886751346, 1, 0),
    (0.5, 1.5, 1.9930434572, 0.7373737374, 0.6239316239, 1.0174277788, 1.5, 0.5460232581),
    (0.5, 2, 2.3717082451, 0.8611111111, 0.7750000000, 1.6338434578, 2, 1.2802900672),
    (0.5, 3, 3.2489314483, 0.9415204678, 0.8944444444, 2.7530419114, 3, 2.5173396510),
    (0.25, 1.5, 1.9002923752, 0.8555555556, 0.6581196581, 1.1255577914, 1.5, 0.7922244581),
    (0.25, 2, 2.3048861143, 0.9264705882, 0.7875000000, 1.7083273553, 2, 1.4583273553),
]

THRESHOLD = [
    # c, λ*, 1 + √c, μ_c, ω, and the strength that lands on λ*
    (0.05, 1.5066074107, 1.2236067977, 0.9833083034, 1.5193409596, 1.085080),
    (0.10, 1.5816483953, 1.3162277660, 0.9665651474, 1.6087715574, 1.151611),
    (0.20, 1.7048151013, 1.4472135955, 0.9329154766, 1.7650464327, 1.256899),
    (0.25, 1.7580293771, 1.5, 0.9160040707, 1.8368657911, 1.301154),
    (1 / 3, 1.8385442642, 1.5773502692, 0.8876807951, 1.9513972033, 1.366937),
    (0.5, 1.9785990538, 1.7071067812, 0.8304658816, 2.1711853485, 1.478560),
    (0.75, 2.1560938442, 1.8660254038, 0.7429484870, 2.5014297364, 1.616031),
    (0.784, 2.1781232654, 1.8854377448, 0.7308601245, 2.5477999229, 1.632840),
    (0.9, 2.2503408007, 1.9486832981, 0.6892220984, 2.7106203694, 1.687609),
    (1.0, 4 / math.sqrt(3), 2, 0.6527759416, 2.8583624241, math.sqrt(3)),
]

SAMPLED = [(3, 3.2475, 0.940, 0.895), (2, 2.3764, 0.859, 0.772), (1.5, 1.9894, 0.736, 0.617)]
"""Means of 10 simulated matrices 500 × 1000, c = ½: x, y, near and far share."""

table = pytest.mark.parametrize("row", LANDING, ids=str)
ratios = pytest.mark.parametrize("c", [0.05, 0.25, 0.5, 0.9, 1.0])

NORMS = {"frobenius": "fro", "operator": 2, "nuclear": "nuc"}


def near(value: float) -> object:
    return pytest.approx(value, abs=1e-9)


@table
def test_landing_and_its_inverse_are_those_of_the_table(row: tuple[float, ...]) -> None:
    c, x, y, *_ = row
    assert spiked.landing(x, c) == near(y)
    assert spiked.strength(spiked.landing(x, c), c) == pytest.approx(x, rel=1e-12)


@table
def test_shares_are_those_of_the_table(row: tuple[float, ...]) -> None:
    c, x, _, *shares = row
    assert spiked.shares(x, c) == (near(shares[0]), near(shares[1]))


@table
def test_shrinkers_are_those_of_the_table(row: tuple[float, ...]) -> None:
    c, x, *_, frobenius, again, nuclear = row
    y = spiked.landing(x, c)
    assert spiked.frobenius(y, c) == near(frobenius)
    assert spiked.strength(y, c) == near(again)
    assert spiked.nuclear(y, c) == near(nuclear)
    if c == 1:  # the table's is best in operator norm where rows and columns are equally many
        assert spiked.operator(y, c) == near(again)


@pytest.mark.parametrize("row", THRESHOLD, ids=str)
def test_thresholds_are_those_of_the_table(row: tuple[float, ...]) -> None:
    c, threshold, edge, median, by_median, strength = row
    assert spiked.hard_threshold(c) == near(threshold)
    assert spiked.edge(c) == near(edge)
    assert spiked.hard_threshold_by_median(c) == near(by_median)
    assert (spiked.hard_threshold(c) / spiked.hard_threshold_by_median(c)) ** 2 == near(median)
    assert spiked.strength(threshold, c) == pytest.approx(strength, abs=1e-6)


@pytest.mark.parametrize("row", SAMPLED, ids=str)
def test_formulas_are_near_what_was_simulated(row: tuple[float, ...]) -> None:
    x, y, *shares = row
    assert spiked.landing(x, 0.5) == pytest.approx(y, abs=0.01)
    assert spiked.shares(x, 0.5) == tuple(pytest.approx(share, abs=0.01) for share in shares)


def transform(c: float, y: float) -> tuple[float, float, float]:
    """D(y) and its two factors, integrals over the law of the singular values: no closed form."""
    law = MarchenkoPastur(c).singular(1)
    low, high = law.support

    def integrand(s: float) -> float:
        return y / (y * y - s * s) * float(law.pdf(s))

    phi = quad(integrand, low, high, epsabs=1e-12, epsrel=1e-12, limit=400)[0]
    other = c * phi + (1 - c) / y
    return phi * other, phi, other


@ratios
@pytest.mark.parametrize("excess", [1.1, 1.5, 3.0])
def test_landing_and_shares_solve_the_equations_of_the_transform(c: float, excess: float) -> None:
    # D(y) = 1/x²; near share −2 φ(y)/(x² D'(y)), far share with the other factor
    x = excess * c**0.25
    y = float(spiked.landing(x, c))
    value, phi, other = transform(c, y)
    assert value == pytest.approx(1 / x**2, rel=1e-8)
    step = 1e-4 * (y - spiked.edge(c))
    slope = (transform(c, y + step)[0] - transform(c, y - step)[0]) / (2 * step)
    shares = (-2 * phi / (x**2 * slope), -2 * other / (x**2 * slope))
    assert spiked.shares(x, c) == (
        pytest.approx(shares[0], rel=1e-5),
        pytest.approx(shares[1], rel=1e-5),
    )


def error(x: float, found: float, c: float, norm: str) -> float:
    """The norm of S − Ŝ in the planes of one true and one found direction on either side."""
    near, far = (float(share) for share in spiked.shares(x, c))
    left = np.array([math.sqrt(near), math.sqrt(1 - near)])
    right = np.array([math.sqrt(far), math.sqrt(1 - far)])
    signal = np.diag([x, 0.0])
    return float(np.linalg.norm(signal - found * np.outer(left, right), NORMS[norm]))


@ratios
@pytest.mark.parametrize("loss", spiked.LOSSES)
@pytest.mark.parametrize("excess", [1.05, 1.3, 2.0, 5.0])
def test_no_other_value_has_a_smaller_error(c: float, loss: str, excess: float) -> None:
    x = excess * c**0.25
    y = float(spiked.landing(x, c))
    best = minimize_scalar(
        lambda value: error(x, value, c, loss),
        bounds=(0, y),
        method="bounded",
        options={"xatol": 1e-10},
    )
    found = error(x, float(spiked.LOSSES[loss](y, c)), c, loss)
    assert found <= min(best.fun, error(x, 0.0, c, loss)) * (1 + 1e-9)


@ratios
def test_undoing_the_landing_is_worse_in_operator_norm_off_the_square(c: float) -> None:
    y = float(spiked.landing(2.0, c))
    least = error(2.0, float(spiked.operator(y, c)), c, "operator")
    assert least == pytest.approx(2.0 * math.sqrt(1 - spiked.shares(2.0, c)[1]), rel=1e-12)
    undone = error(2.0, float(spiked.strength(y, c)), c, "operator")
    assert undone == pytest.approx(least, rel=1e-9) if c == 1 else undone > 1.001 * least


@ratios
def test_at_the_hard_threshold_keeping_costs_as_much_as_dropping(c: float) -> None:
    def gain(x: float) -> float:
        return x - error(x, float(spiked.landing(x, c)), c, "frobenius")

    x = brentq(gain, 1.01 * c**0.25, 10, xtol=1e-13)
    assert spiked.landing(x, c) == pytest.approx(spiked.hard_threshold(c), rel=1e-9)


@ratios
def test_identities_between_shrinkers_and_shares(c: float) -> None:
    x = c**0.25 * np.array([1.0001, 1.01, 1.2, 2.0, 10.0, 1e6])
    y = spiked.landing(x, c)
    near, far = spiked.shares(x, c)
    assert spiked.frobenius(y, c) == pytest.approx(x * np.sqrt(near * far), rel=1e-7)
    assert spiked.operator(y, c) == pytest.approx(x * np.sqrt(far / near), rel=1e-7)
    both = np.sqrt(near * far) - np.sqrt((1 - near) * (1 - far))
    assert spiked.nuclear(y, c) == pytest.approx(x * np.maximum(both, 0), rel=1e-7, abs=1e-9)
    assert (spiked.nuclear(y, c) <= spiked.frobenius(y, c) * (1 + 1e-9)).all()
    assert (spiked.frobenius(y, c) <= spiked.operator(y, c) * (1 + 1e-9)).all()
    assert (spiked.operator(y, c) <= y).all()


@ratios
def test_below_the_threshold_there_is_nothing(c: float) -> None:
    x = c**0.25 * np.array([[0.0, 0.5], [0.99, 1.0]])
    assert spiked.landing(x, c) == pytest.approx(np.full((2, 2), spiked.edge(c)), rel=1e-12)
    assert spiked.shares(x, c) == (pytest.approx(np.zeros((2, 2))), pytest.approx(np.zeros((2, 2))))
    y = spiked.edge(c) * np.array([[0.0, 0.5], [0.99, 1.0]])
    assert not spiked.strength(y, c).any()
    for shrink in spiked.LOSSES.values():
        assert not shrink(y, c).any()


@ratios
@pytest.mark.parametrize("power", [-14, -10, -6, 0, 6, 60])
def test_the_ends_of_the_range_are_finite_and_right(c: float, power: int) -> None:
    y = spiked.edge(c) * (1 + 10.0**power)
    x = float(spiked.strength(y, c))
    assert x >= c**0.25
    assert spiked.landing(x, c) == pytest.approx(y, rel=1e-12)
    for shrink in spiked.LOSSES.values():
        assert 0 <= float(shrink(y, c)) <= y
    if power >= 6:
        assert spiked.shares(x, c) == (pytest.approx(1, abs=1e-6), pytest.approx(1, abs=1e-6))


@pytest.mark.parametrize("spikes", [None, 3])
@pytest.mark.parametrize("shape", [(50, 100), (100, 50)])
def test_strengths_are_those_of_the_spikes_beside_each_other(shape, spikes) -> None:
    law, unit = MarchenkoPastur(0.5, 0.09), 0.3 * math.sqrt(97)
    values = 0.3 * 10 * np.concatenate([[3.0, 2.0, 1.8], np.linspace(1.7, 0.3, 47)])
    found = spiked.strengths(Spectrum(values, shape), law.sigma, spikes)
    assert len(found) == 3
    assert found.values == pytest.approx(values[:3])
    x = spiked.strength(values[:3] / unit, 47 / 97)
    assert found.strengths == pytest.approx(unit * x)
    near, far = spiked.shares(x, 47 / 97)
    assert (found.near, found.far) == (pytest.approx(near), pytest.approx(far))
    assert not found.near.flags.writeable
    assert (np.diff(found.strengths) < 0).all()


def test_values_that_noise_could_reach_have_no_strength() -> None:
    spectrum = Spectrum(10 * np.linspace(1.65, 0.3, 50), (100, 50))
    assert len(spiked.strengths(spectrum, 1.0)) == 0
    found = spiked.strengths(spectrum, 1.0, 2)
    assert len(found) == 2
    assert not found.strengths.any()
    assert not found.near.any()
    assert not found.far.any()


def test_beside_spikes_noise_has_fewer_rows_and_columns() -> None:
    assert spiked.beside((50, 100), 0.3, 0) == (near(3.0), near(0.5))
    assert spiked.beside((100, 50), 0.3, 19) == (near(2.7), near(31 / 81))
    with pytest.raises(ValueError, match="no noise is left"):
        spiked.beside((50, 100), 0.3, 50)
