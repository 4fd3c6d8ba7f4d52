"""Codes and scales: what is analysed are the numbers that they stand for, never the codes."""

import io
import warnings
from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest
import torch

from rmtviz import analyze, formats, pruning
from rmtviz.checkpoint import COARSE, FLOATS, Checkpoint
from rmtviz.formats._quantised import blocks, spread
from rmtviz.rules import FixedRank

RNG = np.random.default_rng(0)
Q = RNG.integers(-127, 128, (30, 40)).astype("i1")
U = RNG.integers(0, 256, (30, 40)).astype("u1")
F8 = RNG.normal(size=(30, 40)).astype(ml_dtypes.float8_e4m3fn)
ROWS, ONE = RNG.uniform(0.5, 2, 30).astype("f4"), np.array(0.25, "f4")
GRID = RNG.uniform(0.5, 2, (30, 5)).astype("f4")
BLOCKS = RNG.uniform(0.5, 2, (3, 4)).astype("f4")
ZERO = RNG.integers(-9, 9, (30, 1)).astype("i1")

CASES: dict[str, tuple[dict[str, np.ndarray], np.ndarray]] = {
    "compressed-tensors, one scale": (
        {"a.weight": Q, "a.weight_scale": ONE},
        Q * np.float64(0.25),
    ),
    "compressed-tensors, a row": (
        {"a.weight": Q, "a.weight_scale": ROWS[:, None], "a.weight_zero_point": ZERO},
        (Q.astype("f8") - ZERO) * ROWS[:, None],
    ),
    "compressed-tensors, a group": (
        {"a.weight": Q, "a.weight_scale": GRID},
        Q * np.repeat(GRID, 8, 1).astype("f8"),
    ),
    "bitsandbytes": (
        {"a.weight": Q, "a.SCB": ROWS, "a.weight_format": np.array(0, "u1")},
        Q * (ROWS[:, None].astype("f8") / 127),
    ),
    "per tensor": (
        {"a.weight": U, "a.scale": ONE, "a.zero_point": np.array(128)},
        (U.astype("f8") - 128) * 0.25,
    ),
    "fp8, one scale": ({"a.weight": F8, "a.weight_scale": ONE[None]}, F8.astype("f8") * 0.25),
    "fp8, comfy": ({"a.weight": F8, "a.scale_weight": ONE}, F8.astype("f8") * 0.25),
    "fp8, blocks": (
        {"a.weight": F8, "a.weight_scale_inv": BLOCKS},
        F8.astype("f8") * np.repeat(np.repeat(BLOCKS, 10, 0), 10, 1),
    ),
}
cases = pytest.mark.parametrize("case", CASES)


def read(arrays: dict[str, np.ndarray]) -> Checkpoint:
    return formats.read(formats.write(Checkpoint.of(arrays), "safetensors"))


@cases
def test_codes_are_read_as_what_they_stand_for(case: str) -> None:
    arrays, expected = CASES[case]
    checkpoint = read(arrays)
    assert checkpoint.tensors["a.weight"].dtype == np.float32
    assert np.allclose(checkpoint["a.weight"], expected, rtol=1e-6)
    (layer,) = analyze(checkpoint)
    values = np.linalg.svd(expected, compute_uv=False)
    assert np.allclose(layer.spectrum.values, values, rtol=1e-5)
    listed = {item.name: item for item in checkpoint.left_out}
    assert listed.keys() == set(arrays) - {"a.weight", "a.weight_format"}
    assert all(item.reason == "scale" and "a.weight" in item.why for item in listed.values())


def test_what_is_pruned_is_written_back_as_numbers() -> None:
    checkpoint = read(CASES["bitsandbytes"][0])
    plan = pruning.plan(analyze(checkpoint), FixedRank(3), form="dense", include_last=True)
    again = formats.read(formats.write(pruning.apply(checkpoint, plan), "safetensors"))
    assert again["a.weight"].dtype == np.float32
    assert np.linalg.matrix_rank(again["a.weight"]) == 3


@pytest.mark.parametrize(
    "arrays",
    [
        {"a.weight": Q},
        {"a.weight": U, "a.weight_scale": ONE},
        {"a.weight": Q, "a.weight_scale": ROWS[:7]},
        {"a.weight": Q, "a.weight_scale": np.ones((7, 40), "f4")},
        {"a.weight": Q, "a.weight_scale": np.ones((30, 40, 1), "f4")},
        {"a.weight": Q, "a.weight_scale": np.ones((0, 40), "f4")},
        {"a.weight": Q, "a.weight_scale": np.array(3)},
        {"a.weight": Q, "a.scale": ONE, "a.zero_point": np.zeros(29, "i4")},
    ],
)
def test_codes_without_a_scale_that_fits_are_listed_and_not_analysed(arrays: dict) -> None:
    found = analyze(read(arrays))
    assert "a" not in {layer.name for layer in found}
    assert "not_floating" in {item.reason for item in found.skipped}


