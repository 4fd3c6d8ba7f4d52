"""A whole model: its level, heavy tails, and the law of the noise beside spikes."""

import numpy as np
import pytest

from rmtviz import analysis, tracy_widom
from rmtviz.decomposition import LayerSpectrum, Model, Spectra
from rmtviz.entries import Entries
from rmtviz.fits import BEMA, KritchmanNadler, Law
from rmtviz.fits.base import distance, noise_law
from rmtviz.layers import Layer
from rmtviz.spectrum import Spectrum

LAYERS = 12


def model(spectra: list[Spectrum], entries: Entries | None = None) -> Spectra:
    items = tuple(
        LayerSpectrum(Layer(f"l{i}", "linear", (f"l{i}",), s.shape), s.p * s.n, s, entries)
        for i, s in enumerate(spectra)
    )
    return Spectra(Model("noise", "", "arrays", 0, 0), items, ())


@pytest.mark.parametrize(
    ("each", "low", "high"), [(False, 0.06, 0.14), (True, 0.6, 0.8)], ids=["model", "each"]
)
def test_the_level_is_that_of_the_model_unless_each_layer_is_to_have_it(
    rng, plausible, each: bool, low: float, high: float
) -> None:
    hits, draws = 0, 200
    for _ in range(draws):
        spectra = [Spectrum.gaussian((100, 250), rng) for _ in range(LAYERS)]
        found = analysis.fit(model(spectra), KritchmanNadler(), each=each)
        hits += any(layer.spikes for layer in found)
    assert plausible(hits, draws, low, high)


def test_layers_too_small_to_judge_take_no_part_of_the_level(rng) -> None:
    spectra = [Spectrum.gaussian((100, 250), rng), Spectrum.gaussian((10, 250), rng)]
    assert analysis.fit(model(spectra), BEMA(level=0.3)).level == pytest.approx(0.3)
    both = analysis.fit(model(spectra[:1] * 2), BEMA(level=0.3))
    assert both.level == pytest.approx(1 - 0.7**0.5)


@pytest.mark.parametrize(("p", "n"), [(100, 100), (100, 200), (60, 300)])
def test_heavy_tails_move_the_edge_by_the_kurtosis(rng, near, p: int, n: int) -> None:
    centre, scale = tracy_widom.largest_eigenvalue(p, n)
    tops = []
    for _ in range(400):
        w = rng.laplace(size=(p, n)) / np.sqrt(2)
        tops.append((np.linalg.eigvalsh(w @ w.T)[-1] - centre) / scale)
    shift = n * tracy_widom.edge_shift(p, n, 3.0) / scale
    assert shift > 0.5
    assert near(tops, -1.2065 + shift, slack=0.25)


def test_false_spikes_of_heavy_entries_are_fewer_with_the_corrected_edge(rng) -> None:
    matrices = [rng.laplace(size=(100, 100)) for _ in range(150)]
    plain = corrected = 0
    for w in matrices:
        spectrum, found = Spectrum.of(w), Entries.of(w)
        plain += bool(BEMA()(spectrum).spikes)
        (layer,) = analysis.fit(model([spectrum], found), BEMA())
        assert layer.corrected == (1 <= found.kurtosis <= 6)
        corrected += bool(layer.spikes)
    assert plain > 25  # 30 % where 10 % were asked for
    assert corrected <= 0.75 * plain


def test_uniform_and_extreme_entries_leave_the_edge_alone(rng) -> None:
    spectrum = Spectrum.gaussian((100, 200), rng)
    plain = BEMA()(spectrum).bulk.cut
    for kurtosis in (-1.2, 0.9, 6.1, 1000.0):
        (layer,) = analysis.fit(model([spectrum], Entries(kurtosis, 0, 0)), BEMA())
        assert (layer.bulk.cut, layer.corrected) == (plain, False)
    (layer,) = analysis.fit(model([spectrum], Entries(3.0, 0, 0)), BEMA())
    shift = layer.bulk.sigma**2 * tracy_widom.edge_shift(100, 200, 3.0)
    assert layer.bulk.cut == pytest.approx(plain + shift, rel=1e-12)
    assert layer.corrected


def test_noise_beside_spikes_follows_the_law_of_what_is_left(rng) -> None:
    exact, ours, whole = 0, [], []
    for _ in range(30):
        w = rng.normal(size=(300, 784))
        w[range(20), range(20)] += np.linspace(1.5, 4, 20) * (300 * 784) ** 0.25
        spectrum = Spectrum.of(w)
        bulk = KritchmanNadler()(spectrum).bulk
        exact += bulk.verdict is Law.EXACT
        ours.append(bulk.ks)
        whole.append(distance(noise_law((300, 784), bulk.sigma**2, 0), spectrum, bulk.spikes))
    print(f"beside the spikes {np.mean(ours):.4f}, whole {np.mean(whole):.4f}, exact {exact} of 30")
    assert np.mean(ours) < 0.5 * np.mean(whole)
    assert exact >= 15
