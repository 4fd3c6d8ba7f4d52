"""A look at the test images: before and after, and controls that are what they say."""

import dataclasses

import ml_dtypes
import numpy as np
import pytest

from rmtviz import evaluation, layers, pruning, trial
from rmtviz.analysis import analyze
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import MNIST, Samples
from rmtviz.errors import PlanRefused
from rmtviz.networks import MLP
from rmtviz.pruning import PruningPlan
from rmtviz.rules import RULES, FixedRank, Off
from rmtviz.training import Training, train
from rmtviz.trial import CONTROLS

every = pytest.mark.parametrize("control", CONTROLS)
CUT, WHOLE = ("0", "2"), "4"


def network(dtype: type = np.float64) -> Checkpoint:
    """Three spikes stand out of noise, and two values below it, in all layers but the last."""
    rng = np.random.default_rng(5)
    arrays = {}
    for name, m, n in (("0", 30, 60), ("2", 25, 30), ("4", 10, 25)):
        left, values, right = np.linalg.svd(rng.normal(size=(m, n)), full_matrices=False)
        values[:3], values[-2:] = (30, 25, 20), 0.01
        arrays[f"{name}.weight"] = (left * values @ right).astype(dtype)
        arrays[f"{name}.bias"] = rng.normal(size=m).astype(dtype)
    return Checkpoint.of(arrays)


def planned(checkpoint: Checkpoint, rank: int = 4) -> PruningPlan:
    return pruning.plan(analyze(checkpoint), FixedRank(rank))


def pairs() -> Checkpoint:
    """The same network, cut before: two of its layers are stored as pairs."""
    pruned = pruning.apply(network(), planned(network(), 8))
    assert [layer.kind for layer in layers.find(pruned)[0]] == ["factored", "factored", "linear"]
    return pruned


def matrix(checkpoint: Checkpoint, name: str) -> np.ndarray:
    (layer,) = (layer for layer in layers.find(checkpoint)[0] if layer.name == name)
    return layer.matrix(checkpoint)


@pytest.fixture(params=[network, pairs], ids=["dense", "pairs"])
def original(request: pytest.FixtureRequest) -> Checkpoint:
    return request.param()


@pytest.mark.parametrize("name", CUT)
def test_learnt_and_bulk_add_up_to_the_original(original: Checkpoint, name: str) -> None:
    plan = planned(original)
    made = trial.controls(original, plan)
    learnt, bulk = matrix(made["learnt"], name), matrix(made["bulk"], name)
    assert learnt + bulk == pytest.approx(matrix(original, name), abs=1e-12)
    assert learnt == pytest.approx(matrix(pruning.apply(original, plan), name), abs=1e-12)
    assert np.sum(learnt * bulk) == pytest.approx(0, abs=1e-9)  # no direction is in both
    assert np.linalg.matrix_rank(learnt) == 4


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", CUT)
def test_by_every_rule_bulk_is_all_that_is_not_kept(rule: str, name: str) -> None:
    original = network()
    plan = pruning.plan(analyze(original), RULES[rule]())
    made = trial.controls(original, plan)
    whole, learnt = matrix(original, name), matrix(made["learnt"], name)
    assert learnt == pytest.approx(matrix(pruning.apply(original, plan), name), abs=1e-12)
    if plan[name].form == "whole":
        assert {each.digest for each in made.values()} == {original.digest}
        return
    inverse = np.linalg.pinv(learnt, rcond=1e-9)
    rows, columns = learnt @ inverse, inverse @ learnt  # projections onto what is kept
    assert np.trace(rows) == pytest.approx(plan[name].rank_after)
    bulk = matrix(made["bulk"], name)
    assert bulk == pytest.approx(whole - rows @ whole @ columns, abs=1e-9)
    noise = matrix(made["fresh"], name) - learnt
    assert np.linalg.norm(noise) == pytest.approx(np.linalg.norm(bulk))


@pytest.mark.parametrize("name", CUT)
def test_a_fresh_bulk_is_as_large_and_another(original: Checkpoint, name: str) -> None:
    made = trial.controls(original, planned(original))
    bulk, fresh = (matrix(made[control], name) for control in ("bulk", "fresh"))
    noise = fresh - matrix(made["learnt"], name)
    assert np.linalg.norm(noise) == pytest.approx(np.linalg.norm(bulk))
    assert abs(np.sum(noise * bulk)) < 4 / np.sqrt(bulk.size) * np.linalg.norm(bulk) ** 2
    middle = np.mean(np.abs(noise) < noise.std())
    assert middle == pytest.approx(0.683, abs=4 * np.sqrt(0.683 * 0.317 / noise.size))  # Gaussian


