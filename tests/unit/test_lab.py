"""The lab: what trains alike is trained once, the selection set decides, and means are means."""

import dataclasses
import statistics

import pytest

from rmtviz import lab
from rmtviz.evaluation import evaluate
from rmtviz.lab import CONTENDERS, Chosen, Contender, Result, Trained, table
from rmtviz.training import Training, best, train

SMALL = Training(
    dataset="digits", widths=(48, 32), epochs=5, batch_size=40, learning_rate=5e-3, label_noise=0.3
)
WEIGHTS = 64 * 48 + 48 * 32


@pytest.fixture(scope="module")
def trained():
    """How many epochs each contender trained, and the results of two seeds."""
    epochs: dict[str, int] = {}

    def count(name, record):
        epochs[name] = epochs.get(name, 0) + 1

    return epochs, list(lab.run(SMALL, (0, 1), on_epoch=count))


def test_every_contender_has_a_result_for_every_seed(trained) -> None:
    _, results = trained
    assert [(each.contender, each.seed) for each in results] == [
        (name, seed) for seed in (0, 1) for name in CONTENDERS
    ]
    for each in results:
        assert each.test_samples == len(SMALL.data().split("test"))
        assert 0 <= each.test_accuracy <= 1
        assert 0 < each.parameters <= WEIGHTS + 48 + 32 + 330


def test_what_trains_alike_is_trained_once_a_seed(trained) -> None:
    epochs, _ = trained
    assert epochs["none"] == 2 * 6
    assert epochs["weight-decay"] == 2 * 2 * 6
    assert not {"early-stopping", "energy", "rmt-afterwards", "rmt-chosen"} & set(epochs)


def test_plain_and_early_stopping_are_the_last_and_the_best_epoch(trained) -> None:
    _, results = trained
    records = list(train(SMALL))
    data = SMALL.data()
    choice = SMALL.network(data)
    for name, record in (("none", records[-1]), ("early-stopping", best(records))):
        (found,) = [each for each in results if (each.contender, each.seed) == (name, 0)]
        accuracy = evaluate(choice(record.checkpoint), data.split("test")).accuracy
        assert found.test_accuracy == accuracy
        assert found.selection_accuracy == record.selection_accuracy


def test_magnitude_counts_what_is_left(trained) -> None:
    _, results = trained
    (thin,) = [each for each in results if (each.contender, each.seed) == ("magnitude", 0)]
    assert thin.parameters == pytest.approx(0.1 * WEIGHTS + 48 + 32 + 330, abs=2)


def test_the_choice_is_the_selection_sets_best() -> None:
    recipe = dataclasses.replace(SMALL, epochs=2)
    contenders = {"chosen": Contender(finish=Chosen((1.0, 4.0)))}
    (found,) = lab.run(recipe, [0], contenders)
    data, trained = recipe.data(), Trained.of(train(recipe))
    choice, selection = recipe.network(data), data.split("selection")
    candidates = list(Chosen((1.0, 4.0))(trained))
    scores = [evaluate(choice(weights), selection).accuracy for _, weights in candidates]
    assert len(candidates) == 7
    assert candidates[-1] == ("nothing cut", trained.last.checkpoint)
    assert found.selection_accuracy == max(scores)
    assert found.chosen == candidates[scores.index(max(scores))][0]


def result(name: str, seed: int, accuracy: float) -> Result:
    return Result(name, seed, 1.0, 0.5, accuracy, 10_000, 100 * (seed + 1), 0, "")


def test_lines_are_means_and_spreads_seed_by_seed() -> None:
    plain, other = [0.7, 0.74, 0.72], [0.8, 0.81, 0.85]
    results = [result("none", i, x) for i, x in enumerate(plain)]
    results += [result("other", i, x) for i, x in enumerate(other)]
    first, second = table(results)
    assert (first.gain, first.gain_spread) == (0, 0)
    gains = [b - a for a, b in zip(plain, other, strict=True)]
    assert second.test_accuracy == pytest.approx(statistics.fmean(other))
    assert second.spread == pytest.approx(statistics.stdev(other))
    assert second.gain == pytest.approx(statistics.fmean(gains))
    assert second.gain_spread == pytest.approx(statistics.stdev(gains))
    assert second.parameters == pytest.approx(200)
    (alone,) = table([result("none", 0, 0.5)])
    assert (alone.spread, alone.seeds) == (None, 1)
