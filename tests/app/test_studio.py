"""The studio: what was tried is drawn as it comes, the budget is answered, tested and taken on."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from rmtviz import (
    budget,
    evaluation,
    finetuning,
    formats,
    frontier,
    networks,
    pruning,
    tradeoff,
    verdict,
)
from rmtviz.budget import Budget
from rmtviz.costs import Size
from rmtviz.cuts import PruningPlan
from rmtviz.evaluation import Latency
from rmtviz.finetuning import tune
from rmtviz.fits import BEMA
from rmtviz.rules import NoiseEdge
from rmtviz.ui import budgeting, running, sensing, session, trading, unlabelled, widgets
from rmtviz.ui.library import sample
from rmtviz.words import say
from rmtviz.workpiece import Outcome

ROOT = Path(__file__).parents[2]
ALL = tuple(frontier.FAMILIES)

FEW = {
    "noise-edge": ("noise-edge", 1),
    "rank": ("rank", 2),
    "whitened": ("whitened", 3),
    "magnitude": ("magnitude", 1),
    "random": ("random", 1),
}
"""The families that are tried here, with how many settings."""


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Less is tried, and what other tests have tried is forgotten."""
    few = {name: frontier.FAMILIES[name][-count:] for name, (_, count) in FEW.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frontier, "FAMILIES", few)
        patch.setattr(tradeoff, "RANKS", 12)
        patch.setattr(tradeoff, "GRID", 8)
        patch.setattr(budget, "MOST", 12)
        _forget()
        yield
    _forget()


def _forget() -> None:
    kept = sample("clean").memo._kept
    for key in [key for key in kept if isinstance(key, tuple) and key[0] == "study"]:
        del kept[key]


@pytest.fixture
def studio(visit):
    return visit("studio").until(lambda: study().over).run()  # drawn once all is known


def study():
    return trading.study(running.running(sample("clean")), BEMA())


def answered(wanted: Budget):
    """What the studio should say is best, from what was tried."""
    tried = [*study().frontier.found, *study().search(wanted).found]
    return wanted.chosen([each for each in tried if each.plan.density == 1], tried[0])


def drawn(visitor, key: str):
    return json.loads(visitor.at.get_by_key(key).proto.json)


def picked(visitor, key: str, name: str):
    """Click something in a picture, as the browser tells it."""
    visitor.at.session_state[key] = {"picked": name}
    return visitor.run()


def test_the_axes_stay_while_points_come(visit):
    _forget()
    before = drawn(visitor := visit("studio"), "frontier")
    assert drawn(visitor, "sensitivity")["panels"]
    visitor.until(lambda: study().over)
    after = drawn(visitor.run(), "frontier")
    (first,), (last,) = before["panels"], after["panels"]
    assert (first["x"], first["y"], first["title"]) == (last["x"], last["y"], last["title"])
    assert len(first["points"]) < len(last["points"])


def test_every_plan_is_a_point_and_the_best_are_joined(studio):
    (panel,) = drawn(studio, "frontier")["panels"]
    tried = [*study().frontier.found, *study().search(Budget(lose=0.005)).found]
    whole = tried[0]
    assert say("studio.axis_accuracy", samples=5_000, unit="images") == panel["title"]
    points = {(each["x"], round(each["y"], 6)) for each in panel["points"]}
    for each in tried[1:]:
        gained = 100 * (each.accuracy - whole.accuracy)
        assert (each.size.parameters, round(gained, 6)) in points
    best = frontier.pareto(tried)
    assert panel["lines"][0]["x"] == [each.size.parameters for each in best]
    labels = {each["label"] for each in panel["points"] if each["label"]}
    assert labels == {say(f"studio.mark_{name}") for name in ("whole", "plan", "answer")}


@pytest.mark.parametrize("cost", trading.COSTS)
def test_the_size_is_counted_in_three_ways(studio, cost: str):
    (panel,) = drawn(studio.choose("cost", cost), "frontier")["panels"]
    assert panel["x"]["label"] == say(f"studio.axis_{cost}")
    whole = getattr(study().piece.whole.size, cost)
    assert max(each["x"] for each in panel["points"]) == whole
    assert ("cost" in studio.at.query_params) == (cost != "parameters")


