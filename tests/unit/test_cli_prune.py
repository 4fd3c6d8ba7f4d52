"""`rmtviz prune` and `rmtviz evaluate`: from a trained file to a smaller one that reads as well."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

from rmtviz import formats, layers, pruning
from rmtviz.analysis import analyze
from rmtviz.checkpoint import Checkpoint
from rmtviz.cli import main
from rmtviz.datasets import MNIST
from rmtviz.fits import METHODS
from rmtviz.formats import FORMATS
from rmtviz.networks import MLP
from rmtviz.pruning import FORMS, Size
from rmtviz.rules import RULES, FixedRank, NoiseEdge
from rmtviz.site import home
from rmtviz.training import Training, train
from rmtviz.verdict import of_plan
from rmtviz.words import say

ROOT = Path(__file__).parents[2]
SUFFIXES = {form.suffix: name for name, form in FORMATS.items() if not form.graph} | {
    ".pth": "pytorch"
}

PRUNED = {
    *("rule", "method", "output", "digest", "layers"),
    *(f"{what}_{when}" for what in ("parameters", "macs", "bytes") for when in ("before", "after")),
}
LAYER = {
    *("name", "rank_before", "rank_after", "parameters_before", "parameters_after"),
    *("form", "stable", "reason"),
}
EVALUATED = {"dataset", "split", "samples", "accuracy", "loss", "activation", "inputs"}


@pytest.fixture(scope="module")
def trained() -> Checkpoint:
    recipe = Training(widths=(60, 40), epochs=3, train_samples=4000, batch_size=64)
    return list(train(recipe))[-1].checkpoint


@pytest.fixture(scope="module")
def model(trained: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    path.write_bytes(formats.write(trained, "safetensors"))
    return path


@pytest.fixture(scope="module")
def untold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with a pair that its record does not name."""
    rng = np.random.default_rng(0)
    arrays = {
        "a.0.weight": rng.normal(size=(8, 784)),
        "a.1.weight": rng.normal(size=(30, 8)),
        "b.weight": rng.normal(size=(10, 30)),
    }
    path = tmp_path_factory.mktemp("untold") / "untold.npz"
    path.write_bytes(formats.write(Checkpoint.of(arrays), "npz"))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def said(*arguments: object) -> dict:
    result = run(*arguments, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


def assert_refused(result: Result, *words: str) -> None:
    assert (result.exit_code, result.stdout) == (2, "")
    assert isinstance(result.exception, SystemExit)
    assert 1 <= len(result.stderr.splitlines()) <= 2
    for word in words:
        assert word in result.stderr


def test_the_journey_in_a_real_process(model: Path, tmp_path: Path) -> None:
    def program(*words: object) -> dict:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", "from rmtviz.cli import main; main()", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    output = tmp_path / "small.safetensors"
    before = model.read_bytes()
    cut = program("prune", str(model), "-o", output.name, "--method", "bema", "--json")
    assert set(cut) >= PRUNED
    assert all(set(layer) >= LAYER for layer in cut["layers"])
    assert (cut["rule"], cut["method"], cut["output"]) == ("noise-edge", "bema", output.name)
    assert cut["digest"] == formats.read(output).digest
    assert cut["parameters_after"] < 0.7 * cut["parameters_before"]
    whole, small = (
        program("evaluate", str(path), "--dataset", "mnist", "--json") for path in (model, output)
    )
    assert set(whole) >= EVALUATED
    assert set(small) == set(whole)
    assert [(read["dataset"], read["split"], read["samples"]) for read in (whole, small)] == [
        ("mnist", "test", 10_000)
    ] * 2
    assert (small["activation"], small["inputs"]) == ("relu", "unit")
    assert whole["accuracy"] > 0.8
    assert 0.2 < small["accuracy"] <= whole["accuracy"]
    assert model.read_bytes() == before


def test_a_trained_network_keeps_its_accuracy_on_a_quarter_of_its_parameters(tmp_path) -> None:
    model, output = ROOT / "assets" / "models" / "clean.safetensors", tmp_path / "small.safetensors"
    cut = said("prune", model, "-o", output, "--method", "bema")
    assert cut["parameters_after"] <= 0.27 * cut["parameters_before"]
    whole, small = (said("evaluate", path)["accuracy"] for path in (model, output))
    assert whole > 0.98
    assert small >= whole - 0.002


@pytest.mark.parametrize(
    ("rule", "method"),
    [*((rule, "bema") for rule in RULES), *(("noise-edge", method) for method in METHODS)],
)
def test_json_is_the_plan_and_the_file_is_what_it_says(model, tmp_path, rule, method) -> None:
    output = tmp_path / "small.npz"
    found = said("prune", model, "-o", output, "--rule", rule, "--method", method)
    whole, small = formats.read(model), formats.read(output)
    plan = pruning.plan(analyze(whole, METHODS[method]()), RULES[rule]())
    assert small.digest == pruning.apply(whole, plan).digest == found["digest"]
    assert found["layers"] == json.loads(plan.to_json())["cuts"]
    assert (found["rule"], found["method"]) == (rule, method)
    assert {"activation": "relu", "inputs": "unit"}.items() <= found.items()
    for when, size in (("before", Size.of(whole)), ("after", Size.of(small))):
        for what in ("parameters", "macs", "bytes"):
            assert found[f"{what}_{when}"] == getattr(size, what)


@pytest.mark.parametrize("form", FORMS)
def test_options_reach_the_plan(model: Path, tmp_path: Path, form: str) -> None:
    output = tmp_path / "small.safetensors"
    options = ["--rule", "rank", "--option", "rank.rank=5", "--rank", "0=7", "--form", form]
    said("prune", model, "-o", output, *options, "--include-last")
    whole = formats.read(model)
    plan = pruning.plan(analyze(whole), FixedRank(5), {"0": 7}, form=form, include_last=True)
    assert formats.read(output).digest == pruning.apply(whole, plan).digest
    said("prune", model, "-o", output, "--rank", "4=7")
    assert formats.read(output)["4.0.weight"].shape == (7, 40)


@pytest.mark.parametrize("named", [[], ["--method", "bema"], ["--rule", "noise-edge"]])
def test_unstable_layers_are_left_whole_where_nothing_was_named(tmp_path, named) -> None:
    rng = np.random.default_rng(1)
    left, right = (np.linalg.qr(rng.normal(size=(side, 35)))[0] for side in (100, 120))
    many = left * np.linspace(20, 40, 35) @ right.T  # 35 spikes, of which BEMA finds a third
    arrays = {"0.weight": rng.normal(size=(100, 120)) + many, "1.weight": np.eye(10, 100)}
    source, output = tmp_path / "many.npz", tmp_path / "small.npz"
    source.write_bytes(formats.write(Checkpoint.of(arrays), "npz"))
    layer = analyze(source)["0"]
    assert (layer.stable, layer.spikes > 0) == (False, True)
    (cut, _) = said("prune", source, "-o", output, *named)["layers"]
    assert cut["stable"] is False
    assert (cut["form"], cut["reason"]) == (
        ("factored", "noise_edge") if named else ("whole", "unstable")
    )
    shown = run("prune", source, "-o", output, *named).stdout
    assert (say("cli.unstable") in shown) == bool(named)


def test_the_table_says_what_was_done(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "small.pt"
    result = run("prune", model, "-o", output, "--rule", "noise-edge")
    lines = result.stdout.splitlines()
    assert (result.exit_code, result.stderr) == (0, "")
    whole, small = formats.read(model), formats.read(output)
    plan = pruning.plan(analyze(whole), NoiseEdge())
    for cut, line in zip(plan.cuts, lines[1:], strict=False):
        assert line.startswith(cut.name)
        assert f"{cut.rank_before} → {cut.rank_after}" in line
        assert say(f"reason.{cut.reason}") in line
    assert of_plan(plan, Size.of(whole), Size.of(small), None) in lines
    assert lines[-1] == say("cli.written", output=output)


def test_all_formats_hold_the_same_network(model: Path, tmp_path: Path) -> None:
    read, digests = [], set()
    for suffix, name in SUFFIXES.items():
        output = tmp_path / f"small{suffix}"
        digests.add(said("prune", model, "-o", output, "--rule", "noise-edge")["digest"])
        assert formats.read(output).format == name
        read.append(said("evaluate", output))
    assert len(digests) == 1
    assert read == read[:1] * len(SUFFIXES)


def test_plain_torch_reads_a_pruned_file(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "small.pt"
    said("prune", model, "-o", output, "--rule", "rank", "--option", "rank.rank=9")
    weights = torch.load(output, weights_only=True)
    assert json.loads(weights.pop("__rmtviz__"))["factored"] == ["0", "2"]

    def pair(columns: int, rows: int) -> nn.Module:
        return nn.Sequential(nn.Linear(columns, 9, bias=False), nn.Linear(9, rows))

    plain = nn.Sequential(pair(784, 60), nn.ReLU(), pair(60, 40), nn.ReLU(), nn.Linear(40, 10))
    plain.load_state_dict(weights)
    images = MNIST()().split("test").images[:200]
    with torch.inference_mode():
        logits = plain(torch.tensor(images) / 255).numpy()
    ours = MLP()(formats.read(output)).logits(images)
    assert logits == pytest.approx(ours, abs=1e-4)
    assert np.ptp(ours) > 1


def test_a_model_can_be_written_over(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(model.read_bytes())
    found = said("prune", path, "-o", path, "--method", "bema")
    assert formats.read(path).digest == found["digest"] != formats.read(model).digest
    assert list(tmp_path.iterdir()) == [path]


def test_a_network_that_cannot_run_is_pruned_all_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    arrays = {"q.weight": rng.normal(size=(30, 50)), "norm.weight": np.ones(7)}
    source, output = tmp_path / "odd.npz", tmp_path / "small.npz"
    for note in ("mlp", None, {"activation": "relu"}):
        checkpoint = Checkpoint.of(arrays).with_about(network=note)
        source.write_bytes(formats.write(checkpoint, "npz"))
        assert said("prune", source, "-o", output, "--rank", "q=3")["inputs"] is None
        assert formats.read(output)["q.0.weight"].shape == (3, 50)


@pytest.mark.parametrize("arrays", [{"steps": np.arange(3)}, {"dw.weight": np.ones((2, 1, 2, 2))}])
def test_a_file_without_layers_is_no_accident(tmp_path: Path, arrays) -> None:
    source, output = tmp_path / "odd.npz", tmp_path / "same.npz"
    source.write_bytes(formats.write(Checkpoint.of(arrays), "npz"))
    assert say("verdict.model_empty") in run("prune", source, "-o", output).stdout
    assert said("prune", source, "-o", output)["digest"] == formats.read(source).digest


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--rule", "magic"], "noise-edge"),
        (["--method", "magic"], "bema"),
        (["--form", "sparse"], "factored"),
        (["--option", "rank.rank=3"], "rank"),
        (["--rule", "rank", "--option", "rank.rank=0"], "65536"),
        (["--rule", "rank", "--option", "rank.rank=2.5"], "2.5"),
        (["--rule", "energy", "--option", "energy.share=1.1"], "1.1"),
        (["--rank", "0=0"], "60"),
        (["--rank", "0=61"], "60"),
        (["--rank", "0=-1"], "0=-1"),
        (["--rank", "0"], "LAYER=RANK"),
        (["--rank", "=3"], "LAYER=RANK"),
        (["--rank", "0=" + 5000 * "9"], "LAYER=RANK"),
        (["--rank", "nine=3"], "nine"),
        (["--factored", "nine"], "nine"),
        (["--activation", "magic"], "relu"),
        (["--inputs", "magic"], "unit"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_wrong_words_are_refused_and_nothing_is_written(model, tmp_path, options, word, form):
    output = tmp_path / "small.pt"
    assert_refused(run("prune", model, "-o", output, *options, *form), word)
    assert list(tmp_path.iterdir()) == []


def test_a_layer_cannot_write_on_the_terminal(tmp_path: Path) -> None:
    source = tmp_path / "odd.npz"
    arrays = {"a\n\n\x1b[2Jb.weight": np.eye(9)}
    source.write_bytes(formats.write(Checkpoint.of(arrays), "npz"))
    for words in (["evaluate", source], ["prune", source, "-o", source, "--rank", "c=3"]):
        result = run(*words)
        assert_refused(result)
        assert "\x1b" not in result.stderr
    assert "\x1b" not in run("prune", source, "-o", source).stdout


@pytest.mark.parametrize("name", ["small", "small.bin", "small.safetensors.gz", ".pt"])
def test_an_ending_that_says_no_format_is_refused(model: Path, tmp_path: Path, name: str) -> None:
    assert_refused(run("prune", model, "-o", tmp_path / name), ".safetensors", ".npz")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_refused_and_left_as_it_was(model, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.npz").mkdir()
    for name in ("no/small.npz", "file/small.npz", "folder.npz", "x" * 300 + ".npz"):
        assert_refused(run("prune", model, "-o", tmp_path / name), name)
    assert {path.name for path in tmp_path.rglob("*")} == {"file", "folder.npz"}


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--dataset", "letters"], "mnist"),
        (["--split", "validation"], "selection"),
        (["--activation", "magic"], "relu"),
        (["--inputs", "magic"], "unit"),
        (["--order", "0,2"], "0, 2, 4"),
        (["--order", "4,2,0"], "10×40"),
        (["--factored", "nine"], "nine"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_evaluate_refuses_wrong_words(model: Path, options: list[str], word: str) -> None:
    assert_refused(run("evaluate", model, *options), word)


STRANGE = {
    "a norm": {"0.weight": np.ones((10, 784)), "norm.weight": np.ones(10)},
    "no chain": {"0.weight": np.ones((30, 784)), "1.weight": np.ones((10, 31))},
    "other pixels": {"0.weight": np.ones((10, 100))},
    "other classes": {"0.weight": np.ones((7, 784))},
    "no layers": {"0.bias": np.ones(10)},
    "NaN": {"0.weight": np.full((10, 784), np.nan)},
    "no numbers in the end": {"0.weight": np.full((10, 784), 3e38)},
}


@pytest.mark.parametrize("name", STRANGE)
def test_evaluate_refuses_what_cannot_be_run_or_judged(tmp_path: Path, name: str) -> None:
    path = tmp_path / "odd.npz"
    path.write_bytes(formats.write(Checkpoint.of(STRANGE[name]), "npz"))
    for form in ([], ["--json"]):
        assert_refused(run("evaluate", path, *form))


def test_evaluate_reads_the_split_that_is_named(model: Path) -> None:
    sizes = {split: said("evaluate", model, "--split", split) for split in ("train", "selection")}
    assert {split: read["samples"] for split, read in sizes.items()} == {
        "train": 55_000,
        "selection": 5_000,
    }
    assert {split: read["split"] for split, read in sizes.items()} == dict(
        zip(sizes, sizes, strict=True)
    )
    assert said("evaluate", model) == said("evaluate", model, "--split", "test")


def test_evaluate_says_loss_and_perplexity_of_a_network_that_reads_text() -> None:
    path = home() / "assets" / "models" / "language.safetensors"
    found = said("evaluate", path, "--split", "selection")
    assert (found["samples"], found["unit"]) == (4_992, "characters")
    assert found["perplexity"] == pytest.approx(np.exp(found["loss"]))
    lines = run("evaluate", path, "--split", "selection").stdout
    assert "4,992 python-help characters (selection) guessed right" in lines
    assert f"perplexity {found['perplexity']:.2f}" in lines
    assert lines.count("\n") == 1


def test_evaluate_runs_as_it_is_told(model: Path) -> None:
    told = said("evaluate", model, "--activation", "sigmoid", "--inputs", "raw")
    assert (told["activation"], told["inputs"]) == ("sigmoid", "raw")
    assert told["accuracy"] < said("evaluate", model)["accuracy"]
    assert said("evaluate", model, "--order", "0,2,4") == said("evaluate", model)


@pytest.mark.parametrize(
    "command", [["evaluate", "--dataset", "mnist"], ["prune", "-o", "small.npz"]]
)
def test_a_pair_that_nobody_named_is_asked_about(untold, tmp_path, monkeypatch, command) -> None:
    monkeypatch.chdir(tmp_path)
    assert_refused(run(*command, untold), "--factored a")
    assert_refused(run(*command, untold, "--factored", "b"), "“b”", "a")
    assert_refused(run(*command, untold, "--factored", "yes"), "“yes”", "a")
    assert list(tmp_path.iterdir()) == []
    for answer in ("a", "none"):
        assert run(*command, untold, "--factored", answer).exit_code == 0


def test_the_answer_decides_how_a_pair_runs_and_stays_with_the_file(untold, tmp_path) -> None:
    read, data = {}, ("--dataset", "mnist")
    for answer, kinds in (("a", ["factored", "linear"]), ("none", ["linear"] * 3)):
        how = ("--factored", answer, "--activation", "relu", "--inputs", "unit")
        read[answer] = said("evaluate", untold, *how, *data)
        output = tmp_path / f"{answer}.pt"
        said("prune", untold, "-o", output, "--rule", "off", *how)
        assert [layer.kind for layer in layers.find(formats.read(output))[0]] == kinds
        assert said("evaluate", output, *data) == read[answer]
    assert read["a"]["loss"] != read["none"]["loss"]
