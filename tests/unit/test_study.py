"""The study of where cuts help: it runs at a tiny size, and its page says what its numbers say."""

import importlib.util
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from rmtviz import lab

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("study", ROOT / "benchmarks" / "study.py")
study = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(study)

CLEAN, NOISY = study.Setting(8, 100, 0.0), study.Setting(8, 100, 0.4)


@pytest.fixture(autouse=True)
def registered(monkeypatch) -> None:
    """Dataclasses look their module up by name."""
    monkeypatch.setitem(__import__("sys").modules, "study", study)


def result(name: str, seed: int, accuracy: float, parameters: int = 1_000) -> lab.Result:
    return lab.Result(name, seed, 1.0, 0.5, accuracy, 10_000, parameters, 0, "")


def made(accuracies: dict[str, tuple[float, float]]) -> list[lab.Result]:
    """Two seeds of each contender: 80 and 81 % but where another pair is given."""
    return [
        result(name, seed, accuracy, 500 if name in study.CUTS else 1_000)
        for name in study.NAMES
        for seed, accuracy in enumerate(accuracies.get(name, (0.80, 0.81)))
    ]


def test_it_runs_at_a_tiny_size() -> None:
    rows = list(study.measure([CLEAN, NOISY], epochs=1, seeds=1))
    assert [(setting, each.contender) for setting, each in rows] == [
        (setting, name) for setting in (CLEAN, NOISY) for name in study.NAMES
    ]
    kept = json.loads(
        json.dumps({"rows": [{"setting": asdict(where), **asdict(what)} for where, what in rows]})
    )
    found = study.load(kept)
    assert found == {
        where: [what for place, what in rows if place == where] for where in (CLEAN, NOISY)
    }
    assert any(line.startswith(f"| {CLEAN} |") for line in study.page(found, "versions"))


def test_the_conclusions_are_those_of_the_numbers() -> None:
    found = {
        CLEAN: made({"rmt-chosen": (0.80, 0.807), "energy": (0.79, 0.80)}),
        NOISY: made({"rmt-chosen": (0.85, 0.87), "early-stopping": (0.9, 0.9)}),
    }
    text = "\n".join(study.page(found, "versions"))
    assert f"| {NOISY} | 80.5 % ± 0.7 | +9.5 ± 0.7 | +0.0 ± 0.0 (50%) |" in text
    assert "| far above the edge, as chosen | even 1 | gains 1 |" in text
    assert "| energy share of 90 % | loses 1 | even 1 |" in text
    assert "the best cut gains a point or more on average in 0 of 1 settings; a cut" in text
    assert "in 1 of 1 settings, and in 0 of these more than early stopping does." in text
    assert f"A cut helps most at {NOISY}: far above the edge, as chosen, +5.5 points." in text


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        ((0.01, 0.02), "gains"),
        ((0.009, 0.02), "even"),
        ((-0.005, 0.0), "even"),
        ((-0.006, -0.02), "loses"),
        ((-0.006, 0.02), "seeds disagree"),
    ],
)
def test_a_verdict_is_what_every_seed_says(gains, said) -> None:
    assert study._verdict(gains) == said


def test_the_page_is_the_one_that_the_results_make() -> None:
    record = json.loads(study.RESULTS.read_text("utf-8"))
    found = study.load(record)
    assert study.PAGE.read_text("utf-8") == "\n".join(study.page(found, record["versions"])) + "\n"
    assert [*found] == [*study.GRID]