@pytest.mark.parametrize(
    "arrays",
    [
        {"a.qweight": np.ones((5, 30), "i4"), "a.qzeros": np.ones((2, 4), "i4")},
        {"a.weight_packed": np.ones((30, 5), "i4")},
        {"a.weight": np.ones((600, 1), "u1"), "a.weight.absmax": ROWS},
    ],
)
def test_packed_codes_are_listed_as_such(arrays: dict) -> None:
    found = analyze(read({**arrays, "a.scales": GRID[0]}))
    assert found.layers == ()
    assert "codes" in {item.reason for item in found.skipped}


@pytest.mark.parametrize("name", COARSE)
def test_plain_eight_bit_floats_are_weights_and_written_in_sixteen(name: str) -> None:
    weights = RNG.normal(size=(30, 40)).astype(FLOATS[name])
    checkpoint = read({"a.weight": weights, "a.bias": weights[:, 0]})
    assert checkpoint.tensors["a.weight"].dtype.name == name
    (layer,) = found = analyze(checkpoint)
    values = np.linalg.svd(weights.astype("f8"), compute_uv=False)
    assert np.allclose(layer.spectrum.values, values)
    pruned = pruning.apply(checkpoint, pruning.plan(found, FixedRank(3), include_last=True))
    assert {pruned.tensors[each].dtype.name for each in ("a.0.weight", "a.1.weight")} == {
        "bfloat16"
    }


def quantised(how: str) -> tuple[torch.Tensor, torch.Tensor]:
    weights = torch.from_numpy(RNG.normal(size=(30, 40)).astype("f4"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        codes = QUANTISERS[how](weights)
        return codes, codes.dequantize()


QUANTISERS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "signed": lambda w: torch.quantize_per_tensor(w, 0.02, 3, torch.qint8),
    "unsigned": lambda w: torch.quantize_per_tensor(w, 0.02, 128, torch.quint8),
    "rows": lambda w: torch.quantize_per_channel(
        w, torch.from_numpy(ROWS / 50), torch.arange(30) - 15, 0, torch.qint8
    ),
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("how", QUANTISERS)
def test_torchs_quantised_tensors_carry_their_scales(how: str, legacy: bool) -> None:
    codes, expected = quantised(how)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The scale and zero point of a quantised module are those of what it puts out.
        state = {"a.weight": codes, "a.scale": torch.tensor(7.0), "a.zero_point": torch.tensor(9)}
        torch.save(state, buffer, _use_new_zipfile_serialization=not legacy)
    checkpoint = formats.read(buffer.getvalue())
    assert np.allclose(checkpoint["a.weight"], expected.numpy(), rtol=1e-6, atol=1e-7)


def test_columns_quantised_one_by_one_are_listed() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        codes = torch.quantize_per_channel(
            torch.ones(30, 40), torch.ones(40), torch.zeros(40), 1, torch.qint8
        )
        buffer = io.BytesIO()
        torch.save({"a.weight": codes, "b.weight": torch.ones(3, 4)}, buffer)
    checkpoint = formats.read(buffer.getvalue())
    assert {item.name: item.reason for item in checkpoint.left_out} == {"a.weight": "tensor_kind"}


@pytest.mark.parametrize(
    ("scales", "shape", "expected"),
    [
        ((), (30, 40), (30, 40)),
        ((1, 1), (30, 40), (30, 40)),
        ((30,), (30, 40), (1, 40)),
        ((3, 1), (30, 40), (10, 40)),
        ((2, 3), (200, 300), (100, 100)),
        ((2, 3), (129, 300), (128, 100)),
        ((2, 3), (300, 300), (150, 100)),
        ((4, 3), (390, 384), (128, 128)),
        ((30, 2), (30, 257), None),
        ((40,), (30, 40), None),
        ((30, 40, 1), (30, 40), None),
        ((16, 1, 1, 1), (16, 3, 3, 3), (1, 3, 3, 3)),
    ],
)
def test_which_block_a_scale_is_for(
    scales: tuple[int, ...], shape: tuple[int, ...], expected: tuple[int, ...] | None
) -> None:
    assert blocks(scales, shape) == expected
    if expected:
        values = RNG.normal(size=scales)
        full = np.broadcast_to(spread(values, shape), shape)
        place = tuple(side - 1 for side in shape)
        held = values.reshape([-(-s // b) for s, b in zip(shape, expected, strict=True)])
        assert full[place] == held.flat[-1]
        assert full[(0,) * len(shape)] == held.flat[0]
