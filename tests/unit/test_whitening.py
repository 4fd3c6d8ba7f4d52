"""Cuts by data: the optimum they claim, the inputs they see, the plans they make."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from rmtviz import evaluation, formats, layers, networks, pruning, whitening
from rmtviz.analysis import Analysis, analyze
from rmtviz.checkpoint import Checkpoint
from rmtviz.cuts import PruningPlan
from rmtviz.datasets import MNIST, Samples
from rmtviz.errors import CannotRun, PlanRefused
from rmtviz.factors import Calibration, Factors
from rmtviz.networks import CNN, MLP
from rmtviz.rules import FixedRank, Off
from rmtviz.site import home
from rmtviz.training import Training, train

HOW = Calibration("mnist", "train", 500)


@st.composite
def layers_with_inputs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """A matrix, and inputs (N, n) that may leave directions unseen and have any mean."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    m, n, seen = (draw(st.integers(1, 12)) for _ in range(3))
    inputs = rng.normal(size=(40, seen)) @ rng.normal(size=(seen, n))
    inputs[:, : draw(st.integers(0, n - 1))] = 0  # pixels that are always dark
    return rng.normal(size=(m, n)), inputs + draw(st.floats(-2, 2))


def moments_of(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return inputs.mean(axis=0), inputs.T @ inputs / len(inputs)


@given(layers_with_inputs(), st.data())
def test_outputs_move_no_more_than_by_plain_truncation(drawn, data) -> None:
    w, inputs = drawn
    rank = data.draw(st.integers(1, min(w.shape)))
    mean, second = moments_of(inputs)

    def moved(cut: np.ndarray, shift: np.ndarray | float = 0.0) -> float:
        return float(((inputs @ (w - cut).T - shift) ** 2).sum(axis=1).mean())

    linear, affine = Factors.seen(w, second), Factors.seen(w, second, mean)
    plain = moved(Factors.of(w).truncated(rank))
    size = moved(np.zeros_like(w))
    by_outputs = moved(linear.truncated(rank))
    by_maps = moved(affine.truncated(rank), affine.shift(rank))
    assert by_outputs <= plain + 1e-7 * size
    assert by_maps <= by_outputs + 1e-7 * size
    values = np.linalg.eigvalsh(w @ second @ w.T)[::-1]
    assert by_outputs == pytest.approx(values[rank:].clip(0).sum(), abs=1e-7 * size)
    assert linear.carried(second).sum() == pytest.approx(1)
    if size:
        shares = linear.carried(second)[:rank].sum()
        assert shares == pytest.approx(1 - by_outputs / size, abs=1e-7)


@given(layers_with_inputs())
def test_all_directions_are_the_matrix(drawn) -> None:
    w, inputs = drawn
    mean, second = moments_of(inputs)
    found, full = Factors.seen(w, second, mean), min(w.shape)
    assert found.truncated(full) == pytest.approx(w, abs=1e-12 * np.abs(w).max())
    first, last = found.pair(full)
    assert last @ first == pytest.approx(found.truncated(full), abs=1e-12)
    assert found.shift(full) == pytest.approx(0)


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_it_is_the_cholesky_form_where_there_is_one(seed: int, rank: int) -> None:
    rng = np.random.default_rng(seed)
    w, inputs = rng.normal(size=(7, 9)), rng.normal(size=(60, 9)) @ rng.normal(size=(9, 9))
    second = inputs.T @ inputs / 60
    half = np.linalg.cholesky(second)
    left, values, right = np.linalg.svd(w @ half, full_matrices=False)
    expected = (left[:, :rank] * values[:rank]) @ right[:rank] @ np.linalg.inv(half)
    cut = Factors.seen(w, second).truncated(rank)
    scale = np.sqrt(np.trace(second))
    assert (cut - expected) @ half == pytest.approx(0, abs=1e-4 * scale)


@pytest.fixture(scope="module")
def trained() -> Checkpoint:
    recipe = Training(widths=(40, 24), epochs=2, train_samples=3000, batch_size=64)
    return list(train(recipe))[-1].checkpoint


@pytest.fixture(scope="module")
def analysis(trained: Checkpoint) -> Analysis:
    return analyze(trained)


@pytest.fixture(scope="module")
def samples() -> Samples:
    return MNIST()().split("train").first(500)


def by_data(analysis: Analysis, ranks: dict[str, int], **how: bool) -> PruningPlan:
    plan = pruning.plan(analysis, Off(), ranks)
    return replace(plan, calibration=replace(HOW, **how))


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("sequential", [True, False])
def test_a_plan_survives_json_and_gives_the_same_network(
    trained, analysis, samples, sequential, affine
) -> None:
    plan = by_data(analysis, {"0": 8, "2": 5}, sequential=sequential, affine=affine)
    again = PruningPlan.from_json(plan.to_json())
    assert again == plan
    first, second = (
        pruning.apply(trained, each, whitening.factors(trained, each, MLP(), samples))
        for each in (plan, again)
    )
    assert first.digest == second.digest
    for cut in plan.cuts[:2]:
        assert first.tensors[f"{cut.name}.0.weight"].shape[0] == cut.rank_after
    read, plain = (
        evaluation.evaluate(MLP()(each), MNIST()().split("selection")).accuracy
        for each in (first, pruning.apply(trained, replace(plan, calibration=None)))
    )
    assert read > plain + 0.05


def test_without_its_samples_a_plan_is_refused(trained, analysis, samples) -> None:
    plan = by_data(analysis, {"0": 8})
    plain = {"0": pruning.factors(trained, analysis["0"].layer)}
    other = MNIST()().split("selection")
    for call in (
        lambda: pruning.apply(trained, plan),
        lambda: pruning.apply(trained, plan, plain),
        lambda: whitening.factors(trained, plan, MLP(), samples.first(499)),
        lambda: whitening.factors(trained, plan, MLP(), other),
    ):
        with pytest.raises(PlanRefused) as refusal:
            call()
        assert refusal.value.key == "plan_calibration"


@pytest.mark.parametrize(
    "change",
    [{"density": 0}, {"density": "x"}, {"density": 2}, {"calibration": {"dataset": "mnist"}}],
)
def test_a_broken_record_is_no_plan(analysis, change) -> None:
    record = json.loads(by_data(analysis, {"0": 8}).to_json()) | change
    with pytest.raises(PlanRefused):
        PruningPlan.from_json(json.dumps(record))


def test_older_plans_have_no_calibration(analysis) -> None:
    record = json.loads(pruning.plan(analysis, FixedRank(8)).to_json())
    old = {key: record[key] for key in ("digest", "rule", "method", "cuts")}
    assert PruningPlan.from_json(json.dumps(old)) == pruning.plan(analysis, FixedRank(8))


def test_keeping_all_changes_nothing(trained, analysis, samples) -> None:
    plan = by_data(analysis, {x.name: x.spectrum.p for x in analysis})
    known = whitening.factors(trained, plan, MLP(), samples)
    assert pruning.apply(trained, plan, known).digest == trained.digest


def test_in_sequence_a_layer_sees_the_outputs_of_the_cut_ones(trained, analysis, samples) -> None:
    plan = by_data(analysis, {"0": 8, "2": 5}, sequential=True)
    known = whitening.factors(trained, plan, MLP(), samples)
    front = pruning.apply(trained, replace(plan, cuts=plan.cuts[:1]), known)
    seen = whitening.moments(MLP()(front), samples, 1)
    expected = whitening.turned(trained, analysis["2"].layer, seen, plan.calibration)
    assert known["2"].truncated(5) == pytest.approx(expected.truncated(5), abs=1e-9)
    inputs = MLP()(front).hidden(samples.images, 1).astype(float)
    assert seen.mean == pytest.approx(inputs.mean(axis=0))
    assert seen.second == pytest.approx(inputs.T @ inputs / 500)


LAYOUT = "same+max,valid+stride/flatten"


def test_windows_of_convolutions_are_in_the_order_of_their_matrix() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 10),
    )  # fmt: skip
    whole, few = Checkpoint.of(net.state_dict()), MNIST()().split("test").first(7)
    network = CNN(LAYOUT)(whole)
    pictures = torch.tensor(few.images).float().div(255).view(-1, 1, 28, 28)
    for index, stages in ((0, 1), (1, 4), (2, 7)):
        layer = network.layers[index]
        (given,) = network.given(few.images, index)
        bias = whole[layers.bias(whole, layer)]
        found = given @ layer.matrix(whole).T + bias
        with torch.inference_mode():
            made = net[:stages](pictures)
        places = made.flatten(2).transpose(1, 2).flatten(0, 1) if made.ndim == 4 else made
        assert found == pytest.approx(places.numpy(), abs=1e-5)


