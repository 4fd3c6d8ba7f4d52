"""Metrics on matrices whose numbers can be read off, against other libraries, and their nulls."""

import builtins
import dataclasses
import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmtviz import metrics
from rmtviz.errors import ExtraMissing
from rmtviz.fits import BEMA, KritchmanNadler, Status
from rmtviz.metrics import METRICS, Quantity, Subject
from rmtviz.spectrum import Spectrum
from rmtviz.words import catalogue

ROOT = Path(__file__).parents[2]

quiet = pytest.mark.filterwarnings("ignore:Standard error for the MLE:DeprecationWarning")
"""powerlaw 2.0 asks for its own property of the old name."""


def needs_powerlaw() -> None:
    pytest.importorskip("powerlaw", "2.0")


def subject(matrix: np.ndarray, aspect: float | None = None) -> Subject:
    spectrum = Spectrum.of(matrix)
    parts = None if aspect is None else metrics.subsampled(matrix, aspect)
    return Subject(spectrum, KritchmanNadler()(spectrum), parts)


def value(name: str, matrix: np.ndarray) -> float | None:
    found = METRICS[name](subject(np.asarray(matrix, dtype=float)))
    return None if found is None else found.value


CASES = {
    # of diag(4, 2, 1, 0), of the identity of size 25, of a rank-one matrix of norm 5
    "frobenius_norm": (math.sqrt(21), 5, 5),
    "spectral_norm": (4, 1, 5),
    "stable_rank": (21 / 16, 25, 1),
    "effective_rank": (
        math.exp(4 / 7 * math.log(7 / 4) + 2 / 7 * math.log(7 / 2) + 1 / 7 * math.log(7)),
        25,
        1,
    ),
    "entropy": (
        (16 * math.log(21 / 16) + 4 * math.log(21 / 4) + math.log(21)) / 21 / math.log(3),
        1,
        0,
    ),
    "hard_rank": (3, 25, 1),
    "soft_rank": (None, None, None),
    "spike_energy": (None, None, None),
    # diag(4, 2, 1, 0): λ/mean = 64/21, 16/21, 4/21; 3.05, 2.32, 0.44
    "determinant_tail": (3, 25, 2),
    "exponent": (None, None, None),
}


@pytest.mark.parametrize("name", METRICS)
@quiet
def test_numbers_of_matrices_that_can_be_read_off(name: str) -> None:
    if name == "exponent":
        needs_powerlaw()
    matrices = (np.diag([4, 2, 1, 0]), np.eye(25), np.outer([3, 0, 0], [1, 0, 4 / 3, 0]))
    found = [value(name, matrix) for matrix in matrices]
    assert found == [pytest.approx(each) if each is not None else None for each in CASES[name]]
    assert value(name, np.zeros((30, 40))) is None


@given(st.integers(0, 2**32), st.integers(2, 20), st.integers(2, 20))
def test_numbers_are_those_of_numpy(seed: int, m: int, n: int) -> None:
    w = np.random.default_rng(seed).normal(size=(m, n))
    s = np.linalg.svd(w, compute_uv=False)
    assert value("frobenius_norm", w) == pytest.approx(np.linalg.norm(w))
    assert value("spectral_norm", w) == pytest.approx(np.linalg.norm(w, 2))
    assert value("stable_rank", w) == pytest.approx((np.linalg.norm(w) / np.linalg.norm(w, 2)) ** 2)
    assert value("hard_rank", w) == np.linalg.matrix_rank(w)
    shares = s**2 / np.sum(s**2)
    entropy = -np.sum(shares * np.log(shares)) / np.log(len(s))
    assert value("entropy", w) == pytest.approx(entropy)
    products = [np.prod(s[:k] ** 2 / np.mean(s**2)) for k in range(1, len(s) + 1)]
    assert value("determinant_tail", w) == next(k + 1 for k, x in enumerate(products) if x < 1)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("scale", [1e-120, 1e-3, 1e120])
@quiet
def test_ratios_do_not_change_with_the_scale(name: str, scale: float) -> None:
    if name == "exponent":
        needs_powerlaw()
    w = np.random.default_rng(0).normal(size=(40, 60))
    w[0, 0] += 40
    plain, scaled = value(name, w), value(name, scale * w)
    factor = scale if name.endswith("_norm") else 1
    assert scaled == pytest.approx(factor * plain, rel=1e-6, abs=0)
    assert value(name, w.T) == pytest.approx(plain, rel=1e-6)


def test_numbers_of_the_fit_are_those_of_its_bulk() -> None:
    rng = np.random.default_rng(0)
    w = rng.normal(size=(100, 200))
    w[:3] += 10 * rng.normal(size=(3, 200))
    found = subject(w)
    bulk, eigenvalues = found.fit.bulk, found.spectrum.eigenvalues
    assert bulk.spikes == 3
    assert value("soft_rank", w) == pytest.approx(bulk.law.support[1] / eigenvalues[0])
    assert value("spike_energy", w) == pytest.approx(eigenvalues[:3].sum() / eigenvalues.sum())


