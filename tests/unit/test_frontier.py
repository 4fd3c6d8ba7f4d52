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
from rmtviz.subject import Outcome, Subject
from rmtviz.training import Training, train


@pytest.fixture(scope="module")
def subject() -> Subject:
    recipe = Training(widths=(40, 24), epochs=3, train_samples=4000, batch_size=64)
    checkpoint = list(train(recipe))[-1].checkpoint
    found = Subject.of(checkpoint, MLP(), MNIST()())
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
def test_a_recipe_gives_a_plan_that_costs_and_reads_what_it_says(subject, family) -> None:
    recipe = FAMILIES[family][-1]
    plan = recipe(subject)
    assert PruningPlan.from_json(plan.to_json()) == plan
    (found,) = frontier.outcomes(subject, {family: (recipe,)})
    cut = subject.cut(plan)
    count = Size.sparse if plan.density < 1 else Size.of
    real = evaluation.evaluate(MLP()(cut), subject.selection)
    assert (found.family, found.plan, found.size) == (family, plan, count(cut))
    assert (found.accuracy, found.loss, found.samples) == (real.accuracy, real.loss, 600)
    assert found.paired.difference == pytest.approx(found.accuracy - subject.whole.accuracy)


def test_the_whole_network_is_an_outcome_that_costs_what_it_costs(subject) -> None:
    assert subject.whole.size == Size.of(subject.checkpoint)
    assert subject.whole.paired.difference == 0
    assert subject.cut(subject.whole.plan).digest == subject.checkpoint.digest


def test_outputs_carry_the_share_that_was_asked_for(subject) -> None:
    plan = Whitened(0.9)(subject)
    for cut in plan.cuts[:-1]:
        seen = subject.seen(cut.name)
        carried = subject.factors(cut.name, plan.calibration).carried(seen.second)
        assert carried[: cut.rank_after].sum() >= 0.9 > carried[: cut.rank_after - 1].sum()
    assert plan.cuts[-1].form == "whole"


def test_a_plan_by_data_is_applied_as_from_its_samples(subject) -> None:
    for recipe in (Whitened(0.9), Whitened(0.9, sequential=True), Whitened(0.9, affine=False)):
        plan = recipe(subject)
        known = whitening.factors(subject.checkpoint, plan, MLP(), subject.calibration)
        for name, factors in known.items():
            rank = plan[name].rank_after
            cut = subject.cut(plan)
            made = cut[f"{name}.1.weight"] @ cut[f"{name}.0.weight"]
            assert made == pytest.approx(factors.truncated(rank), abs=1e-5)


def test_magnitude_keeps_the_largest_entries_of_all_layers(subject) -> None:
    outcome = subject.judge("magnitude", Magnitude(0.1)(subject))
    matrices = 40 * 784 + 24 * 40 + 10 * 24
    biases = 40 + 24 + 10
    assert outcome.size.parameters == round(0.1 * matrices) + biases
    assert outcome.size.bytes > 4 * outcome.size.parameters


def test_random_directions_are_drawn_and_lose_more(subject) -> None:
    drawn, first = RandomDirections(12), FixedRank(12)
    plan = Ruled(drawn)(subject)
    assert plan == Ruled(drawn)(subject) != Ruled(RandomDirections(12, seed=1))(subject)
    assert [len(cut.kept or ()) for cut in plan.cuts[:2]] == [12, 12]
    random, chosen = (subject.judge("", Ruled(rule)(subject)) for rule in (drawn, first))
    assert random.size == chosen.size
    assert random.accuracy < chosen.accuracy - 0.3


def test_without_inputs_there_are_no_cuts_by_data(subject) -> None:
    hidden = replace(subject, choice=Hiding(MLP()))
    families = {name: FAMILIES[name][:1] for name in ("rank", "whitened", "magnitude")}
    assert hidden.calibrated is None
    assert {x.family for x in frontier.outcomes(hidden, families)} == {"rank", "magnitude"}
    with pytest.raises(CannotRun):
        hidden.seen("0")


def test_a_report_is_on_samples_that_nothing_was_chosen_on(subject) -> None:
    test = MNIST()().split("test").first(300)
    found = subject.report(Whitened(0.9)(subject), test)
    assert (found.before.split, found.after.samples) == ("test", 300)
    expected = evaluation.compare(found.before, found.after, test.labels)
    assert found.paired == expected


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
