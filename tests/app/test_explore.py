"""Explore: the verdict, the table, the picture and the formulas say what the analysis says."""

import numpy as np
import pytest

from rmtviz import figures, verdict
from rmtviz.figures import base
from rmtviz.fits import BEMA, KritchmanNadler
from rmtviz.tokens import LIGHT
from rmtviz.ui.library import sample
from rmtviz.words import say


@pytest.fixture
def clean():
    return sample("clean").analysed(BEMA())


def bars(figure):
    return next(trace for trace in figure["data"] if trace["type"] == "bar")


def law(figure):
    return next(t for t in figure["data"] if t.get("line", {}).get("color") == LIGHT.theory)


def spikes(figure):
    return next((t for t in figure["data"] if t.get("mode") == "markers"), None)


def edges(figure):
    return sorted(s["x0"] for s in figure["layout"]["shapes"] if s["line"]["dash"] == "dot")


def cut(figure):
    (line,) = (s for s in figure["layout"]["shapes"] if s["line"]["dash"] == "solid")
    return line["x0"]


def chart_words(figure):
    return [note["text"] for note in figure["layout"]["annotations"]]


def test_the_page_begins_with_the_verdict_on_the_whole_network(visit, clean):
    assert [head.value for head in visit().at.subheader] == [verdict.of_model(clean)]


def test_the_table_has_a_row_a_layer(visit, clean):
    table = visit().at.dataframe(key="layer_map").value
    assert list(table["name"]) == [layer.name for layer in clean]
    shares = [layer.bulk_directions for layer in clean]
    assert list(table["random"]) == ["–" if share is None else f"{share:.0%}" for share in shares]
    assert list(table["ranks"]) == [verdict.ranks(layer) or "–" for layer in clean]
    assert [sum(counts) for counts in table["spectrum"]] == [512, 256, 10]


def test_bars_and_spikes_are_all_singular_values(visit, clean):
    figure, values = visit().figure("spectrum"), clean["0"].spectrum.values
    far = values[values > figures.spectrum(clean["0"]).layout.xaxis.range[1]]
    assert sum(bars(figure)["y"]) + len(spikes(figure)["x"]) == len(values)
    np.testing.assert_allclose(sorted(spikes(figure)["x"]), sorted(far))
    right_of_cut = [
        count
        for x, count in zip(bars(figure)["x"], bars(figure)["y"], strict=True)
        if x > cut(figure)
    ]
    assert sum(right_of_cut) + len(far) == clean["0"].spikes


def test_bars_right_of_the_edge_are_blue(visit, clean):
    shown = bars(visit().figure("spectrum"))
    for x, colour in zip(shown["x"], shown["marker"]["color"], strict=True):
        assert (colour == LIGHT.learnt) == (x > clean["0"].cut)


def test_the_curve_counts_the_bulk(visit, clean):
    figure, layer = visit().figure("spectrum"), clean["0"]
    curve, width = law(figure), bars(figure)["x"][1] - bars(figure)["x"][0]
    np.testing.assert_allclose([curve["x"][0], curve["x"][-1]], layer.edges, rtol=1e-6)
    area = np.trapezoid(curve["y"], curve["x"]) / width
    assert area == pytest.approx(layer.spectrum.p - layer.spikes, rel=5e-3)


def test_edges_and_cut_stand_where_the_fit_puts_them(visit, clean):
    figure, layer = visit().figure("spectrum"), clean["0"]
    np.testing.assert_allclose(edges(figure), layer.edges)
    assert cut(figure) == pytest.approx(layer.cut)
    assert say("figure.cut", cut=base.number(layer.cut)) in chart_words(figure)
    assert say("figure.far", far=len(spikes(figure)["x"])) in chart_words(figure)


def test_eigenvalues_are_squares_over_n(visit, clean):
    visitor = visit().choose("scale", "eigen")
    figure, layer = visitor.figure("spectrum"), clean["0"]
    np.testing.assert_allclose(edges(figure), np.square(layer.edges) / 784)
    assert cut(figure) == pytest.approx(layer.cut**2 / 784)
    assert figure["layout"]["xaxis"]["title"]["text"] == say("figure.axis_eigen")
    assert sum(bars(figure)["y"]) + len(spikes(figure)["x"]) == 512


