"""The two fits against the formulas written down a second time: loops, quadrature, brentq."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

from rmtviz.fits import BEMA, METHODS, KritchmanNadler, Status
from rmtviz.fits.base import SMALLEST, Spectral, distance, judge, noise_law, null_band
from rmtviz.fits.kritchman_nadler import noise_variance
from rmtviz.marchenko_pastur import MarchenkoPastur
from rmtviz.spectrum import Spectrum


@dataclass(frozen=True, slots=True)
class Given(Spectral):
    """A method that answers what it was told."""

    variance: float
    cut: float
    level: float = 0.1

    def estimate(self, spectrum: Spectrum) -> tuple[float, float]:
        return self.variance, self.cut


TW1 = {0.05: 0.9793160535, 0.10: 0.4501432891, 0.50: -1.2685746166, 0.90: -2.7824279057}
"""Upper quantiles of Tracy–Widom, β = 1, by level."""


def planted(p: int, n: int, spikes: int, seed: int = 0) -> Spectrum:
    """Noise of σ = 0.3 with spikes from 1.5 to 4 times the threshold (p n)^¼ of detection."""
    rng = np.random.default_rng(seed)
    sizes = np.zeros(p)
    sizes[:spikes] = 0.3 * (p * n) ** 0.25 * np.linspace(1.5, 4, spikes)
    signal = np.zeros((p, n))
    np.fill_diagonal(signal, sizes)
    return Spectrum.of(0.3 * rng.normal(size=(p, n)) + signal)


SPECTRA = {
    "noise": planted(60, 150, 0),
    "square": planted(50, 50, 2),
    "few spikes": planted(100, 140, 3),
    "many spikes": planted(100, 250, 12),
    "smallest": planted(SMALLEST, 40, 1),
}
cases = pytest.mark.parametrize("case", SPECTRA)
SPECTRAL = [name for name, kind in METHODS.items() if not kind.needs_matrix]


def bema_again(spectrum: Spectrum, alpha: float, level: float) -> tuple[float, float]:
    p, n = min(spectrum.shape), max(spectrum.shape)
    c = p / n
    low, high = (1 - c**0.5) ** 2, (1 + c**0.5) ** 2

    def above(x: float) -> float:
        f = lambda t: math.sqrt((high - t) * (t - low)) / (2 * math.pi * c * t)  # noqa: E731
        return quad(f, x, high, epsabs=1e-11, epsrel=1e-11, limit=200)[0]

    ascending = sorted(s * s / n for s in spectrum.values)
    top = bottom = 0.0
    for k in range(max(math.ceil(p * alpha), 1), math.floor(p * (1 - alpha)) + 1):
        q = brentq(lambda x, k=k: 1 - above(x) - (k - 0.5) / p, low, high, xtol=1e-13)
        top, bottom = top + q * ascending[k - 1], bottom + q * q
    width = n ** (-2 / 3) * c ** (-1 / 6) * (1 + c**0.5) ** (4 / 3)
    return top / bottom, top / bottom * (high + TW1[level] * width)


def kritchman_nadler_again(spectrum: Spectrum, level: float) -> tuple[int, float, float]:
    p, n = min(spectrum.shape), max(spectrum.shape)
    lam = [s * s / n for s in spectrum.values]
    for k in range(p):
        variance = sum(lam[k:]) / (p - k)
        for _ in range(500):
            rho = []
            for i in range(k):
                b = lam[i] + variance - variance * (p - k) / n
                rho.append((b + math.sqrt(max(b * b - 4 * lam[i] * variance, 0))) / 2)
            variance = (sum(lam[k:]) + sum(lam[i] - rho[i] for i in range(k))) / (p - k)
        a, b = math.sqrt(n - 0.5), math.sqrt(p - k - 0.5)
        cut = variance * ((a + b) ** 2 + TW1[level] * (a + b) * (1 / a + 1 / b) ** (1 / 3)) / n
        if lam[k] <= cut:
            return k, variance, cut
    raise AssertionError("every eigenvalue is a spike")


@cases
@pytest.mark.parametrize(("alpha", "level"), [(0.2, 0.1), (0.33, 0.05), (0.45, 0.9), (0.07, 0.5)])
def test_bema_is_its_formula(case: str, alpha: float, level: float) -> None:
    found = BEMA(alpha, level).estimate(SPECTRA[case])
    assert found == pytest.approx(bema_again(SPECTRA[case], alpha, level), rel=1e-8)


def test_bema_without_trimming_takes_every_value() -> None:
    spectrum = planted(25, 60, 0)
    found = BEMA(0.0, 0.1).estimate(spectrum)
    assert found == pytest.approx(bema_again(spectrum, 0.0, 0.1), rel=1e-8)


@cases
@pytest.mark.parametrize("level", TW1)
def test_kritchman_nadler_is_its_formula(case: str, level: float) -> None:
    spikes, variance, cut = kritchman_nadler_again(SPECTRA[case], level)
    assert KritchmanNadler(level).estimate(SPECTRA[case]) == pytest.approx(
        (variance, cut), rel=1e-10
    )
    assert KritchmanNadler(level)(SPECTRA[case]).spikes == spikes


def test_kritchman_nadler_without_spikes_is_the_mean_eigenvalue() -> None:
    spectrum = SPECTRA["noise"]
    variance, _ = KritchmanNadler(0.05).estimate(spectrum)
    assert variance == pytest.approx(spectrum.energy / (60 * 150), rel=1e-12)


@pytest.mark.parametrize(("p", "n", "k"), [(100, 250, 12), (60, 60, 4), (20, 400, 1)])
def test_noise_variance_inverts_where_a_spike_lands(p: int, n: int, k: int) -> None:
    # a spike ρ on noise σ² lands at λ = ρ (1 + σ² (p − k)/n / (ρ − σ²)); Paul (2007)
    rho, variance = np.linspace(4, 9, k), 0.7
    landed = rho * (1 + variance * (p - k) / n / (rho - variance))
    rest = variance * (p - k) - float(np.sum(landed - rho))
    assert noise_variance(landed, rest, p, n) == pytest.approx(variance, rel=1e-9)


@cases
@pytest.mark.parametrize("method", SPECTRAL)
def test_distance_is_the_largest_gap_and_is_carried_by_the_fit(case: str, method: str) -> None:
    spectrum = SPECTRA[case]
    fit = METHODS[method]()(spectrum)
    assert fit.status is Status.OK
    assert fit.bulk is not None
    left = spectrum.p - fit.bulk.spikes
    bulk = sorted(s * s / spectrum.n for s in spectrum.values)[:left]
    gaps = [abs(float(fit.bulk.law.cdf(x)) - (i + 1) / left) for i, x in enumerate(bulk)]
    assert distance(fit.bulk.law, spectrum, fit.bulk.spikes) == pytest.approx(max(gaps), abs=1e-12)
    assert fit.bulk.ks == pytest.approx(max(gaps), abs=1e-12)


@cases
@pytest.mark.parametrize("method", SPECTRAL)
def test_spikes_are_the_eigenvalues_above_the_cut(case: str, method: str) -> None:
    fit = METHODS[method]()(SPECTRA[case])
    assert fit.bulk is not None
    above = [s for s in SPECTRA[case].values if s * s / SPECTRA[case].n > fit.bulk.cut]
    assert fit.spikes == fit.bulk.spikes == len(above)


@pytest.mark.parametrize(
    ("p", "beta", "scaled"),
    [(20, 1, 2.4), (100, 1, 3.1), (1000, 1, 4.2), (20, 2, 1.9), (100, 2, 2.45), (1000, 2, 3.2)],
)
def test_null_band_is_what_was_measured(p: int, beta: int, scaled: float) -> None:
    assert p * null_band(p, beta) == pytest.approx(scaled, abs=0.15)


def test_judgement_by_band_then_by_five_hundredths() -> None:
    band = null_band(500)
    assert [judge(ks, 500) for ks in (0, band, band + 1e-9, 0.05, 0.050001, 1)] == [
        "exact",
        "exact",
        "close",
        "close",
        "no",
        "no",
    ]
    assert judge(0.1, 20) == "exact"


def test_distance_of_the_perfect_bulk_is_half_a_step() -> None:
    law = MarchenkoPastur(0.5)
    perfect = law.singular(200).ppf((np.arange(100, 0, -1) - 0.5) / 100)
    assert distance(law, Spectrum(perfect, (100, 200)), 0) == pytest.approx(0.005, abs=1e-12)


@pytest.mark.parametrize(("spikes", "status"), [(25, Status.OK), (26, Status.NO_BULK)])
def test_more_spikes_than_half_leave_no_bulk(spikes: int, status: Status) -> None:
    law = noise_law((50, 100), 1e-4, spikes)
    bulk = law.singular(100).ppf((np.arange(50 - spikes, 0, -1) - 0.5) / (50 - spikes))
    spectrum = Spectrum(np.concatenate([np.full(spikes, 0.9), bulk]), (50, 100))
    fit = Given(1e-4, 1.01 * law.support[1])(spectrum)
    assert fit.status is status
    assert fit.spikes == (spikes if status is Status.OK else None)


@pytest.mark.parametrize(
    ("variance", "status"),
    [(1.0, Status.OK), (1.15, Status.OK), (2.0, Status.NO_BULK), (0.0, Status.NO_BULK)],
)
def test_a_law_far_from_the_values_is_no_bulk(variance: float, status: Status) -> None:
    unit = 1e-3
    perfect = MarchenkoPastur(0.5, unit).singular(100).ppf((np.arange(50, 0, -1) - 0.5) / 50)
    fit = Given(variance * unit, 1.0)(Spectrum(perfect, (50, 100)))
    assert fit.status is status
    assert fit.bulk is None or fit.bulk.ks <= 0.2