def test_numbers_of_the_fit_are_those_of_the_matrix_it_was_made_for() -> None:
    found = subject(np.random.default_rng(0).normal(size=(100, 200)))
    scaled = Spectrum(2 * found.spectrum.values, (100, 200))
    fit = dataclasses.replace(found.fit, equalised=scaled)
    plain, other = (
        METRICS["soft_rank"](Subject(found.spectrum, each)) for each in (found.fit, fit)
    )
    assert other.value == pytest.approx(plain.value / 4)


def test_without_a_bulk_there_is_no_number_that_needs_one() -> None:
    found = subject(np.random.default_rng(0).normal(size=(10, 200)))
    assert found.fit.status is Status.TOO_SMALL
    assert METRICS["soft_rank"](found) is METRICS["spike_energy"](found) is None


def clauset(values: np.ndarray) -> tuple[float, float]:
    """Exponent and distance by the formulas, for every start but the last."""
    x = np.sort(values)
    best = (math.inf, 0.0)
    for start in range(len(x) - 1):
        tail = x[start:]
        alpha = 1 + len(tail) / np.sum(np.log(tail / tail[0]))
        law = 1 - (tail / tail[0]) ** (1 - alpha)
        best = min(best, (float(np.abs(law - np.arange(len(tail)) / len(tail)).max()), alpha))
    return best[1], best[0]


@quiet
@pytest.mark.parametrize("seed", range(5))
def test_exponent_is_the_likeliest_from_the_start_of_least_distance(seed: int) -> None:
    needs_powerlaw()
    rng = np.random.default_rng(seed)
    matrices = [
        rng.normal(size=(50, 80)),  # no power law: an exponent far above 3 all the same
        rng.standard_t(2.5, size=(40, 60)),
        np.diag((1 - rng.random(60)) ** -0.6),
    ]
    for w in matrices:
        found = METRICS["exponent"](subject(w))
        alpha, distance = clauset(Spectrum.of(w).eigenvalues)
        assert (found.value, found.distance) == (
            pytest.approx(alpha, rel=1e-6),
            pytest.approx(distance, abs=1e-9),
        )


@quiet
def test_exponent_of_a_power_law_is_found_with_a_small_distance() -> None:
    needs_powerlaw()
    shares = (np.arange(1000) + 0.5) / 1000
    w = np.diag(np.sqrt(shares ** (-1 / 1.5)))  # eigenvalues with P(λ > x) = x^(−1.5)
    found = METRICS["exponent"](subject(w))
    assert found.value == pytest.approx(2.5, abs=0.02)
    assert found.distance < 0.01


@quiet
def test_noise_has_an_exponent_too_but_a_large_distance() -> None:
    needs_powerlaw()
    found = METRICS["exponent"](subject(np.random.default_rng(0).normal(size=(200, 200))))
    assert found.value > 3
    assert found.distance > 0.08


@quiet
def test_no_power_law_is_fitted_to_few_or_equal_values() -> None:
    needs_powerlaw()
    rng = np.random.default_rng(0)
    for w in (rng.normal(size=(9, 50)), np.eye(40), rng.normal(size=(40, 9)) @ np.eye(9, 60)):
        assert value("exponent", w) is None


def test_without_powerlaw_the_exponent_says_what_to_install(monkeypatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: object, **more: object) -> object:
        if name == "powerlaw":
            raise ImportError
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    w = np.random.default_rng(0).normal(size=(30, 40))
    with pytest.raises(ExtraMissing, match=r"rmtviz\[tails\]"):
        value("exponent", w)
    names = [name for name in METRICS if name != "exponent"]
    assert len(metrics.measure(w, BEMA(), np.random.default_rng(0), names=names)) == len(names)


def test_the_shuffled_copy_has_the_same_entries_in_another_order() -> None:
    w = np.arange(600.0).reshape(20, 30)
    copy = metrics.shuffled(w, np.random.default_rng(0))
    assert copy.shape == w.shape
    assert np.sort(copy, axis=None).tolist() == np.sort(w, axis=None).tolist()
    assert (copy != w).mean() > 0.99
    assert w.tolist() == np.arange(600.0).reshape(20, 30).tolist()


def test_the_untrained_copy_is_a_fresh_linear_layer() -> None:
    torch = pytest.importorskip("torch")
    copy = metrics.untrained((80, 400), np.random.default_rng(0))
    theirs = torch.nn.Linear(400, 80).weight.detach().numpy()
    assert copy.shape == theirs.shape
    for each in (copy, theirs):
        assert 0.049 < np.abs(each).max() <= 0.05 + 1e-7
        assert each.var() == pytest.approx(0.05**2 / 3, rel=0.03)


