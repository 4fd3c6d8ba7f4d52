"""What a matrix's entries are like: moments against numpy's, laws against their known kurtosis."""

import numpy as np
import pytest

from rmtviz import entries
from rmtviz.entries import Entries


@pytest.mark.parametrize("turn", [1, 1j, np.exp(0.7j), None])
@pytest.mark.parametrize("shape", [(7, 5), (1, 9), (30, 40)])
def test_moments_are_those_of_all_entries(
    shape: tuple[int, int], turn: complex | None, monkeypatch
) -> None:
    monkeypatch.setattr(entries, "BLOCK", 64)
    rng = np.random.default_rng(0)
    w = rng.gamma(2, size=shape) * 1e-30 * (turn or 1)
    w = w if turn else w + 2e-30j * rng.exponential(size=shape)
    found = Entries.of(w)
    centred = (w - w.mean()) / w.std()
    size, fourth = np.abs(centred) ** 2, np.mean(np.abs(centred) ** 4)
    expected = fourth - abs(np.mean(centred**2)) ** 2 - 2
    assert found.kurtosis == pytest.approx(expected, rel=1e-9)
    if turn:  # real entries, turned all by one angle
        assert expected == pytest.approx(fourth - 3, rel=1e-9)
    for axis, spread in ((1, found.row_spread), (0, found.column_spread)):
        squares = np.mean(size, axis=axis)
        beyond = np.var(squares) - (fourth - 1) / shape[axis]
        assert spread == pytest.approx(np.sqrt(max(beyond, 0)), rel=1e-9, abs=1e-7)


@pytest.mark.parametrize(
    ("law", "kurtosis"), [("normal", 0.0), ("uniform", -1.2), ("laplace", 3.0)]
)
def test_known_laws_have_their_kurtosis_and_even_rows(law: str, kurtosis: float) -> None:
    w = getattr(np.random.default_rng(1), law)(size=(400, 700))
    found = Entries.of(w)
    assert found.kurtosis == pytest.approx(kurtosis, abs=0.15)
    assert max(found.row_spread, found.column_spread) < 0.05
    assert not found.uneven
    assert found.heavy is (kurtosis > 1)
    assert not found.extreme


@pytest.mark.parametrize(
    ("law", "kurtosis"), [("normal", 0.0), ("uniform", -0.6), ("laplace", 1.5)]
)
def test_complex_entries_of_two_such_parts_have_half_their_kurtosis(
    law: str, kurtosis: float
) -> None:
    draw = getattr(np.random.default_rng(4), law)
    found = Entries.of(draw(size=(400, 700)) + 1j * draw(size=(400, 700)))
    assert found.kurtosis == pytest.approx(kurtosis, abs=0.1)
    assert max(found.row_spread, found.column_spread) < 0.05


def test_entries_of_one_modulus_have_the_least_kurtosis() -> None:
    phases = np.random.default_rng(5).uniform(0, 2 * np.pi, (200, 300))
    assert Entries.of(3 * np.exp(1j * phases)).kurtosis == pytest.approx(-1, abs=0.01)


def test_rows_of_unequal_variance_are_found() -> None:
    rng = np.random.default_rng(2)
    scale = np.where(np.arange(300) % 2, 1.0, 3.0)  # variances 1 and 9: a spread of 4/5
    found = Entries.of(scale[:, None] * rng.normal(size=(300, 500)))
    assert found.row_spread == pytest.approx(0.8, abs=0.03)
    assert found.column_spread < 0.05
    assert found.uneven
    turned = Entries.of((scale[:, None] * rng.normal(size=(300, 500))).T)
    assert turned.column_spread == pytest.approx(0.8, abs=0.03)


def test_a_single_large_entry_is_extreme() -> None:
    w = np.random.default_rng(3).normal(size=(50, 80))
    w[3, 4] = 60
    assert Entries.of(w).extreme


@pytest.mark.parametrize("w", [np.zeros((3, 4)), np.full((3, 4), 2.5), np.ones((1, 1))])
def test_equal_entries_have_no_tails(w: np.ndarray) -> None:
    assert Entries.of(w) == Entries(0.0, 0.0, 0.0)