@pytest.mark.parametrize("kind", budgeting.KINDS)
def test_the_budget_is_answered_in_one_sentence(studio, kind: str):
    studio.choose("budget", kind).until(lambda: study().over)
    whole = running.whole_size(sample("clean"), running.running(sample("clean")))
    amount = budgeting.AMOUNTS.get(kind)
    wanted = budgeting.budget(kind, amount, whole) if amount else Budget()
    best = answered(wanted)
    assert budgeting.sentence(best, study().piece.whole, "images") in studio.words
    assert wanted.met(best, study().piece.whole)
    assert best.size.parameters < whole.parameters


def test_the_budget_stands_in_the_address(visit):
    visitor = visit("studio", budget="bytes", amount="0.4")
    assert visitor.at.get_by_key("amount_bytes").value == 0.4
    visitor.until(lambda: study().over)
    assert answered(Budget("bytes", most=4e5)).size.bytes <= 4e5
    visitor.choose("amount_bytes", 0.5)
    assert visitor.at.query_params["amount"] == "0.5"
    visitor.choose("amount_bytes", budgeting.AMOUNTS["bytes"])
    assert "amount" not in visitor.at.query_params


@pytest.mark.parametrize("amount", ["-1", "1e9", "nan", "0", "999", "x" * 50])
def test_an_amount_that_makes_no_sense_is_passed_over(visit, amount: str):
    visitor = visit("studio", amount=amount)
    assert visitor.at.get_by_key("amount_lose").value == budgeting.AMOUNTS["lose"]


def test_a_budget_that_nothing_meets_is_said(studio):
    studio.choose("budget", "parameters").choose("amount_parameters", 0.5)
    studio.until(lambda: study().over).run()
    smallest = 784 + 512 + 512 + 256 + 256 + 10 + 778
    assert smallest > 0.005 * 535_818
    assert say("error.budget_reach.do") in studio.words
    assert say("studio.use") not in studio.buttons()


def test_the_test_samples_are_read_on_a_press_only(studio):
    assert "test images" not in studio.words
    studio.press("studio.test")
    best = answered(Budget(lose=0.005))
    run = running.running(sample("clean"))
    found = study().piece.report(best.plan, run.samples("test"))
    assert verdict.of_test(found.before, found.after, found.paired) in studio.words
    assert studio.metrics[say("studio.to_right")] == str(found.paired.flipped_to_right)
    assert studio.metrics[say("studio.to_wrong")] == str(found.paired.flipped_to_wrong)
    name = say("studio.test_accuracy", samples=10_000, unit="images")
    assert studio.metrics[name] == f"{found.after.accuracy:.2%}"


def test_the_chosen_network_is_downloaded(visit, downloads):
    visit("studio").until(lambda: study().over)
    best = answered(Budget(lose=0.005))
    (name,) = [name for name in downloads if name.endswith("-small.safetensors")]
    read = formats.read(downloads[name]())
    assert read.parameters == best.size.parameters
    run = running.running(sample("clean"))
    choice, *_ = networks.match(read)
    again = evaluation.evaluate(choice(read), run.samples("selection"))
    assert again.accuracy == best.accuracy


def test_the_plan_is_used_on_prune_with_its_directions(studio):
    best = answered(Budget(lose=0.005))
    assert best.plan.calibration is not None
    studio.press("studio.use").go("prune")
    name = say("prune.accuracy", samples=5_000, unit="images")
    assert studio.metrics[name] == f"{best.accuracy:.2%}"
    assert studio.metrics[say("prune.parameters")] == f"{best.size.parameters:,}"
    assert say("prune.adopted_data", samples=5_000, split="train") in studio.words
    table = studio.at.dataframe(key="cut_map").value
    assert list(table["rank"]) == [
        f"{cut.rank_before} → {cut.rank_after}" for cut in best.plan.cuts
    ]
    studio.press("prune.reset")
    assert studio.metrics[name] != f"{best.accuracy:.2%}"
    studio.press("prune.undo")
    assert studio.metrics[name] == f"{best.accuracy:.2%}"


