"""Estimated spectra beside the exact ones of the same matrices."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from rmtviz import estimation
from rmtviz.checkpoint import double
from rmtviz.fits import BEMA, KritchmanNadler, Law
from rmtviz.fits.base import judge, null_band
from rmtviz.spectrum import BLOCK, NotFiniteError, Spectrum

Matrix = NDArray[np.inexact]


def noise(p: int, n: int, rng: np.random.Generator) -> Matrix:
    return rng.normal(size=(p, n))


def spiked(p: int, n: int, rng: np.random.Generator) -> Matrix:
    u, v = (np.linalg.qr(rng.normal(size=(side, 20)))[0] for side in (p, n))
    return rng.normal(size=(p, n)) + (u * np.linspace(1.5, 4, 20) * (p * n) ** 0.25) @ v.T


def power_law(p: int, n: int, rng: np.random.Generator) -> Matrix:
    u, v = (np.linalg.qr(rng.normal(size=(side, p)))[0] for side in (p, n))
    return np.asarray((u * np.arange(1.0, p + 1) ** -0.7) @ v.T)


def complex_noise(p: int, n: int, rng: np.random.Generator) -> Matrix:
    return (rng.normal(size=(p, n)) + 1j * rng.normal(size=(p, n))) / np.sqrt(2)


def complex_spiked(p: int, n: int, rng: np.random.Generator) -> Matrix:
    u, v = (np.linalg.qr(complex_noise(side, 20, rng))[0] for side in (p, n))
    return complex_noise(p, n, rng) + (u * np.linspace(1.5, 4, 20) * (p * n) ** 0.25) @ v.T


MATRICES = {"noise": noise, "20 spikes": spiked, "power law": power_law, "complex": complex_spiked}
SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")
SHAPES = [(400, 1000), (600, 600), (1200, 800)]


def of(kind: str, shape: tuple[int, int]) -> Matrix:
    p, n = sorted(shape)
    matrix = MATRICES[kind](p, n, np.random.default_rng([p, n, 7]))
    matrix = matrix.astype(np.complex64 if matrix.dtype.kind == "c" else np.float32)
    return matrix if shape == (p, n) else matrix.T


def apart(one: Spectrum, other: Spectrum) -> float:
    """The largest difference of the two distribution functions; zero is zero to rounding."""
    first, second = (
        np.where(each.values > 1e-9 * each.values[0], each.values, 0.0)[::-1]
        for each in (one, other)
    )
    grid = np.sort(np.concatenate([first, second]))
    return max(
        float(abs(first.searchsorted(grid, side) - second.searchsorted(grid, side)).max()) / one.p
        for side in SIDES
    )


@pytest.mark.parametrize("kind", MATRICES)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_distribution_and_the_largest_values_are_right_to_the_stated_error(
    kind: str, shape: tuple[int, int]
) -> None:
    matrix = of(kind, shape)
    exact, found = Spectrum.of(matrix), estimation.estimate(matrix)
    assert found.shape == exact.shape
    assert (found.precision, found.beta) == (exact.precision, exact.beta)
    assert 0 < found.estimated < 0.01
    # the error is that of one point; over all points the farthest is up to three away, and the
    # values of a finite matrix come in steps of 1/p
    assert apart(found, exact) <= 3 * found.estimated + 1 / exact.p
    largest = 1 if kind == "noise" else 20
    assert np.abs(found.values / exact.values - 1)[:largest].max() <= estimation.CONVERGED / 2
    assert found.energy == pytest.approx(exact.energy, rel=1e-3)


@pytest.mark.parametrize("kind", ["noise", "20 spikes", "complex"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("method", [BEMA(), KritchmanNadler()])
def test_a_fit_finds_the_same_spikes_and_never_calls_the_law_exact(
    kind: str, shape: tuple[int, int], method: BEMA | KritchmanNadler
) -> None:
    matrix = of(kind, shape)
    exact, found = method(Spectrum.of(matrix)), method(estimation.estimate(matrix))
    assert exact.bulk
    assert found.bulk
    assert abs(found.bulk.spikes - exact.bulk.spikes) <= 1
    assert found.bulk.sigma == pytest.approx(exact.bulk.sigma, rel=5e-3)
    assert found.bulk.verdict is not Law.EXACT


def test_an_error_beyond_the_band_is_never_exact_and_counts_against_close() -> None:
    band = null_band(500)
    assert judge(0.0, 500, 0.0) is Law.EXACT
    assert judge(0.0, 500, 1.01 * band) is Law.CLOSE
    assert judge(0.045, 500, 0.01) is Law.NO


@pytest.mark.parametrize("kind", ["20 spikes", "complex"])
def test_it_is_the_same_again_and_scales_and_turns_with_the_matrix(kind: str) -> None:
    matrix = of(kind, (400, 1000))
    found = estimation.estimate(matrix)
    assert estimation.estimate(matrix).values.tolist() == found.values.tolist()
    for scale in (2.0**-20, 1e-140, 1e140):
        other = estimation.estimate(scale * double(matrix))
        assert other.values == pytest.approx(scale * found.values, rel=1e-6)
        assert other.estimated == pytest.approx(found.estimated, rel=1e-4)
    assert estimation.estimate(matrix.T).values == pytest.approx(found.values, rel=1e-6)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: np.zeros((40, 60)), np.zeros(40)),
        (lambda: np.ones((40, 60)), [np.sqrt(2400), *[0] * 39]),
        (lambda: np.eye(50), np.ones(50)),
        (lambda: np.full((1, 1), 3.0), [3.0]),
        (lambda: np.full((1, 9), 2.0), [6.0]),
    ],
)
def test_constructed_matrices_have_the_spectrum_that_they_have(
    make: Callable[[], Matrix], expected: list[float]
) -> None:
    assert estimation.estimate(make()).values == pytest.approx(np.array(expected), abs=1e-6)


def test_zeros_of_a_matrix_of_half_rank_are_found() -> None:
    matrix = of("noise", (400, 1000)).astype(np.float64)
    matrix[200:] = matrix[:200]
    exact, found = Spectrum.of(matrix), estimation.estimate(matrix)
    assert abs(found.hard_rank - exact.hard_rank) <= 3
    assert apart(found, exact) <= 3 * found.estimated + 1 / exact.p


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_entries_that_are_not_finite_are_refused(bad: float) -> None:
    matrix = np.ones((30, 40))
    matrix[3, 4] = bad
    with pytest.raises(NotFiniteError):
        estimation.estimate(matrix)


def test_no_more_than_a_block_is_ever_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    original = estimation.blocks

    def watched(wide: Matrix, entries: int = BLOCK) -> object:
        for block in original(wide, 4096):
            seen.append(block.size)
            yield block

    monkeypatch.setattr(estimation, "blocks", watched)
    matrix = of("noise", (400, 1000))
    estimation.estimate(matrix)
    assert max(seen) <= 4096
    assert sum(seen) % matrix.size == 0
    assert sum(seen) // matrix.size <= 1 + estimation.DEPTH + estimation.STEPS
