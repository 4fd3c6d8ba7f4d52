"""Tracy–Widom against tables, Painlevé II, and the constants of Johnstone and Ma."""

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

COMPLEX_QUANTILES = {
    0.01: -3.7244459464,
    0.05: -3.1941667322,
    0.10: -2.9013509385,
    0.30: -2.2661820398,
    0.50: -1.8049124089,
    0.70: -1.3248595561,
    0.90: -0.5968512971,
    0.95: -0.2324744698,
    0.99: 0.4776360474,
    0.999: 1.3144194801,
}

PROBABILITIES = {
    (0.0, 1): 0.8319080662,
    (-1.0, 1): 0.5837898955,
    (-1.2, 1): 0.5217141304,
    (0.0, 2): 0.9693728284,
}

MOMENTS = {
    1: (-1.2065335745, 1.6077810346, 0.2934645241, 0.1652429384),
    2: (-1.7710868074, 0.8131947928, 0.2240842036, 0.0934480876),
}
"""Mean, variance, skewness, excess kurtosis, by β: Bornemann, Markov Proc. Rel. Fields 16, 803."""

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
betas = pytest.mark.parametrize("beta", [1, 2])


@pytest.fixture(scope="module")
def painleve():
    """F₁ = exp(−½ ∫ₛ q + (x − s) q²) and F₂ = exp(−∫ₛ (x − s) q²) by Painlevé II.

    q ~ Ai is the solution of Hastings and McLeod.
    """
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

    def cdf(s: float, beta: int) -> float:
        values = solution.sol(s)
        return math.exp(-values[4] if beta == 2 else -(values[2] + values[4]) / 2)

    return cdf


@pytest.mark.parametrize("u", QUANTILES)
def test_quantiles_of_the_table(u: float) -> None:
    assert tracy_widom.quantile(u) == pytest.approx(QUANTILES[u], abs=2e-9)


@pytest.mark.parametrize("u", COMPLEX_QUANTILES)
def test_quantiles_of_the_table_for_complex_matrices(u: float) -> None:
    assert tracy_widom.quantile(u, 2) == pytest.approx(COMPLEX_QUANTILES[u], abs=2e-9)


@pytest.mark.parametrize(("s", "beta"), PROBABILITIES)
def test_probabilities_of_the_table(s: float, beta: int) -> None:
    assert tracy_widom.cdf(s, beta) == pytest.approx(PROBABILITIES[s, beta], abs=2e-10)


@betas
@pytest.mark.parametrize("s", [-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.5, 4.0, 6.0])
def test_determinant_agrees_with_painleve(painleve, s: float, beta: int) -> None:
    assert tracy_widom.cdf(s, beta) == pytest.approx(painleve(s, beta), rel=0, abs=2e-9)


@pytest.mark.parametrize("s", [-4.0, -2.0, 0.0, 2.0])
def test_complex_law_is_the_determinant_of_the_airy_kernel(s: float) -> None:
    # K(x, y) = (Ai(x) Ai′(y) − Ai′(x) Ai(y))/(x − y) on L²(s, ∞), Ai′² − x Ai² where x = y
    nodes, weights = np.polynomial.legendre.leggauss(60)
    x, root = s + 8 * (nodes + 1), np.sqrt(8 * weights)
    ai, slope, *_ = airy(x)
    with np.errstate(invalid="ignore"):
        kernel = (np.outer(ai, slope) - np.outer(slope, ai)) / np.subtract.outer(x, x)
    np.fill_diagonal(kernel, slope**2 - x * ai**2)
    found = np.linalg.det(np.eye(60) - root[:, None] * kernel * root)
    assert tracy_widom.cdf(s, 2) == pytest.approx(found, abs=1e-11)


@betas
def test_moments(beta: int) -> None:
    # by parts: E Xᵏ = bᵏ − ∫ k sᵏ⁻¹ F over (−b, b), b = 10
    nodes, weights = np.polynomial.legendre.leggauss(80)
    s, below = 10 * nodes, np.array([tracy_widom.cdf(10 * s, beta) for s in nodes])
    raw = [10**k - 10 * weights @ (k * s ** (k - 1) * below) for k in range(1, 5)]
    mean, variance = raw[0], raw[1] - raw[0] ** 2
    third = raw[2] - 3 * mean * raw[1] + 2 * mean**3
    fourth = raw[3] - 4 * mean * raw[2] + 6 * mean**2 * raw[1] - 3 * mean**4
    found = (mean, variance, third / variance**1.5, fourth / variance**2 - 3)
    assert found == pytest.approx(MOMENTS[beta], abs=2e-8)


@pytest.mark.parametrize("s", [-3.0, -2.0, -1.0, 0.0, 1.0])
def test_shifted_gamma_law_of_chiani_is_near(s: float) -> None:
    near = gdtr(1 / 0.186054, 46.446, s + 9.84801)
    assert tracy_widom.cdf(s) == pytest.approx(near, abs=0.003)


@betas
@pytest.mark.parametrize("u", [1e-8, 1e-6, 0.3, 0.7, 1 - 1e-6, 1 - 1e-8])
def test_quantile_inverts_the_probability(u: float, beta: int) -> None:
    found = tracy_widom.quantile(u, beta)
    assert tracy_widom.cdf(found, beta) == pytest.approx(u, rel=1e-6, abs=1e-11)


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
@betas
def test_width_is_the_scale_of_the_largest_eigenvalue_to_leading_order(
    n: int, p: int, beta: int
) -> None:
    big = 10**6
    _, scale = tracy_widom.largest_eigenvalue(p * big, n * big, beta)
    assert tracy_widom.edge_width(p / n, n * big) == pytest.approx(scale / (n * big), rel=1e-6)


@sides
@pytest.mark.parametrize(("beta", "shift"), [(1, 0.5), (2, 0.0)])
def test_smallest_eigenvalue_is_the_mirror_of_the_largest(
    n: int, p: int, beta: int, shift: float
) -> None:
    # √p ↦ −√p takes λ₊ to λ₋ and turns the scale's sign
    a, b = math.sqrt(n - shift), -math.sqrt(p - shift)
    top = (a - b) ** 2, (a - b) * (1 / a - 1 / b) ** (1 / 3)
    low = (a + b) ** 2, -(a + b) * np.cbrt(1 / a + 1 / b)
    assert tracy_widom.largest_eigenvalue(p, n, beta) == pytest.approx(top, rel=1e-12)
    assert tracy_widom.smallest_eigenvalue(p, n, beta) == pytest.approx(low, rel=1e-12)