@pytest.mark.parametrize(
    ("shape", "aspect", "parts", "height"),
    [
        ((300, 500), 0.5, 16, 100),
        ((500, 300), 0.5, 16, 100),
        ((100, 200), 0.5, 1, 100),
        ((100, 110), 0.5, 4, 55),  # 55 × 110: all columns, and rows from 0, 15, 30, 45 on
        ((60, 500), 0.5, 4, 60),
        ((300, 300), 1.0, 16, 100),
        ((7, 9), 0.5, 8, 4),  # 4 × 8: columns from 0 and 1 on
    ],
)
def test_parts_have_one_aspect_ratio(shape, aspect, parts, height) -> None:
    w = np.random.default_rng(0).normal(size=shape)
    pooled = metrics.subsampled(w, aspect)
    assert len(pooled) % height == 0
    assert len(pooled) // height == parts
    assert (np.diff(pooled) <= 0).all()
    assert pooled == pytest.approx(metrics.subsampled(w.T, aspect))


def test_parts_are_cut_from_the_matrix() -> None:
    w = np.random.default_rng(0).normal(size=(100, 200))
    assert metrics.subsampled(w) == pytest.approx(Spectrum.of(w).eigenvalues)
    corners = metrics.subsampled(w, rows=30, windows=2)
    parts = [w[top : top + 30, left : left + 60] for top in (0, 70) for left in (0, 140)]
    expected = np.concatenate([Spectrum.of(part).eigenvalues for part in parts])
    assert corners == pytest.approx(np.sort(expected)[::-1])


@pytest.mark.parametrize("aspect", [0, -1, 1.01, math.nan])
def test_parts_are_not_higher_than_wide(aspect: float) -> None:
    with pytest.raises(ValueError, match="aspect ratio"):
        metrics.subsampled(np.eye(20), aspect)


@quiet
def test_exponents_of_noise_depend_on_the_aspect_ratio_and_those_of_parts_do_not() -> None:
    needs_powerlaw()
    rng = np.random.default_rng(0)
    whole, parts = [], []
    for shape in ((200, 200), (200, 400), (200, 2000)):
        w = rng.normal(size=shape)
        spectrum = Spectrum.of(w)
        bare = Subject(spectrum, BEMA()(spectrum), spectrum.eigenvalues)
        whole.append(METRICS["exponent"](bare).value)
        parts.append(METRICS["exponent"](subject(w, 0.5)).value)
    assert whole == [pytest.approx(each, abs=0.25) for each in (2.13, 2.74, 4.9)]
    assert parts == [pytest.approx(2.69, abs=0.06)] * 3


@quiet
@pytest.mark.parametrize("aspect", [None, 0.5])
def test_every_reading_carries_both_nulls(aspect: float | None) -> None:
    needs_powerlaw()
    rng = np.random.default_rng(0)
    w = rng.normal(size=(60, 90))
    w[:2] *= 8
    initial = 0.1 * rng.normal(size=(60, 90))
    readings = metrics.measure(w, BEMA(), rng, initial=initial, aspect=aspect)
    assert [reading.metric for reading in readings] == list(METRICS)
    by_name = {reading.metric: reading for reading in readings}
    for reading in readings:
        parts = None if aspect is None else metrics.subsampled(initial, aspect)
        spectrum = Spectrum.of(initial)
        fresh = Subject(spectrum, BEMA()(spectrum), parts)
        assert reading.value == METRICS[reading.metric](
            Subject(
                Spectrum.of(w), BEMA()(Spectrum.of(w)), aspect and metrics.subsampled(w, aspect)
            )
        )
        assert reading.untrained == METRICS[reading.metric](fresh)
    norm = by_name["frobenius_norm"]
    assert norm.shuffled.value == pytest.approx(norm.value.value)
    assert by_name["stable_rank"].shuffled.value > 2 * by_name["stable_rank"].value.value
    exponent = by_name["exponent"]
    assert None not in (
        each.distance for each in (exponent.value, exponent.shuffled, exponent.untrained)
    )


def test_readings_are_drawn_from_the_generator_given() -> None:
    w = np.random.default_rng(0).normal(size=(30, 40))
    first, again, other = (
        metrics.measure(w, BEMA(), np.random.default_rng(seed), names=["spectral_norm"])
        for seed in (1, 1, 2)
    )
    assert first == again != other
    assert first[0].untrained.value < first[0].value.value


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_its_words_and_its_formula(name: str) -> None:
    metric = METRICS[name]
    assert metric.name == name
    assert metric.title == catalogue()[f"metric.{name}.title"]
    assert metric.reading == catalogue()[f"metric.{name}.reading"]
    assert metric.formula.count("{") == metric.formula.count("}")
    assert metric.function.__doc__


def test_the_page_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("page", ROOT / "scripts" / "metrics_page.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert made.PAGE.read_text("utf-8") == made.page(), "run scripts/metrics_page.py"
    assert all(f"`{name}`" in made.page() for name in METRICS)


def test_a_quantity_is_a_value() -> None:
    assert Quantity(1.0) == Quantity(1.0, None) != Quantity(1.0, 0.1)
