"""Prune: every change shows in the figures, can be taken back, tested and downloaded."""

import json
import re

import numpy as np
import pytest
from streamlit.proto.Metric_pb2 import Metric

from rmtviz import evaluation, formats, networks, pruning
from rmtviz.fits import BEMA
from rmtviz.pruning import PruningPlan
from rmtviz.rules import EnergyShare, NoiseEdge
from rmtviz.ui import running
from rmtviz.ui.library import sample
from rmtviz.words import say

WEIGHTS = [name for name, form in formats.FORMATS.items() if not form.graph]
"""The formats that hold any weights; a graph holds those that it was read with."""

ACCURACY = say("prune.accuracy", samples=5_000, unit="images")
PARAMETERS = say("prune.parameters")
WHOLE = "535,818"


@pytest.fixture
def prune(visit):
    return visit("prune")


def cuts(visitor):
    """Return each layer's rank and reason, as the table says."""
    table = visitor.at.dataframe(key="cut_map").value
    return dict(zip(table["name"], zip(table["rank"], table["reason"], strict=True), strict=True))


def expected(rule):
    model = sample("clean")
    plan = pruning.plan(model.analysed(BEMA()), rule)
    run = running.running(model)
    return plan, running.sizes(model, plan)[1], running.pruned(run, plan)


@pytest.mark.parametrize("rule", [NoiseEdge(), EnergyShare()], ids=["noise-edge", "energy"])
def test_the_figures_are_those_of_the_cut(prune, rule):
    prune.choose("rule", "energy" if isinstance(rule, EnergyShare) else "noise-edge")
    plan, size, read = expected(rule)
    assert prune.metrics[PARAMETERS] == f"{size.parameters:,}"
    assert prune.metrics[say("prune.macs")] == f"{size.macs:,}"
    assert prune.metrics[say("prune.megabytes")] == f"{size.bytes / 1e6:,.2f} MB"
    assert prune.metrics[ACCURACY] == f"{read.accuracy:.2%}"
    assert f"{read.accuracy:.2%} of 5,000" in prune.at.subheader[0].value
    ranks = {cut.name: f"{cut.rank_before} → {cut.rank_after}" for cut in plan.cuts}
    assert {name: rank for name, (rank, _) in cuts(prune).items()} == ranks


def test_what_is_neither_better_nor_worse_is_grey(visit):
    shown = {each.label: each.proto for each in visit("prune", rule="off").at.metric}
    assert {each.color for each in shown.values()} == {Metric.GRAY}
    cut = {each.label: each.proto for each in visit("prune").at.metric}
    assert cut[PARAMETERS].color == Metric.GREEN


def test_another_rule_changes_every_figure(prune):
    before = prune.metrics
    prune.choose("rule", "rank")
    assert all(prune.metrics[name] != value for name, value in before.items())
    prune.choose("knob_rank_rank", 3)
    assert cuts(prune)["0"][0] == "512 → 3"


def test_off_keeps_everything(prune):
    prune.choose("rule", "off")
    assert prune.metrics[PARAMETERS] == WHOLE
    assert say("verdict.plan_none", before=535_818) in prune.at.subheader[0].value


def test_the_slider_makes_a_rank_ones_own(prune):
    prune.choose("rank", 40)
    assert cuts(prune)["0"] == ("512 → 40", say("reason.chosen"))
    assert cuts(prune)["2"][1] == say("reason.noise_edge")
    chart = prune.figure("accuracy-against-rank")
    assert say("figure.rank_now", rank=40) in [n["text"] for n in chart["layout"]["annotations"]]


def test_undo_takes_back_one_step_at_a_time(prune):
    assert prune.button("prune.undo").disabled
    start = cuts(prune)
    prune.choose("rank", 40)
    mine = cuts(prune)
    prune.choose("rule", "energy")
    prune.choose("knob_energy_share", 0.5)
    for _ in range(2):
        prune.press("prune.undo")
    assert cuts(prune) == mine
    assert prune.at.session_state["rule"] == "noise-edge"
    prune.press("prune.undo")
    assert cuts(prune) == start
    assert prune.button("prune.undo").disabled


def test_undo_takes_back_the_method_too(prune):
    start = cuts(prune)
    prune.choose("method", "kritchman-nadler")
    assert cuts(prune) != start
    prune.press("prune.undo")
    assert cuts(prune) == start
    assert prune.button("prune.undo").disabled


