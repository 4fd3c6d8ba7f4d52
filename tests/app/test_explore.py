"""Explore: the verdict, the table, the picture and the formulas say what the analysis says."""

import base64
import threading

import numpy as np
import pytest

from rmtviz import pruning, verdict
from rmtviz.fits import BEMA, Dyson, KritchmanNadler
from rmtviz.rules import EnergyShare, NoiseEdge
from rmtviz.ui import exploring, running
from rmtviz.ui.library import sample
from rmtviz.words import say


@pytest.fixture
def clean():
    return sample("clean").analysed(BEMA())


def exactly(rank: int, layer: str = "0") -> float:
    """The accuracy of the plan with this rank of a layer, on the selection images."""
    model = sample("clean")
    plan = pruning.plan(model.analysed(BEMA()), NoiseEdge(), {layer: rank})
    return running.pruned(running.running(model), plan).accuracy


def test_the_page_begins_with_the_verdict_on_the_whole_network(visit, clean):
    assert [head.value for head in visit().at.subheader] == [verdict.of_model(clean)]


def test_the_table_has_a_row_a_layer(visit, clean):
    table = visit().at.dataframe(key="layer_map").value
    assert list(table["name"]) == [layer.name for layer in clean]
    shares = [layer.bulk_directions for layer in clean]
    assert list(table["random"]) == ["–" if share is None else f"{share:.0%}" for share in shares]
    assert list(table["ranks"]) == [verdict.ranks(layer) or "–" for layer in clean]
    assert [sum(counts) for counts in table["spectrum"]] == [512, 256, 10]


def test_the_chart_shows_the_layer_with_its_fit(visit, clean):
    chart, layer = visit().spectrum, clean["0"]
    np.testing.assert_allclose(chart["values"], layer.spectrum.values)
    np.testing.assert_allclose(chart["edges"], layer.edges)
    assert chart["cut"] == pytest.approx(layer.cut)
    assert (chart["p"], chart["spikes"], chart["rank"]) == (512, layer.spikes, layer.spikes)
    assert verdict.of_layer(layer) in chart["words"]["alt"]


def test_the_cut_comes_with_the_accuracy_at_every_rank_for_the_plan_of_the_others(visit, clean):
    chart, model = visit().spectrum, sample("clean")
    others = pruning.plan(clean, NoiseEdge(), {"0": 512})
    curve = running.curve(running.running(model), "0", others)
    assert chart["curve"]["ranks"] == list(curve.ranks)
    assert chart["curve"]["accuracy"] == curve.accuracy.tolist()
    assert chart["curve"]["samples"] == 5_000
    assert chart["whole"] == running.whole(running.running(model)).accuracy
    assert chart["curve"]["accuracy"][-1] == exactly(512)


def test_the_size_is_that_of_the_cut(visit, clean):
    size = visit().spectrum["size"]
    for rank in (1, 40, 309, 310, 512):
        plan = pruning.plan(clean, NoiseEdge(), {"0": rank})
        stored = size["layer"] if rank == 512 else min(rank * (512 + 784), 512 * 784)
        after = pruning.Size.of(pruning.apply(sample("clean").checkpoint, plan)).parameters
        assert size["rest"] + stored == after
    assert size["whole"] == 535_818


def test_a_rank_that_is_let_go_is_computed_again(visit):
    visitor = visit().let_go(40)
    assert visitor.spectrum["rank"] == 40
    exact = visitor.spectrum["exact"]
    assert (exact["rank"], exact["accuracy"], exact["samples"]) == (40, exactly(40), 5_000)
    assert visitor.at.query_params["rank"] == "40"
    again = visit(rank="40").spectrum
    assert (again["rank"], again["exact"]) == (40, visitor.spectrum["exact"])


@pytest.mark.parametrize("rank", [0, 513, -1, 2.5, True, "7", None, [3], 10**30])
def test_a_rank_that_is_none_is_not_taken(visit, clean, rank):
    assert visit().let_go(rank).spectrum["rank"] == clean["0"].spikes


def test_a_rank_of_another_chart_is_not_taken(visit, clean):
    visitor = visit().let_go(40).choose("layer", "2")
    assert visitor.spectrum["rank"] == clean["2"].spikes
    assert "rank" not in visitor.at.query_params


@pytest.mark.parametrize("word", ["0", "9999", "x", "-3", "4.5", "²"])
def test_a_link_with_a_wrong_rank_shows_the_plans(visit, clean, word: str):
    assert visit(rank=word).spectrum["rank"] == clean["0"].spikes


def test_the_rank_is_taken_to_the_plan_and_stays_there(visit):
    visitor = visit().let_go(40).press("chart.take", rank=40)
    assert [title.value for title in visitor.at.title] == [say("prune.title")]
    assert visitor.at.dataframe(key="cut_map").value["rank"][0] == "512 → 40"
    visitor.go("explore")
    assert visitor.spectrum["rank"] == 40
    assert "rank" not in visitor.at.query_params


def test_the_cut_is_put_back_where_the_plan_has_it(visit, clean):
    visitor = visit()
    assert visitor.button("chart.back", rank=73).disabled
    visitor.let_go(40).press("chart.back", rank=73)
    assert visitor.spectrum["rank"] == clean["0"].spikes


