"""Spectra drawn without a matrix are those of Gaussian matrices, and of the closed forms."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import digamma, polygamma

from rmtviz.marchenko_pastur import MarchenkoPastur
from rmtviz.spectrum import Spectrum

SHAPES = [(30, 30), (50, 20), (25, 100)]
COUNT = 2000

shapes = pytest.mark.parametrize("shape", SHAPES)
betas = pytest.mark.parametrize("beta", [1, 2], ids=["real", "complex"])

STATISTICS: dict[str, Callable[[np.ndarray], float]] = {
    "trace": lambda s: s @ s,
    "largest": lambda s: s[0],
    "smallest": lambda s: s[-1],
    "log determinant": lambda s: np.log(s).sum(),
    "middle spacing": lambda s: s[len(s) // 2 - 1] - s[len(s) // 2],
    "spacing ratio": lambda s: np.mean(
        np.minimum(*(gaps := np.array([-np.diff(s)[1:], -np.diff(s)[:-1]]))) / gaps.max(axis=0)
    ),
    "fourth moment": lambda s: np.sum(s**4),
}


@pytest.fixture(scope="module")
def samples():
    """Values of drawn spectra and of those of matrices, by shape and β; each made once."""
    made: dict[tuple[int, int, int], tuple[np.ndarray, np.ndarray]] = {}

    def get(
        shape: tuple[int, int], beta: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        if (*shape, beta) not in made:
            drawn = [Spectrum.gaussian(shape, rng, beta=beta).values for _ in range(COUNT)]
            matrices = rng.normal(size=(COUNT, *shape))
            if beta == 2:
                matrices = (matrices + 1j * rng.normal(size=matrices.shape)) / np.sqrt(2)
            made[*shape, beta] = np.array(drawn), np.linalg.svd(matrices, compute_uv=False)
        return made[*shape, beta]

    return get


def two_samples(a: np.ndarray, b: np.ndarray) -> float:
    """The distance of Kolmogorov and Smirnov in units of its scale."""
    points = np.concatenate([a, b])
    below = [np.searchsorted(np.sort(x), points, side="right") / len(x) for x in (a, b)]
    return float(np.abs(below[0] - below[1]).max() * np.sqrt(len(a) * len(b) / len(points)))


@betas
@shapes
@pytest.mark.parametrize("statistic", STATISTICS)
def test_drawn_spectra_are_those_of_matrices(
    samples, rng, shape: tuple[int, int], statistic: str, beta: int
) -> None:
    a, b = (np.array([STATISTICS[statistic](s) for s in x]) for x in samples(shape, beta, rng))
    assert two_samples(a, b) < 2.5  # 2 exp(−2 · 2.5²) = 7e-6


@betas
@shapes
def test_trace_has_the_moments_of_chi_square(
    samples, rng, near, shape: tuple[int, int], beta: int
) -> None:
    drawn, _ = samples(shape, beta, rng)
    trace, freedom = (drawn**2).sum(axis=1), shape[0] * shape[1]
    assert near(trace, freedom)
    assert near((trace - freedom) ** 2, 2 * freedom / beta)


@betas
@shapes
def test_log_determinant_has_the_moments_of_bartlett(
    samples, rng, near, shape: tuple[int, int], beta: int
) -> None:
    # log det W Wᴴ is a sum of independent log (χ²/β) of β n, β (n − 1), …, β (n − p + 1) degrees
    drawn, _ = samples(shape, beta, rng)
    logs = 2 * np.log(drawn).sum(axis=1)
    halves = beta * (max(shape) - np.arange(min(shape))) / 2
    mean, variance = np.sum(digamma(halves) + np.log(2 / beta)), np.sum(polygamma(1, halves))
    assert near(logs, mean)
    assert near((logs - mean) ** 2, variance)


@pytest.mark.parametrize(("p", "n"), [(200, 200), (200, 400), (200, 2000)])
def test_eigenvalues_follow_the_law_to_the_order_of_one_in_p(rng, p: int, n: int) -> None:
    law = MarchenkoPastur(p / n, 0.25)
    steps = np.arange(1, p + 1) / p
    for _ in range(20):
        ascending = Spectrum.gaussian((p, n), rng, sigma=0.5).eigenvalues[::-1]
        assert np.abs(law.cdf(ascending) - steps).max() < 7 / p


def test_independent_draws_from_the_law_do_not_repel(rng, near) -> None:
    law = MarchenkoPastur(0.3, 2.0)
    x = law.sample(20_000, rng)
    assert near(x, 2.0)
    assert near((x - 2) ** 2, 0.3 * 4)
    assert two_samples(law.cdf(x), (np.arange(20_000) + 0.5) / 20_000) < 2.5
    gaps = np.diff(np.sort(law.cdf(x))) * 20_000
    assert near(gaps < 0.1, 1 - np.exp(-0.1), slack=0.002)
