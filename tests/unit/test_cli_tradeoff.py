"""`rmtviz tradeoff`: what it prints is what the network that it writes costs and reads."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rmtviz import evaluation, formats, frontier
from rmtviz.checkpoint import Checkpoint
from rmtviz.cli import main
from rmtviz.cuts import PruningPlan
from rmtviz.datasets import MNIST
from rmtviz.networks import MLP
from rmtviz.pruning import Size
from rmtviz.training import Training, train

COSTS = {"parameters", "bytes", "macs", "accuracy", "samples"}
BUDGETS = {"--lose": "5pt", "--bytes": "40%", "--macs": "50%"}


@pytest.fixture(scope="module")
def trained() -> Checkpoint:
    recipe = Training(widths=(14, 10), epochs=4, train_samples=8000, batch_size=64)
    return list(train(recipe))[-1].checkpoint


@pytest.fixture(scope="module")
def model(trained: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    path.write_bytes(formats.write(trained, "safetensors"))
    return path


@pytest.fixture(autouse=True)
def _few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: frontier.FAMILIES[name][-1:] for name in ("noise-edge", "whitened", "magnitude")}
    monkeypatch.setattr(frontier, "FAMILIES", few)


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["tradeoff", *map(str, words)])


@pytest.mark.parametrize("budget", [*BUDGETS, None])
def test_json_says_what_the_written_network_costs_and_reads(
    model, trained, tmp_path, budget
) -> None:
    output = tmp_path / "out.safetensors"
    words = [budget, BUDGETS[budget]] if budget else []
    result = run(model, "--dataset", "mnist", *words, "-o", output, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    record = json.loads(result.stdout)
    assert set(record) == {"budget", "original", "chosen", "selection", "frontier"}
    assert set(record["original"]) == COSTS
    assert set(record["chosen"]) == COSTS | {"accuracy_error", "paired", "plan"}
    assert all(set(x) == {"rule", "parameters", "macs", "accuracy"} for x in record["frontier"])
    assert {x["rule"] for x in record["frontier"]} == {*frontier.FAMILIES, "search"}
    written, test = formats.read(output), MNIST()().split("test")
    for name, network in (("original", trained), ("chosen", written)):
        found, size = evaluation.evaluate(MLP()(network), test), Size.of(network)
        said = record[name]
        assert (said["parameters"], said["bytes"], said["macs"]) == (
            (size.parameters, size.bytes, size.macs)
        )
        assert (said["accuracy"], said["samples"]) == (found.accuracy, 10_000)
    chosen, original = record["chosen"], record["original"]
    plan = PruningPlan.from_json(json.dumps(chosen["plan"]))
    assert plan.digest == trained.digest
    limit = {"--lose": ("parameters", 0.9), "--bytes": ("bytes", 0.4), "--macs": ("macs", 0.5)}
    if budget:
        cost, share = limit[budget]
        assert chosen[cost] <= share * original[cost]
    assert record["budget"] == (f"{budget[2:]} {BUDGETS[budget]}" if budget else "accuracy")


def test_in_words_it_says_the_same(model) -> None:
    result = run(model, "--dataset", "mnist", "--lose", "5pt")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "selection samples" in result.stdout
    assert "Chosen for lose 5pt: " in result.stdout
    assert "On 10,000 test images" in result.stdout
    result = run(model, "--dataset", "mnist", "--lose", "0pt")
    assert "the network as it is" in result.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--lose", "1pt", "--bytes", "1MB"), "more than one budget"),
        (("--lose", "1MB"), "is no amount"),
        (("--bytes", "10"), "No plan that was tried"),
        (("-o", "out.txt"), "out.txt"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(model, words, said) -> None:
    result = run(model, "--dataset", "mnist", *words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 2