def test_a_convolution_is_cut_by_its_outputs(samples) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 12, 5, padding=2), nn.ReLU(), nn.Flatten())
    net.append(nn.Linear(12 * 784, 10))
    whole = Checkpoint.of(net.state_dict())
    choice, few = CNN("same+keep/flatten"), samples.first(50)
    plan = pruning.plan(analyze(whole), Off(), {"0": 4})
    moved = []
    for how in (None, replace(HOW, samples=50)):
        own = replace(plan, calibration=how)
        known = whitening.factors(whole, own, choice, few) if how else None
        cut = choice(pruning.apply(whole, own, known))
        moved.append(evaluation.output_error(choice(whole), cut, few.images))
    assert moved[1] < moved[0]


def test_a_transformer_shows_what_its_layers_are_given() -> None:
    checkpoint = formats.read(home() / "assets" / "models" / "language.safetensors")
    choice, data, _ = networks.match(checkpoint)
    network, few = choice(checkpoint), data.split("selection").first(3)
    for index, layer in enumerate(network.layers):
        (given,) = network.given(few.images, index)
        assert given.shape == (few.images.size, layer.shape[1])
    assert given @ layer.matrix(checkpoint).T == pytest.approx(network.logits(few.images), abs=1e-3)


def test_a_network_that_hides_its_inputs_is_refused(samples) -> None:
    with pytest.raises(CannotRun) as refusal:
        whitening.moments(object(), samples, 0)  # type: ignore[arg-type]
    assert refusal.value.key == "inputs_hidden"
