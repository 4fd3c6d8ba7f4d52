"""Quantised ONNX graphs: what their codes stand for, what stays, and what a cut changes."""

from collections.abc import Sequence
from typing import NamedTuple

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from rmtviz import formats, graphs, layers, pruning, verdict
from rmtviz.analysis import analyze
from rmtviz.networks import ONNX
from rmtviz.rules import Off

RNG = np.random.default_rng(0)
node = helper.make_node
SIDES = {"a": (24, 40), "b": (10, 24)}
RANK = 5


class Case(NamedTuple):
    """How codes are held: their type, one scale for all, a row (axis), or a block of a row."""

    dtype: type
    axis: int | None = None
    block: int = 0
    zero: bool = True


CASES = {
    "int8": Case(np.int8),
    "int8 without a zero point": Case(np.int8, zero=False),
    "uint8, a scale for each row": Case(np.uint8, 0),
    "int8, a scale for each column": Case(np.int8, 1),
    "int4, a scale for each eight": Case(ml_dtypes.int4, 1, 8),
    "uint4": Case(ml_dtypes.uint4),
}
LOWEST = {np.int8: -128, np.uint8: 0, ml_dtypes.int4: -8, ml_dtypes.uint4: 0}


def coded(case: Case, sides: tuple[int, int]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Codes, scale and zero point, and one by one what they stand for."""
    low = LOWEST[case.dtype]
    high = low + (16 if "4" in case.dtype.__name__ else 256)
    codes = RNG.integers(low, high, sides)
    counts = tuple(
        (side // case.block if case.block else side) if axis == case.axis else 1
        for axis, side in enumerate(sides)
    )
    if case.block:
        counts = tuple(n if axis == case.axis else sides[axis] for axis, n in enumerate(counts))
    scale = RNG.uniform(0.01, 0.02, counts).astype(np.float32)
    zero = RNG.integers(low, high, counts) if case.zero else np.zeros(counts, int)
    numbers = np.empty(sides, np.float32)
    for i, j in np.ndindex(sides):
        place = tuple(
            at * count // side for at, count, side in zip((i, j), counts, sides, strict=True)
        )
        numbers[i, j] = (codes[i, j] - zero[place]) * scale[place]
    shape = counts if case.block else () if case.axis is None else (-1,)
    held = {"quantized": codes.astype(case.dtype), "scale": scale.reshape(shape)}
    if case.zero:
        held["zero_point"] = zero.reshape(shape).astype(case.dtype)
    return held, numbers


def model(nodes: Sequence[onnx.NodeProto], arrays: dict[str, np.ndarray], opset: int = 21) -> bytes:
    """An ONNX file from forty pixels to ten classes."""
    value = helper.make_tensor_value_info
    made = helper.make_graph(
        list(nodes),
        "g",
        [value("x", TensorProto.FLOAT, ["n", 40])],
        [value("y", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    held = helper.make_model(made, opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(held)
    return held.SerializeToString()


def network(weights: dict[str, np.ndarray]) -> bytes:
    """The same network of plain numbers."""
    return decoded(weights, {}, {})


def decoded(
    weights: dict[str, np.ndarray], held: dict[str, np.ndarray], how: dict[str, int]
) -> bytes:
    """Two layers; those that are not among `weights` come from codes."""
    arrays = {f"{name}.weight": array for name, array in weights.items()} | held
    nodes = []
    for name in SIDES.keys() - weights:
        inputs = [f"{name}.weight_{part}" for part in ("quantized", "scale", "zero_point")]
        given = [each for each in inputs if each in held]
        nodes.append(node("DequantizeLinear", given, [f"{name}.weight"], f"{name}.dq", **how))
    nodes += [
        node("Gemm", ["x", "a.weight"], ["h"], "a.run", transB=1),
        node("Tanh", ["h"], ["t"]),
        node("Gemm", ["t", "b.weight"], ["y"], "b.run", transB=1),
    ]
    return model(nodes, arrays)


def run(content: bytes, images: np.ndarray) -> np.ndarray:
    """What onnxruntime makes of images, without any step of its own that changes numbers."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(content, options)
    return session.run(None, {"x": images.astype(np.float32) / 255})[0]


def images(count: int = 12) -> np.ndarray:
    return RNG.integers(0, 256, size=(count, 40), dtype=np.uint8)


def truncated(matrix: np.ndarray, rank: int = RANK) -> np.ndarray:
    left, values, right = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
    return ((left[:, :rank] * values[:rank]) @ right[:rank]).astype(np.float32)


def cut(read, name: str, form: str, rank: int = RANK):
    return pruning.apply(read, pruning.plan(analyze(read), Off(), {name: rank}, form=form))


def without_notes(content: bytes) -> bytes:
    held = onnx.load_model_from_string(content)
    del held.metadata_props[:]
    return held.SerializeToString()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_codes_are_the_numbers_that_onnxruntime_makes_of_them(case: Case) -> None:
    parts = {name: coded(case, sides) for name, sides in SIDES.items()}
    held = {f"{n}.weight_{part}": it for n, (each, _) in parts.items() for part, it in each.items()}
    weights = {name: numbers for name, (_, numbers) in parts.items()}
    how = {"axis": case.axis or 0} | ({"block_size": case.block} if case.block else {})
    content, some = decoded({}, held, how), images()
    read = formats.read(content, "coded.onnx")
    found, skipped = layers.find(read)
    assert {layer.name: layer.shape for layer in found} == SIDES
    for layer in found:
        assert np.array_equal(layer.matrix(read), weights[layer.name])
        assert layer.codes == case.dtype.__name__
    assert {item.name for item in skipped if item.reason in ("coded", "grid")} == set(held)
    assert {item.other for item in skipped} == {"a.weight", "b.weight"}
    expected = run(content, some)
    assert run(network(weights), some) == pytest.approx(expected, abs=1e-4)
    assert ONNX()(read).logits(some) == pytest.approx(expected, abs=1e-4)
    assert graphs.write(read).startswith(content[:40])
    assert without_notes(graphs.write(read)) == without_notes(content)
    stored = sum(array.nbytes for name, array in held.items() if "quantized" in name)
    assert read.bytes == (stored // 2 if "4" in case.dtype.__name__ else stored)

    for form in pruning.FORMS:
        pruned = cut(read, "a", form)
        numbers = sum(it.size for name, it in pruned.tensors.items() if name.startswith("a"))
        assert pruned.bytes == 4 * numbers + read.tensors["b.weight"].stored
        written = graphs.write(pruned)
        after = onnx.load_model_from_string(written)
        onnx.checker.check_model(after)
        left = {proto.name: numpy_helper.to_array(proto) for proto in after.graph.initializer}
        assert not any(name.startswith("a.weight_") for name in left)
        for name in held:
            if name.startswith("b."):
                assert left[name].tobytes() == held[name].tobytes()
        assert [each.op_type for each in after.graph.node].count("DequantizeLinear") == 1
        same = decoded(
            {"a": truncated(weights["a"])}, {k: v for k, v in held.items() if "b." in k}, how
        )
        assert run(written, some) == pytest.approx(run(same, some), abs=1e-4)
        again = formats.read(written, "cut.onnx")
        assert again.digest == pruned.digest
        assert {x.name: x.codes for x in layers.find(again)[0]} == {
            "a": "",
            "b": case.dtype.__name__,
        }


def test_the_note_of_a_layer_says_that_its_numbers_stand_behind_codes() -> None:
    held, _ = coded(CASES["int8"], SIDES["a"])
    rest = {"b": coded(CASES["int8"], SIDES["b"])[1]}
    content = decoded(rest, {f"a.weight_{part}": it for part, it in held.items()}, {})
    first, second = analyze(formats.read(content))
    assert "int8" in verdict.of_noise(first)[0]
    assert not any("int8" in words for words in verdict.of_noise(second))


def rounding(**more: np.ndarray) -> bytes:
    """Numbers that are rounded before each use, as training that knows of it is exported."""
    arrays = {"s": np.float32(0.5), "z": np.int8(3), **more}
    nodes = [
        node("QuantizeLinear", ["a.weight", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        node("Gemm", ["x", "d"], ["h"], transB=1),
        node("Tanh", ["h"], ["t"]),
        node("MatMul", ["t", "b.weight"], ["y"]),
    ]
    return model(nodes, {name: np.asarray(array) for name, array in arrays.items()})


def test_numbers_that_are_rounded_are_shown_as_they_are_used() -> None:
    weights = RNG.normal(size=SIDES["a"]).astype(np.float32) * 30  # some beyond the last code
    weights[0, :4] = [0.25, 0.75, -0.25, 1e9]  # halves, and one far out
    last = RNG.normal(size=(24, 10)).astype(np.float32)
    content, some = rounding(**{"a.weight": weights, "b.weight": last}), images()
    read = formats.read(content)
    codes = np.array(
        [[min(max(round(float(x) / 0.5) + 3, -128), 127) for x in row] for row in weights]
    )
    used = ((codes - 3) * 0.5).astype(np.float32)
    assert np.array_equal(read["a.weight"], used)
    assert layers.find(read)[0][0].codes == "int8"
    assert read.tensors["a.weight"].stored == weights.nbytes
    plain = network({"a": used, "b": last.T.copy()})
    assert run(plain, some) == pytest.approx(run(content, some), abs=1e-4)
    assert without_notes(graphs.write(read)) == without_notes(content)
    written = graphs.write(cut(read, "a", "factored"))
    assert {each.op_type for each in onnx.load_model_from_string(written).graph.node} == {
        *("Gemm", "Tanh", "MatMul"),
    }
    expected = run(network({"a": truncated(used), "b": last.T.copy()}), some)
    assert run(written, some) == pytest.approx(expected, abs=1e-3)


def dynamic() -> tuple[bytes, np.ndarray, float]:
    """A product of codes that are made of x as it runs, the weights, and what a code is worth."""
    codes = RNG.integers(-128, 128, (40, 10)).astype(np.int8)
    scale, zero = np.float32(0.01), np.int8(-7)
    arrays = {"w_quantized": codes, "w_scale": np.asarray(scale), "w_zero": np.asarray(zero)}
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        node("Mul", ["s", "w_scale"], ["both"]),
        node("MatMulInteger", ["q", "w_quantized", "z", "w_zero"], ["i"], "/fc/MatMul"),
        node("Cast", ["i"], ["c"], to=TensorProto.FLOAT),
        node("Mul", ["c", "both"], ["y"]),
    ]
    numbers = (codes.astype(np.float64) + 7) * np.float64(scale)
    return model(nodes, arrays), numbers.astype(np.float32), 1 / 255


def linear() -> tuple[bytes, np.ndarray, float]:
    """A product of codes with codes, rounded to codes again."""
    codes = RNG.integers(0, 256, (40, 10)).astype(np.uint8)
    scale, zero = RNG.uniform(0.01, 0.02, 10).astype("f4"), RNG.integers(0, 256, 10).astype("u1")
    arrays = {"w_quantized": codes, "w_scale": scale, "w_zero": zero}
    arrays |= {"s": np.asarray(np.float32(1 / 255)), "z": np.asarray(np.uint8(0))}
    arrays |= {"t": np.asarray(np.float32(0.5)), "u": np.asarray(np.uint8(128))}
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        node(
            "QLinearMatMul", ["q", "s", "z", "w_quantized", "w_scale", "w_zero", "t", "u"],
            ["r"], "/fc/MatMul",
        ),
        node("DequantizeLinear", ["r", "t", "u"], ["y"]),
    ]  # fmt: skip
    numbers = (codes.astype(np.float64) - zero) * scale.astype(np.float64)
    return model(nodes, arrays), numbers.astype(np.float32), 1 / 255


@pytest.mark.parametrize("made", [dynamic, linear])
def test_operators_on_codes_are_products_of_what_they_stand_for(made) -> None:
    content, numbers, step = made()
    some = images()
    read = formats.read(content)
    (layer,), _ = layers.find(read)
    assert (layer.name, layer.kind, layer.shape) == ("fc", "transposed", (10, 40))
    assert np.allclose(layer.matrix(read), numbers.T, rtol=1e-6)
    exact = (some.astype(np.float64) / 255) @ numbers
    # each input is off by half a step at most, each output by half of one of its own
    slack = step / 2 * np.abs(numbers).sum(0) + (0.5 / 2 if made is linear else 0) + 1e-3
    low, high = (0 - 128) * 0.5, (255 - 128) * 0.5
    bounded = np.clip(exact, low, high) if made is linear else exact
    assert (np.abs(run(content, some) - bounded) < slack).all()
    assert np.array_equal(ONNX()(read).logits(some), run(content, some))
    assert without_notes(graphs.write(read)) == without_notes(content)
    pruned = cut(read, "fc", "factored")
    written = graphs.write(pruned)
    onnx.checker.check_model(onnx.load_model_from_string(written))
    lower = (some.astype(np.float64) / 255) @ truncated(numbers)
    bounded = np.clip(lower, low, high) if made is linear else lower
    assert (np.abs(run(written, some) - bounded) < slack).all()
    assert formats.read(written).digest == pruned.digest
    names = {proto.name for proto in onnx.load_model_from_string(written).graph.initializer}
    assert not names & {"w_quantized", "w_scale", "w_zero"}


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_of_codes_and_its_bias(groups: int) -> None:
    codes = RNG.integers(-128, 128, (6, 4 // groups, 3, 3)).astype(np.int8)
    scale = RNG.uniform(0.01, 0.02, 6).astype(np.float32)
    bias = RNG.integers(-900, 900, 6).astype(np.int32)
    arrays = {
        **{"w": codes, "ws": scale, "wz": np.zeros(6, np.int8), "b": bias},
        **{"s": np.asarray(np.float32(0.1)), "z": np.asarray(np.uint8(0))},
        **{"t": np.asarray(np.float32(1)), "u": np.asarray(np.uint8(128))},
        "shape": np.array([-1, 4, 2, 5]),
        "last": RNG.normal(size=(10, 60)).astype(np.float32),
    }
    nodes = [
        node("Reshape", ["x", "shape"], ["m"]),
        node("QuantizeLinear", ["m", "s", "z"], ["q"]),
        node(
            "QLinearConv", ["q", "s", "z", "w", "ws", "wz", "t", "u", "b"],
            ["r"], "/conv/Conv_quant", pads=[1] * 4, group=groups,
        ),
        node("DequantizeLinear", ["r", "t", "u"], ["d"]),
        node("Flatten", ["d"], ["f"]),
        node("Gemm", ["f", "last"], ["y"], transB=1),
    ]  # fmt: skip
    content, some = model(nodes, arrays), images()
    read = formats.read(content)
    name = "conv" if groups == 1 else "conv[0]"
    kernel = codes * scale[:, None, None, None]
    (layer,) = [each for each in layers.find(read)[0] if each.name == name]
    assert np.array_equal(layer.matrix(read), kernel[: 6 // groups].reshape(6 // groups, -1))
    written = graphs.write(cut(read, name, "dense", 2))
    new = read["conv"].copy()
    new[: 6 // groups] = truncated(layer.matrix(read), 2).reshape(new[: 6 // groups].shape)
    floats = {**arrays, "w": new, "b": (bias * (0.1 * scale)).astype(np.float32)}
    plain = [
        *nodes[:2],
        node("DequantizeLinear", ["q", "s", "z"], ["e"]),
        node("Conv", ["e", "w", "b"], ["k"], pads=[1] * 4, group=groups),
        node("QuantizeLinear", ["k", "t", "u"], ["r"]),
        *nodes[3:],
    ]
    assert run(written, some) == pytest.approx(run(model(plain, floats), some), abs=1e-2)


def unread() -> dict[str, bytes]:
    """Codes whose numbers can't be told: their scale is made as it runs, or does not fit."""
    held, _ = coded(CASES["int8"], SIDES["a"])
    arrays = {"w": held["quantized"], "s": np.asarray(held["scale"])}
    wrong = {**arrays, "s": np.ones(7, np.float32)}
    eight = {**arrays, "w": np.ones((24, 40), ml_dtypes.float8_e4m3fn)}
    last = {"b": RNG.normal(size=(24, 10)).astype(np.float32)}

    def made(scale: str, weights: dict[str, np.ndarray]) -> bytes:
        nodes = [
            node("Identity" if scale == "s" else "Abs", ["s"], ["t"]),
            node("DequantizeLinear", ["w", "s" if scale == "s" else "t"], ["d"]),
            node("Gemm", ["x", "d"], ["h"], transB=1),
            node("MatMul", ["h", "b"], ["y"]),
        ]
        return model(nodes, weights | last)

    return {
        "a scale that is made": made("t", arrays),
        "too few": made("s", wrong),
        "eight bits": made("t", eight),
    }


def foreign() -> bytes:
    """Codes that go into an operator that the standard does not name."""
    held, _ = coded(CASES["uint4"], SIDES["a"])
    weights = {"w": held["quantized"], "b": RNG.normal(size=(24, 10)).astype(np.float32)}
    nodes = [
        node("MatMulNBits", ["x", "w"], ["h"], domain="com.microsoft"),
        node("MatMul", ["h", "b"], ["y"]),
    ]
    return model(nodes, weights)


@pytest.mark.parametrize("content", [*unread().values(), foreign()], ids=[*unread(), "foreign"])
def test_codes_that_nobody_can_read_are_listed_and_never_shown(content: bytes) -> None:
    read = formats.read(content)
    found, skipped = layers.find(read)
    assert [layer.name for layer in found] == ["b"]
    assert {item.name: item.reason for item in skipped}["w"] == "rounded"
    assert without_notes(graphs.write(read)) == without_notes(content)


def test_one_weight_in_two_places_and_a_name_that_is_taken() -> None:
    held, numbers = coded(CASES["int8"], (40, 40))
    arrays = {"w": held["quantized"], "s": held["scale"], "z": held["zero_point"]}
    arrays["b"] = RNG.normal(size=(40, 10)).astype(np.float32)
    nodes = [
        node("DequantizeLinear", ["w", "s", "z"], ["one"]),
        node("DequantizeLinear", ["w", "s", "z"], ["two"]),
        node("DequantizeLinear", ["w", "s"], ["other"]),  # another zero point: another weight
        node("MatMul", ["x", "one"], ["h"], "w"),
        node("MatMul", ["h", "two"], ["i"], "s"),
        node("MatMul", ["i", "other"], ["j"]),
        node("MatMul", ["j", "b"], ["y"]),
    ]
    content, some = model(nodes, arrays), images()
    read = formats.read(content)
    names = [layer.name for layer in layers.find(read)[0]]
    assert sorted(names) == ["b", "one", "other"]
    written = graphs.write(cut(read, "one", "factored"))
    low, rest = truncated(numbers.T).T, read["other"]
    x = some.astype(np.float64) / 255
    assert run(written, some) == pytest.approx(x @ low @ low @ rest @ arrays["b"], rel=1e-3)
