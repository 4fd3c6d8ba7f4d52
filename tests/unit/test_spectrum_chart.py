"""What the spectrum chart is given to draw is the spectrum and the law, in every picture."""

import ast
import dataclasses
import re
from pathlib import Path

import numpy as np
import plotly.express
import plotly.graph_objects as go
import pytest

from rmtviz import analysis
from rmtviz.fits import BEMA, METHODS
from rmtviz.spectrum import Spectrum
from rmtviz.ui import exploring, spectrum_chart
from rmtviz.ui.library import SAMPLES, sample
from rmtviz.ui.spectrum_chart import PICTURES, SCALES, shown
from rmtviz.words import catalogue

ROOT = Path(__file__).parents[2]
FOLDER = Path(spectrum_chart.__file__).parent
LAYERS = {"language": ("blocks.0.output", "blocks.1.down", "head")}
EACH = [(name, layer) for name in SAMPLES for layer in LAYERS.get(name, ("0", "2", "4"))]


@pytest.fixture(params=EACH, ids=lambda pair: "-".join(pair))
def layer(request):
    name, layer = request.param
    return sample(name).analysed(BEMA())[layer]


@pytest.mark.parametrize("scale", SCALES)
def test_every_value_is_in_a_bar_or_beyond(layer, scale: str):
    data = shown.data(layer, "histogram", scale)
    assert sum(count for *_, count in data["bars"]) + data["x"]["far"] == layer.spectrum.p
    far = [value for value in data["values"] if value > data["x"]["limit"]]
    assert len(far) == data["x"]["far"]


@pytest.mark.parametrize("scale", SCALES)
def test_bars_right_of_the_edge_and_far_values_are_the_spikes(layer, scale: str):
    data = shown.data(layer, "histogram", scale)
    if layer.cut is None:
        assert data["cut"] is None
        assert data["law"] == []
        return
    right = sum(count for low, high, count in data["bars"] if (low + high) / 2 > data["cut"])
    assert right + data["x"]["far"] == layer.spikes
    for low, high, _ in data["bars"]:
        assert not low + 1e-9 * high < data["cut"] < high - 1e-9 * high


@pytest.mark.parametrize("scale", SCALES)
def test_the_law_counts_the_bulk(scale: str):
    layer = sample("clean").analysed(BEMA())["0"]
    data = shown.data(layer, "histogram", scale)
    x, y = np.array(data["law"]).T
    low, high, _ = data["bars"][0]
    x, width = (np.log(x), np.log(high / low)) if scale == "log" else (x, high - low)
    area = np.trapezoid(y, x) / width
    assert area == pytest.approx(layer.spectrum.p - layer.spikes, rel=5e-3)


def test_the_scales_are_what_they_say(layer):
    s = layer.spectrum.values
    unit = layer.cut or 1.0
    expected = {"singular": s, "edge": s / unit, "eigen": s**2 / layer.spectrum.n, "log": s}
    for scale, values in expected.items():
        data = shown.data(layer, "histogram", scale)
        np.testing.assert_allclose(data["values"], values)
        factor, power = data["unit"]
        np.testing.assert_allclose((np.array(data["values"]) / factor) ** (1 / power), s)


@pytest.mark.parametrize("picture", ["cumulative", "quantiles", "scree"])
def test_pure_noise_lies_on_its_law(picture: str):
    layer = _alone(Spectrum.gaussian((300, 500), np.random.default_rng(1)))
    data = shown.data(layer, picture, "singular")
    law = np.array(data["law"])
    if picture == "cumulative":
        places = (np.arange(300) + 0.5) / 300
        at = np.interp(np.sort(data["values"]), *law.T)
        assert np.abs(at - places).max() < 0.02
    elif picture == "scree":
        assert np.abs(law[:, 1] - np.array(data["points"])[:, 1]).max() < 0.5
    else:
        expected, measured = np.array(data["points"]).T
        assert np.abs(expected - measured).max() < 0.5
        assert law[0].tolist() == pytest.approx([expected.min()] * 2)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("method", METHODS)