def test_the_rule_and_the_ranks_of_the_other_layers_count(visit):
    visitor = visit("prune", rule="energy").choose("layer", "2").choose("rank", 9).go("explore")
    model = sample("clean")
    plan = pruning.plan(model.analysed(BEMA()), EnergyShare(), {"2": 9})
    assert visitor.spectrum["rank"] == 9
    visitor.choose("layer", "0")
    assert visitor.spectrum["rank"] == plan["0"].rank_after
    read = running.pruned(running.running(model), plan)
    assert visitor.spectrum["exact"]["accuracy"] == read.accuracy


def test_only_the_weights_themselves_can_be_cut(visit):
    chart = visit(view="learnt").spectrum
    assert not chart["drags"]
    assert chart["size"] is None
    assert chart["curve"] is None


def test_the_first_layers_spikes_come_as_pictures(visit):
    chart, model = visit().spectrum, sample("clean")
    right = running.factors(model, "0").right
    assert len(chart["images"]) == 40
    shown = np.frombuffer(base64.b64decode(chart["images"][3]), np.uint8).astype(float) - 128
    assert abs(np.corrcoef(shown, right[:, 3])[0, 1]) > 0.999
    assert visit(layer="2").spectrum["images"] == []


def test_a_network_that_cannot_run_shows_what_a_cut_removes(visit, network, packed):
    tensors = network(60, 40, 24)
    chart = visit().upload("odd.safetensors", packed(tensors)).spectrum
    assert not chart["runs"]
    s = np.linalg.svd(tensors["0.weight"].astype(float), compute_uv=False)
    lost = [np.sqrt((s[rank:] ** 2).sum() / (s**2).sum()) for rank in range(41)]
    np.testing.assert_allclose(chart["removed"], lost, rtol=1e-3, atol=1e-9)


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
    [
        ("method", "kritchman-nadler"),
        ("layer", "2"),
        ("scale", "eigen"),
        ("picture", "scree"),
        ("view", "learnt"),
    ],
)
def test_a_choice_changes_the_picture_and_its_link_brings_it_back(visit, key: str, value: str):
    visitor = visit()
    before = visitor.spectrum
    visitor.choose(key, value)
    after = visitor.spectrum
    assert after != before
    assert visitor.at.query_params[key] == value
    assert visit(**{key: value}).spectrum == after


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
    assert visitor.spectrum["cut"] == pytest.approx(found.cut)


def test_an_option_of_the_method_moves_the_edge(visit):
    visitor = visit()
    before = visitor.spectrum["cut"]
    visitor.choose("knob_bema_alpha", 0.35)
    expected = sample("clean").analysed(BEMA(alpha=0.35))["0"].cut
    assert visitor.spectrum["cut"] == pytest.approx(expected)
    assert expected != before


def test_what_training_changed_is_the_difference_to_the_beginning(visit):
    model = sample("clean")
    name = "0.weight"
    changed = model.checkpoint[name].astype(float) - model.initial[name].astype(float)
    largest = visit().choose("view", "learnt").spectrum["values"][0]
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
    visitor = visit(layer="99", method="guess", scale="loud", view="behind")
    assert visitor.errors == []
    assert verdict.of_layer(clean["0"]) in visitor.words


def test_every_tensor_that_was_left_out_has_its_reason(visit):
    visitor = visit()
    assert visitor.at.expander[0].label == say("explore.skipped", count=3)
    table = visitor.at.dataframe[1].value
    assert list(table[say("explore.column.reason")]) == [say("skipped.bias")] * 3


def test_a_network_that_guesses_is_not_judged_by_its_accuracy(visit):
    visitor = visit(model="untrained")
    assert not visitor.spectrum["runs"]
    assert visitor.spectrum["curve"] is None
    run = running.running(sample("untrained"))
    assert verdict.of_guessing(running.whole(run)) in visitor.words


def test_the_method_that_rescales_shows_the_rescaled_matrix(visit):
    layer = sample("clean").analysed(Dyson())["0"]
    visitor = visit(method="dyson")
    assert layer.scaled
    np.testing.assert_allclose(visitor.spectrum["values"], layer.shown.values)
    assert say("chart.read_scaled") in visitor.words
    lost = 1 - layer.spectrum.values[0] ** 2 / layer.spectrum.energy
    assert exploring._removed(layer, 512)[1] == pytest.approx(lost**0.5, rel=1e-3)


def test_quantiles_are_offered_where_there_is_a_law(visit):
    visitor = visit(picture="quantiles")
    assert visitor.spectrum["picture"] == "quantiles"
    assert not visitor.spectrum["drags"]
    assert visitor.choose("layer", "4").spectrum["picture"] == "histogram"


def test_the_page_does_not_wait_for_a_slow_accuracy(visit, packed, monkeypatch):
    found, release = exploring._measured, threading.Event()

    def slow(*given):
        release.wait(60)
        return found(*given)

    monkeypatch.setattr(exploring, "PATIENCE", 0.01)
    monkeypatch.setattr(exploring, "_measured", slow)
    clean = sample("clean").checkpoint
    visitor = visit().upload("slow.safetensors", packed({name: clean[name] for name in clean}))
    assert visitor.spectrum["curve"] is None
    assert visitor.spectrum["runs"]  # it is on its way
    visitor.choose("layer", "2")
    assert say("explore.verdict_head", layer="2") in visitor.words
    release.set()
    visitor.until(lambda: visitor.spectrum["curve"] is not None)
    assert visitor.spectrum["curve"]["samples"] == 5_000
