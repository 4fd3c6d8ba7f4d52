"""Complex noise: each method finds its σ, keeps its level, and finds what stands out of it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from rmtviz import analysis, tracy_widom
from rmtviz.decomposition import LayerSpectrum, Model, Spectra
from rmtviz.entries import Entries
from rmtviz.fits import METHODS, KritchmanNadler, MPFit
from rmtviz.fits.base import null_band
from rmtviz.layers import Layer
from rmtviz.spectrum import Spectrum

SPECTRAL = [name for name, kind in METHODS.items() if not kind.needs_matrix]
MATRICES = {"dyson": 60, "permutation": 40}
"""Draws of matrices for the methods that need them."""

SIZES = {(20, 0.5): 1500, (100, 0.1): 800, (100, 1.0): 800, (300, 0.5): 400}
"""Draws of spectra, by p and c."""

NOMINAL = (0.06, 0.125)
"""True rates of a false spike that count as nominal at a level of 0.10: 0.07–0.11 in 1,500 draws
each; the median's are up to 0.15."""


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Independent entries with E|w|² = 1."""
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)) / np.sqrt(2)


def signal(rng: np.random.Generator, p: int, n: int, sizes: np.ndarray) -> np.ndarray:
    """Spikes of these sizes, in units of the threshold (p n)^¼, in random directions."""
    left, right = (np.linalg.qr(normal(rng, side, len(sizes)))[0] for side in (p, n))
    return (left * sizes * (p * n) ** 0.25) @ right.conj().T


def fit(name: str, w: np.ndarray) -> MPFit:
    return METHODS[name]()(Spectrum.of(w), lambda: w)


@pytest.fixture(scope="module")
def noise(generator) -> Callable[[int, float], list[Spectrum]]:
    """Spectra of complex Gaussian noise, σ = 1, each made once for all methods."""
    made: dict[tuple[int, float], list[Spectrum]] = {}

    def get(p: int, c: float) -> list[Spectrum]:
        if (p, c) not in made:
            rng, shape = generator("complex", p, c), (p, round(p / c))
            made[p, c] = [Spectrum.gaussian(shape, rng, beta=2) for _ in range(SIZES[p, c])]
        return made[p, c]

    return get


@pytest.mark.parametrize("name", SPECTRAL)
@pytest.mark.parametrize(("p", "c"), SIZES)
def test_sigma_and_the_level_of_noise(noise, plausible, name: str, p: int, c: float) -> None:
    fits = [METHODS[name]()(spectrum) for spectrum in noise(p, c)]
    sigma = np.array([found.bulk.sigma for found in fits])
    assert abs(sigma.mean() - 1) < 0.25 / p  # up to 0.06/p of bias, and 4.5 standard errors
    assert sigma.std() < (2 if name == "median" else 1) / p
    high = 0.2 if name == "median" else NOMINAL[1]
    assert plausible(sum(found.spikes > 0 for found in fits), len(fits), NOMINAL[0], high)


@pytest.mark.parametrize("name", SPECTRAL)
def test_the_edge_of_real_noise_would_be_too_far_out(noise, plausible, name: str) -> None:
    # P(TW₂ > q₁(0.9)) = 0.011
    real = [replace(spectrum, beta=1) for spectrum in noise(300, 0.5)]
    assert plausible(sum(METHODS[name]()(s).spikes > 0 for s in real), len(real), 0.0, 0.025)


@pytest.mark.parametrize("name", [name for name in SPECTRAL if METHODS[name].promises.level])
@pytest.mark.parametrize("p", [20, 100, 300])
def test_null_band_is_passed_by_one_or_two_in_a_hundred(
    noise, plausible, name: str, p: int
) -> None:
    bulks = [METHODS[name]()(s).bulk for size, c in SIZES if size == p for s in noise(p, c)]
    out = sum(bulk.ks > null_band(p - bulk.spikes, 2) for bulk in bulks)
    assert plausible(out, len(bulks), 0.0, 0.03)
    assert sum(bulk.ks > null_band(p - bulk.spikes, 2) / 1.4 for bulk in bulks) > 0.05 * len(bulks)


@pytest.mark.parametrize("name", MATRICES)
def test_the_level_of_methods_that_look_at_the_entries(rng, plausible, name: str) -> None:
    fits = [fit(name, normal(rng, 60, side)) for side in (60, 120) for _ in range(MATRICES[name])]
    assert plausible(sum(found.spikes > 0 for found in fits), len(fits), 0.03, 0.15)


@pytest.mark.parametrize("name", METHODS)
def test_strong_spikes_are_found_and_sigma_is_right(rng, name: str) -> None:
    for shape in ((100, 200), (150, 120)):
        fits = [
            fit(name, normal(rng, *shape) + signal(rng, *shape, np.array([3.0, 4, 6, 9])))
            for _ in range(3)
        ]
        assert all(4 <= found.spikes <= 6 for found in fits)
        assert all(found.scaled or abs(found.bulk.sigma - 1) < 0.04 for found in fits)


def test_twenty_spikes_are_found(rng, plausible) -> None:
    sizes = np.linspace(1.5, 4, 20)
    spectra = [Spectrum.of(normal(rng, 300, 784) + signal(rng, 300, 784, sizes)) for _ in range(8)]
    fits = [KritchmanNadler()(spectrum) for spectrum in spectra]
    assert plausible(sum(found.spikes >= 20 for found in fits), len(fits), 0.99, 1.0)
    assert max(found.spikes for found in fits) <= 22
    assert abs(np.mean([found.bulk.sigma for found in fits]) - 1) <= 0.003


def test_rows_and_columns_of_unequal_variance_make_no_spikes(rng, plausible) -> None:
    hits = []
    for _ in range(30):
        scales = np.exp(0.5 * rng.normal(size=(100, 1))) * np.exp(0.5 * rng.normal(size=200))
        hits.append(fit("dyson", scales * normal(rng, 100, 200)).spikes > 0)
    assert plausible(sum(hits), len(hits), 0.0, 0.18)


@pytest.mark.parametrize("name", SPECTRAL)
def test_noise_puts_nothing_below_the_lower_edge(noise, plausible, name: str) -> None:
    spectra = [s for size, c in ((100, 0.1), (300, 0.5)) for s in noise(size, c)[:400]]
    items = tuple(
        LayerSpectrum(Layer(f"l{i}", "linear", (f"l{i}.weight",), s.shape), s.p * s.n, s)
        for i, s in enumerate(spectra)
    )
    found = analysis.fit(Spectra(Model("noise", "", "arrays", 0, 0), items, ()), METHODS[name]())
    assert plausible(sum(layer.below > 0 for layer in found), len(spectra), 0.0, 0.02)


def scattered(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Gaussian entries of variances from a gamma law: E|w|⁴ = 5, a kurtosis of 3."""
    return np.sqrt(rng.gamma(2 / 3, 1.5, shape)) * normal(rng, *shape)


def laplace(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Both parts of Laplace's law: a kurtosis of 3/2."""
    return (rng.laplace(size=shape) + 1j * rng.laplace(size=shape)) / 2


@pytest.mark.parametrize(("make", "kurtosis"), [(scattered, 3.0), (laplace, 1.5)])
@pytest.mark.parametrize(("p", "n"), [(100, 100), (60, 300)])
def test_heavy_tails_move_the_edge_by_the_same_formula(
    rng, near, make, kurtosis: float, p: int, n: int
) -> None:
    centre, scale = tracy_widom.largest_eigenvalue(p, n, 2)
    matrices = [make(rng, (p, n)) for _ in range(300)]
    assert near([Entries.of(w).kurtosis for w in matrices], kurtosis, slack=0.05)
    tops = [(np.linalg.norm(w, 2) ** 2 - centre) / scale for w in matrices]
    shift = n * tracy_widom.edge_shift(p, n, kurtosis) / scale
    assert shift > 0.4
    assert near(tops, -1.7711 + shift, slack=0.25)
