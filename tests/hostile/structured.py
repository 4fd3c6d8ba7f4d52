"""Small graphs and settings, and changes to them that keep to their structure."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

from rmtviz import formats, peft
from rmtviz.checkpoint import Checkpoint

NUMBERS = (-(2**63), -3, -1, 0, 1, 2, 3, 7, 2**16, 2**31 - 1, 2**40, 2**63 - 1)
"""Whole numbers that readers stumble over."""

VALUES = (
    *NUMBERS,
    0.5,
    1e308,
    -1.0,
    True,
    None,
    "",
    "8",
    "(a+)+$",
    ".*.*.*x",
    [],
    {},
    [1],
    {"": 1},
)
"""What may stand in a file of settings."""

OPERATORS = (
    *("MatMul", "Gemm", "Conv", "Transpose", "Identity", "Gather", "LSTM", "GRU", "RNN", "Cast"),
    *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger"),
    *("QLinearMatMul", "QLinearConv", "ConvInteger", "Mul", "Reshape", "Constant"),
)


def _file(nodes: list[onnx.NodeProto], arrays: Mapping[str, np.ndarray], opset: int = 17) -> bytes:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy"]
    held = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    made = helper.make_graph(nodes, "g", ends[:1], ends[1:], held)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(made, opset_imports=opsets, ir_version=8).SerializeToString()


def recurrent(cell: str) -> bytes:
    """A graph of one cell in both directions, and a product behind it."""
    gates, hidden = {"RNN": 1, "GRU": 3, "LSTM": 4}[cell], 2
    node = helper.make_node
    shapes = {"W": (2, gates * hidden, 3), "R": (2, gates * hidden, hidden)}
    shapes |= {"B": (2, 2 * gates * hidden), "o": (hidden, 2)}
    arrays = {name: np.arange(np.prod(s), dtype="f4").reshape(s) for name, s in shapes.items()}
    nodes = [
        node(cell, ["x", "W", "R", "B"], ["", "h"], hidden_size=2, direction="bidirectional"),
        node("MatMul", ["h", "o"], ["y"]),
    ]
    return _file(nodes, arrays)


def coded() -> bytes:
    """A graph with codes in each of the three ways, by rows and in blocks."""
    node, codes = helper.make_node, np.arange(16, dtype="i1").reshape(4, 4)
    scales = np.full(4, 0.5, "f4")
    arrays = {
        **{"a": codes, "s": scales, "z": np.arange(4, dtype="i1")},
        **{"b": codes, "t": np.full((4, 2), 0.5, "f4")},
        **{"f": codes.astype("f4"), "u": np.float32(0.5), "v": np.uint8(3)},
        **{"c": codes, "d": codes[:, :, None, None], "i": np.arange(4, dtype="i4")},
    }
    nodes = [
        node("DequantizeLinear", ["a", "s", "z"], ["a1"], axis=0),
        node("Gemm", ["x", "a1"], ["h1"], transB=1),
        node("DequantizeLinear", ["b", "t"], ["b1"], axis=1, block_size=2),
        node("MatMul", ["h1", "b1"], ["h2"]),
        node("QuantizeLinear", ["f", "u", "v"], ["f1"]),
        node("DequantizeLinear", ["f1", "u", "v"], ["f2"]),
        node("MatMul", ["h2", "f2"], ["h3"]),
        node("DynamicQuantizeLinear", ["h3"], ["q", "qs", "qz"]),
        node("Mul", ["qs", "u"], ["both"]),
        node("MatMulInteger", ["q", "c", "qz"], ["p"]),
        node("Cast", ["p"], ["p1"], to=1),
        node("Mul", ["p1", "both"], ["h4"]),
        node("QuantizeLinear", ["h4", "u", "v"], ["e"]),
        node("QLinearMatMul", ["e", "u", "v", "c", "u", "v", "u", "v"], ["e1"]),
        node("QLinearConv", ["e1", "u", "v", "d", "s", "z", "u", "v", "i"], ["e2"]),
        node("DequantizeLinear", ["e2", "u", "v"], ["y"]),
    ]
    return _file(nodes, arrays, 21)


def reshaped(chance: random.Random, content: bytearray) -> None:
    """Change a name, a kind, a number or a side of a graph."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(bytes(content))
    except DecodeError:
        return
    nodes, held = list(model.graph.node), list(model.graph.initializer)
    if not nodes or not held:
        return
    node, proto = chance.choice(nodes), chance.choice(held)
    names = [name for each in nodes for name in (*each.input, *each.output)]
    match chance.randrange(9):
        case 0:
            node.op_type = chance.choice(OPERATORS)
        case 1 if node.input:
            node.input[chance.randrange(len(node.input))] = chance.choice([*names, ""])
        case 2 if node.output:
            node.output[chance.randrange(len(node.output))] = chance.choice([*names, ""])
        case 3:
            node.attribute.append(
                helper.make_attribute(
                    chance.choice(
                        ("axis", "block_size", "group", "transB", "output_dtype", "layout")
                    ),
                    chance.choice(NUMBERS),
                )
            )
        case 4 if proto.dims:
            proto.dims[chance.randrange(len(proto.dims))] = chance.choice(NUMBERS)
        case 5:
            proto.data_type = chance.randrange(30)
        case 6:
            del (node.input if chance.random() < 0.5 else node.output)[-1:]
        case 7:
            model.graph.node.insert(chance.randrange(len(nodes)), node)
        case _:
            proto.name = chance.choice(names) or "x"
    content[:] = model.SerializeToString()


def resettled(chance: random.Random, content: bytearray) -> None:
    """Change a value of settings, or put a pattern among them."""
    try:
        found = json.loads(bytes(content))
    except ValueError:
        return
    if not isinstance(found, dict) or not found:
        return
    place = chance.choice([*found])
    inner = found[place]
    if isinstance(inner, dict) and inner and chance.random() < 0.7:
        pattern = chance.choice([*inner, "^q.*", r"\d+.q", "(q|v)", "[0-9]+.q", "q" * 3])
        inner[pattern] = chance.choice(VALUES)
    else:
        found[place] = chance.choice(VALUES)
    content[:] = json.dumps(found).encode()


SETTINGS = {
    **{"peft_type": "LORA", "r": 2, "lora_alpha": 16, "use_rslora": False},
    **{"rank_pattern": {"1.q": 1}, "alpha_pattern": {r".*0\.q": 4}, "fan_in_fan_out": False},
}


def adapted(settings: bytes) -> Checkpoint:
    """Open an adapter of two layers with these settings; what is then written is true of it."""
    arrays = {
        f"base_model.model.{layer}.q.lora_{part}.weight": np.ones(shape, "f4")
        for layer, rank in ((0, 2), (1, 1))
        for part, shape in (("A", (rank, 3)), ("B", (4, rank)))
    }
    weights = formats.write(Checkpoint.of(arrays), "safetensors")
    found = formats.together({peft.WEIGHTS: weights, peft.SETTINGS: settings})
    if kept := peft.kept(found):
        peft.text(peft.after(found, kept))
    return found


@dataclass(frozen=True)
class Structured:
    """A whole file, a change that keeps to its structure, and how it is opened."""

    content: bytes
    change: Callable[[random.Random, bytearray], None]
    opened: Callable[[bytes], Checkpoint] = formats.read


STRUCTURED = {
    **{
        f"onnx, {cell.lower()}": Structured(recurrent(cell), reshaped)
        for cell in ("RNN", "GRU", "LSTM")
    },
    "onnx, codes": Structured(coded(), reshaped),
    "adapter": Structured(json.dumps(SETTINGS).encode(), resettled, adapted),
}
