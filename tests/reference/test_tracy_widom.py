"""Tracy–Widom (β = 1) against a table, Painlevé II, and the constants of Johnstone and Ma."""

import math

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.special import airy, gdtr

from rmtviz import tracy_widom
from rmtviz.fits import BEMA
from rmtviz.marchenko_pastur import MarchenkoPastur, midpoint_quantiles
from rmtviz.spectrum import Spectrum

QUANTILES = {
    0.01: -3.8954326731,
    0.05: -3.1803799769,
    0.10: -2.7824279057,
    0.20: -2.2831633202,
    0.25: -2.0881483362,
    0.50: -1.2685746166,
    0.75: -0.3919943318,
    0.80: -0.1653134252,
    0.90: 0.4501432891,
    0.95: 0.9793160535,
    0.99: 2.0234492814,
    0.995: 2.4223265859,
    0.999: 3.2721960590,
}

PROBABILITIES = {0.0: 0.8319080662, -1.0: 0.5837898955, -1.2: 0.5217141304}

CONSTANTS = {
    # n, p: Ma's centre and scale, edge, width, the cut at level 0.1, 0.5, 0.9 (σ = 1)
    (1000, 784): (
        (3552.868074, 24.252085),
        (3.55487549, 0.02425662),
        (3.56579444, 3.52410416, 3.48738320),
    ),
    (3000, 784): (
        (6849.012557, 31.277882),
        (2.28374877, 0.01042683),
        (2.28844234, 2.27052156, 2.25473687),
    ),
    (3000, 3000): (
        (11998.000000, 36.340393),
        (4.0, 0.01211414),
        (4.00545310, 3.98463231, 3.96629329),
    ),
    (500, 10): (
        (646.771550, 18.244169),
        (1.30284271, 0.03634486),
        (1.31920311, 1.25673655, 1.20171576),
    ),
    (1000, 1000): (
        (3998.0, 25.194221),
        (4.0, 0.02519842),
        (4.01134290, 3.96803392, 3.92988721),
    ),
    (2000, 500): (
        (4497.749859, 27.253402),
        (2.25, 0.01362840),
        (2.25613473, 2.23271135, 2.21207995),
    ),
    (512, 256): (
        (1490.016597, 18.312796),
        (2.91421356, 0.03578266),
        (2.93032089, 2.86882059, 2.81465089),
    ),
}

sides = pytest.mark.parametrize(("n", "p"), CONSTANTS)


@pytest.fixture(scope="module")
def painleve():
    """F₁ by Painlevé II: exp(−½ ∫ₛ q + (x − s) q²) of the solution q ~ Ai (Hastings, McLeod)."""
    start = 8.0

    def slopes(x: float, y: np.ndarray) -> list[float]:
        q, dq, _, j, _ = y  # q, q′, ∫ q, ∫ q², ∫ (x − s) q², all from s to ∞
        return [dq, x * q + 2 * q**3, -q, -(q**2), -j]

    ai, slope, *_ = airy(start)
    rest = [
        quad(f, start, start + 8, epsabs=0, epsrel=1e-10)[0]
        for f in (
            lambda x: airy(x)[0],
            lambda x: airy(x)[0] ** 2,
            lambda x: (x - start) * airy(x)[0] ** 2,
        )
    ]
    solution = solve_ivp(
        slopes,
        (start, -4.5),
        [ai, slope, *rest],
        "DOP853",
        rtol=1e-13,
        atol=1e-16,
        dense_output=True,
    )
    assert solution.success

    def cdf(s: float) -> float:
        values = solution.sol(s)
        return math.exp(-(values[2] + values[4]) / 2)

    return cdf


@pytest.mark.parametrize("u", QUANTILES)
def test_quantiles_of_the_table(u: float) -> None:
    assert tracy_widom.quantile(u) == pytest.approx(QUANTILES[u], abs=2e-9)


@pytest.mark.parametrize("s", PROBABILITIES)
def test_probabilities_of_the_table(s: float) -> None:
    assert tracy_widom.cdf(s) == pytest.approx(PROBABILITIES[s], abs=2e-10)


@pytest.mark.parametrize("s", [-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.5, 4.0, 6.0])
def test_determinant_agrees_with_painleve(painleve, s: float) -> None:
    assert tracy_widom.cdf(s) == pytest.approx(painleve(s), rel=0, abs=2e-9)


