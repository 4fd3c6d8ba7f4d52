"""The lessons' mathematics, against closed forms, references and simulation."""

import dataclasses
import json
import math

import numpy as np
import pytest
from scipy import stats

from rmtviz import knobs, spiked, tracy_widom
from rmtviz.fits import BEMA
from rmtviz.lessons import LESSONS, Cuts, Growth
from rmtviz.lessons.base import step
from rmtviz.lessons.limits import Limits, drawn
from rmtviz.lessons.spike import planted
from rmtviz.lessons.tracy_widom import GRID, density
from rmtviz.lessons.universality import ENTRIES, fourth
from rmtviz.site import home
from rmtviz.spectrum import Spectrum
from rmtviz.ui import teaching
from rmtviz.ui.library import sample
from rmtviz.words import say


def made(name: str, **values: object):
    return LESSONS[name](**values)


def given(name: str, **values: object):
    """A lesson and what it is computed from."""
    lesson = made(name, **values)
    if lesson.needs == "layer":
        return lesson, sample("clean").analysed(BEMA())["2"]
    return lesson, teaching.material(lesson)


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_has_one_right_answer_and_plain_numbers(name: str):
    lesson, material = given(name)
    assert lesson.answer(material) in lesson.answers
    assert len(set(lesson.answers)) == 3
    json.dumps(dict(lesson.picture(material)), allow_nan=False)
    values = lesson.numbers(material).values()
    assert all(isinstance(value, int | float) and math.isfinite(value) for value in values)
    assert set(lesson.shown()) <= set(knobs.values(lesson))


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_says_where_it_is_from(name: str):
    assert "Source" in LESSONS[name].__doc__ or "arXiv" in LESSONS[name].__doc__
    assert any(mark in say(f"learn.{name}.source") for mark in ("19", "20"))


@pytest.mark.parametrize("name", LESSONS)
def test_a_step_of_a_knob_is_a_fraction_of_its_range(name: str):
    for field in dataclasses.fields(LESSONS[name]):
        if field.metadata["low"] is not None and not isinstance(field.default, int):
            steps = (field.metadata["high"] - field.metadata["low"]) / step(field)
            assert 40 <= steps <= 250


@pytest.mark.parametrize("entries", [(1.2, 0.5, -0.4, 1.0), (1.0, 2.0, 0.5, 1.0), (0, 0, 0, 0)])
def test_half_axes_are_singular_values(entries: tuple[float, ...]):
    found = made("singular", **dict(zip("abcd", entries, strict=True))).numbers()
    expected = np.linalg.svd(np.reshape(entries, (2, 2)), compute_uv=False)
    assert [found["s1"], found["s2"]] == pytest.approx(expected, abs=1e-12)
    assert found["s1"] * found["s2"] == pytest.approx(abs(found["determinant"]), abs=1e-12)


def test_columns_in_one_direction_leave_no_second_axis():
    assert made("singular", a=1.0, b=2.0, c=0.5, d=1.0).numbers()["s2"] == pytest.approx(0)


def test_four_times_the_size_doubles_the_edge():
    small, large = (made("noise", m=m, n=n).numbers() for m, n in ((20, 45), (80, 180)))
    assert large["high"] == pytest.approx(2 * small["high"])
    assert small["high"] == pytest.approx(math.sqrt(45) + math.sqrt(20))


@pytest.mark.parametrize("entries", ENTRIES)
def test_entries_have_variance_one_and_the_fourth_moment_said(entries: str):
    rng = np.random.default_rng(1)
    values = ENTRIES[entries](rng, (1000, 1000), 12.0)
    assert values.mean() == pytest.approx(0, abs=5e-3)
    assert values.var() == pytest.approx(1, abs=1e-2)
    assert (values**4).mean() == pytest.approx(fourth(entries, 12.0), rel=0.05)


def test_the_fourth_moment_of_t_is_that_of_the_reference():
    kurtosis = stats.t(7.0).stats(moments="k")
    assert fourth("t", 7.0) == pytest.approx(3 + float(kurtosis))
    assert fourth("t", 4.0) == math.inf


@pytest.mark.parametrize("entries", ENTRIES)
def test_the_histogram_is_the_same_for_all_entries(entries: str):
    lesson = made("universality")
    values = ENTRIES[entries](np.random.default_rng(2), lesson.shape, 8.0)
    law = lesson.numbers()
    found = Spectrum.of(values)
    inside = (found.values > 0.9 * law["low"]) & (found.values < 1.08 * law["high"])
    assert inside.mean() >= 0.98


@pytest.mark.parametrize("x", [0.0, 1.5, 2.5])
def test_a_planted_spike_is_the_one_of_a_full_matrix(x: float):
    p, n, rng = 40, 80, np.random.default_rng(3)
    draws = [planted(p, n, x, rng) for _ in range(200)]
    full, shares = [], []
    for _ in range(200):
        matrix = rng.standard_normal((p, n))
        matrix[0, 0] += x * math.sqrt(n)
        left, values, _ = np.linalg.svd(matrix)
        full.append(values[0])
        shares.append(left[0, 0] ** 2)
    quick = [spectrum.values[0] for spectrum, _ in draws]
    assert stats.ks_2samp(quick, full).pvalue > 0.001
    assert stats.ks_2samp([share for _, share in draws], shares).pvalue > 0.001


def test_a_planted_spike_lands_where_the_lesson_says():
    rng = np.random.default_rng(4)
    found = made("spike", x=2.0, m=200, n=200).numbers()
    draws = [planted(200, 200, 2.0, rng) for _ in range(100)]
    tops = [spectrum.values[0] / math.sqrt(200) for spectrum, _ in draws]
    assert np.mean(tops) == pytest.approx(found["landing"], rel=0.01)
    assert np.mean([share for _, share in draws]) == pytest.approx(found["share"], abs=0.02)


