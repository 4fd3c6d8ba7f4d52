"""An ONNX file through the page: opened, cut, downloaded, and run by onnxruntime alone."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from rmtviz.datasets import MNIST
from rmtviz.words import say

HALF = 5_000
"""Of a network from elsewhere the first half of the test images are the selection set."""


def model(nodes: list, sides: list, weights: dict[str, np.ndarray], end: str = "y") -> bytes:
    """An ONNX file of these nodes, from x to an output of ten classes or of any form."""
    value = helper.make_tensor_value_info
    outputs = value(end, TensorProto.FLOAT, ["n", 10] if end == "y" else None)
    held = [numpy_helper.from_array(array.astype(np.float32), n) for n, array in weights.items()]
    inputs = [value("x", TensorProto.FLOAT, ["n", *sides])]
    graph = helper.make_graph(nodes, "g", inputs, [outputs], held)
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def run(content: bytes, images: np.ndarray) -> np.ndarray:
    """What onnxruntime makes of images that enter as x/255."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    shaped = images.reshape(-1, *entry.shape[1:]).astype(np.float32) / np.float32(255)
    return session.run(None, {entry.name: shaped})[0]


def fitted(nodes: list, sides: list, weights: dict[str, np.ndarray], features: str) -> bytes:
    """The nodes with a last layer fitted to MNIST by least squares, bias included."""
    train = MNIST()().split("train").first(6_000)
    held = run(model(nodes, sides, weights, features), train.images)
    columns = np.hstack([held, np.ones((len(held), 1))])
    solved = np.linalg.lstsq(columns, np.eye(10)[train.labels])[0]
    last = helper.make_node("Gemm", [features, "last.weight", "last.bias"], ["y"])
    more = {"last.weight": solved[:-1], "last.bias": solved[-1]}
    return model([*nodes, last], sides, weights | more)


@pytest.fixture(scope="module", params=["mlp", "cnn"])
def content(request) -> bytes:
    rng, node = np.random.default_rng(0), helper.make_node
    if request.param == "mlp":
        weights = {"a.weight": rng.normal(size=(784, 300)) / 28}
        nodes = [node("MatMul", ["x", "a.weight"], ["h"]), node("Relu", ["h"], ["r"])]
        return fitted(nodes, [784], weights, "r")
    weights = {
        "a.weight": rng.normal(size=(12, 1, 5, 5)) / 5,
        "b.weight": rng.normal(size=(24, 12, 3, 3)) / 10,
    }
    nodes = [
        node("Conv", ["x", "a.weight"], ["h"], strides=[2, 2]), node("Relu", ["h"], ["r"]),
        node("Conv", ["r", "b.weight"], ["h2"], pads=[1, 1, 1, 1]), node("Relu", ["h2"], ["r2"]),
        node("MaxPool", ["r2"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["p"], ["f"]),
    ]  # fmt: skip
    return fitted(nodes, [1, 28, 28], weights, "f")


def test_the_downloaded_file_reads_in_onnxruntime_what_the_page_says(visit, downloads, content):
    prune = visit("prune").upload("net.onnx", content)
    assert prune.errors == []
    label = say("prune.accuracy", samples=HALF, unit="images")
    test = MNIST()()
    images, labels = test.test_images[:HALF], test.test_labels[:HALF]

    def accuracy(file: bytes) -> str:
        return f"{(run(file, images).argmax(1) == labels).mean():.2%}"

    prune.choose("rule", "off")
    assert prune.metrics[label] == accuracy(content)
    prune.choose("rule", "energy")
    file = downloads["net-pruned.onnx"]()
    assert prune.metrics[label] == accuracy(file)
    held = sum(
        numpy_helper.to_array(each).size for each in onnx.load_from_string(file).graph.initializer
    )
    assert prune.metrics[say("prune.parameters")] == f"{held:,}"
    prune.press("prune.test")
    rest = run(file, test.test_images[HALF:]).argmax(1) == test.test_labels[HALF:]
    assert f"{rest.mean():.2%} after the cut" in prune.words