def test_law_is_that_of_real_matrices_and_not_of_complex_ones() -> None:
    complex_law = 0.9693728284  # F₂(0)
    assert abs(tracy_widom.cdf(0.0) - complex_law) > 0.1


def test_mean_and_variance() -> None:
    # by parts: E X = b − ∫ F and E X² = b² − ∫ 2 s F over (−b, b), b = 10
    nodes, weights = np.polynomial.legendre.leggauss(60)
    below = np.array([tracy_widom.cdf(10 * s) for s in nodes])
    mean = 10 - 10 * weights @ below
    square = 100 - 10 * weights @ (20 * nodes * below)
    assert mean == pytest.approx(-1.206534, abs=1e-6)
    assert square - mean**2 == pytest.approx(1.607780, abs=2e-6)


@pytest.mark.parametrize("s", [-3.0, -2.0, -1.0, 0.0, 1.0])
def test_shifted_gamma_law_of_chiani_is_near(s: float) -> None:
    near = gdtr(1 / 0.186054, 46.446, s + 9.84801)
    assert tracy_widom.cdf(s) == pytest.approx(near, abs=0.003)


@pytest.mark.parametrize("u", [1e-8, 1e-6, 0.3, 0.7, 1 - 1e-6, 1 - 1e-8])
def test_quantile_inverts_the_probability(u: float) -> None:
    assert tracy_widom.cdf(tracy_widom.quantile(u)) == pytest.approx(u, rel=1e-6, abs=1e-11)


@pytest.mark.parametrize("u", [0.0, 1.0, -0.5, 1e-9, 1 - 1e-9, math.nan])
def test_quantile_refuses_what_it_cannot_place(u: float) -> None:
    with pytest.raises(ValueError, match="probability"):
        tracy_widom.quantile(u)


def test_far_below_nothing_is_left() -> None:
    assert tracy_widom.cdf(-11.0) == 0.0
    assert 0 <= tracy_widom.cdf(-9.99) < 1e-9


@sides
def test_constants_of_the_table(n: int, p: int) -> None:
    (centre, scale), (edge, width), _ = CONSTANTS[n, p]
    assert tracy_widom.largest_eigenvalue(p, n) == pytest.approx((centre, scale), abs=1e-5)
    assert MarchenkoPastur(p / n).support[1] == pytest.approx(edge, abs=1e-8)
    assert tracy_widom.edge_width(p / n, n) == pytest.approx(width, abs=1e-8)


@sides
@pytest.mark.parametrize("which", [0, 1, 2])
def test_cut_of_bema_is_that_of_the_table(n: int, p: int, which: int) -> None:
    perfect = Spectrum(np.sqrt(n * midpoint_quantiles(p, p / n)[::-1]), (p, n))
    variance, cut = BEMA(level=(0.1, 0.5, 0.9)[which]).estimate(perfect)
    assert variance == pytest.approx(1, abs=1e-9)
    assert cut == pytest.approx(CONSTANTS[n, p][2][which], abs=2e-8)


@sides
def test_width_written_with_the_other_side(n: int, p: int) -> None:
    c = p / n
    other = math.sqrt(c) * p ** (-2 / 3) * (1 + math.sqrt(c)) ** (4 / 3)
    assert tracy_widom.edge_width(c, n) == pytest.approx(other, rel=1e-12)


@sides
def test_width_is_the_scale_of_the_largest_eigenvalue_to_leading_order(n: int, p: int) -> None:
    big = 10**6
    _, scale = tracy_widom.largest_eigenvalue(p * big, n * big)
    assert tracy_widom.edge_width(p / n, n * big) == pytest.approx(scale / (n * big), rel=1e-6)


@sides
def test_smallest_eigenvalue_is_the_mirror_of_the_largest(n: int, p: int) -> None:
    # √p ↦ −√p takes λ₊ to λ₋ and turns the scale's sign
    a, b = math.sqrt(n - 0.5), -math.sqrt(p - 0.5)
    centre, scale = (a + b) ** 2, (a + b) * np.cbrt(1 / a + 1 / b)
    assert tracy_widom.smallest_eigenvalue(p, n) == pytest.approx((centre, -scale), rel=1e-12)