def test_the_signal_that_is_asked_about_is_lost():
    lesson = made("spike")
    assert lesson.asked[0] < spiked.detection(lesson.asked[1])
    assert lesson.answer() == "none"


def test_a_layer_grows_from_its_beginning_to_its_end():
    rng = np.random.default_rng(5)
    start, end = rng.standard_normal((2, 30, 50))
    growth = Growth.of(start, end, steps=5)
    unit = math.sqrt(np.mean(start**2) * 50)
    for place, matrix in ((0, start), (-1, end)):
        expected = np.linalg.svd(matrix, compute_uv=False) / unit
        assert growth.values[place] == pytest.approx(expected)
    assert growth.learnt[0] == pytest.approx(np.linalg.norm(end - start, 2) / unit)
    assert growth.times[[0, -1]].tolist() == [0, 1]


def test_the_demos_layer_begins_as_noise_and_ends_with_spikes():
    growth = teaching.growth()
    edge = spiked.edge(growth.ratio)
    assert growth.values[0, 0] == pytest.approx(edge, rel=0.03)
    assert (growth.values[-1] > edge).sum() > 10


def test_the_largest_value_of_noise_follows_the_lesson():
    p, n, rng = 60, 120, np.random.default_rng(6)
    found = made("tracy-widom", m=p, n=n).numbers()
    top = np.array([Spectrum.gaussian((p, n), rng).values[0] ** 2 for _ in range(2000)])
    scaled = (top - found["centre"]) / found["scale"]
    assert (scaled > 0).mean() == pytest.approx(found["above"], abs=0.03)
    assert (scaled > found["quantile"]).mean() == pytest.approx(0.1, abs=0.025)
    assert 1 / 7 < found["above"] < 1 / 5


def test_the_density_is_that_of_the_law():
    values = np.array(density())
    for place in (0, 36, 50, 90):
        at, h = GRID[place], 1e-3
        slope = (tracy_widom.cdf(at + h) - tracy_widom.cdf(at - h)) / (2 * h)
        assert values[place] == pytest.approx(slope, abs=2e-5)
    total = np.trapezoid(values, GRID)
    assert total == pytest.approx(tracy_widom.cdf(GRID[-1]) - tracy_widom.cdf(GRID[0]), abs=1e-4)
    assert np.trapezoid(GRID * values, GRID) == pytest.approx(-1.2065, abs=2e-3)


@pytest.mark.parametrize("network", ["clean", "untrained"])
def test_the_slope_is_the_methods(network: str):
    lesson, material = given("edge", network=network)
    spectrum = material[network]
    fit = BEMA()(spectrum)
    found = lesson.numbers(material)
    assert fit.bulk is not None
    assert found["sigma"] == pytest.approx(fit.bulk.sigma)
    assert found["spikes"] == fit.spikes
    assert found["raw"] == pytest.approx(
        math.sqrt((spectrum.values**2).sum() / math.prod(spectrum.shape))
    )
    assert lesson.answer(material) == {"clean": "larger", "untrained": "equal"}[network]


def test_the_table_of_cuts_is_the_shipped_networks():
    record = json.loads((home() / "assets" / "models" / "noisy.cuts.json").read_text("utf-8"))
    table = Cuts.from_dict(record)
    model = sample("noisy")
    assert table.digest == model.digest
    assert table.to_dict() == record
    hidden = [layer for layer in model.analysed(BEMA()) if layer.cut is not None]
    for factor, ranks in zip(table.factors, table.ranks, strict=True):
        kept = [max(1, int((x.spectrum.values > factor * x.cut).sum())) for x in hidden]
        assert ranks.tolist() == kept


def test_the_numbers_of_the_cut_are_the_tables():
    lesson, table = given("labels", cut=1.4)
    found = lesson.numbers(table)
    place = table.factors.tolist().index(1.4)
    assert found["now_test"] == table.test[place]
    assert found["change"] == pytest.approx(100 * (table.test[place] - table.test[0]))
    assert found["chosen_factor"] == table.factors[np.argmax(table.selection)]
    assert lesson.answer(table) == "few"


@pytest.mark.parametrize(
    ("case", "values", "least"),
    [("tails", {"nu": 2.5}, 2.0), ("dead", {"share": 0.5}, 4.0), ("below", {"count": 10}, 9.0)],
)
def test_the_theory_fails_where_it_is_said_to(case: str, values: dict[str, float], least: float):
    wrong = Limits(case=case, **values).numbers()
    assert wrong["below" if case == "below" else "spikes"] >= least


def test_without_a_fault_the_theory_holds():
    for case, values in (("dead", {"share": 0.0}), ("below", {"count": 0})):
        assert Limits(case=case, **values).numbers()["spikes"] < 0.5


def test_dead_columns_are_quiet_and_the_rest_is_not():
    matrix = drawn("dead", 0.5, np.random.default_rng(7))
    assert matrix[:, :100].std() == pytest.approx(0.1, rel=0.05)
    assert matrix[:, 100:].std() == pytest.approx(1.0, rel=0.05)


def test_the_own_layers_law_is_that_beside_its_spikes():
    method = next(iter(teaching.METHODS.values()))()
    layer = sample("clean").analysed(method)["2"]
    shown = made("own").picture(layer)
    assert (shown["p"], shown["n"]) == (256 - layer.beside, 512 - layer.beside)
    edge = shown["sigma"] * (math.sqrt(shown["n"]) + math.sqrt(shown["p"]))
    assert edge == pytest.approx(layer.edges[1])
