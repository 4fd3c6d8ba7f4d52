"""A Spectrum is legal by construction, and knows the symmetries of its matrix."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rmtviz.spectrum import Spectrum

sizes = st.floats(0, 1e100, allow_subnormal=False)
matrices = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12),
    elements=st.floats(-1e3, 1e3).map(lambda x: round(x, 6)),
)
seeds = st.integers(0, 2**32)


@given(st.lists(sizes, min_size=1, max_size=30), st.integers(0, 20), st.booleans())
def test_descending_values_are_taken_and_read_only(
    values: list[float], more: int, tall: bool
) -> None:
    given_values = np.array(sorted(values, reverse=True))
    shape = (len(values), len(values) + more)
    spectrum = Spectrum(given_values, shape[::-1] if tall else shape)
    assert spectrum.values.tolist() == given_values.tolist()
    assert given_values.flags.writeable
    assert (spectrum.p, spectrum.n) == shape
    assert 0 < spectrum.ratio <= 1
    assert 0 <= spectrum.hard_rank <= spectrum.p
    with pytest.raises(ValueError, match="read-only"):
        spectrum.values[0] = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        spectrum.shape = (1, 1)


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=9, unique=True), st.data())
def test_illegal_values_are_refused(values: list[float], data: st.DataObject) -> None:
    legal = sorted(values, reverse=True)
    at = data.draw(st.integers(0, len(legal) - 1))
    bad = data.draw(st.sampled_from([np.nan, np.inf, -np.inf, -1e-300]))
    p = len(legal)
    illegal = [
        ([*legal[:at], bad, *legal[at + 1 :]], (p, p)),
        (legal[::-1], (p, p)),
        (legal, (p + 1, p + 1)),
        (legal, (p - 1, p)),
        ([legal], (p, p)),
        ([], (0, p)),
    ]
    for wrong, shape in illegal:
        with pytest.raises(ValueError, match="singular values"):
            Spectrum(np.array(wrong), shape)


@given(matrices)
def test_invariants_of_the_matrix(w: np.ndarray) -> None:
    spectrum = Spectrum.of(w)
    assert spectrum.shape == w.shape
    assert spectrum.energy == pytest.approx(np.sum(w**2), rel=1e-9)
    largest = np.linalg.norm(w, 2)
    assert spectrum.values[0] == pytest.approx(largest, rel=1e-9)
    if w.shape[0] == w.shape[1]:
        slack = 1e-9 * max(largest, 1e-300) ** len(w)
        assert np.prod(spectrum.values) == pytest.approx(abs(np.linalg.det(w)), rel=1e-6, abs=slack)


@given(matrices, st.floats(-1e6, 1e6).filter(lambda a: abs(a) > 1e-6), seeds, st.booleans())
def test_symmetries(w: np.ndarray, factor: float, seed: int, paired: bool) -> None:
    rng = np.random.default_rng(seed)
    w = w + 1j * rng.permutation(w) if paired else w
    values = Spectrum.of(w).values
    slack = 1e-9 * max(values[0], 1e-300)
    rows, columns = rng.permutation(w.shape[0]), rng.permutation(w.shape[1])
    rotation = np.linalg.qr(rng.normal(size=(w.shape[0],) * 2))[0]
    for other in (w.T, w.conj(), 1j * w, w[rows], w[:, columns], -w, rotation @ w):
        assert Spectrum.of(other).values == pytest.approx(values, abs=slack)
    scaled = Spectrum.of(factor * w).values
    assert scaled == pytest.approx(abs(factor) * values, abs=abs(factor) * slack)


@given(st.integers(1, 12), st.integers(1, 12), st.floats(1e-3, 1e3), seeds, st.integers(1, 2))
def test_gaussian_draws_are_spectra_that_repeat_and_scale(
    rows: int, columns: int, sigma: float, seed: int, beta: int
) -> None:
    draw = Spectrum.gaussian((rows, columns), np.random.default_rng(seed), sigma, beta)
    again = Spectrum.gaussian((columns, rows), np.random.default_rng(seed), beta=beta)
    assert (draw.shape, draw.beta) == ((rows, columns), beta)
    assert draw.values == pytest.approx(sigma * again.values, rel=1e-12)
