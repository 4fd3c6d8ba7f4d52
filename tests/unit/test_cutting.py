"""Cuts in the middle of training: factors, the optimiser's memory, and the law of the rest."""

import numpy as np
import pytest
import torch

from rmtviz import analysis, layers, pruning
from rmtviz.checkpoint import Checkpoint
from rmtviz.factors import Factors
from rmtviz.fits import BEMA, Status, censored
from rmtviz.rules import BulkShare, FixedRank
from rmtviz.schedules import Once
from rmtviz.spectrum import Spectrum
from rmtviz.training import cutting, looking
from rmtviz.training.state import State, after_cut

RNG = np.random.default_rng(7)
W, V = RNG.standard_normal((30, 50)) / 7, RNG.standard_normal((10, 30)) / 5
NETWORK = Checkpoint.of({"0.weight": W, "0.bias": RNG.standard_normal(30), "2.weight": V})


def padded(values: np.ndarray, shape: tuple[int, int]) -> Spectrum:
    """The spectrum of which a cut has left these values."""
    return Spectrum(np.r_[values, np.zeros(min(shape) - len(values))], shape)


def at_rank(checkpoint: Checkpoint, rank: int) -> Checkpoint:
    """The network with its first layer cut to a rank, as two."""
    plan = pruning.plan(analysis.analyze(checkpoint), FixedRank(rank))
    return cutting.cut(checkpoint, plan)


def composite(checkpoint: Checkpoint) -> np.ndarray:
    return checkpoint["0.1.weight"] @ checkpoint["0.0.weight"]


def test_a_pair_is_decomposed_through_its_core() -> None:
    inner, outer = RNG.standard_normal((6, 50)), RNG.standard_normal((30, 6))
    small, whole = Factors.of_pair(inner, outer), Factors.of(outer @ inner)
    assert small.values == pytest.approx(whole.values[:6])
    assert np.allclose((small.left * small.values) @ small.right.T, outer @ inner)
    assert np.allclose(small.left.T @ small.left, np.eye(6))
    assert np.allclose(small.right.T @ small.right, np.eye(6))


@pytest.mark.parametrize("shape", [(40, 50), (50, 40)])
@pytest.mark.parametrize("count", [1, 7, 35])
def test_the_first_directions_are_found_without_the_others(shape, count: int) -> None:
    matrix = RNG.standard_normal(shape)
    some, every = Factors.of(matrix, count), Factors.of(matrix)
    assert some.values == pytest.approx(every.values[:count])
    assert some.left.shape[1] == some.right.shape[1] == count
    assert np.allclose(some.truncated(count), every.truncated(count))


def test_a_pair_is_cut_as_one_matrix_and_no_chain_grows() -> None:
    once = at_rank(NETWORK, 9)
    rng = np.random.default_rng(1)
    moved = {name: once[name] + rng.standard_normal(once[name].shape) / 9 for name in once}
    trained = Checkpoint.of(moved, metadata=once.metadata)
    twice = at_rank(trained, 4)
    assert set(twice) == set(once)
    assert twice["0.0.weight"].shape == (4, 50)
    best = Factors.of(composite(trained)).truncated(4)
    assert np.allclose(composite(twice), best)
    assert np.array_equal(twice["0.1.bias"], trained["0.1.bias"])


def slopes(checkpoint: Checkpoint, whole: torch.Tensor) -> dict[str, np.ndarray]:
    """The factors' gradients by autograd, where that of their product is `whole`."""
    inner, outer = (torch.tensor(checkpoint[f"0.{i}.weight"], requires_grad=True) for i in (0, 1))
    (outer @ inner).backward(whole)
    return {"0.0.weight": inner.grad.numpy(), "0.1.weight": outer.grad.numpy()}


@pytest.mark.parametrize("ranks", [(9,), (9, 4)])
def test_averaged_gradients_go_through_a_cut_as_gradients_do(ranks) -> None:
    gradient = np.random.default_rng(3).standard_normal(W.shape)
    network = NETWORK
    held = {"exp_avg.0.weight": gradient, "exp_avg.0.bias": np.ones(30), "exp_avg.2.weight": V}
    for rank in ranks:
        after = at_rank(network, rank)
        held = cutting.carried(held, network, after, ("exp_avg",))
        network = after
    for name, slope in slopes(network, torch.tensor(gradient)).items():
        assert np.allclose(held[f"exp_avg.{name}"], slope)
    assert np.array_equal(held["exp_avg.0.1.bias"], np.ones(30))
    assert np.array_equal(held["exp_avg.2.weight"], V)
    assert {name.removeprefix("exp_avg.") for name in held} == set(network)


def test_averaged_squares_go_as_those_of_independent_gradients() -> None:
    """Over many random gradients, the mean square of the factors' is the one carried over."""
    rng = np.random.default_rng(4)
    spread = rng.uniform(0.5, 2, W.shape)
    after = at_rank(NETWORK, 5)
    zeros = {f"exp_avg_sq.{name}": np.zeros(NETWORK[name].shape) for name in NETWORK}
    zeros["exp_avg_sq.0.weight"] = spread**2
    held = cutting.carried(zeros, NETWORK, after, ("exp_avg_sq",))
    draws = spread * rng.standard_normal((4_000, *W.shape))
    inner = after["0.1.weight"].T @ draws
    outer = draws @ after["0.0.weight"].T
    assert np.allclose((inner**2).mean(0), held["exp_avg_sq.0.0.weight"], rtol=0.15)
    assert np.allclose((outer**2).mean(0), held["exp_avg_sq.0.1.weight"], rtol=0.15)
    again = cutting.carried(held, after, at_rank(after, 3), ("exp_avg_sq",))
    assert all((array >= 0).all() for array in again.values())


