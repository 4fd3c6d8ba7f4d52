"""The page on the paper: its tables from rows with known answers, and that it is up to date."""

import importlib.util
import json
import tomllib
from pathlib import Path

import pytest

from rmtviz.lab import Result, table
from rmtviz.words import LANGUAGES, catalogue

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("paper_page", ROOT / "scripts" / "paper_page.py")
page = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(page)


def test_the_page_is_the_one_that_the_results_make() -> None:
    words = tomllib.loads(page.WORDS.read_text("utf-8"))
    assert page.PAGE.read_text("utf-8") == "\n".join(page.page(words)) + "\n"


def test_every_section_has_a_table_a_script_and_a_result() -> None:
    for section in tomllib.loads(page.WORDS.read_text("utf-8"))["section"]:
        assert section["table"] in page.TABLES
        assert (ROOT / "benchmarks" / "paper" / section["script"]).is_file()
        for name in section["result"].split():
            assert (page.RESULTS / f"{name}.json").is_file()


def test_a_cuts_line_is_mean_and_range_over_the_seeds() -> None:
    common = {"train_samples": 100, "rate": "constant", "run": "once", "spectra_share": 0.02}
    rows = [{**common, "test_accuracy": x, "share": 0.05} for x in (0.97, 0.98)]
    *_, line = page.cuts(rows)
    assert "| 2 | 97.50 (97.00–98.00) | 5.0% | 2.0% |" in line


def test_a_contenders_line_is_the_labs() -> None:
    common = {
        "selection_accuracy": 0.5,
        "train_accuracy": 1.0,
        "test_samples": 10,
        "parameters": 1_000,
        "never_predicted": 0,
        "chosen": "rank 3",
    }
    rows = [
        {**common, "contender": name, "seed": seed, "test_accuracy": x}
        for name, scores in {"none": (0.7, 0.72), "rmt-chosen": (0.8, 0.8)}.items()
        for seed, x in enumerate(scores)
    ]
    lines = list(page.contenders(rows))
    assert lines[2] == "| none | 2 | 71.0 ± 1.4 | +0.0 ± 0.0 | 100.0 | 1,000 |"
    assert lines[3] == "| rmt-chosen | 2 | 80.0 ± 0.0 | +9.0 ± 1.4 | 100.0 | 1,000 |"
    assert lines[-1].endswith("rank 3; rank 3.")


def test_a_line_of_shares_is_the_gain_at_one_noise() -> None:
    common = {
        "selection_accuracy": 0.5,
        "train_accuracy": 1.0,
        "test_samples": 10,
        "parameters": 1_000,
        "never_predicted": 0,
        "chosen": "",
    }
    rows = [
        {**common, "noise": noise, "contender": name, "seed": seed, "test_accuracy": x}
        for noise, none in ((0.6, (0.5, 0.6)), (0.0, (0.9,)))
        for name, gain in (("none", 0.0), ("rmt-chosen", 0.1))
        for seed, x in enumerate(each + gain for each in none)
    ]
    assert list(page.shares(rows)) == [
        "| re-drawn | seeds | none, test % | rmt-chosen |",
        "|---|---|---|---|",
        "| 0% | 1 | 90.0 | +10.0 |",
        "| 60% | 2 | 55.0 | +10.0 ± 0.0 |",
    ]


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        (
            "classes",
            {
                "table": "E2",
                "logits": "relu",
                "cut": None,
                "seed": 0,
                "test_accuracy": [0.5, 0.612],
                "classes_predicted": [5, 6],
            },
            "| E2 | relu | none | 0 | 50.0 61.2 | 6 |",
        ),
        (
            "published",
            {
                "example": "4.4",
                "logits": "linear",
                "cuts": [3, 6],
                "test_accuracy": [0.9, 0.95],
                "classes_predicted": [10, 10],
                "share": 0.5,
            },
            "| 4.4 | linear | 3, 6 | 95.0 | 10 | 50.0% |",
        ),
        (
            "fashion",
            {
                "logits": "relu",
                "cut": True,
                "weight_decay": 0.001,
                "train_accuracy": 0.9,
                "test_accuracy": 0.8,
                "classes_predicted": 9,
                "parameters": 1234,
            },
            "| relu | yes | 0.001 | 90.0 | 80.0 | 9 | 1,234 |",
        ),
    ],
)
def test_a_run_is_a_line(name, row, said) -> None:
    assert list(page.TABLES[name]([row]))[-1] == said


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_labs_page_says_the_figures_of_the_five_seeds(language) -> None:
    record = json.loads((page.RESULTS / "label_noise_mnist_40.json").read_text("utf-8"))
    rows = [Result(**row) for row in record["rows"]]
    none = {row.seed: row.test_accuracy for row in rows if row.contender == "none"}
    edge = [
        100 * (row.test_accuracy - none[row.seed])
        for row in rows
        if row.contender == "rmt-afterwards"
    ]
    lines = {line.contender: line for line in table(rows)}
    said = catalogue(language)["train.honest_measured"]
    assert f"{min(edge):.1f}".replace("-", "−") in said
    assert f"{max(edge):+.1f}" in said
    for name in ("rmt-chosen", "early-stopping"):
        line = lines[name]
        assert line.seeds == 5
        assert f"{100 * line.gain:.1f} ± {100 * line.gain_spread:.1f}" in said
