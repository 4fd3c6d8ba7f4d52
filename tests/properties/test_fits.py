"""What every method promises, whatever its formula: symmetries, statuses, knobs."""

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rmtviz import knobs
from rmtviz.errors import BadOption
from rmtviz.fits import METHODS, Method, MPFit, Status
from rmtviz.fits.base import CLOSE, FARTHEST, SMALLEST, Law, noise_law, null_band
from rmtviz.spectrum import Spectrum

seeds = st.integers(0, 2**32)
methods = pytest.mark.parametrize("name", METHODS)
spectral = pytest.mark.parametrize(
    "name", [name for name, kind in METHODS.items() if not kind.needs_matrix]
)
few = settings(max_examples=40)


@st.composite
def layers(draw: st.DrawFn) -> np.ndarray:
    """A noise matrix with some planted directions, wide or tall or square."""
    p = draw(st.integers(SMALLEST, 60))
    n = p + draw(st.integers(0, 60))
    k = draw(st.integers(0, p // 5))
    rng = np.random.default_rng(draw(seeds))
    w = rng.normal(size=(p, n))
    w += (rng.normal(size=(p, k)) * draw(st.floats(0.3, 3))) @ rng.normal(size=(k, n))
    return w.T if draw(st.booleans()) else w


def same(a: MPFit, b: MPFit, factor: float = 1.0) -> bool:
    """Whether b is the fit a with σ scaled by a factor."""
    if a.bulk is None or b.bulk is None:
        return a.status is b.status and a.bulk is b.bulk is None
    square = factor**2
    return (
        a.spikes == b.spikes
        and a.bulk.verdict is b.bulk.verdict
        and b.bulk.law.ratio == a.bulk.law.ratio
        and b.bulk.law.variance == pytest.approx(square * a.bulk.law.variance, rel=1e-9)
        and b.bulk.cut == pytest.approx(square * a.bulk.cut, rel=1e-9)
        and b.bulk.ks == pytest.approx(a.bulk.ks, abs=1e-9)
    )


@spectral
@few
@given(layers(), st.floats(-40, 40), st.booleans())
def test_scaling_the_matrix_scales_sigma_and_keeps_the_rank(
    name: str, w: np.ndarray, power: float, negative: bool
) -> None:
    factor = (-1 if negative else 1) * 10.0**power
    method = METHODS[name]()
    assert same(method(Spectrum.of(w)), method(Spectrum.of(factor * w)), factor)


@spectral
@few
@given(layers(), seeds)
def test_transposition_permutation_and_rotation_change_nothing(
    name: str, w: np.ndarray, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(w.shape[0]), rng.permutation(w.shape[1])
    left = np.linalg.qr(rng.normal(size=(w.shape[0],) * 2))[0]
    right = np.linalg.qr(rng.normal(size=(w.shape[1],) * 2))[0]
    method = METHODS[name]()
    fit = method(Spectrum.of(w))
    for other in (w.T, w[rows], w[:, columns], left @ w, w @ right):
        assert same(fit, method(Spectrum.of(other)))


@pytest.mark.parametrize("name", ["bema", "kritchman-nadler", "median"])
@few
@given(layers(), st.floats(0.001, 0.9), st.floats(0.001, 0.9))
def test_a_higher_chance_of_a_false_spike_never_finds_fewer(
    name: str, w: np.ndarray, one: float, other: float
) -> None:
    # an iteration that stops where the rest no longer fits better may stop sooner
    spectrum = Spectrum.of(w)
    fits = [METHODS[name](level=level)(spectrum) for level in sorted((one, other))]
    assume(all(fit.spikes is not None for fit in fits))
    assert fits[0].spikes <= fits[1].spikes


@spectral
@few
@given(layers())
def test_parts_of_a_fit_agree(name: str, w: np.ndarray) -> None:
    spectrum = Spectrum.of(w)
    fit = METHODS[name]()(spectrum)
    assert fit == METHODS[name]()(spectrum)
    assert (fit.bulk is None) == (fit.status is not Status.OK) == (fit.spikes is None)
    if fit.bulk is None:
        return
    above = spectrum.eigenvalues > fit.bulk.cut
    assert above.sum() == fit.spikes <= spectrum.p // 2
    left = fit.spikes if fit.method.beside else 0
    law = noise_law(spectrum.shape, fit.bulk.sigma**2, left)
    assert fit.bulk.law.ratio == law.ratio
    assert fit.bulk.law.variance == pytest.approx(law.variance, rel=1e-12)
    assert 0 <= fit.bulk.ks <= FARTHEST[fit.method.beside]
    band = null_band(spectrum.p - fit.bulk.spikes)
    expected = Law.EXACT if fit.bulk.ks <= band else Law.CLOSE if fit.bulk.ks <= CLOSE else Law.NO
    assert fit.bulk.verdict is expected


@spectral
@few
@given(layers(), st.floats(2, 1e6))
def test_a_longer_spike_stays_a_spike(name: str, w: np.ndarray, factor: float) -> None:
    method = METHODS[name]()
    spectrum = Spectrum.of(w)
    fit = method(spectrum)
    assume(fit.spikes)
    longer = spectrum.values.copy()
    longer[0] *= factor
    assert method(Spectrum(longer, spectrum.shape)).spikes >= 1


@spectral
@given(st.lists(st.floats(0, 1e9, allow_subnormal=False), min_size=SMALLEST, max_size=40), seeds)
def test_every_spectrum_has_an_answer(name: str, values: list[float], more: int) -> None:
    shape = (len(values), len(values) + more % 50)
    fit = METHODS[name]()(Spectrum(np.array(sorted(values, reverse=True)), shape))
    assert fit.status in Status
    if fit.bulk:
        assert fit.bulk.law.variance > 0


@methods
@given(st.integers(1, SMALLEST - 1), st.integers(0, 500), seeds)
def test_too_few_values_are_a_status(name: str, p: int, more: int, seed: int) -> None:
    spectrum = Spectrum.gaussian((p, p + more), np.random.default_rng(seed))
    assert METHODS[name]()(spectrum) == MPFit(METHODS[name](), Status.TOO_SMALL)


@methods
def test_knobs_hold_their_range(name: str) -> None:
    kind = METHODS[name]
    for field in dataclasses.fields(kind):
        low, high = field.metadata["low"], field.metadata["high"]
        if field.metadata["among"]:
            with pytest.raises(BadOption, match=field.name):
                kind(**{field.name: "nothing"})
            continue
        for inside in (low, high, (low + high) / 2, field.default):
            assert getattr(kind(**{field.name: inside}), field.name) == inside
        for outside in (low - 1e-9, high + 1e-9, float("nan"), float("inf"), "0.2", None, True):
            with pytest.raises(BadOption, match=field.name):
                kind(**{field.name: outside})


@methods
def test_a_method_is_a_value(name: str) -> None:
    kind = METHODS[name]
    assert kind() == kind()
    assert hash(kind()) == hash(kind())
    assert kind(level=0.3) != kind()
    assert repr(kind(level=0.3)).startswith(kind.__name__)
    assert "level=0.3" in repr(kind(level=0.3))
    assert issubclass(kind, Method)
    assert (kind.__doc__ or "").count("Source")
    assert knobs.label(METHODS, kind()) == name
    with pytest.raises(dataclasses.FrozenInstanceError):
        kind().level = 0.2
