"""The routines taken from OpenBLAS against numpy's own, and what happens where there are none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import svdvals

from rmtviz import blas
from rmtviz.spectrum import Spectrum

sides = st.integers(1, 60)
seeds = st.integers(0, 2**32 - 1)


def normal(rng: np.random.Generator, shape: tuple[int, int], paired: bool) -> np.ndarray:
    """Return independent normal entries, complex where they are `paired`."""
    return rng.normal(size=shape) + (1j * rng.normal(size=shape) if paired else 0)


@given(sides, sides, seeds, st.sampled_from(["C", "F", "strided"]), st.booleans(), st.booleans())
def test_a_gram_matrix_grows_by_b_bh(
    p: int, columns: int, seed: int, order: str, without: bool, paired: bool
) -> None:
    rng = np.random.default_rng(seed)
    block = normal(rng, (2 * p, 3 * columns), paired)[::2, ::-3] if order == "strided" else None
    if block is None:
        block = np.asarray(normal(rng, (p, columns), paired), order=order)
    start = normal(rng, (p, p), paired)
    total = np.tril(start @ start.conj().T)
    expected = total + np.tril(block @ block.conj().T)
    with pytest.MonkeyPatch.context() as patch:
        if without:
            patch.setattr(blas, "_routine", lambda name: None)
        blas.add_gram(total, block)
    assert np.tril(total) == pytest.approx(expected, rel=1e-12, abs=1e-11)


@settings(deadline=None)
@given(sides, seeds, st.booleans(), st.booleans())
def test_eigenvalues_are_those_of_the_lower_triangle(
    p: int, seed: int, two: bool, paired: bool
) -> None:
    rng = np.random.default_rng(seed)
    whole = normal(rng, (p, p + 3), paired)
    whole = whole @ whole.conj().T
    lower = np.tril(whole) + np.triu(normal(rng, (p, p), paired), 1)  # rubbish above
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blas, "TWO_STAGE", 1 if two else 10**9)
        found = blas.eigenvalues(lower)
    expected = np.linalg.eigvalsh(whole)
    assert found == pytest.approx(expected, abs=1e-12 * expected[-1])


@settings(deadline=None)
@given(sides, seeds, st.data(), st.booleans())
def test_the_leading_vectors_are_those_of_the_largest_values(
    p: int, seed: int, data: st.DataObject, without: bool
) -> None:
    count = data.draw(st.integers(1, p))
    rng = np.random.default_rng(seed)
    whole = rng.normal(size=(p, p + 3))
    whole = whole @ whole.T
    lower = np.tril(whole) + np.triu(rng.normal(size=(p, p)), 1)  # rubbish above
    with pytest.MonkeyPatch.context() as patch:
        if without:
            patch.setattr(blas, "_routine", lambda name: None)
        found = blas.leading(lower, count)
    values = np.linalg.eigvalsh(whole)[::-1][:count]
    assert found.T @ found == pytest.approx(np.eye(count), abs=1e-10)
    assert whole @ found == pytest.approx(found * values, abs=1e-10 * values[0])


@settings(deadline=None)
@given(sides, sides, seeds, st.sampled_from([np.float32, np.float64]), st.booleans())
def test_both_routes_agree_with_gesdd(m: int, n: int, seed: int, dtype: type, two: bool) -> None:
    w = np.random.default_rng(seed).normal(size=(m, n)).astype(dtype)
    expected = svdvals(w.astype(np.float64))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blas, "TWO_STAGE", 1 if two else 10**9)
        by_gram = Spectrum.by_gram(w)
    assert Spectrum.by_svd(w).values == pytest.approx(expected, abs=1e-13 * expected[0])
    if by_gram is not None:
        assert by_gram.values == pytest.approx(expected, abs=1e-8 * expected[0])
