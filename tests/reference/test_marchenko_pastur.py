"""The law against tables, quadrature, and closed forms written in other ways."""

import itertools
import math

import numpy as np
import pytest
from scipy.integrate import quad

from rmtviz.marchenko_pastur import MarchenkoPastur, midpoint_quantiles

PROBABILITIES = (0.10, 0.25, 0.50, 0.75, 0.90, 0.99)

QUANTILES = {
    1.0: (0.0247249758, 0.1562525289, 0.6527759416, 1.6113996865, 2.5945712079, 3.6766912284),
    0.784: (0.0831690840, 0.2487442596, 0.7308601245, 1.5694829945, 2.3961767399, 3.2898883055),
    0.5: (0.2088898864, 0.3982537717, 0.8304658816, 1.4859216136, 2.0926948421, 2.7283662472),
    0.25: (0.3978807559, 0.5766285527, 0.9160040707, 1.3654806833, 1.7514228291, 2.1389699444),
    0.1: (0.5977437598, 0.7353205045, 0.9665651474, 1.2415278954, 1.4616620990, 1.6732006487),
}
"""Quantiles at σ² = 1 by root-finding on a quadrature of the density, right to 1e-10."""

EDGES = {
    1.0: (0.0, 4.0),
    0.784: (0.0131245103, 3.5548754897),
    0.5: (0.0857864376, 2.9142135624),
    0.25: (0.25, 2.25),
    0.1: (0.4675444680, 1.7324555320),
}

ratios = pytest.mark.parametrize("ratio", [1.0, 0.999999, 0.784, 0.5, 0.25, 0.1, 1e-3])
variances = pytest.mark.parametrize("variance", [1.0, 0.003, 40.0])


def by_quadrature(ratio: float, x: float) -> float:
    """F(x) at σ² = 1 by integrating 2 sin²t / (π (1 + c − 2√c cos t)) up to the angle of x."""
    root = math.sqrt(ratio)
    low, high = (1 - root) ** 2, (1 + root) ** 2
    end = math.acos(min(max((low + high - 2 * x) / (high - low), -1.0), 1.0))

    def density(t: float) -> float:
        return 2 / math.pi * math.sin(t) ** 2 / ((1 - root) ** 2 + 4 * root * math.sin(t / 2) ** 2)

    near = max(1 - root, 1e-3)  # where the density turns when c is almost 1
    parts = sorted({0.0, end, *(k * near for k in (1, 4, 30) if k * near < end)})
    return sum(
        quad(density, a, b, epsabs=1e-14, epsrel=1e-13)[0] for a, b in itertools.pairwise(parts)
    )


@pytest.mark.parametrize("ratio", QUANTILES)
def test_quantiles_of_the_table(ratio: float) -> None:
    assert MarchenkoPastur(ratio).ppf(PROBABILITIES) == pytest.approx(QUANTILES[ratio], abs=1e-9)


@pytest.mark.parametrize("ratio", EDGES)
def test_edges_of_the_table(ratio: float) -> None:
    assert MarchenkoPastur(ratio).support == pytest.approx(EDGES[ratio], abs=1e-9)
    assert MarchenkoPastur(ratio).ppf([0.0, 1.0]) == pytest.approx(EDGES[ratio], abs=1e-9)


@ratios
def test_cdf_is_the_quadrature_of_the_density(ratio: float) -> None:
    law = MarchenkoPastur(ratio)
    low, high = law.support
    points = low + (high - low) * np.array([1e-6, 1e-3, 0.03, 0.2, 0.5, 0.8, 0.97, 0.999, 1 - 1e-6])
    expected = [by_quadrature(ratio, x) for x in points]
    assert law.cdf(points) == pytest.approx(expected, rel=0, abs=1e-11)


@ratios
@variances
def test_pdf_is_the_formula(ratio: float, variance: float) -> None:
    law = MarchenkoPastur(ratio, variance)
    low, high = variance * (1 - ratio**0.5) ** 2, variance * (1 + ratio**0.5) ** 2
    for x in np.linspace(low, high, 9)[1:-1]:
        expected = math.sqrt((high - x) * (x - low)) / (2 * math.pi * ratio * variance * x)
        assert float(law.pdf(x)) == pytest.approx(expected, rel=1e-9)