def test_a_clicked_plan_is_looked_at_and_given_back(studio):
    rank = next(each for each in study().frontier.found if each.family == "rank")
    picked(studio, "frontier", trading.named(rank))
    said = say("studio.picked", family=trading.title("rank"), setting=trading.setting(rank.plan))
    assert said in [item.value for item in studio.at.markdown]
    studio.at.session_state["frontier"] = {"picked": None}  # as the browser is done with telling
    studio.press("studio.back")
    assert said not in [item.value for item in studio.at.markdown]


def test_the_rules_stand_side_by_side(studio):
    table = studio.at.dataframe[0].value
    wanted, tried = Budget(lose=0.005), study().frontier.found
    families = [*FEW, "search"]
    assert list(table["family"]) == [trading.title(name) for name in ("whole", *families)]
    for family in FEW:
        own = [each for each in tried if each.family == family]
        (row,) = table[table["family"] == trading.title(family)].to_dict("records")
        best = max(own, key=lambda each: wanted.worth(each, tried[0]))
        assert row["parameters"] == best.size.parameters
        assert row["accuracy"] == pytest.approx(100 * best.accuracy)
        assert row["within"] == wanted.met(best, tried[0])
    assert say("studio.zeros") in studio.words
    studio.choose("studio_every", True)
    searched = study().search(wanted).found
    assert len(studio.at.dataframe[0].value) == len(tried) + len(searched)


def test_every_layer_has_its_curve_and_its_marks(studio):
    panels = drawn(studio, "sensitivity")["panels"]
    analysis = sample("clean").analysed(BEMA())
    assert [each["id"] for each in panels] == [layer.name for layer in analysis]
    for panel, layer in zip(panels, analysis, strict=True):
        curve = study().latest[layer.name]
        assert [each["x"] for each in panel["points"]] == list(curve.ranks)
        whole = curve.points[-1].accuracy
        gained = [100 * (point.accuracy - whole) for point in curve.points]
        assert [each["y"] for each in panel["points"]] == pytest.approx(gained)
        marks = {each["x"] for each in panel["rules"]}
        ranks = {layer.spikes, *(rule(layer).rank for rule in sensing.MARKS.values() if rule)}
        assert marks == (ranks if layer.bulk else set())


@pytest.mark.parametrize("quantity", sensing.QUANTITIES)
def test_three_quantities_are_drawn(studio, quantity: str):
    panel, *_ = drawn(studio.choose("quantity", quantity), "sensitivity")["panels"]
    full = panel["points"][-1]
    assert full["y"] == pytest.approx(0, abs=1e-3)
    assert any(point["y"] != full["y"] for point in panel["points"])


def test_a_click_opens_the_layer_in_prune(studio):
    picked(studio, "sensitivity", "2")
    assert studio.go("prune").at.get_by_key("layer").value == "2"


def test_a_network_that_guesses_has_no_frontier(visit):
    visitor = visit("studio", model="untrained")
    guessing = verdict.of_guessing(running.whole(running.running(sample("untrained"))))
    assert guessing in visitor.words
    assert say("studio.rules") not in visitor.words


def test_without_data_it_is_said(visit, network, packed):
    visitor = visit("studio").upload("wide.safetensors", packed(network(300, 120, 80, 5)))
    assert say("studio.no_data") in visitor.words
    assert say("prune.unknown") in visitor.words
    table = visitor.at.dataframe[0].value
    analysis = session.library().get(visitor.model).analysed(BEMA())
    plan = pruning.plan(analysis, NoiseEdge())
    cut = [layer for layer in analysis if plan[layer.name].form != "whole"]
    ratios = sorted(
        (
            (layer.spectrum.values @ layer.spectrum.values / layer.spectrum.values[0] ** 2)
            / plan[layer.name].rank_after
            for layer in cut
        ),
        reverse=True,
    )
    assert [float(each) for each in table["guess"]] == pytest.approx(ratios, rel=5e-3)
    assert say("studio.rules") not in visitor.words


def test_what_is_said_of_the_guess_was_measured():
    page = (ROOT / "docs" / "tradeoff.md").read_text("utf-8")
    clean, noisy = page.split("## Clean demo")[1].split("## Noisy-label demo")
    for text in (clean, noisy.split("\n## ")[0]):
        row = next(x for x in text.splitlines() if x.startswith(f"| {unlabelled.GUESS} "))
        ordered = row.split("|")[-2].strip()
        assert ordered in say("studio.guess_about")


