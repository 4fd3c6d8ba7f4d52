"""Singular values against another algorithm (gesdd, through scipy) and against closed forms."""

import ml_dtypes
import numpy as np
import pytest
from scipy.linalg import svdvals

from rmtviz import spectrum
from rmtviz.checkpoint import double
from rmtviz.spectrum import NotFiniteError, Spectrum

ROUNDING = 1e-11
"""What `Spectrum.of` promises, as a share of the largest value."""

SHAPES = [(1, 1), (1, 40), (40, 1), (7, 7), (30, 80), (80, 30), (200, 200)]


def matrix(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def complex_matrix(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return matrix(shape, seed) + 1j * matrix(shape, seed + 100)


kinds = pytest.mark.parametrize("make", [matrix, complex_matrix], ids=["real", "complex"])


def graded(p: int, n: int, decades: float) -> np.ndarray:
    """A p × n matrix with singular values from 1 to 10^−decades, evenly in their logarithm."""
    left = np.linalg.qr(matrix((p, p), 1))[0]
    right = np.linalg.qr(matrix((n, p), 2))[0].T
    return (left * np.logspace(0, -decades, p)) @ right


def agrees(w: np.ndarray) -> bool:
    expected = svdvals(double(w))
    return bool(np.abs(Spectrum.of(w).values - expected).max() <= ROUNDING * expected[0])


@kinds
@pytest.mark.parametrize("shape", SHAPES)
def test_dense(shape: tuple[int, int], make) -> None:
    assert agrees(make(shape))
    assert Spectrum.of(make(shape)).beta == (1 if make is matrix else 2)


@pytest.mark.parametrize("shape", SHAPES)
def test_complex_values_are_those_of_the_real_form_each_twice(shape: tuple[int, int]) -> None:
    # W acts on pairs (Re, Im) as [[Re W, −Im W], [Im W, Re W]]
    w = complex_matrix(shape)
    form = np.block([[w.real, -w.imag], [w.imag, w.real]])
    assert np.repeat(Spectrum.of(w).values, 2) == pytest.approx(svdvals(form), rel=1e-10)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_real_entries_in_a_complex_type_are_real(dtype: type) -> None:
    w = matrix((30, 50)).astype(dtype)
    assert Spectrum.of(w).beta == Spectrum.by_svd(w).beta == 1
    assert Spectrum.of(w).values == pytest.approx(Spectrum.of(w.real).values, rel=1e-12)


@kinds
@pytest.mark.parametrize("scale", [1.0, -0.3])
def test_a_product_is_never_made(scale: float, make) -> None:
    second, first = make((40, 5), 11), make((5, 60), 12)
    found = Spectrum.by_product(second, first, scale)
    expected = Spectrum.by_svd(scale * second @ first)
    assert found.values == pytest.approx(expected.values, abs=1e-11 * expected.values[0])
    assert found.beta == expected.beta


@pytest.mark.parametrize("shape", [(60, 60), (60, 200), (200, 60)])
@pytest.mark.parametrize("rank", [1, 5, 59])
def test_rank_deficient(shape: tuple[int, int], rank: int) -> None:
    w = matrix((shape[0], rank), 3) @ matrix((rank, shape[1]), 4)
    assert agrees(w)
    assert Spectrum.of(w).hard_rank == rank


@pytest.mark.parametrize("decades", [2, 5, 5.9, 6.1, 9, 14])
def test_graded(decades: float) -> None:
    w = graded(80, 120, decades)
    assert agrees(w)
    found = Spectrum.of(w).values
    assert np.abs(found - np.logspace(0, -decades, 80)).max() <= ROUNDING


@pytest.mark.parametrize("decades", [6.5, 8, 10])
def test_small_values_keep_their_digits(decades: float) -> None:
    # the Gram matrix alone would lose everything below 1e-8
    found = Spectrum.of(graded(80, 120, decades)).values
    assert found == pytest.approx(np.logspace(0, -decades, 80), rel=1e-15 * 10**decades * 10)


@kinds
@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-110, 1e-30, 1e30, 1e110, 1e150])
def test_any_scale(scale: float, make) -> None:
    w = make((30, 50), 5)
    expected = scale * svdvals(w)
    assert Spectrum.of(scale * w).values == pytest.approx(expected, rel=1e-10, abs=0)
    low = make((30, 4), 5) @ make((4, 50), 6)
    expected = scale * svdvals(low)[:4]
    assert Spectrum.of(scale * low).values[:4] == pytest.approx(expected, rel=1e-10, abs=0)


