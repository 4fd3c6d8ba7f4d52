"""Copies of the weights in a file (EMA and others): found by name and shape, chosen, listed."""

import io
import json
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn
from torch.optim.swa_utils import AveragedModel

from rmtviz import analyze, formats
from rmtviz.checkpoint import PLAIN, Checkpoint
from rmtviz.cli import main
from rmtviz.errors import BadOption, FileRefused


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(30, 25), nn.BatchNorm1d(25), nn.ReLU(), nn.Linear(25, 22))


PLAIN_STATE, AVERAGE = network(0).state_dict(), network(1).state_dict()
TRAINED = [name for name in AVERAGE if "running" not in name and "num_batches" not in name]
SHADOW = {"decay": 0.999, "shadow_params": [AVERAGE[name] for name in TRAINED]}
AVERAGED = AveragedModel(network(1)).state_dict()

FILES = {
    "ema": {"state_dict": PLAIN_STATE, "ema": AVERAGE, "epoch": 3},
    "model_ema": {"model": PLAIN_STATE, "model_ema": AVERAGE},
    "state_dict_ema": {"state_dict": PLAIN_STATE, "state_dict_ema": AVERAGE},
    "ema_state_dict": {"model_state_dict": PLAIN_STATE, "ema_state_dict": AVERAGE},
    "ema of a wrapped model": {"model": PLAIN_STATE, "ema": AVERAGED},
    "ema of a module": {"model": PLAIN_STATE, "ema": network(1)},
    "diffusers and torch_ema": {"model": PLAIN_STATE, "ema": SHADOW},
    "a list alone": {"state_dict": PLAIN_STATE, "shadow_params": SHADOW["shadow_params"]},
    "callback": {"state_dict": PLAIN_STATE, "callbacks": {"EMA": {"ema_state_dict": AVERAGE}}},
    "before the weights": {
        "state_dict": {f"model.{k}": v for k, v in PLAIN_STATE.items()},
        "ema": AVERAGE,
    },
    "latent diffusion": {
        "state_dict": {f"model.{k}": v for k, v in PLAIN_STATE.items()}
        | {f"model_ema.{k.replace('.', '')}": AVERAGE[k] for k in TRAINED}
        | {"model_ema.decay": torch.tensor(0.99), "model_ema.num_updates": torch.tensor(3)}
    },
    "two in one": {
        "model": PLAIN_STATE,
        "ema": {f"online_model.{k}": v for k, v in PLAIN_STATE.items()}
        | {f"ema_model.{k}": v for k, v in AVERAGE.items()}
        | {"initted": torch.tensor(True), "step": torch.tensor(7)},
    },
    "flat": {**PLAIN_STATE, **{f"ema.{k}": v for k, v in AVERAGE.items()}},
    "flat with a wrapper": {f"module.{k}": v for k, v in PLAIN_STATE.items()}
    | {f"module.ema_model.{k}": v for k, v in AVERAGE.items()},
}
files = pytest.mark.parametrize("name", FILES)


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def state(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    return {name.removeprefix("model."): checkpoint[name] for name in checkpoint}


@files
def test_the_weights_are_taken_and_the_copy_is_offered_and_listed(name: str) -> None:
    checkpoint = formats.read(saved(FILES[name]))
    (copy,) = checkpoint.copies
    assert checkpoint.copy == PLAIN
    assert state(checkpoint).keys() == PLAIN_STATE.keys()
    assert all(np.array_equal(state(checkpoint)[k], v) for k, v in PLAIN_STATE.items())
    listed = {item.name: item.reason for item in analyze(checkpoint).skipped}
    assert listed.get(copy) == "copy" or "callbacks" in listed

    other = checkpoint.taking(copy)
    assert list(other) == list(checkpoint)
    for key in TRAINED:
        assert np.array_equal(state(other)[key], AVERAGE[key])
    assert other.title == f"bytes ({copy})"
    listed = {item.name: item.reason for item in analyze(other).skipped}
    assert listed[PLAIN] == "copy"
    assert copy not in listed
    assert other.taking(PLAIN).digest == checkpoint.digest != other.digest
    assert checkpoint.taking(PLAIN) is checkpoint


@pytest.mark.parametrize(
    "value",
    [
        {"model": PLAIN_STATE, "ema": {k: v for k, v in AVERAGE.items() if k != "x"} | {"x": 1}},
        {"model": PLAIN_STATE, "ema": {"0.weight": torch.ones(25, 31)}},
        {"model": PLAIN_STATE, "ema": {"another.weight": AVERAGE["0.weight"]}},
        {"model": PLAIN_STATE, "ema": {"shadow_params": SHADOW["shadow_params"][1:]}},
        {"ema": AVERAGE},
        {"epoch": 2, "ema": AVERAGE},
    ],
)
def test_what_does_not_match_in_every_shape_is_no_copy(value: dict) -> None:
    found = formats.read(saved(value))
    expected = {"ema"} if "x" in value["ema"] else set()
    assert set(found.copies) == expected
    assert found.parameters == sum(PLAIN_STATE[name].numel() for name in TRAINED)


def test_a_copy_that_leaves_tensors_out_has_those_of_the_weights() -> None:
    part = {"model": PLAIN_STATE, "ema": {"3.weight": AVERAGE["3.weight"]}}
    other = formats.read(saved(part)).taking("ema")
    assert np.array_equal(other["3.weight"], AVERAGE["3.weight"])
    assert np.array_equal(other["0.weight"], PLAIN_STATE["0.weight"])


def test_a_copy_that_is_not_there_is_refused_with_those_that_are() -> None:
    checkpoint = formats.read(saved(FILES["model_ema"]))
    with pytest.raises(BadOption) as refusal:
        checkpoint.taking("swa")
    assert "weights, model_ema" in refusal.value.do


def test_copies_count_against_the_limit_of_tensors() -> None:
    many = OrderedDict((f"{i}.weight", torch.ones(1, 1)) for i in range(60))
    limits = formats.Limits(tensors=50)
    with pytest.raises(FileRefused):
        formats.read(saved({"model": many, "ema": many}), limits=limits)


@pytest.mark.parametrize("command", ["analyze", "prune"])
def test_the_command_line_takes_a_copy_by_a_part_of_its_name(command: str, tmp_path: Path) -> None:
    file, out = tmp_path / "run.pt", tmp_path / "out.safetensors"
    file.write_bytes(saved(FILES["model_ema"]))
    more = ["-o", str(out), "--rank", "0=5"] if command == "prune" else []
    run = CliRunner().invoke(main, [command, str(file), "--copy", "ema", "--json", *more])
    assert run.exit_code == 0, run.output
    if command == "analyze":
        expected = formats.read(saved(AVERAGE)).digest
        assert json.loads(run.stdout)["model"]["digest"] == expected
    else:
        cut = formats.read(out)
        near = cut["0.1.weight"] @ cut["0.0.weight"]
        left, values, right = np.linalg.svd(AVERAGE["0.weight"].numpy(), full_matrices=False)
        assert np.allclose(near, (left[:, :5] * values[:5]) @ right[:5], atol=1e-5)
    refused = CliRunner().invoke(main, [command, str(file), "--copy", "swa", *more])
    assert refused.exit_code == 2
    assert "model_ema" in refused.stderr