def test_any_method_picture_and_scale_can_be_drawn(method: str, picture: str, scale: str):
    for name, layer in EACH:
        data = shown.data(sample(name).analysed(METHODS[method]())[layer], picture, scale)
        numbers = np.array([*data["law"], *data["points"]] or [[0.0, 0.0]])
        assert np.isfinite(numbers).all()
        assert np.isfinite(data["values"]).all()


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("picture", PICTURES)
def test_a_matrix_of_zeros_and_a_square_one_can_be_drawn(picture: str, scale: str):
    noise = Spectrum.gaussian((60, 60), np.random.default_rng(2))
    for spectrum in (noise, Spectrum(np.zeros(30), (30, 40))):
        data = shown.data(_alone(spectrum), picture, scale)
        assert np.isfinite(np.array([*data["law"], [0.0, 0.0]])).all()


def test_a_rescaled_fit_shows_the_rescaled_matrix():
    layer = sample("clean").analysed(BEMA())["2"]
    equalised = Spectrum(2 * layer.spectrum.values, layer.spectrum.shape)
    fit = analysis.MPFit(BEMA(), layer.status, layer.bulk, equalised)
    scaled = analysis.LayerAnalysis(layer.layer, layer.parameters, layer.spectrum, fit, {})
    assert shown.data(scaled, "scree", "singular")["values"] == equalised.values.tolist()


def test_spikes_come_strongest_first_with_their_shares(layer):
    found = shown.spikes(layer)
    assert len(found) == (layer.spikes or 0)
    for name in ("value", "energy", "strength"):
        assert [spike[name] for spike in found] == sorted((s[name] for s in found), reverse=True)
    assert all(0 <= spike[name] <= 1 for spike in found for name in ("near", "far", "energy"))


@pytest.mark.parametrize("picture", PICTURES)
def test_the_lines_of_python_make_the_picture(picture: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    drawn: list[go.Figure] = []
    monkeypatch.setattr(go.Figure, "show", lambda figure: drawn.append(figure))
    assert plotly.express  # the figures of the lines are of this kind
    model = sample("clean")
    found = model.analysed(BEMA())
    subject = exploring.Subject(model, found, found["2"], "weights")
    lines = exploring.lines(subject, picture)
    compile(lines, "lines", "exec")
    exec(lines, {})
    (figure,) = drawn
    shown_values = sum(len(trace.x) for trace in figure.data if trace.x is not None)
    assert shown_values >= 256 - found["2"].spikes or picture == "histogram"


def test_what_the_script_says_is_in_the_catalogue_and_nothing_else_is():
    script = "".join(path.read_text("utf-8") for path in FOLDER.glob("*.js"))
    asked = set(re.findall(r"\bwords\.(\w+)", script))
    asked |= set(re.findall(r'"((?:verdict|spoken|no|loss|measured|estimate|spike)\w*)"', script))
    known = {key.removeprefix("chart.live.") for key in catalogue() if key.startswith("chart.live")}
    assert known - asked == set()
    given = set(spectrum_chart.words("histogram", "singular")) | {"title", "alt"}
    assert set(re.findall(r"\bwords\.(\w+)", script)) - given == set()


def test_the_script_shows_no_text_as_markup_and_asks_no_server():
    script = "".join(path.read_text("utf-8") for path in FOLDER.glob("*.js"))
    for forbidden in ("innerHTML", "insertAdjacentHTML", "outerHTML", "fetch(", "import "):
        assert forbidden not in script
    addresses = set(re.findall(r"https?://[\w./-]+", script))
    assert addresses == {"http://www.w3.org/2000/svg"}


def _alone(spectrum: Spectrum) -> analysis.LayerAnalysis:
    """A layer of nothing but this spectrum."""
    layer = sample("clean").spectra.layers[0].layer
    fit = BEMA()(spectrum)
    return analysis.LayerAnalysis(layer, spectrum.p * spectrum.n, spectrum, fit, {})


def test_names_from_a_file_are_words_in_the_lines_of_python():
    layer = sample("clean").spectra.layers[0].layer
    hostile = '0"]; import os; os.abort() #'
    spectrum = Spectrum.gaussian((30, 40), np.random.default_rng(3))
    found = dataclasses.replace(_alone(spectrum), layer=dataclasses.replace(layer, name=hostile))
    analysed = dataclasses.replace(sample("clean").analysed(BEMA()), layers=(found,))
    model = dataclasses.replace(sample("clean"), key="token", title=hostile)
    lines = exploring.lines(exploring.Subject(model, analysed, found, "weights"), "scree")
    imported = [node for node in ast.walk(ast.parse(lines)) if isinstance(node, ast.Import)]
    assert "os" not in {name.name for node in imported for name in node.names}
    assert repr(hostile) in lines
