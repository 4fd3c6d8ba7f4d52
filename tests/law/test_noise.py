"""Pure noise: σ is found, false spikes are as rare as promised, the law holds as promised."""

import numpy as np
import pytest

from rmtviz import analysis
from rmtviz.decomposition import LayerSpectrum, Model, Spectra
from rmtviz.fits import BEMA, METHODS, Law, Status
from rmtviz.fits.base import distance, null_band
from rmtviz.layers import Layer
from rmtviz.marchenko_pastur import MarchenkoPastur
from rmtviz.spectrum import Spectrum

SIZES = (200, 500, 1000)
RATIOS = (0.1, 0.5, 1.0)

RATES = {0.10: (0.075, 0.11), 0.50: (0.42, 0.54)}
"""True rates of a false spike by nominal level: 0.074–0.105 and 0.42–0.53 in 3,000 draws each."""

SPECTRAL = [name for name, kind in METHODS.items() if not kind.needs_matrix]
"""The methods to which the spectrum is enough."""

methods = pytest.mark.parametrize("name", SPECTRAL)
levelled = pytest.mark.parametrize(
    "name", [name for name in SPECTRAL if METHODS[name].promises.level]
)
ratios = pytest.mark.parametrize("c", RATIOS)


def analysed(spectra: list[Spectrum], name: str) -> analysis.Analysis:
    """The analysis of a model whose layers have these spectra."""
    items = tuple(
        LayerSpectrum(Layer(f"l{i}", "linear", (f"l{i}.weight",), s.shape), s.p * s.n, s)
        for i, s in enumerate(spectra)
    )
    return analysis.fit(Spectra(Model("noise", "", "arrays", 0, 0), items, ()), METHODS[name]())


@methods
@ratios
@pytest.mark.parametrize("p", SIZES)
def test_sigma_is_found_within_one_per_cent(noise, name: str, p: int, c: float) -> None:
    fits = [METHODS[name]()(s) for s in noise(p, c)]
    assert all(fit.status is Status.OK for fit in fits)
    sigma = np.array([fit.bulk.sigma for fit in fits])
    assert abs(sigma.mean() - 1) < 0.002
    if name == "median":  # one quantile scatters more
        assert sigma.std() < 2.5 / p
        return
    assert sigma.std() < 1.2 / p
    assert np.mean(abs(sigma - 1) < 0.01) > 0.9


@levelled
@ratios
@pytest.mark.parametrize("level", RATES)
def test_false_spikes_are_as_rare_as_promised(
    noise, plausible, name: str, c: float, level: float
) -> None:
    method = METHODS[name](level=level)
    low, high = RATES[level]
    if name == "kolmogorov":  # σ from the two largest gaps scatters more, above all in a square
        high += 0.04
    alarms = {p: [bool(method(s).spikes) for s in noise(p, c)] for p in SIZES}
    for each in alarms.values():
        assert plausible(sum(each), len(each), low, high)
    pooled = [alarm for each in alarms.values() for alarm in each]
    assert plausible(sum(pooled), len(pooled), low, high)


@levelled
@pytest.mark.parametrize("p", [20, 100, 500])
def test_null_band_is_passed_by_one_in_a_hundred(noise, plausible, name: str, p: int) -> None:
    method = METHODS[name]()
    out = []
    for c in RATIOS:
        for spectrum in noise(p, c):
            bulk = method(spectrum).bulk
            assert bulk is not None
            ks = distance(bulk.law, spectrum, bulk.spikes)
            assert ks == pytest.approx(bulk.ks, abs=1e-12)
            out.append(ks > null_band(p - bulk.spikes))
            assert (bulk.verdict is Law.EXACT) == (not out[-1])
    # the closest law of all is closer than that of any other estimate
    assert plausible(sum(out), len(out), 0.0 if name == "kolmogorov" else 0.004, 0.02)


@ratios
@pytest.mark.parametrize("p", [50, 100, 200])
def test_midpoint_quantiles_leave_the_variance_unbiased(noise, near, p: int, c: float) -> None:
    # k/p instead of (k − ½)/p would be 1/p to 2.5/p too low
    variances = [BEMA().estimate(s)[0] for s in noise(p, c)]
    assert near(variances, 1.0, slack=0.5 / p)


@methods
@pytest.mark.parametrize(("p", "c"), [(100, 0.1), (200, 0.5), (500, 0.5)])
def test_noise_puts_nothing_below_the_lower_edge(
    noise, plausible, name: str, p: int, c: float
) -> None:
    spectra = noise(p, c)[:700]
    below = [layer.below for layer in analysed(spectra, name)]
    assert plausible(sum(count > 0 for count in below), len(below), 0.0, 0.02)


@methods
def test_values_planted_below_the_lower_edge_are_counted(noise, name: str) -> None:
    for spectrum in noise(200, 0.5)[:20]:
        values = spectrum.values.copy()
        lower = MarchenkoPastur(0.5).singular(400).support[0]
        values[-3:] = lower * np.array([0.7, 0.5, 0.3])
        (layer,) = analysed([Spectrum(values, spectrum.shape)], name)
        assert layer.below == 3


def test_square_noise_has_no_lower_edge_to_fall_below(noise) -> None:
    assert {layer.below for layer in analysed(noise(200, 1.0)[:50], "bema")} == {0}


@ratios
def test_entries_need_not_be_gaussian(rng, near, c: float) -> None:
    # a fresh layer of a network is uniform; its σ is known
    p, n = 120, round(120 / c)
    bound = 1 / np.sqrt(n)
    spectra = [Spectrum.of(rng.uniform(-bound, bound, (p, n))) for _ in range(25)]
    for name in SPECTRAL:
        sigma = [METHODS[name]()(s).bulk.sigma * np.sqrt(3) / bound for s in spectra]
        assert near(sigma, 1.0, slack=0.005)
