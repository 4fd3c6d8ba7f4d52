"""Accuracy and loss are what they are called, and the interval covers as often as it says."""

import math

import numpy as np
import pytest

from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import MNIST, Samples
from rmtviz.errors import CannotRun, DataRefused
from rmtviz.evaluation import compare, evaluate, latencies, latency, paired_interval
from rmtviz.networks import MLP


def samples(labels, scores):
    """Return samples whose images are the scores, so that an identity matrix reads them."""
    images = np.array(scores, dtype=np.uint8)
    return Samples("test", images, np.array(labels, dtype=np.int64), "made", images.shape[1])


def reader(matrix):
    return MLP(inputs="raw")(Checkpoint.of({"0.weight": np.array(matrix, dtype=np.float32)}))


def test_accuracy_loss_and_predictions_are_those_of_the_definition():
    some = samples([0, 1, 2, 2], [[3, 1, 0], [2, 4, 1], [5, 0, 1], [1, 0, 1]])
    found = evaluate(reader(np.eye(3)), some)
    logits = some.images.astype(float)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert found.loss == pytest.approx(-np.log(shares[range(4), some.labels]).mean(), rel=1e-12)
    assert found.predictions.tolist() == [0, 1, 0, 0]
    assert found.accuracy == 0.5
    assert found.never_predicted == (2,)
    assert found.commonest == 0.5
    assert found.standard_error == 0.25
    assert (found.dataset, found.split, found.samples) == ("made", "test", 4)
    assert (found.activation, found.inputs) == ("relu", "raw")
    assert not found.predictions.flags.writeable


def test_large_logits_do_not_overflow():
    found = evaluate(reader(1e30 * np.eye(2)), samples([0, 1], [[9, 0], [9, 0]]))
    assert found.loss == pytest.approx(4.5e30)


def test_outputs_that_are_no_numbers_are_refused():
    checkpoint = Checkpoint.of({"0.weight": np.full((2, 2), 3e38), "2.weight": np.ones((2, 2))})
    with pytest.raises(CannotRun, match="outputs"):
        evaluate(MLP(inputs="raw")(checkpoint), samples([0], [[255, 255]]))


def test_another_number_of_classes_is_refused():
    with pytest.raises(DataRefused, match=r"4 .* made has 2"):
        evaluate(reader(np.ones((4, 2))), samples([0], [[1, 2]]))


def test_the_flips_between_two_networks_are_counted():
    some = samples([0, 0, 1, 1], [[2, 1], [1, 2], [1, 2], [1, 2]])
    before, after = evaluate(reader(np.eye(2)), some), evaluate(reader([[0, 1], [1, 0]]), some)
    paired = compare(before, after, some.labels)
    assert (paired.flipped_to_right, paired.flipped_to_wrong) == (1, 3)
    assert paired.difference == after.accuracy - before.accuracy == -0.5
    assert paired.low <= paired.difference <= paired.high
    same = compare(before, before, some.labels)
    assert (same.flipped_to_right, same.flipped_to_wrong, same.difference) == (0, 0, 0)


def test_evaluations_of_other_samples_are_not_compared():
    one = evaluate(reader(np.eye(2)), samples([0, 1], [[2, 1], [1, 2]]))
    longer = samples([0, 1, 1], [[2, 1], [1, 2], [1, 2]])
    with pytest.raises(ValueError, match="length"):
        compare(one, evaluate(reader(np.eye(2)), longer), longer.labels)
    other = Samples("selection", longer.images[:2], longer.labels[:2], "made", 2)
    with pytest.raises(ValueError, match="selection"):
        compare(one, evaluate(reader(np.eye(2)), other), other.labels)


def test_the_interval_is_that_of_bonett_and_price():
    low, high = paired_interval(gained=6, lost=12, samples=100)
    up, down = 7 / 102, 13 / 102
    half = 1.959964 * math.sqrt((up + down - (up - down) ** 2) / 102)
    assert (low, high) == pytest.approx((up - down - half, up - down + half), rel=1e-6)
    assert paired_interval(0, 0, 5_000)[0] < 0 < paired_interval(0, 0, 5_000)[1]
    assert paired_interval(0, 3, 3)[0] == -1
    assert paired_interval(3, 0, 3)[1] == 1


@pytest.mark.parametrize(
    ("gain", "loss", "count"),
    [(0.004, 0.006, 5_000), (0.0005, 0.0005, 10_000), (0.05, 0.1, 1_000), (0.0, 0.001, 5_000)],
)
def test_the_interval_covers_the_true_difference_as_often_as_it_says(gain, loss, count):
    draw = np.random.default_rng(20_240_229)
    flips = draw.multinomial(count, [gain, loss, 1 - gain - loss], size=4_000)
    covered = 0
    for gained, lost, _ in flips:
        low, high = paired_interval(int(gained), int(lost), count)
        covered += low <= gain - loss <= high
    assert 0.94 <= covered / 4_000 <= 0.995


def test_latencies_are_measured_in_turns(monkeypatch):
    turns = []
    networks = {"before": reader(np.eye(2)), "after": reader(np.eye(2))}

    class Watched:
        def __init__(self, name):
            self.name = name

        def logits(self, images):
            turns.append((self.name, len(images)))
            return networks[self.name].logits(images)

    images = np.zeros((9, 2), np.uint8)
    found = latencies({name: Watched(name) for name in networks}, images, batch=4)
    assert turns == [("before", 4), ("after", 4)] * (len(turns) // 2)
    for each in (*found.values(), latency(networks["before"], images, batch=4)):
        assert 0 < each.low <= each.median <= each.high


def test_a_network_that_knows_nothing_is_right_one_time_in_ten():
    zeros = Checkpoint.of({"0.weight": np.zeros((10, 784)), "0.bias": np.eye(10)[3]})
    test = MNIST()().split("test")
    found = evaluate(MLP()(zeros), test)
    assert found.accuracy == 0.101
    assert found.never_predicted == (0, 1, 2, 4, 5, 6, 7, 8, 9)
    assert found.loss == pytest.approx(math.log(9 + math.e) - 0.101)
