"""The browser's mathematics, against Python's: the same numbers, or the same law."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page
from scipy import stats
from scipy.linalg import eigh_tridiagonal

from rmtviz import spiked, tracy_widom
from rmtviz.fits import BEMA
from rmtviz.lessons.limits import drawn
from rmtviz.lessons.spike import planted
from rmtviz.lessons.universality import ENTRIES, fourth
from rmtviz.marchenko_pastur import MarchenkoPastur, midpoint_quantiles
from rmtviz.spectrum import Spectrum
from rmtviz.ui.stage import HERE


@pytest.fixture(scope="module")
def maths(browser: Browser) -> Iterator[Page]:
    """A page that holds maths.js and nothing else."""
    page = browser.new_page()
    page.add_script_tag(content=Path(HERE / "maths.js").read_text("utf-8"))
    yield page
    page.close()


@pytest.mark.parametrize("n", [2, 10, 150])
def test_eigenvalues_and_first_entries(maths: Page, n: int):
    rng = np.random.default_rng(n)
    diagonal, beside = rng.normal(size=n), rng.normal(size=n - 1)
    found = maths.evaluate("eigen", {"diagonal": diagonal.tolist(), "beside": beside.tolist()})
    values, vectors = eigh_tridiagonal(diagonal, beside)
    assert found["values"] == pytest.approx(values, abs=1e-12)
    assert found["first"] == pytest.approx(vectors[0] ** 2, abs=1e-9)


@pytest.mark.parametrize("n", [2, 10, 150])
def test_the_largest_eigenvalue(maths: Page, n: int):
    rng = np.random.default_rng(n)
    d, e = rng.chisquare(100, n), rng.chisquare(50, n - 1)
    given = {"diagonal": d.tolist(), "beside": np.sqrt(d[:-1] * e).tolist()}
    given["diagonal"] = (d + np.concatenate([[0], e])).tolist()
    top = eigh_tridiagonal(given["diagonal"], given["beside"], eigvals_only=True)[-1]
    assert maths.evaluate("largest", given) == pytest.approx(top, rel=1e-9)


@pytest.mark.parametrize("shape", [(1, 5), (20, 20), (100, 200)])
def test_singular_values(maths: Page, shape: tuple[int, int]):
    matrix = np.random.default_rng(1).standard_normal(shape)
    found = maths.evaluate("singularValues", matrix.tolist())
    expected = np.linalg.svd(matrix, compute_uv=False)[::-1]
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("p", "n", "sigma"), [(100, 200, 1.0), (50, 50, 0.5), (10, 180, 2.0)])
def test_the_density(maths: Page, p: int, n: int, sigma: float):
    s = np.linspace(0, 1.1 * sigma * (math.sqrt(n) + math.sqrt(p)), 101)
    found = maths.evaluate(f"s => s.map(x => density(x, {p}, {n}, {sigma}))", s.tolist())
    law = MarchenkoPastur(p / n, sigma**2).singular(n)
    assert found == pytest.approx(law.pdf(s), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 1.0])
def test_where_a_spike_lands(maths: Page, ratio: float):
    x = np.linspace(0, 3, 61)
    landing = maths.evaluate(f"x => x.map(each => landing(each, {ratio}))", x.tolist())
    share = maths.evaluate(f"x => x.map(each => share(each, {ratio}))", x.tolist())
    assert landing == pytest.approx(spiked.landing(x, ratio))
    assert share == pytest.approx(spiked.shares(x, ratio)[0], abs=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 0.2, 0.45])
def test_the_slope(maths: Page, alpha: float):
    spectrum = Spectrum.of(drawn("tails", 5.0, np.random.default_rng(2)))
    quantiles = midpoint_quantiles(spectrum.p, spectrum.ratio)
    given = [spectrum.eigenvalues[::-1].tolist(), quantiles.tolist(), alpha]
    found = maths.evaluate("([values, q, alpha]) => slope(values, q, alpha)", given)
    assert found["variance"] == pytest.approx(BEMA(alpha).estimate(spectrum)[0])


def test_bins_are_counted_as_numpy_does(maths: Page):
    values = np.random.default_rng(3).uniform(-1, 5, 500)
    found = maths.evaluate("values => counted(values, 0, 0.5, 8)", values.tolist())
    assert found == np.histogram(values, 8, (0, 4))[0].tolist()


@pytest.mark.parametrize("entries", ENTRIES)
def test_entries(maths: Page, entries: str):
    draw = f"""() => {{
      const rng = source(5)
      return Array.from({{ length: 100000 }}, () => ENTRIES["{entries}"](rng, 12))
    }}"""
    values = np.array(maths.evaluate(draw))
    assert values.mean() == pytest.approx(0, abs=0.02)
    assert values.var() == pytest.approx(1, abs=0.03)
    assert (values**4).mean() == pytest.approx(fourth(entries, 12.0), rel=0.1)


@pytest.mark.parametrize("freedom", [0.5, 1, 2, 30, 200])
def test_chi_squared(maths: Page, freedom: float):
    draw = f"""() => {{
      const rng = source(9)
      return Array.from({{ length: 4000 }}, () => rng.chi2({freedom}))
    }}"""
    assert stats.kstest(maths.evaluate(draw), stats.chi2(freedom).cdf).pvalue > 0.001


@pytest.mark.parametrize("x", [0.0, 1.5])
def test_a_draw_with_a_spike_has_pythons_law(maths: Page, x: float):
    draw = f"""() => {{
      const rng = source(7)
      return Array.from({{ length: 400 }}, () => {{
        const {{ values, first }} = eigen(tridiagonal(40, 80, rng, {x}))
        return [Math.sqrt(values[39]), first[39], Math.sqrt(Math.max(values[0], 0))]
      }})
    }}"""
    found = np.array(maths.evaluate(draw)).T
    rng = np.random.default_rng(8)
    draws = [planted(40, 80, x, rng) for _ in range(400)]
    expected = np.array([[s.values[0], share, s.values[-1]] for s, share in draws]).T
    for ours, theirs in zip(found, expected, strict=True):
        assert stats.ks_2samp(ours, theirs).pvalue > 0.001


def test_a_thousand_draws_follow_tracy_and_widom(maths: Page):
    draw = """() => {
      const rng = source(1)
      return Array.from({ length: 1000 }, () => largest(tridiagonal(100, 200, rng)))
    }"""
    centre, scale = tracy_widom.largest_eigenvalue(100, 200)
    scaled = np.sort((np.array(maths.evaluate(draw)) - centre) / scale)
    level = np.array([tracy_widom.cdf(s) for s in scaled])
    steps = np.arange(1, 1001) / 1000
    assert np.abs(level - steps).max() < 1.95 / math.sqrt(1000)
