"""Weights made of several tensors: what is read is what torch computes when the layer runs."""

import io
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from rmtviz import analyze, formats, pruning
from rmtviz.checkpoint import Checkpoint
from rmtviz.rules import FixedRank

LAYERS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(30, 25),
    "convolution": lambda: nn.Conv2d(5, 24, 3),
    "transposed": lambda: nn.ConvTranspose1d(24, 8, 5),
    "square transposed": lambda: nn.ConvTranspose2d(24, 24, 3),
    "one output": lambda: nn.Linear(30, 1),
}


def masked(layer: nn.Module) -> nn.Module:
    return prune.l1_unstructured(layer, "weight", 0.4)


WRAPS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "weight norm": nn.utils.weight_norm,
    "weight norm of all": lambda layer: nn.utils.weight_norm(layer, dim=None),
    "weight norm of the second side": lambda layer: nn.utils.weight_norm(layer, dim=1),
    "spectral norm": nn.utils.spectral_norm,
    "mask": masked,
    "parametrised weight norm": parametrizations.weight_norm,
    "parametrised spectral norm": parametrizations.spectral_norm,
}


def wrapped(wrap: str, layer: str) -> tuple[nn.Module, torch.Tensor]:
    """A layer that was trained a little, and its weight as it runs."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        made = WRAPS[wrap](LAYERS[layer]())
    for name, parameter in made.named_parameters():
        if "orig" in name:
            parameter.data *= 1.5
        if name.endswith(("_g", "original0")):
            parameter.data += torch.rand_like(parameter)
    for _ in range(3):
        made(
            torch.randn(2, *{2: (30,), 3: (24, 9), 4: (5, 9, 9)}[made.weight.ndim])
            if layer != "square transposed"
            else torch.randn(2, 24, 5, 5)
        )
    made.eval()
    with torch.no_grad():
        return made, made.weight.detach().clone()


def read(module: nn.Module) -> Checkpoint:
    buffer = io.BytesIO()
    torch.save(nn.ModuleDict({"a": module}).state_dict(), buffer)
    return formats.read(buffer.getvalue())


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("wrap", WRAPS)
def test_the_weight_is_the_one_that_runs(wrap: str, layer: str) -> None:
    module, weight = wrapped(wrap, layer)
    module(torch.zeros(1, *{2: (30,), 3: (24, 9), 4: (weight.shape[1], 9, 9)}[weight.ndim]))
    checkpoint = read(module)
    assert set(checkpoint) == {"a.weight", "a.bias"}
    assert checkpoint["a.weight"].dtype == np.float32
    assert np.allclose(checkpoint["a.weight"], module.weight.detach(), rtol=1e-5, atol=1e-7)
    assert checkpoint.parameters == weight.numel() + module.bias.numel()
    parts = [item for item in checkpoint.left_out if item.reason == "recombined"]
    assert len(parts) in (2, 3)
    assert all("a.weight" in item.why for item in parts)


def test_what_is_pruned_is_written_back_plain_and_loads_into_the_plain_layer() -> None:
    module, _ = wrapped("parametrised weight norm", "linear")
    checkpoint = read(module)
    plan = pruning.plan(analyze(checkpoint), FixedRank(4), form="dense", include_last=True)
    pruned = formats.read(formats.write(pruning.apply(checkpoint, plan), "pytorch"))
    plain = nn.ModuleDict({"a": nn.Linear(30, 25)})
    plain.load_state_dict({name: torch.from_numpy(pruned[name].copy()) for name in pruned})
    assert torch.linalg.matrix_rank(plain["a"].weight) == 4


@pytest.mark.parametrize("options", [{}, {"use_trivialization": False}])
def test_other_parametrisations_are_listed_and_not_guessed(options: dict) -> None:
    module = parametrizations.orthogonal(nn.Linear(30, 30), **options)
    checkpoint = read(module)
    assert set(checkpoint) == {"a.bias"}
    assert {item.reason for item in checkpoint.left_out} == {"parametrised"}
    both = parametrizations.spectral_norm(parametrizations.weight_norm(nn.Linear(30, 30)))
    assert set(read(both)) == {"a.bias"}


@pytest.mark.parametrize(
    "arrays",
    [
        {"w_g": np.ones((4, 4), "f4"), "w_v": np.ones((4, 4), "f4")},
        {"w_g": np.ones((4, 1, 1), "f4"), "w_v": np.ones((4, 4), "f4")},
        {"w_g": np.ones((3, 1), "f4"), "w_v": np.ones((4, 4), "f4")},
        {"w_v": np.ones((4, 4), "f4")},
        {"w_orig": np.ones((4, 4), "f4"), "w_u": np.ones(3, "f4"), "w_v": np.ones(4, "f4")},
        {"w_orig": np.ones((4, 4), "f4"), "w_mask": np.ones((4, 1), "f4")},
        {"w_g": np.ones((4, 1), "f4"), "w_v": np.ones((4, 4), "f4"), "w": np.ones((4, 4), "f4")},
        {"w_g": np.ones((4, 1), "i4"), "w_v": np.ones((4, 4), "i4")},
    ],
)
def test_what_does_not_fit_stays_as_it_stands(arrays: dict[str, np.ndarray]) -> None:
    again = formats.read(formats.write(Checkpoint.of(arrays), "safetensors"))
    assert set(again) == set(arrays)


def test_a_direction_of_zero_is_not_finite_and_refused_by_that_reason() -> None:
    arrays = {"a.weight_g": np.ones((25, 1), "f4"), "a.weight_v": np.zeros((25, 30), "f4")}
    checkpoint = formats.read(formats.write(Checkpoint.of(arrays), "safetensors"))
    found = analyze(checkpoint)
    assert found.layers == ()
    assert ("a.weight", "not_finite") in {(item.name, item.reason) for item in found.skipped}
