"""Rules side by side: each recipe's plan is one, costs what it says, and the best are found."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmtviz import evaluation, frontier, whitening
from rmtviz.checkpoint import Checkpoint
from rmtviz.cuts import PruningPlan
from rmtviz.datasets import MNIST
from rmtviz.errors import CannotRun
from rmtviz.frontier import FAMILIES, TRIES, Magnitude, Ruled, Whitened
from rmtviz.networks import MLP
from rmtviz.pruning import Size
from rmtviz.rules import FixedRank, RandomDirections
from rmtviz.training import Training, train
from rmtviz.workpiece import Outcome, Workpiece


@pytest.fixture(scope="module")
def piece() -> Workpiece:
    recipe = Training(widths=(40, 24), epochs=3, train_samples=4000, batch_size=64)
    checkpoint = list(train(recipe))[-1].checkpoint
    found = Workpiece.of(checkpoint, MLP(), MNIST()())
    return replace(
        found, calibration=found.calibration.first(600), selection=found.selection.first(600)
    )


@dataclass(frozen=True)
class Hiding:
    """A choice whose networks do not show what their layers are given."""

    choice: MLP

    def __call__(self, checkpoint: Checkpoint) -> SimpleNamespace:
        network = self.choice(checkpoint)
        names = ("layers", "activation", "inputs", "outputs", "places", "logits")
        return SimpleNamespace(**{name: getattr(network, name) for name in names})


def test_each_family_with_a_setting_has_the_same_number_of_tries() -> None:
    assert {len(recipes) for recipes in FAMILIES.values()} == {1, TRIES}
    assert all(len(set(recipes)) == len(recipes) for recipes in FAMILIES.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_recipe_gives_a_plan_that_costs_and_reads_what_it_says(piece, family) -> None:
    recipe = FAMILIES[family][-1]
    plan = recipe(piece)
    assert PruningPlan.from_json(plan.to_json()) == plan
    (found,) = frontier.outcomes(piece, {family: (recipe,)})
    cut = piece.cut(plan)
    count = Size.sparse if plan.density < 1 else Size.of
    real = evaluation.evaluate(MLP()(cut), piece.selection)
    assert (found.family, found.plan, found.size) == (family, plan, count(cut))
    assert (found.accuracy, found.loss, found.samples) == (real.accuracy, real.loss, 600)
    assert found.paired.difference == pytest.approx(found.accuracy - piece.whole.accuracy)


def test_the_whole_network_is_an_outcome_that_costs_what_it_costs(piece) -> None:
    assert piece.whole.size == Size.of(piece.checkpoint)
    assert piece.whole.paired.difference == 0
    assert piece.cut(piece.whole.plan).digest == piece.checkpoint.digest


def test_outputs_carry_the_share_that_was_asked_for(piece) -> None:
    plan = Whitened(0.9)(piece)
    for cut in plan.cuts[:-1]:
        seen = piece.seen(cut.name)
        carried = piece.factors(cut.name, plan.calibration).carried(seen.second)
        assert carried[: cut.rank_after].sum() >= 0.9 > carried[: cut.rank_after - 1].sum()
    assert plan.cuts[-1].form == "whole"


def test_a_plan_by_data_is_applied_as_from_its_samples(piece) -> None:
    for recipe in (Whitened(0.9), Whitened(0.9, sequential=True), Whitened(0.9, affine=False)):
        plan = recipe(piece)
        known = whitening.factors(piece.checkpoint, plan, MLP(), piece.calibration)
        for name, factors in known.items():
            rank = plan[name].rank_after
            cut = piece.cut(plan)
            made = cut[f"{name}.1.weight"] @ cut[f"{name}.0.weight"]
            assert made == pytest.approx(factors.truncated(rank), abs=1e-5)


def test_magnitude_keeps_the_largest_entries_of_all_layers(piece) -> None:
    outcome = piece.judge("magnitude", Magnitude(0.1)(piece))
    matrices = 40 * 784 + 24 * 40 + 10 * 24
    biases = 40 + 24 + 10
    assert outcome.size.parameters == round(0.1 * matrices) + biases
    assert outcome.size.bytes > 4 * outcome.size.parameters


def test_random_directions_are_drawn_and_lose_more(piece) -> None:
    drawn, first = RandomDirections(12), FixedRank(12)
    plan = Ruled(drawn)(piece)
    assert plan == Ruled(drawn)(piece) != Ruled(RandomDirections(12, seed=1))(piece)
    assert [len(cut.kept or ()) for cut in plan.cuts[:2]] == [12, 12]
    random, chosen = (piece.judge("", Ruled(rule)(piece)) for rule in (drawn, first))
    assert random.size == chosen.size
    assert random.accuracy < chosen.accuracy - 0.3


def test_without_inputs_there_are_no_cuts_by_data(piece) -> None:
    hidden = replace(piece, choice=Hiding(MLP()))
    families = {name: FAMILIES[name][:1] for name in ("rank", "whitened", "magnitude")}
    assert hidden.calibrated is None
    assert {x.family for x in frontier.outcomes(hidden, families)} == {"rank", "magnitude"}
    with pytest.raises(CannotRun):
        hidden.seen("0")


def test_a_report_is_on_samples_that_nothing_was_chosen_on(piece) -> None:
    test = MNIST()().split("test").first(300)
    found = piece.report(Whitened(0.9)(piece), test)
    assert (found.before.split, found.after.samples) == ("test", 300)
    expected = evaluation.compare(found.before, found.after, test.labels)
    assert found.paired == expected


def test_latencies_are_those_of_the_whole_and_the_cut_networks(piece, monkeypatch) -> None:
    ran = []
    monkeypatch.setattr(evaluation, "latencies", lambda *given: ran.append(given) or {})
    piece.latencies({"small": Whitened(0.8)(piece)}, 7)
    ((networks, images, batch),) = ran
    assert (images is piece.selection.images, batch) == (True, 7)
    assert networks["whole"] is piece.network
    assert networks["small"].macs < networks["whole"].macs


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20)), min_size=1, max_size=20))
def test_pareto_keeps_what_nothing_beats(drawn: list[tuple[int, int]]) -> None:
    found = [made(size, right) for size, right in drawn]
    best = frontier.pareto(found)
    for one in found:
        beaten = any(
            other.size.parameters <= one.size.parameters and other.accuracy >= one.accuracy
            for other in best
        )
        assert beaten
    sizes = [one.size.parameters for one in best]
    assert sizes == sorted(set(sizes))
    assert (np.diff([one.accuracy for one in best]) > 0).all()


def made(size: int, right: int) -> Outcome:
    plan = PruningPlan("x", "x", "x", ())
    return Outcome("x", plan, Size(size, size, size), 20, right / 20, 1.0, None)  # type: ignore[arg-type]
