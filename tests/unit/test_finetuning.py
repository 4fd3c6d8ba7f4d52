"""Tuning after a cut: it starts at the cut, keeps the form, and the best epoch is the answer."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from rmtviz import evaluation, finetuning, pruning
from rmtviz.analysis import analyze
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import MNIST
from rmtviz.errors import BadOption, CannotRun
from rmtviz.finetuning import Tuned, Tuning
from rmtviz.networks import CNN, MLP
from rmtviz.rules import FixedRank
from rmtviz.training import Training, train

TRAIN = MNIST()().split("train").first(4000)
SELECTION = MNIST()().split("selection").first(1000)


@pytest.fixture(scope="module")
def cut() -> Checkpoint:
    recipe = Training(widths=(40, 24), epochs=3, train_samples=4000, batch_size=64)
    whole = list(train(recipe))[-1].checkpoint
    return pruning.apply(whole, pruning.plan(analyze(whole), FixedRank(6)))


def test_it_reads_more_right_and_keeps_its_form(cut) -> None:
    records = list(finetuning.tune(Tuning(epochs=3), cut, MLP(), TRAIN, SELECTION))
    assert [record.epoch for record in records] == [0, 1, 2, 3]
    assert records[0].checkpoint is cut
    assert records[-1].accuracy > records[0].accuracy + 0.05
    for record in records:
        found = evaluation.evaluate(MLP()(record.checkpoint), SELECTION)
        assert (record.accuracy, record.loss, record.samples) == (found.accuracy, found.loss, 1000)
        shapes = [(n, t.shape, t.dtype) for n, t in record.checkpoint.tensors.items()]
        assert shapes == [(n, t.shape, t.dtype) for n, t in cut.tensors.items()]
        assert record.checkpoint.about == cut.about


def test_the_same_seed_gives_the_same_weights(cut) -> None:
    few = TRAIN.first(500)
    digests = [
        list(finetuning.tune(Tuning(epochs=1, seed=seed), cut, MLP(), few, SELECTION))[
            -1
        ].checkpoint.digest
        for seed in (1, 1, 2)
    ]
    assert digests[0] == digests[1] != digests[2]


def test_a_step_is_adams(cut) -> None:
    """One step on one batch: every weight moves by the rate against its gradient's sign."""
    few, rate = TRAIN.first(100), 1e-3
    recipe = Tuning(epochs=1, batch_size=100, learning_rate=rate)
    _, after = finetuning.tune(recipe, cut, MLP(), few, SELECTION)
    module = MLP()(cut).module()
    loss = nn.functional.cross_entropy(
        module(torch.tensor(few.images).float() / 255), torch.tensor(few.labels)
    )
    torch.autograd.backward(loss)
    gradient = module[0][0].weight.grad.numpy()
    moved = after.checkpoint["0.0.weight"] - cut["0.0.weight"]
    clear = np.abs(gradient) > 1e-5
    assert clear.sum() > 100
    assert moved[clear] == pytest.approx(-rate * np.sign(gradient[clear]), rel=0.05)


def test_with_a_teacher_the_goals_are_its_answers(cut) -> None:
    """A step against the gradient of heat² · KL of the softened answers, labels unseen."""
    few, rate, heat = TRAIN.first(100), 1e-3, 4.0
    teacher = MLP()(list(train(Training(widths=(20,), epochs=1, train_samples=500)))[-1].checkpoint)
    recipe = Tuning(epochs=1, batch_size=100, learning_rate=rate, temperature=heat)
    blind = replace(few, labels=np.zeros_like(few.labels))
    _, after = finetuning.tune(recipe, cut, MLP(), blind, SELECTION, teacher)
    module = MLP()(cut).module()
    answers = nn.functional.log_softmax(module(torch.tensor(few.images).float() / 255) / heat, 1)
    goals = nn.functional.softmax(torch.tensor(teacher.logits(few.images)) / heat, 1)
    torch.autograd.backward(nn.functional.kl_div(answers, goals, reduction="batchmean"))
    gradient = module[0][0].weight.grad.numpy()
    moved = after.checkpoint["0.0.weight"] - cut["0.0.weight"]
    clear = np.abs(gradient) > 1e-5
    assert clear.sum() > 100
    assert moved[clear] == pytest.approx(-rate * np.sign(gradient[clear]), rel=0.05)


def test_it_stops_when_nothing_gets_better(cut) -> None:
    recipe = Tuning(epochs=50, patience=2, learning_rate=1e-6)
    records = list(finetuning.tune(recipe, cut, MLP(), TRAIN.first(64), SELECTION))
    best = finetuning.chosen(records)
    assert len(records) == best.epoch + 3 < 50
    assert best.accuracy == max(record.accuracy for record in records)
    assert all(record.accuracy < best.accuracy for record in records[: best.epoch])


def test_of_equal_epochs_the_first_is_chosen(cut) -> None:
    accuracies = (0.5, 0.7, 0.6, 0.7)
    records = [Tuned(i, a, 1.0, 10, cut) for i, a in enumerate(accuracies)]
    for order in itertools.permutations(records):
        assert finetuning.chosen(order).epoch == 1


def test_a_convolutional_network_is_tuned_norms_apart(cut) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Flatten(), nn.Linear(8 * 196, 10),
    )  # fmt: skip
    whole = Checkpoint.of(net.state_dict())
    plan = pruning.plan(analyze(whole), FixedRank(5))
    pruned = pruning.apply(whole, plan)
    choice = CNN("same+stride/flatten")
    recipe = Tuning(epochs=2, learning_rate=5e-3)
    records = list(finetuning.tune(recipe, pruned, choice, TRAIN.first(1000), SELECTION))
    assert records[-1].accuracy > records[0].accuracy + 0.3
    before, after = pruned, records[-1].checkpoint
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"0.0.weight", "0.1.weight", "4.weight", "4.bias"}


def test_what_cannot_be_tuned_is_refused(cut) -> None:
    tuned = finetuning.tune(Tuning(), cut, lambda _: object(), TRAIN, SELECTION)
    with pytest.raises(CannotRun) as refusal:
        next(tuned)
    assert refusal.value.key == "not_tunable"
    fast = Tuning(epochs=30, learning_rate=1.0, patience=30)
    huge = Checkpoint.of({name: cut[name] * 1e19 for name in cut}).with_about(**cut.about)
    with pytest.raises(CannotRun):
        list(finetuning.tune(fast, huge, MLP(), TRAIN, SELECTION))
    with pytest.raises(BadOption):
        Tuning(epochs=0)