def test_reset_gives_all_layers_back_to_the_rule(prune):
    start = cuts(prune)
    prune.choose("rank", 40)
    prune.choose("layer", "2")
    prune.choose("rank", 9)
    prune.press("prune.reset")
    assert cuts(prune) == start
    assert prune.button("prune.reset").disabled


def test_own_ranks_stay_with_their_network(prune):
    prune.choose("rank", 40)
    assert cuts(prune.choose("model_choice", "noisy"))["0"][1] == say("reason.noise_edge")
    assert cuts(prune.choose("model_choice", "clean"))["0"][1] == say("reason.chosen")
    assert cuts(prune.go("explore").go("prune"))["0"][1] == say("reason.chosen")


def test_a_trial_cuts_one_layer_and_can_be_kept(prune):
    prune.choose("layer", "2")
    prune.choose("rank", 9)
    prune.choose("trial", True)
    assert say("prune.trial_help", layer="2", rank=9) in prune.words
    assert cuts(prune)["0"] == ("512 → 512", say("reason.off"))
    assert cuts(prune)["2"] == ("256 → 9", say("reason.chosen"))
    prune.press("prune.keep")
    assert not prune.at.toggle(key="trial").value
    assert cuts(prune)["2"] == ("256 → 9", say("reason.chosen"))
    assert cuts(prune)["0"][1] == say("reason.noise_edge")


def test_a_trial_can_be_rolled_back(prune):
    prune.choose("trial", True)
    prune.press("prune.back")
    assert not prune.at.toggle(key="trial").value
    assert cuts(prune)["0"] == ("512 → 512", say("reason.chosen"))


def test_the_test_images_are_read_on_a_press_only(prune):
    assert say("prune.test_help", samples=10_000, unit="images") in prune.words
    assert "test images:" not in prune.words
    prune.press("prune.test")
    plan, _, _ = expected(NoiseEdge())
    found = running.tested(running.running(sample("clean")), plan)
    (said,) = re.findall(r"On 10,000 test images: .*95 % interval [+-][\d.]+ to .*", prune.words)
    assert f"{found.after.accuracy:.2%} after the cut, {found.before.accuracy:.2%} before" in said
    assert f"{100 * found.paired.low:+.2f} to {100 * found.paired.high:+.2f}" in said
    for name, each in found.controls.items():
        assert prune.metrics[say(f"prune.control.{name}")] == f"{each.accuracy:.1%}"
    assert "µs" in prune.words


def test_another_plan_is_not_tested_yet(prune):
    prune.press("prune.test")
    prune.choose("rank", 40)
    assert "95 % interval" not in prune.words
    prune.press("prune.undo")
    assert "95 % interval" in prune.words


def test_a_network_from_elsewhere_is_tested_on_the_other_half(visit, packed):
    clean = sample("clean").checkpoint
    content = packed({name: clean[name] for name in clean})
    prune = visit().upload("mine.safetensors", content).go("prune")
    assert (
        say("prune.test_help_foreign", samples=5_000, selection=5_000, unit="images") in prune.words
    )
    prune.press("prune.test")
    assert "On 5,000 test images:" in prune.words


def test_the_activation_can_be_chosen_and_is_not_carried_to_another_network(prune):
    def says(activation):
        names = {key: say(f"prune.{key}") for key in (f"activation.{activation}", "inputs.unit")}
        label = say(
            "prune.runs", **dict(zip(("activation", "inputs"), names.values(), strict=True))
        )
        return label in [block.proto.popover.label for block in prune.at.get("popover")]

    assert says("relu")
    prune.choose("run_activation", "tanh")
    assert says("tanh")
    prune.choose("model_choice", "noisy")
    assert says("relu")


@pytest.mark.parametrize("form", WEIGHTS)
def test_the_downloaded_network_reads_as_the_page_says(downloads, prune, form: str):
    prune.choose_by_label(say("prune.format"), form)
    name = f"clean-pruned{formats.FORMATS[form].suffix}"
    checkpoint = formats.read(downloads[name](), name)
    model = sample("clean")
    run, (plan, size, _) = running.running(model), expected(NoiseEdge())
    assert checkpoint.digest == pruning.apply(model.checkpoint, plan).digest
    assert checkpoint.parameters == size.parameters
    choice = networks.detect(checkpoint, run.dataset, run.foreign)
    read = evaluation.evaluate(choice(checkpoint), run.samples("selection"))
    assert prune.metrics[ACCURACY] == f"{read.accuracy:.2%}"


