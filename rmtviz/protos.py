"""ONNX files as the package onnx hands them out: what a model holds, and its small changes.

Needs the extra `onnx`. Nothing here runs a graph, and no file beside it is ever opened.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtviz import extras
from rmtviz.errors import FileRefused

NAMED_INPUTS = 4
"""Before this version of the format, what a graph holds stands among its inputs too."""


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """What goes where in a graph: its nodes, what it holds, and who makes and uses each value.

    `nodes` and `makers` (places among them) are those of the graph itself, `users` those of the
    graphs inside it too; `ends` are its outputs.
    """

    nodes: tuple[Any, ...]
    held: Mapping[str, Any]
    makers: Mapping[str, int]
    users: Mapping[str, list[Any]]
    ends: frozenset[str]

    @classmethod
    def of(cls, model: Any) -> "Flow":
        """Return what goes where in a model's graph."""
        own = tuple(model.graph.node)
        makers = {name: place for place, node in enumerate(own) for name in node.output if name}
        users: defaultdict[str, list[Any]] = defaultdict(list)
        for node in nodes(model.graph):
            for name in dict.fromkeys(node.input):
                users[name].append(node)
        ends = frozenset(value.name for value in model.graph.output)
        return cls(own, dict(tensors(model)), makers, users, ends)

    def maker(self, name: str) -> Any | None:
        """Return the node that makes a value; None where the graph holds it or is given it."""
        return self.nodes[self.makers[name]] if name in self.makers else None

    def user(self, name: str, kind: str) -> Any | None:
        """Return the only node that uses a value, if it is of a kind."""
        users = self.users.get(name, [])
        only = len(users) == 1 and name not in self.ends and users[0].op_type == kind
        return users[0] if only else None

    def known(self, name: str) -> bool:
        """Return whether something in the graph has a name."""
        return name in self.held or name in self.makers or name in self.users or name in self.ends


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
    each = list(nodes(model.graph))
    if not (each and model.graph.output and model.opset_import and all(x.output for x in each)):
        raise FileRefused("onnx_damaged", source=source)  # as a file is that was cut off
    for text in _texts(model):
        if not isinstance(text, str):  # protobuf hands out what is no valid text as bytes
            raise FileRefused("name_broken", source=source, name=repr(text)[2:60])
    for name, proto in tensors(model):
        if proto.data_location == onnx.TensorProto.EXTERNAL:
            raise FileRefused("onnx_external", source=source, name=name)
    return model


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


def nodes(graph: Any) -> Iterator[Any]:
    """Yield the nodes of a graph and of all graphs inside it."""
    for inner in _graphs(graph):
        yield from inner.node


def attribute(node: Any, name: str, default: int) -> int:
    """Return a whole number that a node says of itself."""
    return next((int(x.i) for x in node.attribute if x.name == name), default)


def array(proto: Any) -> NDArray[Any]:
    """Return the numbers of a tensor."""
    library()
    from onnx import numpy_helper

    return np.asarray(numpy_helper.to_array(proto))


def dtype(proto: Any) -> np.dtype:
    """Return the type of a tensor's numbers."""
    return numbers(proto.data_type)


def numbers(code: int) -> np.dtype:
    """Return the type of numbers that a model calls by this code; of objects where by none."""
    try:
        found: np.dtype = np.dtype(library().helper.tensor_dtype_to_np_dtype(code))
    except KeyError:
        return np.dtype(object)
    return found


def code(dtype: np.dtype) -> int:
    """Return what a model calls a type of numbers."""
    found: int = library().helper.np_dtype_to_tensor_dtype(dtype)
    return found


def nbytes(proto: Any) -> int:
    """Return the bytes that a tensor's numbers take in the file, some less than one each."""
    name = dtype(proto).name
    bits = next((bits for bits in (2, 4) if re.search(rf"(int|float){bits}(_|$)", name)), 0)
    size: int = math.prod(proto.dims)
    return -(-size * (bits or 8 * dtype(proto).itemsize) // 8)


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


def put(proto: Any, given: NDArray[Any]) -> None:
    """Give a tensor of the graph other numbers, in its own type; the same ones change no byte."""
    new, old = given.astype(dtype(proto), copy=False), array(proto)
    if new.shape != old.shape or new.tobytes() != old.tobytes():
        proto.CopyFrom(_proto(new, proto.name))


def hold(model: Any, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Add tensors that the graph holds."""
    made = [_proto(given, name) for name, given in arrays.items()]
    model.graph.initializer.extend(made)
    if model.ir_version < NAMED_INPUTS:
        value = library().helper.make_tensor_value_info
        model.graph.input.extend(value(x.name, x.data_type, x.dims) for x in made)


def drop(graph: Any, names: Iterable[str]) -> None:
    """Take tensors that the graph holds out of it, and what is said of them."""
    gone = set(names)
    for listed in (graph.initializer, graph.input, graph.value_info):
        for place in reversed(range(len(listed))):
            if listed[place].name in gone:
                del listed[place]


def rename(graph: Any, old: str, new: str) -> None:
    """Call a tensor of the graph by another name, wherever it is used."""
    for value in (*graph.initializer, *graph.input):
        value.name = new if value.name == old else value.name
    for node in nodes(graph):
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = new if name == old else name


def reroute(graph: Any, names: Mapping[str, str]) -> None:
    """Give nodes other values to use: by the name of the old one that of the new one."""
    for node in nodes(graph):
        for place, name in enumerate(node.input):
            if name in names:
                node.input[place] = names[name]


def sweep(model: Any, names: Iterable[str]) -> None:
    """Take out of a graph what nothing uses any more: of these values, and what made them."""
    flow = Flow.of(model)
    uses = Counter({name: len(users) for name, users in flow.users.items()})
    loose, gone, idle = [*names], set[str](), set[int]()
    while loose:
        name = loose.pop()
        if uses[name] or name in flow.ends or name in gone:
            continue
        gone.add(name)
        place = flow.makers.get(name)
        if place is None or not gone.issuperset(filter(None, flow.nodes[place].output)):
            continue
        idle.add(place)
        uses.subtract(set(flow.nodes[place].input))
        loose += flow.nodes[place].input
    given = {value.name for value in model.graph.input} - flow.held.keys()
    drop(model.graph, gone - given)
    kept = [node for place, node in enumerate(flow.nodes) if place not in idle]
    del model.graph.node[:]
    model.graph.node.extend(kept)


def library() -> Any:
    """Return the package onnx.

    Raises:
        ExtraMissing: it is not installed.
    """
    extras.package("onnx.shape_inference", "onnx")  # which onnx itself does not load
    return extras.package("onnx", "onnx")


def _proto(given: NDArray[Any], name: str) -> Any:
    library()
    from onnx import numpy_helper

    return numpy_helper.from_array(given, name)


def _graphs(graph: Any) -> Iterator[Any]:
    """Yield a graph and the graphs inside it: branches, and bodies of loops."""
    yield graph
    for node in graph.node:
        for each in node.attribute:
            if each.HasField("g"):
                yield from _graphs(each.g)


def _texts(model: Any) -> Iterator[Any]:
    """Yield the names and notes of a model that anything here looks at."""
    yield from (name for name, _ in tensors(model))
    for node in nodes(model.graph):
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (x.name for x in node.attribute)
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        yield value.name
    for entry in model.metadata_props:
        yield from (entry.key, entry.value)
