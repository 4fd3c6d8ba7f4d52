"""The curve is what really pruned networks read, and `needed` is what it says."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmtviz import evaluation, pruning, tradeoff
from rmtviz.analysis import Analysis, analyze
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import MNIST, Samples
from rmtviz.evaluation import Evaluation, Paired, paired_interval
from rmtviz.networks import MLP, Network
from rmtviz.pruning import FORMS
from rmtviz.rules import FixedRank, Off
from rmtviz.tradeoff import Curve, Point
from rmtviz.training import Training, train

WIDTHS = (40, 24)
LAYERS = range(len(WIDTHS) + 1)
each_layer = pytest.mark.parametrize("index", LAYERS)


@pytest.fixture(scope="module")
def trained() -> Checkpoint:
    recipe = Training(widths=WIDTHS, epochs=3, train_samples=4000, batch_size=64)
    return list(train(recipe))[-1].checkpoint


@pytest.fixture(scope="module")
def analysis(trained: Checkpoint) -> Analysis:
    return analyze(trained)


@pytest.fixture(scope="module")
def samples() -> Samples:
    return MNIST()().split("selection").first(1000)


@pytest.fixture(scope="module")
def whole(trained: Checkpoint, samples: Samples) -> Evaluation:
    return evaluation.evaluate(MLP()(trained), samples)


@pytest.fixture(scope="module")
def curves(trained: Checkpoint, samples: Samples) -> list[Curve]:
    return [curve_of(trained, index, samples) for index in LAYERS]


@pytest.fixture(scope="module")
def real(trained, analysis, samples, whole) -> Callable[..., tuple[float, Paired]]:
    """What a network reads whose layer was really cut to a rank, and how it differs."""

    def read(index: int, rank: int, form: str = "auto") -> tuple[float, Paired]:
        name = analysis.layers[index].name
        plan = pruning.plan(analysis, Off(), {name: rank}, form=form)
        found = evaluation.evaluate(MLP()(pruning.apply(trained, plan)), samples)
        return found.accuracy, evaluation.compare(whole, found, samples.labels)

    return read


def curve_of(checkpoint: Checkpoint, index: int, samples: Samples) -> Curve:
    network = MLP()(checkpoint)
    factors = pruning.factors(checkpoint, network.layers[index])
    return tradeoff.curve(network, index, factors, samples)


@pytest.mark.parametrize("form", FORMS)
@each_layer
def test_each_point_is_what_a_really_pruned_network_reads(curves, real, index, form) -> None:
    curve, answer = curves[index], 1 / 1000  # one answer may fall on the other side by rounding
    assert len(curve.ranks) >= min(10, curve.ranks[-1])
    for rank, accuracy, low, high in zip(
        curve.ranks, curve.accuracy, curve.low, curve.high, strict=True
    ):
        expected, paired = real(index, rank, form)
        assert accuracy == pytest.approx(expected, abs=1.01 * answer)
        assert low == pytest.approx(paired.low, abs=2 * answer)
        assert high == pytest.approx(paired.high, abs=2 * answer)


@each_layer
def test_at_full_rank_it_is_the_original(curves, whole, analysis, index) -> None:
    curve = curves[index]
    assert curve.layer == analysis.layers[index].name
    assert curve.ranks[-1] == analysis.layers[index].spectrum.p
    assert curve.accuracy[-1] == whole.accuracy
    assert (curve.low[-1], curve.high[-1]) == paired_interval(0, 0, 1000)
    assert (curve.split, curve.samples) == ("selection", 1000)


@each_layer
def test_loss_and_outputs_are_those_of_a_really_pruned_network(
    curves, trained, analysis, samples, whole, index
) -> None:
    before = MLP()(trained)
    for point in curves[index].points[::5]:
        plan = pruning.plan(analysis, Off(), {curves[index].layer: point.rank})
        after = MLP()(pruning.apply(trained, plan))
        change = loss_of(after, samples) - loss_of(before, samples)
        assert point.loss == pytest.approx(evaluation.evaluate(after, samples).loss, rel=1e-4)
        assert point.spread == pytest.approx(change.std(ddof=1) / 1000**0.5, rel=1e-3, abs=1e-6)
        error = evaluation.output_error(before, after, samples.images)
        assert point.error == pytest.approx(error, rel=1e-3, abs=1e-5)
    assert (curves[index].points[-1].error, curves[index].points[-1].spread) == (0, 0)


def loss_of(network: Network, samples: Samples) -> np.ndarray:
    logits = network.logits(samples.images).astype(float)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return -np.log(shares[np.arange(len(samples)), samples.labels])


def test_curves_of_all_layers_are_streamed_as_they_grow(trained, samples, curves) -> None:
    network = MLP()(trained)
    few = samples.first(200)
    grown = list(
        tradeoff.curves(network, lambda i: pruning.factors(trained, network.layers[i]), few)
    )
    for layer in network.layers:
        own = [curve for curve in grown if curve.layer == layer.name]
        assert [len(curve.points) for curve in own] == list(range(1, len(own) + 1))
        assert own[0].ranks == own[-1].ranks[-1:]
    assert [curve.layer for curve in grown] == sorted(curve.layer for curve in grown)
    assert len({curve.layer for curve in grown}) == len(LAYERS)


@each_layer
def test_needed_is_a_rank_without_a_loss_right_after_one_with_a_loss(curves, real, index) -> None:
    curve = curves[index]
    assert 1 < curve.needed < curve.ranks[-1]
    assert real(index, curve.needed)[1].high >= 0
    assert real(index, curve.needed - 1)[1].high < 0
    shown = [rank for rank, high in zip(curve.ranks, curve.high, strict=True) if high < 0]
    assert max(shown) == curve.needed - 1


@st.composite
def losses(draw: st.DrawFn) -> tuple[int, set[int]]:
    """A full rank, and the ranks that show a loss; the full one never does."""
    full = draw(st.integers(1, 200))
    edge = draw(st.integers(0, full - 1))
    flips = draw(st.sets(st.integers(1, full - 1))) if full > 1 else set()
    return full, set(range(1, edge + 1)) ^ flips


def point(rank: int, high: float = 0.0, accuracy: float = 0.5) -> Point:
    return Point(rank, accuracy, -1.0, high, 1.0, 0.0, 0.0)


def finished(measure: Callable[[int], Point], full: int) -> tuple[Point, ...]:
    points = {rank: measure(rank) for rank in tradeoff.grid(full)}
    while (rank := tradeoff.following(ascending(points))) is not None:
        assert rank not in points
        points[rank] = measure(rank)
    return ascending(points)


def ascending(points: dict[int, Point]) -> tuple[Point, ...]:
    return tuple(points[rank] for rank in sorted(points))


@given(losses())
def test_no_measured_rank_from_needed_on_shows_a_loss(drawn: tuple[int, set[int]]) -> None:
    full, lossy = drawn
    points = finished(lambda rank: point(rank, -1.0 if rank in lossy else 1.0), full)
    found, measured = Curve("fc", "test", 10, points), {each.rank for each in points}
    assert found.needed == 1 or found.needed - 1 in measured & lossy
    assert not {rank for rank in measured & lossy if rank >= found.needed}
    assert min(full, tradeoff.RANKS) <= len(measured)
    if lossy == set(range(1, len(lossy) + 1)):  # a loss below one rank, none above
        assert found.needed == len(lossy) + 1
        assert len(measured) <= max(tradeoff.RANKS, tradeoff.GRID + full.bit_length())


def test_ranks_are_added_where_the_accuracy_bends() -> None:
    def knee(rank: int) -> Point:
        return point(rank, accuracy=min(0.9, 0.3 + 0.6 * np.log(rank) / np.log(100)))

    found = [each.rank for each in finished(knee, 1000)]
    place = np.searchsorted(found, 100)
    assert found[place] / found[place - 1] < 1.05
    assert len(found) == tradeoff.RANKS


@given(st.integers(1, 5000))
def test_grid_runs_from_one_to_the_full_rank(full: int) -> None:
    ranks = tradeoff.grid(full)
    assert (ranks[0], ranks[-1]) == (1, full)
    assert len(ranks) <= tradeoff.GRID
    steps = np.diff(ranks)
    assert (steps >= 1).all()
    assert full < 14 or (steps[0] == 1 and steps[-1] == steps.max())


def test_between_two_points_it_is_the_line_between_them() -> None:
    points = [point(rank, accuracy=y) for rank, y in ((1, 0.2), (3, 0.6), (7, 0.9))]
    curve = Curve("fc", "test", 10, tuple(points))
    assert [curve.at(rank) for rank in (1, 2, 3, 4, 7)] == pytest.approx(
        [0.2, 0.4, 0.6, 0.675, 0.9]
    )


def test_a_pair_is_measured_up_to_its_stored_rank(trained, analysis, samples, whole) -> None:
    plan = pruning.plan(analysis, FixedRank(9))
    pruned = pruning.apply(trained, plan)
    curve = curve_of(pruned, 0, samples)
    assert MLP()(pruned).layers[0].kind == "factored"
    assert curve.ranks[-1] == 9
    assert curve.accuracy[-1] == evaluation.evaluate(MLP()(pruned), samples).accuracy
    assert curve.accuracy[0] < curve.accuracy[-1]


def test_a_layer_of_zeros_needs_one_direction(trained, samples) -> None:
    arrays = {name: trained[name] for name in trained}
    arrays["2.weight"] = np.zeros_like(arrays["2.weight"])
    curve = curve_of(Checkpoint.of(arrays), 1, samples)
    assert (curve.ranks, curve.needed) == ((1,), 1)