def test_the_page_is_found_again(studio):
    before = len(study().frontier.found)
    studio.go("explore").go("studio")
    assert len(study().frontier.found) == before
    (panel,) = drawn(studio, "frontier")["panels"]
    assert len(panel["points"]) >= before


def test_another_network_begins_anew(studio):
    looked = trading.watch()._at()
    assert looked is study()
    studio.choose("model_choice", "noisy")
    assert looked._watchers == 0
    assert trading.watch()._at() is not looked


def test_every_family_has_its_look_and_its_words():
    for name in ALL:
        assert trading.title(name) == say(f"studio.family.{name}")
        assert name in trading.SERIES


def test_the_looks_of_families_differ():
    looks = {(each.shape, each.colour, each.hollow) for each in trading.SERIES.values()}
    assert len(looks) == len(trading.SERIES)
    with_law = {name for name, each in trading.SERIES.items() if each.colour == "theory"}
    assert with_law == {"noise-edge", "optimal-threshold", "shrinkage", "screenot"}


def test_a_rank_from_explore_gives_a_whole_plan_up(studio):
    studio.press("studio.use").go("explore").let_go(20)
    studio.press("chart.take", rank=20).go("prune")
    assert studio.at.session_state["own_plans"] == {}
    assert studio.at.dataframe(key="cut_map").value["rank"][0] == "512 → 20"


def test_what_was_tried_is_kept_and_gone_back_to(studio):
    rank = next(each for each in study().frontier.found if each.family == "rank")
    picked(studio, "frontier", trading.named(rank))
    names = list(history_of(studio))
    assert names == [
        say("studio.history_name", number=1, words=say("choice.noise-edge.title")),
        say("studio.history_name", number=2, words="Fixed rank, rank 70"),
    ]
    studio.choose("row", names[1]).press("studio.go_back")
    assert studio.at.session_state["own_plans"] == {rank.plan.digest: rank.plan}
    assert studio.button("studio.go_back").disabled
    studio.press("studio.delete")
    assert list(history_of(studio))[:1] == names[:1]
    assert studio.at.session_state["own_plans"] == {rank.plan.digest: rank.plan}


def test_the_original_is_one_press_away(studio):
    studio.press("studio.use")
    studio.go("studio").press("studio.original").go("prune")
    assert say("verdict.plan_none", before=535_818) in studio.at.subheader[0].value
    assert say("prune.adopted", rule=say("choice.off.title")) in studio.words.replace("  ", " ")


def test_the_history_is_exported_and_imported(visit, downloads, tmp_path):
    visitor = visit("studio").until(lambda: study().over)
    best = answered(Budget(lose=0.005))
    visitor.press("studio.use").go("studio").until(lambda: study().over)
    told = json.loads(downloads["plans.json"]())
    assert [each["measured"]["parameters"] for each in told][-1] == best.size.parameters
    assert told[-1]["measured"]["accuracy"] == best.accuracy
    other = visit("studio").until(lambda: study().over)
    uploaded(other, "plans.json", json.dumps(told).encode())
    assert best.plan in history_of(other).values()


@pytest.mark.parametrize("content", [b"[1]", b"\xff", b'{"plan": 1}', b'[{"plan": {"cuts": []}}]'])
def test_what_is_no_history_is_refused(studio, content: bytes):
    uploaded(studio, "plans.json", content)
    assert say("error.plan_unreadable.what") in [what for what, _ in studio.errors]
    assert len(history_of(studio)) == 1


def test_a_history_of_another_network_is_refused(studio):
    noisy = sample("noisy")
    plan = pruning.plan(noisy.analysed(BEMA()), NoiseEdge())
    text = json.dumps([{"plan": json.loads(plan.to_json())}])
    uploaded(studio, "plans.json", text.encode())
    assert plan.digest[:12] in studio.errors[0][0]


def test_a_history_with_a_layer_that_is_not_there_is_refused_before_it_is_kept(studio):
    (plan,) = history_of(studio).values()
    (first, *others) = plan.cuts
    text = json.dumps([{"plan": asdict(replace(plan, cuts=(replace(first, name="x"), *others)))}])
    uploaded(studio, "plans.json", text.encode())
    assert studio.errors[0][0] == widgets.plain(say("error.plan_layer.what", name="x"))
    assert list(history_of(studio).values()) == [plan]


