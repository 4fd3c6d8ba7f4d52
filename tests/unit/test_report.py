"""The page to take away: complete, self-contained, and safe whatever a layer is called."""

import dataclasses
from html.parser import HTMLParser

import numpy as np
import pytest

from rmtviz import layers, pruning, report, verdict
from rmtviz.analysis import Analysis, analyze
from rmtviz.checkpoint import Checkpoint
from rmtviz.evaluation import Evaluation, Latency, Paired
from rmtviz.pruning import PruningPlan, Size
from rmtviz.rules import RULES, FixedRank, Off
from rmtviz.trial import CONTROLS, Trial
from rmtviz.words import say

VOID = {"meta", "br", "hr", "img", "link", "input"}
HOSTILE = "<img src=x onerror=alert(1)>\"'&amp;</td>"


class Page(HTMLParser):
    """A page as its elements, its texts, and the end tags that fit no open element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.faults: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def of(self, tag: str) -> list[str]:
        return [text for place, text in self.texts if place == tag]


def network(name: str = "0") -> Checkpoint:
    rng = np.random.default_rng(2)
    first = rng.normal(size=(30, 40))
    first[0] += 5  # a spike
    arrays = {f"{name}.weight": first, "out.weight": rng.normal(size=(10, 30))}
    return Checkpoint.of(arrays, source=f"{name}.npz")


def evaluation(accuracy: float, split: str) -> Evaluation:
    predictions = np.zeros(2000, np.int64)
    return Evaluation("mnist", split, 2000, accuracy, 0.5, predictions, (), "relu", "unit", 0.11)


READ = evaluation(0.9825, "selection"), evaluation(0.9715, "selection")
TRIAL = Trial(
    evaluation(0.9835, "test"),
    evaluation(0.9725, "test"),
    Paired(7, 29, -0.011, -0.0168, -0.0052),
    {"before": Latency(120e-6, 100e-6, 140e-6), "after": Latency(60e-6, 50e-6, 70e-6)},
    {name: evaluation(0.1 + 0.234 * i, "test") for i, name in enumerate(CONTROLS)},
)


def made(
    checkpoint: Checkpoint, read=READ, trial: Trial | None = TRIAL, rank: int = 4
) -> tuple[Analysis, PruningPlan, tuple[Size, Size], str]:
    analysis = analyze(checkpoint)
    plan = pruning.plan(analysis, FixedRank(rank))
    sizes = Size.of(checkpoint), Size.of(pruning.apply(checkpoint, plan))
    return analysis, plan, sizes, report.cut_report(analysis, plan, sizes, read, trial)


@pytest.fixture(params=["0", HOSTILE], ids=["plain", "hostile"])
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("trial", [TRIAL, None], ids=["tested", "untested"])
@pytest.mark.parametrize("read", [READ, None], ids=["read", "unread"])
def test_it_is_one_whole_page_that_needs_nothing_else(name: str, read, trial) -> None:
    text = made(network(name), read, trial)[3]
    page = Page(text)
    assert (page.faults, page.open) == ([], [])
    assert text.startswith("<!doctype html>")
    assert {"html", "head", "title", "style", "body", "h1", "table"} <= {
        x for x, _ in page.elements
    }
    for word in ("http", "url(", "@import", "//"):
        assert word not in text.lower()
    for tag, attributes in page.elements:
        assert tag not in ("script", "img", "link", "iframe", "object", "svg", "a")
        assert not [key for key in attributes if key in ("src", "href") or key.startswith("on")]


def test_names_are_shown_as_they_are(name: str) -> None:
    analysis, plan, _, text = made(network(name))
    page = Page(text)
    assert plan.cuts[0].name in page.of("td")
    assert say("report.model", source=analysis.model.source) in page.of("p")


def test_it_says_what_the_cut_saves(name: str) -> None:
    checkpoint = network(name)
    _, plan, (before, after), text = made(checkpoint)
    cells = Page(text).of("td")
    assert (before.parameters, after.parameters) == (1500, 4 * 70 + 300)
    for key, old, new, change in (
        ("parameters", 1500, 580, "-61.3%"),
        ("megabytes", 0.012, 0.00464, "-61.3%"),
        ("macs", 1500, 580, "-61.3%"),
    ):
        row = cells.index(say(f"prune.{key}"))
        values = [say(f"prune.{key}_value", value=value) for value in (old, new)]
        assert cells[row + 1 : row + 4] == [*values, change]
    assert verdict.of_plan(plan, before, after, READ) in Page(text).of("h1")


def test_it_says_layer_by_layer_what_is_done() -> None:
    analysis, plan, _, text = made(network())
    cells = Page(text).of("td")
    first, last = cells.index("0"), cells.index("out")
    error = pruning.error(analysis["0"], 4)
    assert 0.5 < error < 1
    assert cells[first : first + 5] == ["0", "30 → 4", "23%", f"{error:.0%}", "fixed rank"]
    assert cells[last : last + 5] == ["out", "10 → 10", "100%", "0%", "last layer"]
    assert len(plan.cuts) == 2


@pytest.mark.parametrize("rule", RULES)
def test_the_error_it_says_is_that_of_the_cut(rule: str) -> None:
    checkpoint = network()
    analysis = analyze(checkpoint)
    plan = pruning.plan(analysis, RULES[rule]())
    pruned = pruning.apply(checkpoint, plan)
    sizes = Size.of(checkpoint), Size.of(pruned)
    cells = Page(report.cut_report(analysis, plan, sizes, None, None)).of("td")
    before, after = (layers.find(each)[0][0].matrix(each) for each in (checkpoint, pruned))
    error = np.linalg.norm(before - after) / np.linalg.norm(before)
    assert cells[cells.index("0") + 3] == f"{error:.0%}"


def test_it_says_what_the_cut_costs() -> None:
    page = Page(made(network())[3])
    sentences, cells = page.of("p"), page.of("td")
    assert verdict.of_test(TRIAL.before, TRIAL.after, TRIAL.paired) in sentences
    assert verdict.of_latency(TRIAL.latency["before"], TRIAL.latency["after"]) in sentences
    assert any("98.35%" in sentence and "97.25%" in sentence for sentence in sentences)
    for control, share in zip(CONTROLS, ("10.0%", "33.4%", "56.8%"), strict=True):
        assert cells[cells.index(say(f"prune.control.{control}")) + 1] == share
    assert say("report.accuracy", samples=2000, unit=say("unit.images")) in page.of("th")
    assert say("report.untested") not in sentences


def test_a_plan_that_was_not_tested_says_so() -> None:
    page = Page(made(network(), None, None)[3])
    assert say("report.untested") in page.of("p")
    assert not {say(f"prune.control.{control}") for control in CONTROLS} & set(page.of("td"))


def test_it_says_how_it_can_be_made_again() -> None:
    _, plan, _, text = made(network())
    (line,) = [line for line in Page(text).of("p") if plan.digest in line]
    assert "rank(rank=4)" in line
    assert "bema(alpha=0.2, level=0.1)" in line


def test_a_plan_that_cuts_nothing_has_a_page_too() -> None:
    checkpoint = network()
    analysis, size = analyze(checkpoint), Size.of(checkpoint)
    text = report.cut_report(analysis, pruning.plan(analysis, Off()), (size, size), None, None)
    assert say("verdict.plan_none", before=size.parameters) in Page(text).of("h1")
    assert Page(text).of("td").count("+0.0%") == 3


def test_a_network_without_layers_has_a_page_too() -> None:
    checkpoint = Checkpoint.of({"steps": np.arange(3)})
    analysis, size = analyze(checkpoint), Size.of(checkpoint)
    plan = pruning.plan(analysis, Off())
    page = Page(report.cut_report(analysis, plan, (size, size), None, None))
    assert (page.faults, page.open) == ([], [])
    assert page.of("h1") == [say("verdict.model_empty")]


def test_the_trial_on_the_page_is_the_one_that_was_run() -> None:
    other = dataclasses.replace(TRIAL, paired=Paired(40, 3, 0.0185, 0.012, 0.025))
    assert made(network(), trial=other)[3] != made(network())[3]
    assert say("report.title") in Page(made(network())[3]).of("title")
