"""ONNX graphs: what their tensors are, the same graph with other weights, and running it."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from rmtviz import datasets, evaluation, formats, graphs, layers, networks, pruning, tradeoff
from rmtviz.analysis import analyze
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import Samples
from rmtviz.errors import CannotRun, DataRefused, FileRefused
from rmtviz.networks import ONNX
from rmtviz.rules import FixedRank, Off

RNG = np.random.default_rng(0)


def draw(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def graph(
    nodes: Sequence[onnx.NodeProto],
    arrays: dict[str, np.ndarray],
    sample: Sequence[int | str],
    classes: int | str = 10,
    batch: int | str = "n",
    ir: int = 8,
) -> bytes:
    """An ONNX file whose graph goes from "x" to "y"."""
    made = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *sample])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, classes])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    if ir < 4:
        made.input.extend(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape)
            for name, array in arrays.items()
        )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=ir)
    onnx.checker.check_model(model)
    return model.SerializeToString()


node = helper.make_node


def gemm(ir: int = 8, transposed: bool = False) -> bytes:
    arrays = {"a.weight": draw(30, 49), "a.bias": draw(30), "b.weight": draw(10, 30)}
    if transposed:
        arrays |= {name: arrays[name].T.copy() for name in ("a.weight", "b.weight")}
    flag = {} if transposed else {"transB": 1}
    nodes = [
        node("Flatten", ["x"], ["f"]),
        node("Gemm", ["f", "a.weight", "a.bias"], ["h"], alpha=0.5, beta=2.0, **flag),
        node("Relu", ["h"], ["r"]),
        node("Gemm", ["r", "b.weight"], ["y"], **flag),
    ]
    return graph(nodes, arrays, [1, 7, 7], ir=ir)


def matmul() -> bytes:
    """As Keras exports: channels last, products without a bias, a softmax at the end."""
    arrays = {"k1": draw(49, 30), "add": draw(30), "k2": draw(30, 10)}
    nodes = [
        node("Constant", [], ["s"], value=numpy_helper.from_array(np.array([-1, 49]), "s")),
        node("Reshape", ["x", "s"], ["f"]),
        node("MatMul", ["f", "k1"], ["m"]),
        node("Add", ["m", "add"], ["h"]),
        node("Tanh", ["h"], ["r"]),
        node("MatMul", ["r", "k2"], ["l"]),
        node("Softmax", ["l"], ["y"]),
    ]
    return graph(nodes, arrays, [7, 7, 1], batch=4)


def convolution() -> bytes:
    arrays = {
        "c.weight": draw(12, 1, 3, 3),
        "c.bias": draw(12),
        "g.weight": draw(12, 6, 3, 3),
        "d.weight": draw(12, 8, 2, 2),
        "o.weight": draw(10, 8 * 16),
    }
    nodes = [
        node("Conv", ["x", "c.weight", "c.bias"], ["h"], pads=[1] * 4, strides=[2, 2]),
        node("Relu", ["h"], ["r"]),
        node("Conv", ["r", "g.weight"], ["q"], group=2, kernel_shape=[3, 3]),
        node("ConvTranspose", ["q", "d.weight"], ["t"], strides=[2, 2], kernel_shape=[2, 2]),
        node("Flatten", ["t"], ["f"]),
        node("Gemm", ["f", "o.weight"], ["y"], transB=1),
    ]
    return graph(nodes, arrays, [1, 7, 7])


FILES = {
    "gemm": gemm(),
    "gemm of IR version 3": gemm(ir=3),
    "gemm with inputs first": gemm(transposed=True),
    "matmul": matmul(),
    "convolution": convolution(),
}
files = pytest.mark.parametrize("content", FILES.values(), ids=FILES)


def run(content: bytes, images: np.ndarray) -> np.ndarray:
    """What onnxruntime itself makes of grey levels / 255, four at a time."""
    session = onnxruntime.InferenceSession(content)
    sides = session.get_inputs()[0].shape[1:]
    entered = (images.astype(np.float32) / 255).reshape(-1, 4, *sides)
    return np.concatenate([session.run(None, {"x": each})[0] for each in entered])


def images(count: int = 12) -> np.ndarray:
    return RNG.integers(0, 256, size=(count, 49), dtype=np.uint8)


@files
def test_every_tensor_keeps_its_side_and_its_numbers(content: bytes) -> None:
    read = formats.read(content)
    found, _ = layers.find(read)
    shapes = {layer.tensors[0]: layer.shape for layer in found}
    assert (10, 30) in shapes.values() or shapes["o.weight"] == (10, 128)
    again = formats.read(graphs.write(read))
    assert (again.digest, layers.find(again)) == (read.digest, layers.find(read))


def test_what_the_graph_says_of_its_tensors() -> None:
    read = formats.read(convolution())
    kinds = {x.name: (x.kind, x.shape) for x in layers.find(read)[0]}
    assert kinds == {
        "c": ("convolution", (12, 9)),
        "d": ("transposed_convolution", (8, 48)),
        "g[0]": ("convolution", (6, 54)),
        "g[1]": ("convolution", (6, 54)),
        "o": ("linear", (10, 128)),
    }
    places = graphs.roles(graphs.parse(convolution())).places
    assert places == {"c.weight": 16, "g.weight": 4, "d.weight": 16, "o.weight": 1}


@files
@pytest.mark.parametrize("form", pruning.FORMS)
@pytest.mark.parametrize("rank", [1, 4])
def test_a_cut_graph_is_the_file_that_onnxruntime_runs(content, form, rank) -> None:
    read, some = formats.read(content), images()
    plan = pruning.plan(analyze(read), FixedRank(rank), form=form, include_last=True)
    pruned = pruning.apply(read, plan)
    written = graphs.write(pruned)
    onnx.checker.check_model(onnx.load_model_from_string(written))
    outputs = run(written, some)
    network = ONNX()(pruned)
    ours = network.logits(some)
    assert network.softmax == (content == FILES["matmul"])
    assert (np.exp(ours) if network.softmax else ours) == pytest.approx(outputs, abs=1e-4)
    assert ours.argmax(1).tolist() == outputs.argmax(1).tolist()
    dense = pruning.apply(
        read, pruning.plan(analyze(read), FixedRank(rank), form="dense", include_last=True)
    )
    assert outputs == pytest.approx(run(graphs.write(dense), some), abs=1e-3)
    again = formats.read(written)
    assert again.digest == pruned.digest
    assert [x.shape for x in layers.find(again)[0]] == [x.shape for x in layers.find(pruned)[0]]


@files
def test_keep_all_changes_no_output(content: bytes) -> None:
    read, some = formats.read(content), images()
    plan = pruning.plan(analyze(read), Off(), include_last=True)
    assert np.array_equal(run(graphs.write(pruning.apply(read, plan)), some), run(content, some))


def test_a_weight_that_cannot_run_twice_is_written_dense() -> None:
    nodes = [
        node("Flatten", ["x"], ["f"]),
        node("Transpose", ["w"], ["t"], perm=[1, 0]),
        node("MatMul", ["f", "t"], ["y"]),
    ]
    read = formats.read(graph(nodes, {"w": draw(10, 49)}, [1, 7, 7]))
    (layer,), _ = layers.find(read)
    assert (layer.kind, layer.shape) == ("linear", (10, 49))
    pruned = pruning.apply(read, pruning.plan(analyze(read), FixedRank(3), form="factored"))
    (back,) = formats.read(graphs.write(pruned)).tensors.values()
    assert np.linalg.matrix_rank(back.read()) == 3


def test_what_is_looked_up_or_added_is_no_layer() -> None:
    nodes = [
        node("Flatten", ["x"], ["f"]),
        node("Cast", ["f"], ["i"], to=TensorProto.INT64),
        node("Gather", ["table", "i"], ["g"]),
        node("ReduceMean", ["g"], ["m"], axes=[1], keepdims=0),
        node("Add", ["m", "pos"], ["y"]),
    ]
    read = formats.read(graph(nodes, {"table": draw(256, 10), "pos": draw(1, 10)}, [1, 7, 7]))
    found, skipped = layers.find(read)
    assert found == ()
    assert {x.name: x.reason for x in skipped} == {"table": "embedding", "pos": "constant"}


def test_files_that_are_refused() -> None:
    for content in (b"", b"nothing", gemm()[:200]):
        with pytest.raises(FileRefused):
            formats.read(content)
    model = onnx.load_model_from_string(gemm())
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    model.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")
    with pytest.raises(FileRefused, match=r"a\.weight"):
        formats.read(model.SerializeToString())


def refusals() -> dict[str, tuple[bytes, str]]:
    """Graphs that are not run, and the keys of the refusals."""
    body = helper.make_graph(
        [node("Identity", ["x"], ["b"])],
        "b",
        [],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)],
    )
    weight = {"w": draw(49, 10)}
    flat, end = node("Flatten", ["x"], ["f"]), node("MatMul", ["f", "w"], ["y"])
    branch = node("If", ["c"], ["z"], then_branch=body, else_branch=body)
    truth = numpy_helper.from_array(np.array(True), "c")
    huge = numpy_helper.from_array(np.array([2**20, 2**10]), "h")
    fill = [
        node("Constant", [], ["h"], value=huge),
        node("ConstantOfShape", ["h"], ["big"]),
        node("ReduceSum", ["big"], ["s"], keepdims=0),
        node("Add", ["s", "l"], ["y"]),
    ]
    from_data = [node("Shape", ["f"], ["h"]), node("NonZero", ["f"], ["z"]), end]
    return {
        "a branch": (
            graph([node("Constant", [], ["c"], value=truth), branch, flat, end], weight, [1, 7, 7]),
            "onnx_operator",
        ),
        "an operator": (graph([flat, *from_data], weight, [1, 7, 7]), "onnx_operator"),
        "a bomb": (
            graph([flat, node("MatMul", ["f", "w"], ["l"]), *fill], weight, [1, 7, 7]),
            "onnx_large",
        ),
        "open sides": (graph([flat, end], weight, [1, "h", "w"]), "onnx_ends"),
    }


@pytest.mark.parametrize(("content", "key"), refusals().values(), ids=refusals())
def test_graphs_that_are_not_run(content: bytes, key: str) -> None:
    with pytest.raises(CannotRun, check=lambda refusal: refusal.key == key):
        ONNX()(formats.read(content))


def test_weights_without_a_graph_have_none_to_be_written_to() -> None:
    with pytest.raises(CannotRun, match="ONNX"):
        graphs.write(Checkpoint.of({"a.weight": np.eye(3)}))


def small(labels: np.ndarray, some: np.ndarray) -> datasets.Dataset:
    """A dataset of these images, as training and as test images."""
    return datasets.Dataset(
        "small", some, labels, some, labels, labels, (7, 7), tuple("0123456789"), 0.5, 0.3
    )


@files
def test_inputs_are_found_and_the_curve_ends_at_the_whole_network(content: bytes) -> None:
    read, some = formats.read(content), images(40)
    labels = ONNX("symmetric")(read).logits(some).argmax(1).astype(np.int64)
    choice = networks.detect(read, small(labels, some))
    assert (choice, choice.record()["name"]) == (ONNX("symmetric", 0.5, 0.3), "onnx")
    told = read.with_about(network={"inputs": "raw"})
    assert networks.detect(told, small(labels, some)).inputs == "raw"
    network = choice(read)
    samples = Samples("selection", some, labels, "small", 10)
    found = evaluation.evaluate(network, samples)
    assert (found.accuracy, found.activation) == (1.0, "graph")
    curve = tradeoff.curve(network, 0, pruning.factors(read, network.layers[0]), samples)
    assert (curve.accuracy[-1], curve.samples) == (1.0, 40)
    assert curve.accuracy[0] < 1.0
    with pytest.raises(DataRefused):
        network.logits(np.zeros((3, 50), np.uint8))


def test_an_onnx_file_is_read_as_a_checkpoint_with_its_graph(tmp_path) -> None:
    content = gemm()
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    for found in (formats.read(content, "net.onnx"), formats.read(path)):
        assert (found.format, found.source, found.graph) == ("onnx", "net.onnx", content)
        assert found.digest == formats.read(content).digest
        assert found.about == formats.read(content).about
        assert formats.offered(found) == tuple(formats.FORMATS)
        again = formats.read(formats.write(found, "onnx"))
        assert again.digest == found.digest
    assert "onnx" not in formats.offered(Checkpoint.of({"w": np.ones((2, 2))}))


def test_a_tensor_with_too_few_numbers_is_refused() -> None:
    model = onnx.load_model_from_string(gemm())
    model.graph.initializer[0].dims[0] += 1
    with pytest.raises(FileRefused) as refusal:
        formats.read(model.SerializeToString())
    assert refusal.value.key == "tensor_bounds"


@pytest.mark.parametrize("dtype", ["INT4", "UINT4", "INT8", "FLOAT4E2M1", "FLOAT8E4M3FN", "STRING"])
def test_weights_of_odd_numbers_are_listed_or_analysed_and_not_run(dtype: str) -> None:
    filler = [b"1"] * 1_200 if dtype == "STRING" else np.ones(1_200).tolist()
    held = helper.make_tensor("w", getattr(TensorProto, dtype), [30, 40], filler)
    value = helper.make_tensor_value_info
    made = helper.make_graph(
        [node("MatMul", ["x", "w"], ["y"])],
        "g",
        [value("x", TensorProto.FLOAT, ["n", 30])],
        [value("y", TensorProto.FLOAT, ["n", 40])],
        [held],
    )
    opsets = [helper.make_opsetid("", 21)]
    content = helper.make_model(made, opset_imports=opsets).SerializeToString()
    read = formats.read(content, "odd.onnx")
    found, skipped = layers.find(read)
    numbers = dtype == "FLOAT8E4M3FN"  # numbers of eight bits are weights
    assert ([each.name for each in found], [each.name for each in skipped]) == (
        (["w"], []) if numbers else ([], ["w"])
    )
    with pytest.raises(CannotRun, check=lambda refusal: refusal.key == "onnx_failed"):
        ONNX()(read)


GATES = {"RNN": ("",), "GRU": ("z", "r", "n"), "LSTM": ("i", "o", "f", "g")}
"""The gates in ONNX's order, by PyTorch's letters."""

RECURRENT = {"RNN": torch.nn.RNN, "GRU": torch.nn.GRU, "LSTM": torch.nn.LSTM}


def recurrent(cell: str, arrays: dict[str, np.ndarray]) -> bytes:
    """A picture's rows, one after the other, through a cell; its last state is read."""
    ways, _, hidden = arrays["R"].shape
    more = {"linear_before_reset": 1} if cell == "GRU" else {}
    shape = numpy_helper.from_array(np.array([-1, 7, 7]), "s")
    flat = numpy_helper.from_array(np.array([-1, ways * hidden]), "e")
    nodes = [
        node("Constant", [], ["s"], value=shape),
        node("Constant", [], ["e"], value=flat),
        node("Reshape", ["x", "s"], ["f"]),
        node("Transpose", ["f"], ["t"], perm=[1, 0, 2]),
        node(
            cell, ["t", "W", "R", "B"], ["", "h"], hidden_size=hidden,
            direction="bidirectional" if ways == 2 else "forward", **more,
        ),
        node("Transpose", ["h"], ["u"], perm=[1, 0, 2]),
        node("Reshape", ["u", "e"], ["v"]),
        node("MatMul", ["v", "out"], ["y"]),
    ]  # fmt: skip
    return graph(nodes, arrays, [1, 7, 7])


