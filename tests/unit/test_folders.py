"""A folder in Hugging Face's layout: pruned, written back, loaded again by plain PyTorch."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import safetensors.torch
import torch
from click.testing import CliRunner
from torch import nn

from rmtviz import folders, formats
from rmtviz.cli import main

KEPT = {"config.json": '{"num_attention_heads": 4}', "tokenizer.json": "{}", "merges.txt": "a b"}
RANKS = ("h.q=6", "h.c_fc=5", "h.up=7", "stem=4", "places=3")


class Conv1D(nn.Module):
    """GPT-2's linear layer, which holds its inputs first."""

    def __init__(self, outputs: int, inputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs) / inputs**0.5)
        self.bias = nn.Parameter(torch.randn(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight + self.bias


class Model(nn.Module):
    """A small program with what such models have: a table tied to the head, biases, a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(32, 32, 3, stride=2, padding=1)
        self.wte = nn.Embedding(50, 32)
        self.places = nn.Embedding(12, 32)  # whose name does not say that it is a table
        self.h = nn.ModuleDict(
            {
                "q": nn.Linear(32, 32, bias=False),
                "c_fc": Conv1D(64, 32),
                "up": nn.Linear(64, 32),
                "norm": nn.LayerNorm(32),
            }
        )
        self.lm_head = nn.Linear(32, 50, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.wte(tokens) + self.places(torch.arange(tokens.shape[1]))
        x = self.stem(x.mT).mT
        x = self.h["norm"](self.h["q"](x))
        assert self.h["up"].weight.dtype == torch.float32  # as T5 asks
        return self.lm_head(self.h["up"](torch.relu(self.h["c_fc"](x))))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model in two shards with their index, its settings, and a stale file of other weights."""
    torch.manual_seed(0)
    state = {k: v.contiguous() for k, v in Model().state_dict().items() if k != "lm_head.weight"}
    made = tmp_path / "model"
    made.mkdir()
    names = sorted(state)
    listed = {}
    for part, some in enumerate((names[::2], names[1::2])):
        file = f"model-{part}.safetensors"
        some_state = {name: state[name] for name in some}
        safetensors.torch.save_file(some_state, made / file, metadata={"format": "pt"})
        listed |= dict.fromkeys(some, file)
    (made / "model.safetensors.index.json").write_text(json.dumps({"weight_map": listed}))
    for name, text in KEPT.items():
        (made / name).write_text(text)
    (made / "pytorch_model.bin").write_bytes(b"stale")
    (made / "onnx").mkdir()
    return made


def prune(folder: Path, output: Path, *more: str) -> dict:
    ranks = [word for rank in RANKS for word in ("--rank", rank)]
    words = ["prune", str(folder), "-o", str(output), "--rule", "off", *ranks, "--json", *more]
    run = CliRunner().invoke(main, words)
    assert run.exit_code == 0, run.output
    return json.loads(run.stdout)


def loader(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("load_factored", folder / folders.LOADER)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_pruned_folder_loads_again_stays_small_and_computes_the_same(
    folder: Path, tmp_path: Path
) -> None:
    small, dense = tmp_path / "small", tmp_path / "dense"
    record = prune(folder, small)
    assert record["files"] == sorted([*KEPT, "factored.safetensors", folders.LOADER])
    assert {name: (small / name).read_text() for name in KEPT} == KEPT
    stored = (small / "factored.safetensors").stat().st_size
    whole = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    assert stored < 0.6 * whole

    network = loader(small).load(Model(), small).eval()
    forms = {cut["name"]: cut["form"] for cut in record["layers"]}
    assert {name for name, form in forms.items() if form == "factored"} == {
        rank.partition("=")[0] for rank in RANKS
    }
    table = 12 * 32 - 3 * (12 + 32)  # is put together again
    assert record["parameters_after"] + table == sum(x.numel() for x in network.parameters())

    assert prune(folder, dense, "--form", "dense")["files"] == sorted([*KEPT, "model.safetensors"])
    plain = Model().eval()
    left = plain.load_state_dict(
        safetensors.torch.load_file(dense / "model.safetensors"), strict=False
    )
    assert (left.missing_keys, left.unexpected_keys) == (["lm_head.weight"], [])
    with safetensors.safe_open(dense / "model.safetensors", "pt") as file:
        assert file.metadata()["format"] == "pt"
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, 50, (3, 12)))
    with torch.no_grad():
        assert torch.allclose(network(tokens), plain(tokens), atol=1e-4)

    again = formats.read(small)
    assert again.digest == record["digest"]


def test_what_is_missing_or_left_over_is_not_passed_over(folder: Path, tmp_path: Path) -> None:
    prune(folder, tmp_path / "small")
    load = loader(tmp_path / "small").load
    smaller = Model()
    smaller.h["norm"] = nn.Identity()
    larger = Model()
    larger.extra = nn.Linear(2, 2)
    for other in (smaller, larger):
        with pytest.raises(RuntimeError):
            load(other, tmp_path / "small")


def test_a_folder_that_is_there_is_not_written_over(folder: Path, tmp_path: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    run = CliRunner().invoke(main, ["prune", str(folder), "-o", str(folder)])
    assert run.exit_code == 2
    assert "is there already" in run.stderr
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert list(tmp_path.iterdir()) == [folder]
    (tmp_path / "empty").mkdir()
    prune(folder, tmp_path / "empty")
    assert (tmp_path / "empty" / "config.json").exists()


def test_the_table_ends_with_how_to_load_it(folder: Path, tmp_path: Path) -> None:
    words = ["prune", str(folder), "-o", str(tmp_path / "small"), "--rank", "h.q=6"]
    run = CliRunner().invoke(main, words)
    assert "load_factored.load" in run.stdout.splitlines()[-1]
    one = CliRunner().invoke(main, [*words[:3], str(tmp_path / "one.safetensors"), *words[4:]])
    assert (one.exit_code, (tmp_path / "one.safetensors").is_file()) == (0, True)