def test_square_case_is_the_quarter_circle_of_singular_values() -> None:
    n, sigma = 50, 0.3
    law = MarchenkoPastur(1.0, sigma**2).singular(n)
    radius = 2 * sigma * math.sqrt(n)
    s = np.linspace(0, radius, 101)
    circle = 4 / (math.pi * radius**2) * np.sqrt(radius**2 - s**2)
    inside = s / radius
    below = 2 / math.pi * (inside * np.sqrt(1 - inside**2) + np.arcsin(inside))
    assert law.pdf(s) == pytest.approx(circle, rel=1e-9, abs=1e-7)
    assert law.cdf(s) == pytest.approx(below, abs=1e-12)


@ratios
@variances
def test_moments_are_those_of_narayana(ratio: float, variance: float) -> None:
    # E λᵏ = σ²ᵏ Σ_r cʳ N(k, r+1): 1, 1 + c, 1 + 3c + c², 1 + 6c + 6c² + c³; by mid-points in u
    t = (np.arange(4000) + 0.5) / 4000 * math.pi
    root = math.sqrt(ratio)
    x = variance * ((1 - root) ** 2 + 4 * root * np.sin(t / 2) ** 2)
    weight = MarchenkoPastur(ratio, variance).pdf(x) * variance * 2 * root * np.sin(t)
    weight *= math.pi / 4000
    c = ratio
    for k, moment in enumerate((1, 1, 1 + c, 1 + 3 * c + c**2, 1 + 6 * c + 6 * c**2 + c**3)):
        assert weight @ x**k == pytest.approx(variance**k * moment, rel=1e-4 if k == 0 else 1e-6)


@ratios
def test_support_in_singular_values_is_sigma_times_roots(ratio: float) -> None:
    n, sigma = 1000, 0.02
    p = ratio * n
    low, high = MarchenkoPastur(ratio, sigma**2).singular(n).support
    assert high == pytest.approx(sigma * (math.sqrt(n) + math.sqrt(p)), rel=1e-12)
    assert low == pytest.approx(sigma * (math.sqrt(n) - math.sqrt(p)), rel=1e-9, abs=1e-12)


def test_density_of_singular_values_written_out() -> None:
    # h(s) = √((s₊² − s²)(s² − s₋²)) / (π p σ² s)
    p, n, sigma = 300, 784, 0.05
    low, high = sigma * (n**0.5 - p**0.5), sigma * (n**0.5 + p**0.5)
    s = np.linspace(low, high, 50)[1:-1]
    expected = np.sqrt((high**2 - s**2) * (s**2 - low**2)) / (math.pi * p * sigma**2 * s)
    law = MarchenkoPastur(p / n, sigma**2).singular(n)
    assert law.pdf(s) == pytest.approx(expected, rel=1e-9)
    assert law.pdf([low * 0.99, high * 1.01, -1.0]) == pytest.approx([0, 0, 0])


@pytest.mark.parametrize(("p", "ratio"), [(20, 1.0), (100, 0.5), (784, 0.784)])
def test_midpoint_quantiles_solve_the_quadrature(p: int, ratio: float) -> None:
    q = midpoint_quantiles(p, ratio)
    picked = np.unique(np.linspace(0, p - 1, 7).astype(int))
    found = [by_quadrature(ratio, q[k]) for k in picked]
    assert found == pytest.approx((picked + 0.5) / p, abs=1e-11)
    assert not q.flags.writeable


@pytest.mark.parametrize("ratio", [0.0, -0.1, 1.0000001, math.nan, math.inf])
def test_ratio_outside_its_range_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="aspect ratio"):
        MarchenkoPastur(ratio)


@pytest.mark.parametrize("variance", [0.0, -1.0, math.nan, math.inf])
def test_variance_outside_its_range_is_refused(variance: float) -> None:
    with pytest.raises(ValueError, match="variance"):
        MarchenkoPastur(0.5, variance)


@pytest.mark.parametrize("u", [-1e-9, 1 + 1e-9, math.nan])
def test_probability_outside_its_range_is_refused(u: float) -> None:
    with pytest.raises(ValueError, match="probabilities"):
        MarchenkoPastur(0.5).ppf([0.5, u])