def in_torch(cell: str, arrays: dict[str, np.ndarray], images: np.ndarray) -> np.ndarray:
    """What PyTorch makes of the same numbers, its gates in its own order."""
    ways, _, hidden = arrays["R"].shape
    net = RECURRENT[cell](7, hidden, batch_first=True, bidirectional=ways == 2)
    gates = GATES[cell]
    own = sorted(range(len(gates)), key=lambda place: "irfzgno".index(gates[place] or "i"))
    for way in range(ways):
        biases = np.split(arrays["B"][way], 2)
        given = (arrays["W"][way], arrays["R"][way], *biases)
        for name, array in zip(
            ("weight_ih", "weight_hh", "bias_ih", "bias_hh"), given, strict=True
        ):
            blocks = np.split(array, len(gates))
            turned = np.concatenate([blocks[place] for place in own])
            getattr(net, f"{name}_l0{'_reverse' * way}").data = torch.tensor(turned)
    with torch.inference_mode():
        state = net(torch.tensor(images.astype(np.float32) / 255).view(-1, 7, 7))[1]
    last = state[0] if isinstance(state, tuple) else state
    return last.transpose(0, 1).reshape(len(images), -1).numpy() @ arrays["out"]


@pytest.mark.parametrize("ways", [1, 2])
@pytest.mark.parametrize("cell", GATES)
def test_a_recurrent_cell_is_its_gates_and_runs_as_they_are_cut(cell: str, ways: int) -> None:
    gates, hidden = GATES[cell], 6
    rows = len(gates) * hidden
    shapes = {"W": (ways, rows, 7), "R": (ways, rows, hidden), "B": (ways, 2 * rows)}
    arrays = {name: draw(*shape) / 2 for name, shape in shapes.items()}
    arrays["out"] = draw(ways * hidden, 10)
    read, some = formats.read(recurrent(cell, arrays)), images()
    found, skipped = layers.find(read)
    assert {item.name: item.reason for item in skipped if item.name == "B"} == {"B": "bias"}
    sides = ("forward", "backward")[:ways] if ways == 2 else ("",)
    blocks = {
        f"{name}[{label}]" if label else name: arrays[name][way, row : row + hidden]
        for name in ("W", "R")
        for way, side in enumerate(sides)
        for row, gate in zip(range(0, rows, hidden), gates, strict=True)
        for label in [f"{side}.{gate}".strip(".")]
    }
    held = {layer.name: layer.matrix(read) for layer in found}
    assert held.keys() == {*blocks, "out"}
    for name, block in blocks.items():
        assert np.array_equal(held[name], block)
    network = ONNX()(read)
    assert {network.places[name] for name in blocks} == {7}
    assert network.logits(some) == pytest.approx(in_torch(cell, arrays, some), abs=1e-4)
    whole = analyze(read)
    assert {layer.layer.pairs for layer in whole if layer.name != "out"} == {False}
    pruned = pruning.apply(read, pruning.plan(whole, FixedRank(2), form="factored"))
    cut = dict(arrays)
    for name in ("W", "R"):
        parts = arrays[name].reshape(ways * len(gates), hidden, -1).astype(np.float64)
        left, values, right = np.linalg.svd(parts, full_matrices=False)
        low = left[:, :, :2] * values[:, None, :2] @ right[:, :2]
        cut[name] = low.reshape(arrays[name].shape).astype(np.float32)
    last = whole.layers[-1].name  # stays whole
    cut |= {name: pruned[name] for name in ("out", last.partition("[")[0]) if name in pruned}
    outputs = run(graphs.write(pruned), some)
    assert outputs == pytest.approx(in_torch(cell, cut, some), abs=1e-4)
    assert np.array_equal(ONNX()(pruned).logits(some), outputs)


def test_a_cell_whose_gates_do_not_fit_is_one_matrix() -> None:
    told = Checkpoint.of({"w": draw(3, 5, 4)}).with_about(kinds={"w": "lstm"})
    (layer,), _ = layers.find(told)
    assert (layer.name, layer.shape) == ("w", (15, 4))
