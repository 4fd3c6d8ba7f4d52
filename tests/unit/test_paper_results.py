"""The committed results against what an implementation apart from this one found before it."""

import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest

from rmtviz.fits.base import null_band

PAPER = Path(__file__).parents[2] / "benchmarks" / "paper"


def results(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((PAPER / "results" / f"{name}.json").read_text())[
        "rows"
    ]
    return found


def commands() -> list[str]:
    lines = (PAPER / "all.txt").read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_make_paper_runs_every_script_and_writes_every_committed_result() -> None:
    scripts = {file.name for file in PAPER.glob("[!_]*.py")}
    assert {line.split()[0] for line in commands()} == scripts
    written = set()
    for line in commands():
        name = line.partition(".py")[0]
        if name == "label_noise":
            noise = re.search(r"--noise ([\d.]+)", line)
            data = re.search(r"--dataset (\S+)", line)
            share = round(100 * float(noise[1] if noise else 0.4))
            name += f"_{data[1] if data else 'mnist'}_{share}"
        written.add(f"{name}.json")
    assert written == {file.name for file in (PAPER / "results").glob("*.json")}


@pytest.fixture(scope="module")
def example() -> list[dict[str, Any]]:
    return results("example_4_1")


@pytest.fixture(scope="module")
def law(example: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = [row for row in example if "predicted_rank" in row]
    return found


def test_example_4_1_learns_what_it_did(example: list[dict[str, Any]]) -> None:
    end = [row for row in example if "epoch" in row][-1]
    assert 0.981 <= end["test_accuracy"] <= 0.986
    assert end["train_accuracy"] >= 0.998


def test_its_first_layer_has_the_spectrum_it_had(law: dict[str, Any]) -> None:
    assert 45 <= law["predicted_rank"] <= 65
    assert 35 <= law["threshold_rank"] <= 55
    assert law["distance_middle"] < 0.02
    assert law["sigma"] == pytest.approx(0.624, abs=0.01)
    assert law["energy_above"] == pytest.approx(0.57, abs=0.03)
    assert law["stable_rank"] == pytest.approx(26, abs=4)
    assert law["below"] == 0


def test_its_last_layer_is_not_judged_and_far_from_the_law(law: dict[str, Any]) -> None:
    assert law["last_layer"] == "too_small"
    assert 0.1 < law["last_distance_middle"] < 0.5, "0.7 is a distance taken beyond the edge"


def test_layers_that_never_learned_lie_within_the_band_of_noise(
    example: list[dict[str, Any]],
) -> None:
    random = [row for row in example if "untrained" in row]
    assert [row["untrained"] for row in random] == [[1000, 784], [500, 1000], [10, 500]]
    for row in random:
        assert row["distance"] <= null_band(min(row["untrained"]))


@pytest.fixture(scope="module")
def score(example: list[dict[str, Any]]) -> dict[tuple[str, int], float]:
    return {(row["way"], row["rank"]): row["test_accuracy"] for row in example if "way" in row}


def test_accuracy_has_its_knee_where_it_had(score: dict[tuple[str, int], float]) -> None:
    knee = {5: (53, 6), 10: (76, 4), 15: (85, 4), 20: (91, 3), 25: (95.7, 1.5), 30: (97.5, 0.7)}
    for rank, (found, tolerance) in {**knee, 40: (98.0, 0.4)}.items():
        assert 100 * score["plain", rank] == pytest.approx(found, abs=tolerance)
    whole = score["plain", 784]
    assert all(abs(whole - x) <= 0.002 for (_, rank), x in score.items() if rank >= 55)


def test_directions_of_the_outputs_are_worth_five_points_where_few_are_kept(
    score: dict[tuple[str, int], float],
) -> None:
    for rank in (10, 15, 20):
        assert score["whitened", rank] >= score["plain", rank] + 0.05
    assert score["affine", 5] >= score["whitened", 5]


def test_other_ways_to_cut_the_layer_lose_as_little_as_they_did(
    example: list[dict[str, Any]], score: dict[tuple[str, int], float]
) -> None:
    whole = score["plain", 784]
    left = {row["entries"]: row["test_accuracy"] for row in example if "entries" in row}
    for share, loss in {0.5: 0.2, 0.2: 0.3, 0.1: 0.8, 0.05: 3.0, 0.02: 12.0}.items():
        assert 100 * (whole - left[share]) <= loss
    assert left[0.02] < left[0.05] < left[0.1]
    shrunk = {row["shrunk"]: row["test_accuracy"] for row in example if "shrunk" in row}
    assert all(whole - accuracy <= 0.004 for accuracy in shrunk.values())


@pytest.mark.parametrize(
    ("run", "accuracy", "share"),
    [
        ("no cut", 97.55, 100),
        ("after training, none kept", 97.2, 7.3),
        ("after 3, 45 % kept", 97.34, 78.1),
        ("after 3, none kept, optimiser begun anew", 97.12, 5.3),
        ("before training, 45 % kept", 96.92, 75.3),
    ],
)
def test_one_cut_leaves_what_it_left(run: str, accuracy: float, share: float) -> None:
    rows = [
        row for row in results("cut_once") if row["run"] == run and row["train_samples"] == 30_000
    ]
    assert rows
    for row in rows:
        assert 100 * row["test_accuracy"] == pytest.approx(accuracy, abs=0.6)
        assert 100 * row["share"] == pytest.approx(share, abs=1.0)


def test_97_per_cent_stay_at_5_5_per_cent_of_the_parameters() -> None:
    rows = [row for row in results("cut_once") if row["train_samples"] == 55_000]
    small = [row for row in rows if row["run"] == "after 2, none kept"]
    assert len(small) == 3
    assert all(row["test_accuracy"] >= 0.97 and row["share"] <= 0.055 for row in small)


def test_classes_die_behind_a_relu_on_the_logits_and_nowhere_else() -> None:
    first = [row for row in results("relu_logits") if row["table"] == "E2"]
    missing = [row["classes_predicted"][-1] < 10 for row in first if row["logits"] == "relu"]
    assert sum(missing) >= 4
    assert len(missing) == 5
    for row in results("relu_logits"):
        if row["logits"] == "linear":
            assert row["classes_predicted"][-1] == 10


def test_a_cut_lifts_accuracy_only_where_it_revives_a_class() -> None:
    runs: dict[tuple[str, int], dict[bool, dict[str, Any]]] = {}
    for row in results("relu_logits"):
        if row["table"] == "E6":
            runs.setdefault((row["logits"], row["seed"]), {})[row["cut"] is not None] = row
    for (logits, _), pair in runs.items():
        gain = pair[True]["test_accuracy"][-1] - pair[False]["test_accuracy"][-1]
        revived = pair[True]["classes_predicted"][-1] > pair[False]["classes_predicted"][-1]
        assert (gain > 0.03) == revived
        assert not (revived and logits == "linear")
    assert any(
        pair[True]["classes_predicted"][-1] > pair[False]["classes_predicted"][-1]
        for pair in runs.values()
    )


def memorised(data: str, noise: float) -> list[dict[str, Any]]:
    rows = results("memorised")
    return [row for row in rows if (row["dataset"], row["noise"]) == (data, noise)]


def test_wrong_labels_stand_above_the_edge_and_bend_the_bulk() -> None:
    right, wrong = memorised("mnist", 0.0), memorised("mnist", 0.4)
    for layer in ("0", "2"):
        assert min(row["spikes"][layer] for row in wrong) > max(
            row["spikes"][layer] for row in right
        )
        assert min(row["distance"][layer] for row in wrong) > max(
            row["distance"][layer] for row in right
        )


def test_with_right_labels_the_edge_costs_little_in_either_layer() -> None:
    for row in memorised("mnist", 0.0):
        assert row["test_accuracy"] == pytest.approx(0.9568, abs=0.01)
        for layer in ("0", "2"):
            assert row["test_accuracy"] - row["cut"]["edge"][layer] <= 0.008


def test_with_wrong_labels_few_directions_of_the_second_layer_help_and_the_edge_does_not() -> None:
    rows = memorised("mnist", 0.4)
    gain = {
        cut: statistics.fmean(row["cut"][cut]["2"] - row["test_accuracy"] for row in rows)
        for cut in ("edge", "rank 10")
    }
    assert gain["rank 10"] >= 0.05
    assert gain["edge"] <= 0.02
    for row in rows:
        assert row["best_test_accuracy"] > row["cut"]["rank 10"]["2"], "early stopping gains more"


@pytest.mark.parametrize("noise", [0, 20, 40, 60])
def test_five_seeds_of_every_share_of_wrong_labels(noise: int) -> None:
    rows = results(f"label_noise_mnist_{noise}")
    names = {row["contender"] for row in rows}
    assert {"none", "weight-decay", "dropout", "early-stopping", "rmt-chosen"} <= names
    for name in names:
        assert {row["seed"] for row in rows if row["contender"] == name} == set(range(5))


def test_at_forty_per_cent_the_chosen_cut_gains_five_points_and_early_stopping_more() -> None:
    by_name: dict[str, list[float]] = {}
    for row in results("label_noise_mnist_40"):
        by_name.setdefault(row["contender"], []).append(row["test_accuracy"])
    mean = {name: statistics.fmean(scores) for name, scores in by_name.items()}
    assert mean["rmt-chosen"] - mean["none"] >= 0.05
    assert mean["early-stopping"] > mean["rmt-chosen"]
    assert abs(mean["rmt-afterwards"] - mean["none"]) <= 0.015