def test_a_layer_that_is_only_overwritten_keeps_its_moments() -> None:
    seen = looking.look(NETWORK, 0)
    plan = Once(gate="none", form="dense").plan(seen.found, FixedRank(3), None)
    after = cutting.cut(NETWORK, plan)
    held = {f"exp_avg.{name}": RNG.standard_normal(NETWORK[name].shape) for name in NETWORK}
    assert np.linalg.matrix_rank(after["0.weight"]) == 3
    carried = cutting.carried(held, NETWORK, after, ("exp_avg",))
    assert all(np.array_equal(carried[name], held[name]) for name in held)


def test_a_restart_begins_anew_and_counts_from_the_cut() -> None:
    from rmtviz.training import Training

    moments = {f"momentum_buffer.{name}": np.ones(NETWORK[name].shape) for name in NETWORK}
    state = State(4, NETWORK, Checkpoint.of(moments))
    plan = pruning.plan(analysis.analyze(NETWORK), FixedRank(5))
    for moments, since in (("restart", 4), ("project", 0)):
        recipe = Training(optimiser="sgd", schedule=Once(moments=moments), widths=(30,))
        after = after_cut(state, recipe, plan)
        assert after.since == since
        total = sum(float(np.abs(after.moments[name]).sum()) for name in after.moments)
        assert (total == 0) is (moments == "restart")


@pytest.mark.parametrize("known", [300, 200, 120])
def test_what_a_cut_leaves_of_a_bulk_has_the_same_law(known: int) -> None:
    rng = np.random.default_rng(2)
    noise = rng.standard_normal((300, 500)) / 20
    noise[:, :5] += 2 * np.linalg.qr(rng.standard_normal((300, 5)))[0]
    whole = Spectrum.of(noise)
    left = padded(whole.values[:known], whole.shape)
    fit, full = censored.fit(left, known, BEMA()), BEMA()(whole)
    assert fit.spikes == full.spikes == 5
    assert fit.bulk.sigma == pytest.approx(full.bulk.sigma, rel=1e-12 if known == 300 else 0.01)
    assert fit.bulk.ks < 0.03


def test_where_too_little_is_left_there_is_no_bulk_to_judge() -> None:
    values = np.linspace(9, 8, 30)
    assert censored.fit(padded(values, (300, 500)), 30, BEMA()).status is (Status.DEGENERATE)
    small = padded(values[:5], (10, 500))
    assert censored.fit(small, 5, BEMA()).status is Status.TOO_SMALL
    zero = padded(np.zeros(200), (300, 500))
    assert censored.fit(zero, 200, BEMA()).status is Status.DEGENERATE


def test_a_share_is_kept_again_and_again_by_the_same_law() -> None:
    rng = np.random.default_rng(6)
    noise = rng.standard_normal((200, 300)) / 15
    checkpoint = Checkpoint.of({"0.weight": noise, "2.weight": rng.standard_normal((30, 200))})
    ranks = []
    for _ in range(3):
        seen = looking.look(checkpoint, 0)
        plan = Once(gate="none").plan(seen.found, BulkShare(0.45), None)
        checkpoint = cutting.cut(checkpoint, plan)
        ranks.append(checkpoint["0.0.weight"].shape[0])
    assert ranks[:2] == [90, 40]
    assert ranks[2] == 40  # of 200 values 40 are above the window that BEMA reads


def test_looks_read_only_what_has_moved() -> None:
    rng = np.random.default_rng(8)
    first = Checkpoint.of({f"{i}.weight": rng.standard_normal((40, 40)) for i in (0, 2)})
    seen = looking.look(first, 0)
    nudged = {"0.weight": first["0.weight"] * 1.0005, "2.weight": first["2.weight"] * 1.1}
    after = looking.look(Checkpoint.of(nudged), 1, seen)
    same, other = after.found.layers
    assert same.spectrum is seen.found.layers[0].spectrum
    assert other.spectrum.values == pytest.approx(1.1 * seen.found.layers[1].spectrum.values)
    grown = {"0.weight": first["0.weight"] * 1.0011, "2.weight": nudged["2.weight"]}
    last = looking.look(Checkpoint.of(grown), 2, after)
    assert last.found.layers[0].spectrum is not same.spectrum
    assert last.found.layers[1].spectrum is other.spectrum


def test_the_bulk_is_wholly_the_beginning_at_the_beginning_and_not_at_all_elsewhere() -> None:
    rng = np.random.default_rng(9)
    noise = rng.standard_normal((100, 150))
    lift = 60 * np.outer(np.ones(100) / 10, np.ones(150) / 150**0.5)
    first, other = Checkpoint.of({"w": noise}), Checkpoint.of({"w": noise[::-1]})
    grown = Checkpoint.of({"w": noise + lift})
    assert looking.start(first, first, looking.look(first, 0).found)["w"] == pytest.approx(1)
    assert abs(looking.start(other, first, looking.look(other, 0).found)["w"]) < 0.05
    found = looking.look(grown, 0).found
    assert found["w"].spikes == 1
    factors = Factors.of(grown["w"].astype(np.float64))
    bulk = grown["w"] - factors.truncated(1)
    exact = np.vdot(bulk, noise) / np.linalg.norm(bulk) / np.linalg.norm(noise)
    assert looking.start(grown, first, found)["w"] == pytest.approx(exact, abs=1e-6)


def test_the_layers_of_a_pair_carry_the_rank_that_is_stored() -> None:
    after = at_rank(NETWORK, 6)
    (pair, _) = looking.look(after, 0).found.layers
    assert pair.layer.factored
    assert pair.rank == 6
    assert np.count_nonzero(pair.spectrum.values) == 6
    assert layers.find(after)[0][0] == pair.layer