@kinds
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e160])
def test_entries_without_finite_squares_are_refused(bad: float, make) -> None:
    w = make((30, 50), 6)
    w[3, 4] = bad
    with pytest.raises(NotFiniteError):
        Spectrum.of(w)


@pytest.mark.parametrize(
    "dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64, np.complex64, np.complex128]
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_any_floating_type_is_computed_in_double_precision(dtype: type, order: str) -> None:
    w = np.asarray(matrix((40, 60), 7).astype(dtype), order=order)
    assert agrees(w)
    assert Spectrum.of(w).values.dtype == np.float64


@kinds
def test_views_and_negative_strides(make) -> None:
    assert agrees(make((80, 120), 8)[::2, ::-3])


@kinds
@pytest.mark.parametrize("block", [1, 30 * 7, 30 * 50, 30 * 99, 10**9])
@pytest.mark.parametrize("scale", [1.0, 1e120])
def test_the_size_of_a_block_of_columns_is_nobodys_business(
    monkeypatch: pytest.MonkeyPatch, block: int, scale: float, make
) -> None:
    monkeypatch.setattr(spectrum, "BLOCK", block)
    w = make((30, 100), 10)
    w[2, 41] = 9.0
    assert agrees(scale * w)
    assert agrees(scale * w.T)
    for bad, at in ((np.nan, 0), (np.nan, 99), (np.inf, 20), (-np.inf, 99)):
        broken = w.copy()
        broken[7, at] = bad
        with pytest.raises(NotFiniteError):
            Spectrum.of(broken)


def test_zero_matrix() -> None:
    found = Spectrum.of(np.zeros((4, 9)))
    assert found.values.tolist() == [0.0] * 4
    assert found.hard_rank == 0


def test_closed_forms() -> None:
    assert Spectrum.of(np.diag([-3.0, 4.0])).values.tolist() == pytest.approx([4, 3])
    assert Spectrum.of(np.full((3, 12), 2.0)).values == pytest.approx([12, 0, 0], abs=1e-12)
    assert Spectrum.of(np.eye(5)).values == pytest.approx(np.ones(5))
    # the second difference of a path: 2 − 2 cos(k π / (n + 1))
    n = 30
    path = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    expected = np.sort(2 - 2 * np.cos(np.arange(1, n + 1) * np.pi / (n + 1)))[::-1]
    assert Spectrum.of(path).values == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (0, 3), (3, 0), ()])
def test_what_is_no_matrix_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="two sides"):
        Spectrum.of(np.ones(shape))


def test_hard_rank_counts_what_is_above_rounding() -> None:
    unit = 3.0 * 7 * 2.0**-52
    values = np.array([3.0, 2 * unit, 1.01 * unit, unit, 0.5 * unit, 0.0])
    assert Spectrum(values, (6, 7)).hard_rank == Spectrum(values, (7, 6)).hard_rank == 3


def test_quantities_of_a_spectrum() -> None:
    w = matrix((30, 80), 9)
    s = Spectrum.of(w)
    assert (s.p, s.n, s.ratio) == (30, 80, 30 / 80)
    assert s.energy == pytest.approx(np.sum(w**2))
    assert s.eigenvalues == pytest.approx(np.linalg.eigvalsh(w @ w.T / 80)[::-1], rel=1e-9)
    assert s.singular(s.eigenvalues[0]) == pytest.approx(s.values[0])
    assert Spectrum.of(w.T).n == 80


@pytest.mark.parametrize(
    "dtype", [np.float16, np.float32, ml_dtypes.bfloat16, np.float64, np.complex64, np.complex128]
)
def test_rounding_of_stored_numbers_is_no_rank(dtype) -> None:
    rng = np.random.default_rng(0)
    low = rng.normal(size=(80, 6)) @ rng.normal(size=(6, 120))
    full = rng.normal(size=(80, 120))
    assert Spectrum.of(low.astype(dtype)).hard_rank == 6
    assert Spectrum.of(full.astype(dtype)).hard_rank == 80
    assert Spectrum.of(low.T.astype(dtype)).precision == float(ml_dtypes.finfo(dtype).eps)
