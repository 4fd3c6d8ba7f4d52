"""The largest and the smallest eigenvalue of noise follow Tracy–Widom about the given centres."""

import numpy as np
import pytest

from rmtviz import tracy_widom
from rmtviz.spectrum import Spectrum

MOMENTS = {1: (-1.206534, 1.607780**0.5), 2: (-1.771087, 0.813195**0.5)}
COUNT = 2000
LEVELS = (0.05, 0.25, 0.50, 0.75, 0.90, 0.99)


betas = pytest.mark.parametrize("beta", MOMENTS)


@betas
@pytest.mark.parametrize(("p", "n"), [(200, 400), (200, 200), (100, 1000)])
def test_largest_eigenvalue(rng, near, plausible, p: int, n: int, beta: int) -> None:
    centre, scale = tracy_widom.largest_eigenvalue(p, n, beta)
    drawn = [Spectrum.gaussian((p, n), rng, beta=beta).values[0] for _ in range(COUNT)]
    z = (np.square(drawn) - centre) / scale
    assert near(z, MOMENTS[beta][0], slack=0.06)
    assert z.std() == pytest.approx(MOMENTS[beta][1], abs=0.15)
    for u in LEVELS:
        hits = int((z <= tracy_widom.quantile(u, beta)).sum())
        assert plausible(hits, COUNT, max(u - 0.025, 0.0), min(u + 0.025, 0.997))


@betas
def test_largest_eigenvalue_of_small_matrices_of_numbers(rng, near, beta: int) -> None:
    # with the sides shifted as for the other kind of numbers the mean would be 0.15 or more away
    centre, scale = tracy_widom.largest_eigenvalue(30, 60, beta)
    w = rng.normal(size=(COUNT, 30, 60))
    w = (w + 1j * rng.normal(size=w.shape)) / np.sqrt(2) if beta == 2 else w
    z = (np.linalg.norm(w, 2, axis=(1, 2)) ** 2 - centre) / scale
    assert near(z, MOMENTS[beta][0], slack=0.08)


@betas
@pytest.mark.parametrize(("p", "n"), [(200, 800), (200, 2000)])
def test_smallest_eigenvalue(rng, near, plausible, p: int, n: int, beta: int) -> None:
    centre, scale = tracy_widom.smallest_eigenvalue(p, n, beta)
    drawn = [Spectrum.gaussian((p, n), rng, beta=beta).values[-1] for _ in range(COUNT)]
    z = (centre - np.square(drawn)) / scale
    assert near(z, MOMENTS[beta][0], slack=0.1)
    assert z.std() == pytest.approx(MOMENTS[beta][1], abs=0.18)
    for u in LEVELS:
        hits = int((z <= tracy_widom.quantile(u, beta)).sum())
        assert plausible(hits, COUNT, max(u - 0.035, 0.0), min(u + 0.035, 0.997))


def test_scaling_with_size_brings_the_edge_to_the_law(rng) -> None:
    # λ₁ lies within a few widths of σ² (1 + √c)² at any size
    for p in (50, 100, 400):
        top = Spectrum.gaussian((p, 2 * p), rng).eigenvalues[0]
        assert abs(top - (1 + 0.5**0.5) ** 2) < 8 * tracy_widom.edge_width(0.5, 2 * p)
