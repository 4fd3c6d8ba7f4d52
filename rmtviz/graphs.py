"""ONNX graphs: what their tensors are to the layers, and the same graph with other weights.

A checkpoint that was read from an ONNX file keeps the file's bytes (`Checkpoint.graph`), for
the graph says what the weights alone do not: which tensor multiplies and from which side, how
many groups a convolution has, how large its output is. Needs the extra `onnx`. Nothing here
runs a graph, and no file beside it is ever opened.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rmtviz import extras, layers
from rmtviz.checkpoint import Checkpoint, double
from rmtviz.errors import CannotRun, FileRefused
from rmtviz.kinds import KINDS

TWICE = ("Gemm", "MatMul", "Conv", "ConvTranspose")
"""Operators whose weight can become two, the operator running twice."""

RECURRENT = ("RNN", "GRU", "LSTM")
"""Operators whose second and third input are matrices for each gate and direction."""

FLIPPED = {"linear": "transposed", "transposed": "linear"}
"""The kind of a tensor that is transposed before its use, by that of what is used."""


@dataclass(frozen=True, slots=True)
class Roles:
    """What a graph does with its tensors, by their names.

    `kinds` are keys of `kinds.SINGLE`, `groups` those of convolutions in more than one,
    `others` keys under `skipped` for tensors with sides that are no layer's matrix; `places`
    the number of places at which a layer's matrix is applied for one sample, where known.
    """

    kinds: Mapping[str, str]
    groups: Mapping[str, int]
    others: Mapping[str, str]
    places: Mapping[str, int]


def load(content: bytes, source: str = "model.onnx") -> Checkpoint:
    """Return the tensors of an ONNX file, with what the graph says of them in the record.

    Raises:
        FileRefused: the bytes are no ONNX model, or keep numbers in another file.
        ExtraMissing: the package onnx is not installed.
    """
    model = parse(content, source)
    arrays = {name: numpy_helper().to_array(proto) for name, proto in tensors(model)}
    notes = {entry.key: entry.value for entry in model.metadata_props}
    found = Checkpoint.of(arrays, source=source, format="onnx", metadata=notes, graph=content)
    return described(found)


def described(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint that has a graph with what the graph says of its tensors on record.

    Raises:
        FileRefused, ExtraMissing: as `load`.
    """
    if checkpoint.graph is None:
        return checkpoint
    found = roles(parse(checkpoint.graph, checkpoint.source))
    told = {"kinds": found.kinds, "groups": found.groups, "others": found.others}
    return checkpoint.with_about(**{key: dict(value) for key, value in told.items()})


def parse(content: bytes, source: str = "model.onnx") -> Any:
    """Return the model in these bytes, an `onnx.ModelProto`.

    Raises:
        FileRefused: the bytes are no ONNX model, or keep numbers in another file.
        ExtraMissing: the package onnx is not installed.
    """
    onnx = library()
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(content)
    except DecodeError:
        raise FileRefused("onnx_damaged", source=source) from None
    nodes = list(_nodes(model.graph))
    if not (nodes and model.graph.output and model.opset_import and all(x.output for x in nodes)):
        raise FileRefused("onnx_damaged", source=source)  # as a file is that was cut off
    for text in _texts(model):
        if not isinstance(text, str):  # protobuf hands out what is no valid text as bytes
            raise FileRefused("name_broken", source=source, name=repr(text)[2:60])
    for name, proto in tensors(model):
        if proto.data_location == onnx.TensorProto.EXTERNAL:
            raise FileRefused("onnx_external", source=source, name=name)
    return model


def write(checkpoint: Checkpoint) -> bytes:
    """Return the checkpoint's graph with the checkpoint's weights, as an ONNX file.

    A factored layer becomes two operators in place of one; where the graph uses its tensor
    in a way that cannot be doubled, the product is written, dense.

    Raises:
        CannotRun: the checkpoint has no graph.
        ExtraMissing: the package onnx is not installed.
    """
    if checkpoint.graph is None:
        raise CannotRun("no_graph")
    model = parse(checkpoint.graph, checkpoint.source)
    pairs = layers.factored_pairs(checkpoint)
    for name, proto in list(tensors(model)):
        label = next((x for x in (name, name.removesuffix(".weight")) if x in pairs), None)
        moved = f"{name.removesuffix('.bias')}.1.bias"
        if name in checkpoint:
            _put(proto, checkpoint[name])
        elif label is not None:
            _factor(model, name, proto, checkpoint, pairs[label])
        elif name.endswith(".bias") and moved in checkpoint:
            _put(proto, checkpoint[moved])
            _rename(model.graph, name, moved)
    notes = [entry for entry in model.metadata_props if entry.key != "rmtviz"]
    del model.metadata_props[:]
    model.metadata_props.extend(notes)
    model.metadata_props.add(key="rmtviz", value=json.dumps(dict(checkpoint.about)))
    return bytes(model.SerializeToString())


