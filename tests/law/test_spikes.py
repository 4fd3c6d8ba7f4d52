"""Planted spikes are found: many by Kritchman–Nadler, strong ones by every method."""

import numpy as np
import pytest

from rmtviz.fits import BEMA, METHODS, KritchmanNadler
from rmtviz.spectrum import Spectrum

SPECTRAL = [name for name, kind in METHODS.items() if not kind.needs_matrix]
methods = pytest.mark.parametrize("name", SPECTRAL)


def planted(rng: np.random.Generator, p: int, n: int, sizes: np.ndarray) -> Spectrum:
    """Noise, σ = 1, with spikes of these sizes in units of the threshold (p n)^¼."""
    w = rng.normal(size=(p, n))
    k = np.arange(len(sizes))
    w[k, k] += sizes * (p * n) ** 0.25  # the noise has no direction, so any will do
    return Spectrum.of(w)


def test_kritchman_nadler_finds_twenty_spikes_and_sigma(rng) -> None:
    sizes = np.linspace(1.5, 4, 20)
    fits = [KritchmanNadler()(planted(rng, 300, 784, sizes)) for _ in range(20)]
    assert [fit.spikes >= 20 for fit in fits] == [True] * 20
    assert max(fit.spikes for fit in fits) <= 22
    sigma = np.array([fit.bulk.sigma for fit in fits])
    assert np.abs(sigma - 1).mean() <= 0.01 / 2
    assert abs(sigma.mean() - 1) <= 0.003


def test_bema_takes_part_of_twenty_spikes_for_noise(rng, near) -> None:
    sizes = np.linspace(1.5, 4, 20)
    fits = [BEMA()(planted(rng, 300, 784, sizes)) for _ in range(20)]
    assert near([fit.bulk.sigma**2 for fit in fits], 1.057, slack=0.004)
    assert all(18 <= fit.spikes <= 20 for fit in fits)


@methods
@pytest.mark.parametrize(("p", "n"), [(100, 100), (100, 300), (256, 512)])
def test_strong_spikes_are_found_exactly(rng, name: str, p: int, n: int) -> None:
    # at this level no noise passes the cut, in all these draws, but once in 100,000 runs
    method = METHODS[name](level=1e-6)
    spectra = [planted(rng, p, n, np.array([6.0, 9, 14, 20, 60])) for _ in range(15)]
    assert [method(s).spikes for s in spectra] == [5] * 15


@methods
@pytest.mark.parametrize("rank", [0, 1, 5])
def test_strong_spikes_leave_sigma_alone(rng, name: str, rank: int) -> None:
    spectra = [planted(rng, 256, 512, np.full(rank, 30.0)) for _ in range(10)]
    sigma = np.mean([METHODS[name]()(s).bulk.sigma for s in spectra])
    assert abs(sigma - 1) < 0.02


@methods
def test_spikes_below_the_threshold_drown(rng, plausible, name: str) -> None:
    # none is told from noise: alarms stay near the level of 0.10
    spectra = [planted(rng, 100, 200, np.array([0.3, 0.5])) for _ in range(300)]
    alarms = sum(METHODS[name]()(s).spikes > 0 for s in spectra)
    assert plausible(alarms, 300, 0.05, 0.16)
