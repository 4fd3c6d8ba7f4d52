"""What holds for the law at every aspect ratio and every variance."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmtviz.marchenko_pastur import MarchenkoPastur, midpoint_quantiles

ratios = st.floats(0.005, 1.0) | st.sampled_from([1.0, 1 - 1e-12, 1 - 1e-6, 0.5, 0.01])
variances = st.floats(-12, 12).map(lambda x: 10.0**x)
laws = st.builds(MarchenkoPastur, ratios, variances)
probabilities = st.floats(0, 1)
inner = st.floats(0.001, 0.999)


def by_angle(law: MarchenkoPastur, points: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights with Σ weight g(x) = ∫ f g, by mid-points in the angle of x."""
    t = (np.arange(points) + 0.5) * math.pi / points
    low, high = law.support
    x = low + (high - low) * np.sin(t / 2) ** 2
    return x, law.pdf(x) * (high - low) / 2 * np.sin(t) * math.pi / points


@given(laws, probabilities)
def test_cdf_of_ppf_is_the_identity(law: MarchenkoPastur, u: float) -> None:
    # near the lower edge at c = 1 the distribution function is steep: one rounding of x moves it
    assert float(law.cdf(law.ppf(u))) == pytest.approx(u, abs=1e-9 if law.ratio > 0.99 else 1e-12)


@given(laws, inner)
def test_ppf_of_cdf_is_the_identity(law: MarchenkoPastur, share: float) -> None:
    low, high = law.support
    x = low + share * (high - low)
    assert float(law.ppf(law.cdf(x))) == pytest.approx(x, rel=1e-9)


@given(laws, st.lists(probabilities, min_size=2, max_size=30))
def test_ppf_is_monotone_and_stays_in_the_support(law: MarchenkoPastur, u: list[float]) -> None:
    x = law.ppf(sorted(u))
    low, high = law.support
    assert (np.diff(x) >= -1e-10 * high).all()
    assert low * (1 - 1e-12) <= x.min() <= x.max() <= high * (1 + 1e-12)


@given(laws, st.lists(st.floats(-1, 6), min_size=2, max_size=30))
def test_cdf_is_monotone_from_zero_to_one(law: MarchenkoPastur, x: list[float]) -> None:
    value = law.cdf(np.sort(x) * law.variance)
    assert (np.diff(value) >= -1e-12).all()
    assert ((value >= 0) & (value <= 1)).all()
    low, high = law.support
    assert law.cdf([-law.variance, high * 1.001]).tolist() == [0.0, 1.0]
    assert law.cdf([low, high]) == pytest.approx([0, 1], abs=1e-6)


@given(laws, inner)
def test_pdf_is_the_slope_of_cdf(law: MarchenkoPastur, share: float) -> None:
    low, high = law.support
    x, step = low + share * (high - low), 1e-6 * share * (1 - share) * (high - low)
    slope = float(law.cdf(x + step) - law.cdf(x - step)) / (2 * step)
    assert float(law.pdf(x)) == pytest.approx(slope, rel=1e-3, abs=1e-6 / law.variance)


@given(laws)
def test_pdf_has_mass_one_mean_and_variance(law: MarchenkoPastur) -> None:
    x, weight = by_angle(law)
    assert weight.sum() == pytest.approx(1, abs=1e-3)
    assert weight @ x == pytest.approx(law.variance, rel=1e-9)
    spread = weight @ (x - law.variance) ** 2
    assert spread == pytest.approx(law.ratio * law.variance**2, rel=2e-3)


@given(st.floats(0.005, 0.95), variances)
def test_mass_away_from_the_square_is_one_to_rounding(ratio: float, variance: float) -> None:
    assert by_angle(MarchenkoPastur(ratio, variance))[1].sum() == pytest.approx(1, abs=1e-9)


@given(laws, st.integers(20, 5000), inner)
def test_singular_scale_is_a_change_of_variables(
    law: MarchenkoPastur, n: int, share: float
) -> None:
    singular = law.singular(n)
    low, high = singular.support
    assert (low, high) == pytest.approx(tuple(math.sqrt(n * edge) for edge in law.support))
    s = low + share * (high - low)
    assert float(singular.pdf(s)) == pytest.approx(2 * s / n * float(law.pdf(s * s / n)), rel=1e-6)
    assert float(singular.cdf(s)) == pytest.approx(float(law.cdf(s * s / n)), abs=1e-12)
    assert float(singular.ppf(share)) == pytest.approx(
        math.sqrt(n * float(law.ppf(share))), rel=1e-12
    )


@given(laws, st.integers(20, 5000))
def test_singular_density_is_finite_with_mass_one(law: MarchenkoPastur, n: int) -> None:
    singular = law.singular(n)
    low, high = singular.support
    t = (np.arange(3000) + 0.5) * math.pi / 3000
    s = low + (high - low) * np.sin(t / 2) ** 2
    weight = singular.pdf(s) * (high - low) / 2 * np.sin(t) * math.pi / 3000
    assert weight.sum() == pytest.approx(1, abs=2e-3)
    assert np.isfinite(singular.pdf([0.0, low, high, 2 * high])).all()


@given(ratios, variances, inner)
def test_variance_only_scales(ratio: float, variance: float, u: float) -> None:
    unit, law = MarchenkoPastur(ratio), MarchenkoPastur(ratio, variance)
    x = unit.ppf(u)
    assert law.ppf(u) == pytest.approx(variance * x, rel=1e-12)
    assert law.cdf(variance * x) == pytest.approx(unit.cdf(x), abs=1e-9)
    assert law.pdf(variance * x) * variance == pytest.approx(unit.pdf(x), rel=1e-9)
    assert law.sigma**2 == pytest.approx(variance)


@given(laws, st.integers(0, 2**32))
def test_samples_lie_in_the_support_and_repeat(law: MarchenkoPastur, seed: int) -> None:
    low, high = law.support
    x = law.sample((3, 4), np.random.default_rng(seed))
    assert x.shape == (3, 4)
    assert ((x >= low * (1 - 1e-12)) & (x <= high * (1 + 1e-12))).all()
    again = law.singular(9).sample((3, 4), np.random.default_rng(seed))
    assert again**2 / 9 == pytest.approx(x, rel=1e-12)


@given(st.integers(20, 400), ratios)
def test_midpoint_quantiles_ascend_at_half_steps(p: int, ratio: float) -> None:
    q = midpoint_quantiles(p, ratio)
    assert (np.diff(q) > 0).all()
    assert MarchenkoPastur(ratio).cdf(q) == pytest.approx((np.arange(p) + 0.5) / p, abs=1e-9)


@given(laws, st.sampled_from([(), (3,), (2, 3)]))
def test_shapes_go_through(law: MarchenkoPastur, shape: tuple[int, ...]) -> None:
    x = np.full(shape, law.variance)
    assert law.pdf(x).shape == law.cdf(x).shape == law.ppf(np.full(shape, 0.5)).shape == shape
