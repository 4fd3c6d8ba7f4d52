"""A foreign network gets the data that it reads, by a clear margin, or is told that none fit."""

from dataclasses import dataclass

import numpy as np
import pytest

from rmtviz import datasets, networks
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import Digits
from rmtviz.errors import CannotRun, DataRefused
from rmtviz.networks import AHEAD, FITS, MLP
from rmtviz.ui.library import sample

PIXELS = DataRefused("data_pixels", dataset="x", given=1, wanted=2)
NO_SIZE = CannotRun("layout_none", image="8×8", count=0)
ALIKE = CannotRun("layout_alike", layouts="a b", samples=9)
MANY = CannotRun("layout_many", image="8×8", count=99)


@dataclass
class Reads:
    """A choice, and the network it makes, that reads so many of 1,000 right."""

    right: int

    def __call__(self, checkpoint: Checkpoint) -> "Reads":
        return self


def matched(monkeypatch, outcomes: list, **given):
    """What is matched where each dataset in turn is read so well, or refused so."""
    found = dict(zip(datasets.OFFERED, outcomes, strict=True))

    def detect(checkpoint, data, foreign=True, **_):
        outcome = found[data.name]
        if isinstance(outcome, Exception):
            raise outcome
        return Reads(outcome)

    def score(network, samples):
        return network.right * len(samples) // 1_000, 0.0

    monkeypatch.setattr(networks, "detect", detect)
    monkeypatch.setattr(networks, "score", score)
    choice, data, foreign = networks.match(Checkpoint.of({}), **given)
    assert foreign
    assert choice.right == found[data.name]
    return data.name


@pytest.mark.parametrize(
    ("outcomes", "name"),
    [
        ([970, PIXELS], "mnist"),
        ([PIXELS, 940], "digits"),
        ([970, 310], "mnist"),
        ([310, 970], "digits"),
        ([MANY, 970], "digits"),
        ([1000 * FITS, 1000 * FITS - 1000 * AHEAD - 10], "mnist"),
    ],
)
def test_the_data_that_are_read_best_are_taken(monkeypatch, outcomes, name):
    assert matched(monkeypatch, outcomes) == name


@pytest.mark.parametrize(
    ("outcomes", "key"),
    [
        ([PIXELS, PIXELS], "data_pixels"),
        ([PIXELS, 310], "data_unread"),
        ([NO_SIZE, 310], "data_unread"),
        ([120, 310], "data_unread"),
        ([900, 850], "data_unread"),
        ([ALIKE, 310], "layout_alike"),
        ([MANY, 310], "layout_many"),
        ([PIXELS, ALIKE], "layout_alike"),
        ([NO_SIZE, NO_SIZE], "layout_none"),
    ],
)
def test_where_none_is_read_well_it_is_said_what_is_open(monkeypatch, outcomes, key):
    with pytest.raises((CannotRun, DataRefused)) as refusal:
        matched(monkeypatch, outcomes)
    assert refusal.value.key == key


def test_the_refusal_names_the_best(monkeypatch):
    with pytest.raises(DataRefused, match="reads 31% of digits right at best"):
        matched(monkeypatch, [120, 310])


def test_who_says_how_it_runs_is_not_contradicted(monkeypatch):
    assert matched(monkeypatch, [120, 310], activation="tanh", inputs=None) == "digits"


def test_networks_find_their_own_data():
    clean = sample("clean").checkpoint.with_about(trained=None, network=None)
    choice, data, foreign = networks.match(clean)
    assert (choice.activation, choice.inputs, data.name, foreign) == ("relu", "unit", "mnist", True)
    train = Digits()().split("train")
    wanted = np.eye(10)[train.labels] - 0.1
    linear = np.linalg.lstsq(train.images / 16, wanted)[0].T.astype(np.float32)
    choice, data, _ = networks.match(Checkpoint.of({"fc.weight": linear}))
    assert (type(choice), data.name) == (MLP, "digits")
    noise = np.random.default_rng(0).normal(size=(10, 64)).astype(np.float32)
    with pytest.raises(DataRefused, match="None of the datasets"):
        networks.match(Checkpoint.of({"fc.weight": noise}))
