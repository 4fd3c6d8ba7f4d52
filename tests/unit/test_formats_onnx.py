"""ONNX files as checkpoints: names, orientation, inner graphs, and back."""

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rmtviz import formats, layers

RNG = np.random.default_rng(0)
A, B = (RNG.normal(size=shape).astype("f4") for shape in ((8, 5), (3, 8)))


def value(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)


def constant(array: np.ndarray, name: str) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array))


def model(nodes, *held: onnx.TensorProto) -> bytes:
    made = helper.make_graph(list(nodes), "g", [value("x")], [value("y")], list(held))
    return helper.make_model(made, ir_version=8).SerializeToString()


def nested() -> bytes:
    """A graph with a matrix as initialiser, one as constant, and one within each branch."""
    branches = {
        branch: helper.make_graph(
            [
                constant(B * factor, name),
                helper.make_node("Gemm", ["h", name], [f"o{name}"], transB=1),
            ],
            branch,
            [],
            [value(f"o{name}")],
        )
        for branch, name, factor in (("then_branch", "p", 1), ("else_branch", "q", 2))
    }
    nodes = [
        constant(np.array(True), "yes"),
        helper.make_node("MatMul", ["x", "a"], ["m"]),
        constant(A.T.copy(), "k"),
        helper.make_node("MatMul", ["m", "k"], ["n"]),
        helper.make_node("MatMul", ["n", "a"], ["h0"]),
        helper.make_node("MatMul", ["h0", "k8"], ["h"]),
        helper.make_node("If", ["yes"], ["y"], **branches),
    ]
    held = {"a": A.T.copy().T, "k8": RNG.normal(size=(5, 8)).astype("f4")}
    return model(nodes, *(numpy_helper.from_array(it, name) for name, it in held.items()))


def test_tensors_of_inner_graphs_are_read_with_their_orientation():
    checkpoint = formats.read(nested(), "net.onnx")
    assert set(checkpoint) == {"yes", "a", "k8", "k", "p", "q"}
    np.testing.assert_array_equal(checkpoint["q"], 2 * B)
    shapes = {layer.name: (layer.kind, layer.shape) for layer in layers.find(checkpoint)[0]}
    assert shapes["a"] == ("transposed", (5, 8))
    assert shapes["k"] == ("transposed", (8, 5))
    assert shapes["p"] == shapes["q"] == ("linear", (3, 8))


def test_a_round_trip_keeps_the_graph_and_the_content():
    checkpoint = formats.read(nested(), "net.onnx")
    again = formats.read(formats.write(checkpoint, "onnx"), "net.onnx")
    assert again.digest == checkpoint.digest
    assert "onnx" in formats.offered(again)
    assert "onnx" not in formats.offered(formats.read(formats.write(again, "npz")))


@pytest.mark.parametrize("dtype", ["f2", "f8", "c8", "i8", "u1", "?", ml_dtypes.bfloat16])
def test_number_types(dtype):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    checkpoint = formats.read(model([node], numpy_helper.from_array(array, "w")))
    assert checkpoint["w"].dtype == array.dtype
    np.testing.assert_array_equal(checkpoint["w"], array)


def test_no_name_is_taken_for_a_wrapper():
    array = numpy_helper.from_array(A, "module.w")
    checkpoint = formats.read(model([helper.make_node("MatMul", ["x", "module.w"], ["y"])], array))
    assert list(checkpoint) == ["module.w"]