def test_the_downloaded_plan_cuts_the_same_again(downloads, prune):
    prune.choose("rank", 40)
    plan = PruningPlan.from_json(downloads["clean-plan.json"]().decode())
    again = pruning.apply(sample("clean").checkpoint, plan)
    assert formats.read(downloads["clean-pruned.safetensors"]()).digest == again.digest
    assert json.loads(downloads["clean-plan.json"]())["cuts"][0]["rank_after"] == 40


def test_the_summary_says_what_the_page_says(downloads, prune):
    headline = prune.at.subheader[0].value
    page = downloads["clean-summary.html"]().decode()
    assert headline in page
    assert say("report.untested") in page
    prune.press("prune.test")
    assert "95 % interval" in downloads["clean-summary.html"]().decode()


def test_a_network_that_cannot_run_says_why_and_shows_the_weights_error(
    visit, network, packed, downloads
):
    prune = visit().upload("odd.safetensors", packed(network(60, 40, 24))).go("prune")
    assert say("error.data_pixels.what", wanted=60, dataset="mnist", given=784) in prune.words
    assert ACCURACY not in prune.metrics
    assert PARAMETERS in prune.metrics
    assert say("prune.test") not in prune.buttons()
    prune.choose("rank", 7)
    (line,) = prune.figure("error-against-rank")["data"]
    weights = np.linalg.svd(network(60, 40, 24)["0.weight"].astype(float), compute_uv=False)
    lost = np.sqrt((weights[7:] ** 2).sum() / (weights**2).sum())
    assert dict(zip(line["x"], line["y"], strict=True))[7] == pytest.approx(lost, rel=1e-5)
    names = "0.0.weight 0.1.weight 0.1.bias 1.weight 1.bias"
    assert set(formats.read(downloads["odd-pruned.safetensors"]())) == set(names.split())


def test_shapes_that_do_not_chain_are_named(visit, packed):
    rng = np.random.default_rng(0)
    tensors = {
        "a.weight": rng.standard_normal((30, 784)).astype(np.float32),
        "b.weight": rng.standard_normal((10, 50)).astype(np.float32),
    }
    prune = visit().upload("torn.safetensors", packed(tensors)).go("prune")
    shapes = "a 30×784, b 10×50"
    assert say("error.no_chain.what", shapes=shapes) in prune.words
    assert prune.figure("error-against-rank")["data"]


def test_outputs_that_are_not_finite_are_said(visit, network, packed):
    tensors = network(784, 24, 10)
    tensors["1.weight"][:] = 3e38
    prune = visit().upload("huge.safetensors", packed(tensors)).go("prune")
    assert say("error.outputs_not_finite.what") in prune.words
    assert prune.figure("error-against-rank")["data"]


def test_an_order_that_does_not_fit_can_be_given_again(visit, packed):
    rng = np.random.default_rng(0)
    shapes = {"in": (24, 784), "a": (20, 24), "b": (24, 20), "c": (22, 24), "d": (24, 22)}
    tensors = {
        f"{name}.weight": rng.standard_normal(shape).astype(np.float32) / 10
        for name, shape in {**shapes, "out": (10, 24)}.items()
    }
    prune = visit().upload("loop.safetensors", packed(tensors)).go("prune")
    for order in ("a in b c d out", "in c d a b out"):
        assert ACCURACY not in prune.metrics
        prune.at.multiselect[0].set_value(order.split())
        prune.run()
    assert prune.metrics[ACCURACY]


def test_ranks_of_layers_that_turn_out_to_be_one_are_let_go(visit, packed):
    rng = np.random.default_rng(0)
    tensors = {
        "fc.0.weight": rng.standard_normal((20, 784)).astype(np.float32),
        "fc.1.weight": rng.standard_normal((40, 20)).astype(np.float32),
        "out.weight": rng.standard_normal((10, 40)).astype(np.float32),
    }
    prune = visit().upload("pair.safetensors", packed(tensors)).go("prune")
    prune.choose("layer", "fc.0").choose("rank", 5)
    assert cuts(prune)["fc.0"][1] == say("reason.chosen")
    prune.press("prune.pairs_one")
    assert set(cuts(prune)) == {"fc", "out"}
    assert prune.choose("data", "mnist").metrics[ACCURACY]


def test_a_network_that_guesses_is_not_judged_by_its_guesses(visit):
    page = visit(model="untrained").go("prune")
    assert "always names the same class" in page.words
    assert page.figure("error-against-rank")
    assert cuts(page)["0"][1] == say("reason.none_above")