def test_two_plans_are_compared_on_test_samples_on_a_press(studio):
    studio.choose("row_beside", say("studio.family.whole"))
    assert "chart_confusion-one" not in {each.key for each in studio.at.get("plotly_chart")}
    studio.press("studio.compare_test", unit="images")
    run = running.running(sample("clean"))
    (plan,) = history_of(studio).values()
    cut, whole = (
        evaluation.evaluate(network, run.samples("test"))
        for network in (run.choice(study().piece.cut(plan)), run.network)
    )
    counts = np.array(studio.figure("confusion-one")["data"][0]["text"])
    assert counts.sum() == 10_000
    assert np.trace(counts) == round(cut.accuracy * 10_000)
    differ = np.flatnonzero(cut.predictions != whole.predictions)
    assert say("studio.differ", count=len(differ), samples=10_000) in studio.words


def test_a_plan_is_timed_beside_the_whole(studio):
    studio.press("studio.speed").until(lambda: study().over)
    best = answered(Budget(lose=0.005))
    times = dict(study().timed(best.plan).found)
    names = {"", "plan", *(cut.name for cut in best.plan.cuts if cut.form == "factored")}
    assert {batch: set(each) for batch, each in times.items()} == {1: names, 256: names}
    shown = studio.run().metrics[say("studio.speed_batch", batch=256)]
    assert shown == say("studio.speed_value", median=1e6 * times[256]["plan"].median)


def test_a_slower_layer_is_said(studio, monkeypatch):
    def slow(networks, images, batch):
        times = {name: Latency(2e-5, 1.9e-5, 2.1e-5) for name in networks}
        return times | {"2": Latency(9e-5, 8e-5, 1e-4)}

    monkeypatch.setattr(evaluation, "latencies", slow)
    picked(studio, "frontier", trading.named(study().frontier.found[1]))
    studio.press("studio.speed").until(lambda: study().over)
    said = [say("studio.slower", batch=batch, layers="2") for batch in (1, 256)]
    assert all(each in studio.run().words for each in said)


def test_tuning_shows_three_accuracies(studio, monkeypatch):
    monkeypatch.setattr(finetuning, "tune", brief)
    studio.press("studio.tune").until(lambda: study().over)
    best = answered(Budget(lose=0.005))
    run = running.running(sample("clean"))
    records = study().tuned(best.plan, run.samples("train")).found
    assert records[0].accuracy == best.accuracy
    shown = studio.run().metrics
    assert shown[say("studio.tuned_cut")] == f"{best.accuracy:.2%}"
    assert shown[say("studio.tuned_tuned")] == f"{max(x.accuracy for x in records):.2%}"


def brief(recipe, checkpoint, choice, samples, selection, teacher):
    """Tune for one epoch on a few samples."""
    short = replace(recipe, epochs=1)
    return tune(short, checkpoint, choice, samples.first(1_000), selection, teacher)


def history_of(visitor):
    return visitor.at.session_state["history"][sample("clean").digest]


def uploaded(visitor, name: str, content: bytes):
    """Give a file to the uploader of the history."""
    (found,) = [each for each in visitor.at.file_uploader if each.label == say("studio.import")]
    found.set_value((name, content, "application/json"))
    return visitor.run()


def test_a_gain_is_said_with_the_share_of_the_noise_edge():
    def made(family: str, low: float, gain: float) -> Outcome:
        paired = evaluation.Paired(0, 0, gain, low, 2 * gain - low)
        plan = PruningPlan("", family, "", ())
        return Outcome(family, plan, Size(1, 1, 1), 5_000, 0.5, 1.0, paired)

    whole, edge = made("whole", -0.001, 0.0), made("noise-edge", 0.01, 0.02)
    better, luckier = made("rank", 0.05, 0.07), made("energy", 0.04, 0.08)
    said = budgeting.gained([whole, edge, better, luckier])
    assert said == say("studio.gained", most=7.0, edge=2.0, samples=5_000)
    assert budgeting.gained([whole, edge]) == ""
    assert budgeting.gained([whole, made("noise-edge", -0.01, 0.0), made("rank", -0.001, 1)]) == ""
    assert budgeting.gained([whole, better]) == ""
