"""The budget search: what is wanted, in words and in order, and against trying everything."""

import itertools
from dataclasses import replace

import pytest

from rmtviz import budget, frontier
from rmtviz.budget import Budget
from rmtviz.datasets import MNIST
from rmtviz.errors import BadOption
from rmtviz.networks import MLP
from rmtviz.tradeoff import Curve
from rmtviz.training import Training, train
from rmtviz.workpiece import Outcome, Workpiece


@pytest.fixture(scope="module")
def piece() -> Workpiece:
    recipe = Training(widths=(14, 10), epochs=4, train_samples=8000, batch_size=64)
    checkpoint = list(train(recipe))[-1].checkpoint
    found = Workpiece.of(checkpoint, MLP(), MNIST()())
    return replace(
        found, calibration=found.calibration.first(1000), selection=found.selection.first(2000)
    )


@pytest.fixture(scope="module")
def finished(piece: Workpiece) -> list[Curve]:
    return list({curve.layer: curve for curve in budget.curves(piece)}.values())


@pytest.fixture(scope="module")
def everything(piece: Workpiece, finished: list[Curve]) -> list[Outcome]:
    """Every choice of ranks that may save something."""
    space = budget._Space.of(piece, Budget(), finished)
    ranks = itertools.product(*(range(1, top + 2) for top in space.tops))
    return [space.run(each) for each in ranks]


@pytest.mark.parametrize("lose", [0.01, 0.02, 0.05, 0.2])
def test_the_smallest_is_within_a_tenth_of_trying_everything(
    piece, finished, everything, lose
) -> None:
    wanted = Budget(lose=lose)
    tried = list(budget.search(piece, wanted, finished))
    found, best = (wanted.chosen(each, piece.whole) for each in (tried, everything))
    assert found.size.parameters <= 1.1 * best.size.parameters
    assert best.size.parameters < 0.9 * piece.whole.size.parameters
    assert len(tried) < len(everything) / 4
    assert found.paired.low >= -lose


@pytest.mark.parametrize("share", [0.4, 0.7])
@pytest.mark.parametrize("cost", ["parameters", "bytes", "macs"])
def test_the_most_accurate_is_near_that_of_trying_everything(
    piece, finished, everything, cost, share
) -> None:
    wanted = Budget(cost, most=share * getattr(piece.whole.size, cost))
    tried = list(budget.search(piece, wanted, finished))
    found, best = (wanted.chosen(each, piece.whole) for each in (tried, everything))
    assert getattr(found.size, cost) <= wanted.most
    assert found.accuracy >= best.accuracy - 0.005


def test_guessed_costs_are_real_ones(piece, finished) -> None:
    for cost in ("parameters", "bytes", "macs"):
        space = budget._Space.of(piece, Budget(cost), finished)
        for ranks in ((3, 2, 2), (5, 4, 11), space.tops):
            saved = space.total(space.whole) - space.total(ranks)
            real = getattr(space.run(ranks).size, cost)
            assert getattr(piece.whole.size, cost) - saved == real


def test_no_plan_of_the_path_is_beaten_in_guessed_loss_and_cost(piece, finished) -> None:
    space = budget._Space.of(piece, Budget(), finished)
    path = list(space.path())
    every = list(itertools.product(*(space._grid(i) for i in range(len(space.layers)))))
    assert len(path) > 5
    for ranks in path:
        cost, loss = space.total(ranks), space.lost(ranks)
        assert not any(
            space.total(other) < cost and space.lost(other) < loss - 1e-9 for other in every
        )


def test_steps_stay_in_range() -> None:
    for rank, step, whole in itertools.product(range(1, 30), budget.STEPS, (30, 31)):
        assert budget._lower(rank, step) == 1 or budget._lower(rank, step) < rank
        assert rank < budget._higher(rank, step, whole) <= whole


def test_the_whole_network_is_within_any_loss(piece) -> None:
    few = replace(piece, selection=piece.selection.first(20))
    assert few.whole.paired.low < -0.01
    assert Budget(lose=0.01).met(few.whole, few.whole)


def test_a_cost_out_of_reach_is_refused(piece) -> None:
    wanted = Budget("bytes", most=10.0)
    with pytest.raises(BadOption) as refusal:
        wanted.chosen([piece.whole], piece.whole)
    assert refusal.value.key == "budget_reach"


@pytest.mark.parametrize(
    ("kind", "words", "expected"),
    [
        ("lose", "0.5pt", Budget(lose=0.005)),
        ("lose", "1", Budget(lose=0.01)),
        ("lose", ".25 pt", Budget(lose=0.0025)),
        ("bytes", "1MB", Budget("bytes", most=1e6)),
        ("bytes", "20kB", Budget("bytes", most=2e4)),
        ("macs", "3M", Budget("macs", most=3e6)),
        ("parameters", "500", Budget("parameters", most=500.0)),
    ],
)
def test_amounts_in_words(piece, kind, words, expected) -> None:
    assert budget.parse(kind, words, piece.whole) == expected


def test_shares_are_those_of_the_whole_network(piece) -> None:
    found = budget.parse("macs", "50%", piece.whole)
    assert found == Budget("macs", most=piece.whole.size.macs / 2)


@pytest.mark.parametrize(
    ("kind", "words"),
    [("lose", "5MB"), ("lose", "-1pt"), ("lose", "101"), ("bytes", "1pt"), ("macs", "half"),
     ("bytes", ""), ("bytes", "MB"), ("lose", "nan")],
)  # fmt: skip
def test_other_words_are_refused(piece, kind, words) -> None:
    with pytest.raises(BadOption) as refusal:
        budget.parse(kind, words, piece.whole)
    assert refusal.value.key == "budget_words"


def test_the_answer_is_on_the_frontier_of_what_was_tried(piece, finished) -> None:
    wanted = Budget()
    tried = list(budget.search(piece, wanted, finished))
    best = wanted.chosen(tried, piece.whole)
    assert best is max(tried, key=lambda one: (one.accuracy, -one.size.parameters))
    assert best in frontier.pareto(tried)