def test_words_and_formula_are_of_the_chosen_layer(visit, clean):
    visitor = visit().choose("layer", "2")
    layer = clean["2"]
    for sentence in (verdict.of_layer(layer), verdict.of_range(layer), verdict.of_fit(layer)):
        assert sentence in visitor.words
    formula = " ".join(item.value for item in visitor.at.latex)
    for number in (
        f"{layer.sigma:.4f}",
        f"{layer.edges[1]:.4g}",
        f"{layer.cut:.4g}",
        f"= {layer.spikes}",
    ):
        assert number in formula


@pytest.mark.parametrize(
    ("key", "value"),
    [("method", "kritchman-nadler"), ("layer", "2"), ("scale", "eigen"), ("view", "learnt")],
)
def test_a_choice_changes_the_picture_and_its_link_brings_it_back(visit, key: str, value: str):
    visitor = visit()
    before = visitor.figure("spectrum")
    visitor.choose(key, value)
    after = visitor.figure("spectrum")
    assert after != before
    assert visitor.at.query_params[key] == value
    assert visit(**{key: value}).figure("spectrum") == after


def test_a_choice_that_came_by_a_link_stays_on_the_next_page(visit):
    visitor = visit("prune", layer="2", method="kritchman-nadler")
    assert visitor.at.session_state["layer"] == "2"
    assert visitor.at.query_params["layer"] == "2"
    assert visitor.at.query_params["method"] == "kritchman-nadler"


def test_the_address_of_defaults_is_bare(visit):
    visitor = visit().choose("scale", "eigen").choose("scale", "singular")
    assert "scale" not in visitor.at.query_params


def test_the_other_method_finds_other_spikes(visit):
    found = sample("clean").analysed(KritchmanNadler())["0"]
    visitor = visit().choose("method", "kritchman-nadler")
    assert verdict.of_layer(found) in visitor.words
    assert cut(visitor.figure("spectrum")) == pytest.approx(found.cut)


def test_an_option_of_the_method_moves_the_edge(visit):
    visitor = visit()
    before = cut(visitor.figure("spectrum"))
    visitor.choose("knob_bema_alpha", 0.35)
    expected = sample("clean").analysed(BEMA(alpha=0.35))["0"].cut
    assert cut(visitor.figure("spectrum")) == pytest.approx(expected)
    assert expected != before


def test_what_training_changed_is_the_difference_to_the_beginning(visit):
    model = sample("clean")
    name = "0.weight"
    changed = model.checkpoint[name].astype(float) - model.initial[name].astype(float)
    figure = visit().choose("view", "learnt").figure("spectrum")
    largest = max(spikes(figure)["x"])
    assert largest == pytest.approx(np.linalg.norm(changed, 2), rel=1e-6)


def test_a_network_without_its_beginning_offers_no_views(visit):
    visitor = visit(model="untrained")
    assert say("explore.view") not in [each.label for each in visitor.at.segmented_control]


def test_another_model_brings_its_own_layers(visit):
    visitor = visit().choose("layer", "2").choose("model_choice", "noisy")
    noisy = sample("noisy").analysed(BEMA())
    assert verdict.of_model(noisy) in visitor.words
    assert visitor.at.query_params["model"] == "noisy"


def test_choices_that_do_not_exist_are_ignored(visit, clean):
    visitor = visit(layer="99", method="guess", scale="log", view="behind")
    assert visitor.errors == []
    assert verdict.of_layer(clean["0"]) in visitor.words


def test_every_tensor_that_was_left_out_has_its_reason(visit):
    visitor = visit()
    assert visitor.at.expander[0].label == say("explore.skipped", count=3)
    table = visitor.at.dataframe[1].value
    assert list(table[say("explore.column.reason")]) == [say("skipped.bias")] * 3
