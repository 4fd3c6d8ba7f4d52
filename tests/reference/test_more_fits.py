"""The younger methods against their formulas written down a second time."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

from rmtviz.fits import BEMA, Dyson, Iterated, Kolmogorov, KritchmanNadler, Median, Status
from rmtviz.fits.base import distance, noise_law, rest
from rmtviz.fits.dyson import DEPTH, equalised, variances
from rmtviz.fits.kolmogorov import closest
from rmtviz.marchenko_pastur import MarchenkoPastur
from rmtviz.spectrum import Spectrum


def noise(p: int, n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(p, n))


def spiked(p: int, n: int, spikes: int, seed: int = 0) -> Spectrum:
    w = noise(p, n, seed)
    w[range(spikes), range(spikes)] += np.linspace(1.5, 4, spikes) * (p * n) ** 0.25
    return Spectrum.of(w)


@pytest.mark.parametrize("c", [0.3, 0.8])
def test_median_is_its_formula(c: float) -> None:
    spectrum = Spectrum.of(noise(60, round(60 / c)))
    c = spectrum.ratio
    low, high = (1 - c**0.5) ** 2, (1 + c**0.5) ** 2

    def below(x: float) -> float:
        f = lambda t: np.sqrt((high - t) * (t - low)) / (2 * np.pi * c * t)  # noqa: E731
        return quad(f, low, x, limit=200)[0]

    middle = brentq(lambda x: below(x) - 0.5, low, high)
    values = np.sort(spectrum.values**2 / spectrum.n)
    variance, cut = Median(level=0.1).estimate(spectrum)
    assert variance == pytest.approx((values[29] + values[30]) / 2 / middle, rel=1e-7)
    assert cut / variance == pytest.approx(
        BEMA(level=0.1).estimate(spectrum)[1] / BEMA(level=0.1).estimate(spectrum)[0], rel=1e-12
    )


@pytest.mark.parametrize("shape", [(40, 40), (40, 100), (60, 600)])
def test_closest_has_the_least_distance_of_a_fine_grid(shape: tuple[int, int]) -> None:
    spectrum = Spectrum.of(0.3 * noise(*shape))
    values = spectrum.eigenvalues[::-1]
    steps = np.arange(len(values) + 1) / len(values)

    def largest_gap(variance: float) -> float:
        level = MarchenkoPastur(spectrum.ratio, variance).cdf(values)
        return max((level - steps[:-1]).max(), (steps[1:] - level).max())

    found = closest(spectrum)
    grid = found * np.exp(np.linspace(-0.3, 0.3, 2001))
    assert largest_gap(found) <= min(map(largest_gap, grid)) + 1e-9
    assert found == pytest.approx(0.09, rel=0.1)


def test_closest_to_a_perfect_bulk_is_its_variance() -> None:
    law = MarchenkoPastur(0.4, 0.7)
    values = law.singular(500).ppf((np.arange(200, 0, -1) - 0.5) / 200)
    assert closest(Spectrum(values, (200, 500))) == pytest.approx(0.7, rel=1e-9)


@pytest.mark.parametrize("inner", [BEMA(), Median(), KritchmanNadler(), Kolmogorov()])
def test_iteration_is_the_loop_that_it_says(inner) -> None:
    spectrum = spiked(80, 200, 12)
    p, n, k, answers = 80, 200, 0, []
    while True:
        part = Spectrum(spectrum.values[k:], (p - k, n - k))
        variance, cut = inner.at(0.1).estimate(part)
        cut = cut * (n - k) / n
        above = int((spectrum.values**2 / n > cut).sum())
        left = np.sort(spectrum.values[above:] ** 2 / (n - above))
        law = MarchenkoPastur((p - above) / (n - above), variance)
        ks = abs(law.cdf(left) - np.arange(1, len(left) + 1) / len(left)).max()
        if answers and ks >= answers[-1][0]:
            break
        answers.append((ks, variance, cut))
        if above <= k:
            break
        k = above
    assert len(answers) > 1 or not isinstance(inner, BEMA)
    assert Iterated(inner).estimate(spectrum) == pytest.approx(answers[-1][1:], rel=1e-12)


def test_iteration_takes_a_name_or_a_method() -> None:
    spectrum = spiked(80, 200, 12)
    assert Iterated("median").estimate(spectrum) == Iterated(Median()).estimate(spectrum)
    other = Iterated(BEMA(alpha=0.35)).estimate(spectrum)
    assert other != Iterated("bema").estimate(spectrum)
    assert Iterated(BEMA(level=0.9), level=0.1).inner == BEMA(level=0.1)


@pytest.mark.parametrize("spikes", [0, 3, 20])
def test_the_law_beside_spikes_is_that_of_the_smaller_matrix(spikes: int) -> None:
    law = noise_law((100, 250), 0.3, spikes)
    alone = MarchenkoPastur((100 - spikes) / (250 - spikes), 0.3).singular(250 - spikes)
    assert law.singular(250).support == pytest.approx(alone.support, rel=1e-12)
    grid = np.linspace(*alone.support, 22)[1:-1]
    np.testing.assert_allclose(law.singular(250).cdf(grid), alone.cdf(grid), atol=1e-12)
    np.testing.assert_allclose(law.singular(250).pdf(grid), alone.pdf(grid), rtol=1e-9)
    spectrum = spiked(100, 250, 20)
    part = rest(spectrum, spikes)
    assert distance(law, spectrum, spikes) == pytest.approx(
        distance(MarchenkoPastur(part.ratio, 0.3), part, 0), abs=1e-12
    )


@pytest.mark.parametrize("shape", [(12, 12), (12, 30)])
def test_variances_come_from_the_resolvent_of_the_matrix_and_its_transpose(shape) -> None:
    # both diagonals at once: Im diag of the inverse of [[0, W], [Wᵀ, 0]] − iη
    w = noise(*shape) * np.linspace(1, 3, shape[0])[:, None]
    p, n = shape
    eta = DEPTH * np.sqrt(np.median(np.linalg.svd(w, compute_uv=False) ** 2))
    whole = np.block([[np.zeros((p, p)), w], [w.T, np.zeros((n, n))]])
    diagonal = np.diag(np.linalg.inv(whole - 1j * eta * np.eye(p + n))).imag
    g, h = diagonal[:p], diagonal[p:]
    assert p - eta * g.sum() == pytest.approx(n - eta * h.sum(), rel=1e-9)
    x, y = variances(w)
    root = np.sqrt(p - eta * g.sum())
    np.testing.assert_allclose(x, (1 / g - eta) / root, rtol=1e-9)
    np.testing.assert_allclose(y, (1 / h - eta) / root, rtol=1e-9)
    # the equation that they solve
    np.testing.assert_allclose(1 / g, eta + x * (y @ h), rtol=1e-9)
    np.testing.assert_allclose(1 / h, eta + y * (x @ g), rtol=1e-9)


def test_equalised_noise_is_noise_of_variance_one() -> None:
    rng = np.random.default_rng(1)
    rows, columns = np.exp(rng.normal(size=(300, 1))), np.exp(0.5 * rng.normal(size=500))
    w = rows * columns * rng.normal(size=(300, 500))
    spectrum = equalised(w)
    assert spectrum.energy / (300 * 500) == pytest.approx(1, abs=0.01)
    assert KritchmanNadler()(spectrum).bulk.ks < 0.02
    for factor in (1e-150, 1e120):
        np.testing.assert_allclose(equalised(factor * w).values, spectrum.values, rtol=1e-9)


def test_rows_and_columns_of_zeros_are_left_out() -> None:
    w = noise(60, 90)
    bare = equalised(w)
    w = np.insert(np.insert(w, 10, 0.0, axis=0), [0, 50, 90], 0.0, axis=1)
    again = equalised(w)
    assert again.shape == bare.shape == (60, 90)
    np.testing.assert_allclose(again.values, bare.values, rtol=1e-9)


def test_without_the_matrix_a_method_that_needs_it_says_so() -> None:
    fit = Dyson()(Spectrum.of(noise(30, 60)))
    assert (fit.status, fit.bulk, fit.spikes) == (Status.NO_MATRIX, None, None)