@every
def test_a_control_can_be_made_again(original: Checkpoint, control: str) -> None:
    plan = planned(original)
    found = {layer.name: layer for layer in layers.find(original)[0]}
    known = {name: pruning.factors(original, found[name]) for name in CUT}
    one = trial.controls(original, plan)[control].digest
    assert trial.controls(original, plan)[control].digest == one
    assert trial.controls(original, plan, known)[control].digest == one
    other = trial.controls(original, plan, seed=1)[control].digest
    assert (other != one) == (control == "fresh")


@every
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_a_control_changes_nothing_but_the_cut_weights(control: str, dtype: type) -> None:
    original = network(dtype)
    made = trial.controls(original, planned(original))[control]
    assert set(made) == set(original)
    for name in original:
        assert (made[name].shape, made[name].dtype) == (original[name].shape, original[name].dtype)
        changed = not np.array_equal(made[name], original[name])
        assert changed == (name in {f"{layer}.weight" for layer in CUT})


@every
def test_what_is_left_whole_is_left_alone(original: Checkpoint, control: str) -> None:
    nothing = pruning.plan(analyze(original), Off())
    assert trial.controls(original, nothing)[control].digest == original.digest
    made = trial.controls(original, planned(original))[control]
    assert np.array_equal(matrix(made, WHOLE), matrix(original, WHOLE))
    for name in (*CUT, WHOLE):
        (before,), (after,) = (
            [each[layers.bias(each, layer)] for layer in layers.find(each)[0] if layer.name == name]
            for each in (original, made)
        )
        assert np.array_equal(before, after)


@pytest.fixture(scope="module")
def trained() -> Checkpoint:
    recipe = Training(widths=(40, 24), epochs=3, train_samples=4000, batch_size=64)
    return list(train(recipe))[-1].checkpoint


@pytest.fixture(scope="module")
def samples() -> Samples:
    return MNIST()().split("test").first(1000)


@pytest.fixture(scope="module")
def plan(trained: Checkpoint) -> PruningPlan:
    return planned(trained, 10)


@pytest.fixture(scope="module")
def found(trained, plan, samples) -> trial.Trial:
    return trial.run(trained, plan, MLP(), samples)


def test_before_and_after_are_plain_evaluations(trained, plan, samples, found) -> None:
    pruned = pruning.apply(trained, plan)
    for each, checkpoint in ((found.before, trained), (found.after, pruned)):
        expected = evaluation.evaluate(MLP()(checkpoint), samples)
        assert (each.accuracy, each.loss) == (expected.accuracy, expected.loss)
    assert found.paired == evaluation.compare(found.before, found.after, samples.labels)
    assert found.before.accuracy > 0.8


def test_the_learnt_part_carries_the_network_and_the_bulk_does_not(found) -> None:
    assert tuple(found.controls) == CONTROLS
    accuracy = {name: each.accuracy for name, each in found.controls.items()}
    assert accuracy["learnt"] == pytest.approx(found.after.accuracy, abs=1.01 / 1000)
    assert accuracy["learnt"] > found.before.accuracy - 0.1
    assert accuracy["bulk"] < 0.4
    assert accuracy["fresh"] > accuracy["bulk"] + 0.3


def test_a_pruned_network_is_judged_like_any_other(trained, plan, samples) -> None:
    pruned = pruning.apply(trained, plan)
    again = trial.run(pruned, planned(pruned, 6), MLP(), samples)
    assert again.controls["learnt"].accuracy == pytest.approx(again.after.accuracy, abs=1.01e-3)
    assert again.controls["bulk"].accuracy < again.before.accuracy - 0.3


def test_latencies_are_medians_between_their_percentiles(found) -> None:
    assert set(found.latency) == {"before", "after"}
    for each in found.latency.values():
        assert 0 < each.low <= each.median <= each.high


def test_a_plan_of_another_network_is_refused(trained, plan, samples) -> None:
    with pytest.raises(PlanRefused):
        trial.run(trained, dataclasses.replace(plan, digest="0" * 64), MLP(), samples)
