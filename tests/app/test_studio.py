"""The studio: what was tried is drawn as it comes, the budget is answered, tested and taken on."""

import json
from collections.abc import Iterator

import pytest

from rmtviz import budget, evaluation, formats, frontier, networks, tradeoff, verdict
from rmtviz.budget import Budget
from rmtviz.fits import BEMA
from rmtviz.ui import budgeting, running, sensing, trading
from rmtviz.ui.library import sample
from rmtviz.words import say

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
    return visit("studio").until(lambda: study().over)


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
    visitor = visit("studio")
    visitor.until(lambda: len(study().frontier.found) > 1)
    before = drawn(visitor.run(), "frontier")
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
    wanted = budgeting.budget(kind, budgeting.AMOUNTS[kind], whole)
    best = answered(wanted)
    assert budgeting.sentence(best, study().piece.whole, "images") in studio.words
    assert wanted.met(best, study().piece.whole)
    assert best.size.parameters < 0.6 * whole.parameters


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
    studio.until(lambda: study().over)
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
    said = say("studio.picked", family=trading.title("rank"), setting=trading.setting(rank))
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
    visitor = visit("studio").upload("wide.safetensors", packed(network(300, 20, 5)))
    assert say("studio.no_data") in visitor.words


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