def roles(model: Any) -> Roles:
    """Return what a model's graph does with its tensors."""
    kinds: dict[str, str] = {}
    groups: dict[str, int] = {}
    others: dict[str, str] = {}
    places: dict[str, int] = {}
    held = dict(tensors(model))
    turned = {node.output[0]: node.input[0] for node in model.graph.node if _turns(node, held)}
    shapes = inferred(model)
    for node in _nodes(model.graph):
        for place, given in enumerate(node.input):
            name = turned.get(given, given)
            if node.output[0] in turned or name not in held or len(held[name].dims) < 2:
                continue
            kind = _kind(node, place, len(held[name].dims))
            kind = FLIPPED.get(kind or "") if given in turned else kind
            if kind is None or kinds.get(name, kind) != kind:
                others.setdefault(name, _other(node, place))
                continue
            kinds[name] = kind
            count = _attribute(node, "group", 1)
            if count > 1:
                groups[name] = count
            if (times := _places(node, shapes)) is not None:
                places[name] = places.get(name, 0) + times
    layered = {name: kind for name, kind in kinds.items() if name not in others}
    return Roles(layered, groups, others, places)


def tensors(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield the tensors that a model holds, by name: initialisers, and constants.

    Those of graphs inside the graph (branches, loops) follow; of one name there the first counts.
    """
    met: set[str] = set()
    for inner in _graphs(model.graph):
        held = [(proto.name, proto) for proto in inner.initializer]
        for node in inner.node:
            if node.op_type == "Constant":
                held += [(node.output[0], x.t) for x in node.attribute if x.name == "value"]
        yield from (item for item in held if inner is model.graph or item[0] not in met)
        met.update(name for name, _ in held)


def _nodes(graph: Any) -> Iterator[Any]:
    """Yield the nodes of a graph and of all graphs inside it."""
    for inner in _graphs(graph):
        yield from inner.node


def _graphs(graph: Any) -> Iterator[Any]:
    """Yield a graph and the graphs inside it: branches, and bodies of loops."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)


def _texts(model: Any) -> Iterator[Any]:
    """Yield the names and notes of a model that anything here looks at."""
    yield from (name for name, _ in tensors(model))
    for node in _nodes(model.graph):
        yield from (node.op_type, *node.input, *node.output)
        yield from (x.name for x in node.attribute)
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        yield value.name
    for entry in model.metadata_props:
        yield from (entry.key, entry.value)


def inferred(model: Any) -> Mapping[str, tuple[int | None, ...]]:
    """Return the shapes of what flows through a graph, by name, with None for open sides."""
    infer = library().shape_inference
    try:
        known = infer.infer_shapes(model, data_prop=True).graph
    except (infer.InferenceError, ValueError):
        return {}
    return {
        value.name: tuple(
            side.dim_value if side.HasField("dim_value") else None
            for side in value.type.tensor_type.shape.dim
        )
        for value in (*known.value_info, *known.input, *known.output)
        if value.type.tensor_type.HasField("shape")
    }


def library() -> Any:
    """Return the package onnx.

    Raises:
        ExtraMissing: it is not installed.
    """
    extras.package("onnx.shape_inference", "onnx")  # which onnx itself does not load
    return extras.package("onnx", "onnx")


def numpy_helper() -> Any:
    """Return what turns tensors of onnx into arrays and back."""
    library()
    from onnx import numpy_helper as helper

    return helper


def _kind(node: Any, place: int, sides: int) -> str | None:
    """Return the kind of the tensor that is this input of a node; None: it is no layer's."""
    if sides == 2 and node.op_type == "Gemm" and place == 1:
        return "linear" if _attribute(node, "transB", 0) else "transposed"
    if sides == 2 and node.op_type == "MatMul":
        return "transposed" if place == 1 else "linear"
    if node.op_type in RECURRENT:
        return node.op_type.lower() if sides == 3 and place in (1, 2) else None
    if sides > 5 or place != 1:
        return None
    backwards = node.op_type == "ConvTranspose" and _attribute(node, "group", 1) == 1
    named = {"Conv": "convolution", "ConvTranspose": "transposed_convolution"}
    return named[node.op_type] if node.op_type == "Conv" or backwards else None


def _turns(node: Any, held: Mapping[str, Any]) -> bool:
    """Return whether a node does nothing but transpose a matrix that the model holds."""
    matrix = node.op_type == "Transpose" and any(name in held for name in node.input[:1])
    return (
        matrix
        and len(held[node.input[0]].dims) == 2
        and all(list(x.ints) == [1, 0] for x in node.attribute)
    )


def _places(node: Any, shapes: Mapping[str, tuple[int | None, ...]]) -> int | None:
    """Return at how many places of one sample a node applies its weight, from the shapes.

    The first side is the batch; the channels are the second of a convolution, else the last.
    A recurrent node applies its weights once for each step of what it is given.
    """
    if node.op_type in RECURRENT:
        given = shapes.get(node.input[0], ())
        return given[_attribute(node, "layout", 0)] if len(given) == 3 else None
    shape = shapes.get(node.output[0], ())
    if len(shape) < 2:
        return None
    sides = shape[2:] if "Conv" in node.op_type else shape[1:-1]
    known = [side for side in sides if side is not None]
    return math.prod(known) if len(known) == len(sides) else None


def _other(node: Any, place: int) -> str:
    """Return why this input of a node is no layer, as a key under `skipped`."""
    if node.op_type in RECURRENT and place == 3:
        return "bias"
    return "embedding" if node.op_type == "Gather" else "constant"


def _attribute(node: Any, name: str, default: int) -> int:
    return next((int(x.i) for x in node.attribute if x.name == name), default)


def _put(proto: Any, array: Any) -> None:
    """Give a tensor of the graph other numbers, in its own type."""
    dtype = library().helper.tensor_dtype_to_np_dtype(proto.data_type)
    proto.CopyFrom(numpy_helper().from_array(array.astype(dtype, copy=False), proto.name))


def _rename(graph: Any, old: str, new: str) -> None:
    """Call a tensor of the graph by another name, wherever it is used."""
    for value in (*graph.initializer, *graph.input):
        value.name = new if value.name == old else value.name
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = new if name == old else name


def _factor(
    model: Any, name: str, proto: Any, checkpoint: Checkpoint, pair: tuple[str, str]
) -> None:
    """Run each operator with this weight twice, with the pair; else write the pair's product."""
    graph = model.graph
    users = [node for node in graph.node if name in node.input]
    initial = [x for x in graph.initializer if x.name == name]
    if not (users and initial and all(_doubles(node, name) for node in users)):
        told = layers.told_kinds(checkpoint).get(pair[1], "")
        kind = KINDS[told if told in KINDS else "linear" if len(proto.dims) == 2 else "convolution"]
        first, second = (double(kind.to_matrix(checkpoint[x])) for x in pair)
        _put(proto, kind.from_matrix(second @ first, tuple(proto.dims)))
        return
    dtype = library().helper.tensor_dtype_to_np_dtype(proto.data_type)
    new = [numpy_helper().from_array(checkpoint[x].astype(dtype), x) for x in pair]
    graph.initializer.remove(initial[0])
    graph.initializer.extend(new)
    for value in [value for value in graph.input if value.name == name]:  # before IR version 4
        graph.input.remove(value)
        make = library().helper.make_tensor_value_info
        graph.input.extend(make(x.name, x.data_type, x.dims) for x in new)
    for count, node in enumerate(users):
        _double(graph, node, pair, f"{pair[0]}.{count}")


def _doubles(node: Any, name: str) -> bool:
    """Return whether a node can run twice in place of once, for its weight of this name."""
    inputs = list(node.input)
    plain = _attribute(node, "transA", 0) == 0 and _attribute(node, "group", 1) == 1
    return node.op_type in TWICE and plain and inputs.count(name) == 1 and inputs[1] == name


def _double(graph: Any, node: Any, pair: tuple[str, str], label: str) -> None:
    """Put a node before this one that goes through the first of the pair; this takes the second."""
    first = library().NodeProto()
    first.CopyFrom(node)
    first.name = label
    del first.input[2:]
    first.input[1] = pair[0]
    first.output[0] = f"{label}.out"
    own = [x for x in first.attribute if x.name not in ("alpha", "beta")]
    del first.attribute[:]
    first.attribute.extend(own)
    node.input[0] = first.output[0]
    node.input[1] = pair[1]
    if "Conv" in node.op_type:
        sides = next((len(x.ints) for x in node.attribute if x.name == "kernel_shape"), None)
        del node.attribute[:]
        if sides:
            node.attribute.append(library().helper.make_attribute("kernel_shape", [1] * sides))
    place = next(i for i, each in enumerate(graph.node) if each is node or each == node)
    graph.node.insert(place, first)
