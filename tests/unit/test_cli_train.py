"""`rmtviz train`: a line an epoch, cuts by a schedule, and refusals that name the option."""

import json

import pytest
from click.testing import CliRunner

from rmtviz import formats, layers
from rmtviz.cli import main
from rmtviz.cli.learning import shared
from rmtviz.errors import BadOption
from rmtviz.rules import RULES
from rmtviz.schedules import SCHEDULES

SMALL = ["--widths", "64,32", "--epochs", "3", "--train-samples", "600", "--batch-size", "60"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """What `rmtviz train -o net.safetensors …` prints, and how it ends."""
    monkeypatch.setenv("RMTVIZ_HOME", str(tmp_path / "home"))

    def call(*words: str):
        output = tmp_path / "net.safetensors"
        return CliRunner().invoke(main, ["train", "-o", str(output), *SMALL, *words]), output

    return call


def test_each_epoch_is_a_line_and_a_cut_stands_in_its_own(run) -> None:
    options = ["--schedule", "every", "--option", "first=1", "--option", "every=2"]
    options += ["--option", "gate=none", "--option", "bulk-share.share=0.2"]
    done, output = run(*options, "--json")
    assert done.exit_code == 0, done.output
    *epochs, end = map(json.loads, done.stdout.splitlines())
    assert [row["epoch"] for row in epochs] == [1, 2, 3]
    assert ["cut" in row for row in epochs] == [True, False, False]
    assert {"parameters", "ranks", "spikes", "never_predicted", "spectra_share"} <= set(epochs[0])
    found, _ = layers.find(formats.read(output))
    assert [layer.factored for layer in found] == [True, True, False]
    stored = [formats.read(output).tensors[layer.tensors[0]].shape[0] for layer in found[:2]]
    assert [epochs[-1]["ranks"][name] for name in ("0", "2")] == stored
    assert end["parameters"] == epochs[-1]["parameters"] == formats.read(output).parameters


def test_in_words_the_cut_follows_its_epoch(run) -> None:
    done, _ = run("--schedule", "once", "--option", "epoch=0", "--option", "share=0.1")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("epoch 0:")
    assert "0: 64 → 6" in lines[1]
    assert lines[2].startswith("epoch 1:")


def test_without_a_schedule_nothing_is_cut(run) -> None:
    done, output = run("--optimiser", "sgd", "--rate", "constant", "--dropout", "0.1", "--json")
    assert done.exit_code == 0, done.output
    assert not any("cut" in json.loads(line) for line in done.stdout.splitlines())
    assert not any(layer.factored for layer in layers.find(formats.read(output))[0])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--schedule", "sometimes"], "falling"),
        (["--rule", "none"], "bulk-share"),
        (["--option", "every=3"], "--schedule every"),
        (["--schedule", "every", "--option", "often=3"], "most"),
        (["--schedule", "every", "--option", "every"], "KNOB=VALUE"),
        (["--schedule", "every", "--option", "once.epoch=3"], "every"),
        (["--schedule", "every", "--option", "every=none"], "every"),
        (["--schedule", "once", "--magnitude", "0.5"], "magnitude"),
        (["--optimiser", "lion"], "sgd"),
        (["--logits", "tanh"], "relu"),
    ],
)
def test_a_wrong_option_is_refused_by_name(run, words, said) -> None:
    done, _ = run(*words)
    assert done.exit_code == 2
    assert said in done.stderr


def test_knobs_find_their_owner() -> None:
    tables = {"every": SCHEDULES, "bulk-share": RULES}
    words = ["every=2", "share=0.45", "every.first=1", "bulk-share.times=2"]
    assert shared(words, tables) == {
        "every": {"every": "2", "first": "1"},
        "bulk-share": {"share": "0.45", "times": "2"},
    }
    with pytest.raises(BadOption, match="energy"):
        shared(["energy.share=1"], tables)
