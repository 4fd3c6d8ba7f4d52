"""ONNX graphs, run by onnxruntime as they are: the file says all but how the pixels were scaled.

Only operators of ordinary networks are run, without loops or branches, and only where no
intermediate result is inferred to be larger than `LARGEST` numbers for one sample.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtviz import graphs, layers
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import Dataset
from rmtviz.errors import CannotRun, ExtraMissing
from rmtviz.layers import Layer
from rmtviz.networks.base import INPUTS, Choice, fits, known, same

RUNS_AS = "graph"
"""What stands where other networks have an activation: here the file holds it."""

BATCH = 500
"""Samples that go through a graph at once."""

LARGEST = 2**26
"""No intermediate result may hold more numbers for one sample."""

_NAMES = """
Abs Add And ArgMax AveragePool BatchNormalization Cast CastLike Ceil Celu Clip Concat Constant
ConstantOfShape Conv ConvInteger ConvTranspose Cos CumSum DepthToSpace DequantizeLinear Div
Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand Flatten Floor GRU Gather
GatherElements Gelu Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual GroupNormalization
HardSigmoid HardSwish Identity InstanceNormalization LRN LSTM LayerNormalization LeakyRelu Less
LessOrEqual Log LogSoftmax MatMul MatMulInteger Max MaxPool Mean Min Mish Mul Neg Not OneHot Or
PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear RMSNormalization RNN Range Reciprocal
ReduceMax ReduceMean ReduceMin ReduceSum Relu Reshape Resize Selu Shape Sigmoid Sign Sin Size
Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Swish Tanh ThresholdedRelu
Tile Transpose Trilu Unsqueeze Where
"""

OPERATORS = frozenset(_NAMES.split())
"""The operators that are run. Among them none that has a graph of its own."""

GROWING = ("ConstantOfShape", "Expand", "OneHot", "Pad", "Range", "Resize", "Tile")
"""Operators whose output can be of any size: it must be known beforehand."""


@dataclass(frozen=True, slots=True, eq=False)
class GraphNetwork:
    """A graph with its weights: a `Runner`. A grey level x enters as (x − centre) / scale.

    `sample` is the shape of one sample as the graph takes it, `batch` how many at once
    (None: any number), `softmax` whether it gives probabilities in place of logits.
    """

    layers: tuple[Layer, ...]
    inputs: str
    centre: float
    scale: float
    sample: tuple[int, ...]
    outputs: int
    places: Mapping[str, int]
    softmax: bool
    batch: int | None
    origin: tuple[Checkpoint, Choice]
    session: Any = field(repr=False)

    @property
    def activation(self) -> str:
        """The word that says that activations are those of the file."""
        return RUNS_AS

    @property
    def width(self) -> int:
        """The numbers in one sample."""
        return math.prod(self.sample)

    def check(self, dataset: Dataset) -> None:
        """Refuse a dataset whose samples or classes are not the network's.

        Raises:
            DataRefused: names both numbers.
        """
        fits(self, dataset)

    def logits(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Return the outputs (N, classes) for samples (N, pixels), as the graph gives them.

        Where the graph ends in a softmax, their logarithms, which a softmax gives back.

        Raises:
            DataRefused: the samples have another number of pixels.
            CannotRun: onnxruntime refuses; says what it says.
        """
        same("data_pixels", "images", images.shape[1], self.width)
        entered = (images.astype(np.float32) - np.float32(self.centre)) / np.float32(self.scale)
        shaped = self._shaped(entered)
        size = self.batch or BATCH
        parts = [self._run(shaped[start : start + size]) for start in range(0, len(shaped), size)]
        out = np.concatenate(parts) if parts else np.zeros((0, self.outputs), np.float32)
        return np.log(np.maximum(out, np.finfo(np.float32).tiny)) if self.softmax else out

    def _shaped(self, flat: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return samples in the graph's form; pixels come channel by channel, if it has any."""
        if len(self.sample) == 3 and self.sample[2] in (1, 3) and self.sample[0] not in (1, 3):
            height, width, channels = self.sample
            planes = flat.reshape(-1, channels, height, width)
            return np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
        return flat.reshape(-1, *self.sample)

    def _run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        count = len(batch)
        if self.batch and count < self.batch:
            batch = np.concatenate(
                [batch, np.zeros((self.batch - count, *self.sample), np.float32)]
            )
        name = self.session.get_inputs()[0].name
        try:
            (out,) = self.session.run([self.session.get_outputs()[0].name], {name: batch})
        except _failures() as problem:
            raise CannotRun("onnx_failed", reason=_line(problem)) from None
        return np.asarray(out[:count], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class ONNX:
    """A graph run as its file has it; `inputs`, `mean`, `std` and `top` are `MLP`'s.

    Called with a checkpoint that was read from an ONNX file, pruned or not.
    """

    inputs: str = "unit"
    mean: float = 0.1307
    std: float = 0.3081
    top: float = 255.0

    def __post_init__(self) -> None:
        known(self.inputs, INPUTS)

    @property
    def activation(self) -> str:
        """The word that says that activations are those of the file."""
        return RUNS_AS

    def record(self) -> dict[str, Any]:
        """Return what a checkpoint's record says under "network": how it runs."""
        return {"name": "onnx", "inputs": self.inputs}

    def __call__(self, checkpoint: Checkpoint) -> GraphNetwork:
        """Return the network of these weights: the very file that would be downloaded, run.

        Raises:
            CannotRun: an operator that is not run, more than one input or output, an output
                that is no row of classes, a graph that onnxruntime refuses.
            ExtraMissing: onnx or onnxruntime is not installed.
        """
        content = graphs.write(checkpoint)
        model = graphs.parse(content, checkpoint.source)
        shapes = graphs.inferred(model)
        _ordinary(model, shapes)
        initial = {proto.name for proto in model.graph.initializer}
        entries = [value.name for value in model.graph.input if value.name not in initial]
        ends = [value.name for value in model.graph.output]
        given = shapes.get(entries[0], ()) if len(entries) == 1 else ()
        result = shapes.get(ends[0], ()) if len(ends) == 1 else ()
        sample = tuple(side for side in given[1:] if side)
        classes = result[1] if len(result) == 2 else None
        if not sample or len(sample) != len(given) - 1 or not classes:
            raise CannotRun(
                "onnx_ends", inputs=len(entries), outputs=len(ends), shape=_form(result)
            )
        last = next((node.op_type for node in model.graph.node if ends[0] in node.output), "")
        centre, scale = INPUTS[self.inputs](self.mean, self.std, self.top)
        found = layers.every(checkpoint)
        places = graphs.roles(model).places
        return GraphNetwork(
            found,
            self.inputs,
            centre,
            scale,
            sample,
            classes,
            {each.name: places[each.tensors[0]] for each in found if each.tensors[0] in places},
            last == "Softmax",
            given[0],
            (checkpoint, self),
            _session(content),
        )


def _ordinary(model: Any, shapes: Mapping[str, tuple[int | None, ...]]) -> None:
    """Refuse a graph with an operator that is not run, or with results that are too large."""
    for node in model.graph.node:
        if node.op_type not in OPERATORS or node.domain not in ("", "ai.onnx"):
            raise CannotRun("onnx_operator", name=f"{node.domain}:{node.op_type}".lstrip(":"))
        if any(part.HasField("g") or part.graphs for part in node.attribute):
            raise CannotRun("onnx_operator", name=node.op_type)
        if node.op_type in GROWING and None in shapes.get(node.output[0], (None, None))[1:]:
            raise CannotRun("onnx_operator", name=node.op_type)
    for name, shape in shapes.items():
        size = math.prod(side or 1 for side in shape)
        if size > LARGEST:
            raise CannotRun("onnx_large", name=name, size=size)


def _session(content: bytes) -> Any:
    """Return a session of onnxruntime on one thread.

    Raises:
        ExtraMissing: onnxruntime is not installed.
        CannotRun: it refuses the graph.
    """
    try:
        import onnxruntime
    except ImportError:
        raise ExtraMissing("extra_missing", package="onnxruntime", extra="onnx") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except _failures() as problem:
        raise CannotRun("onnx_failed", reason=_line(problem)) from None


def _failures() -> tuple[type[BaseException], ...]:
    """Return what onnxruntime raises."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented")
    return (*(getattr(state, name) for name in (*names, "RuntimeException")), ValueError)


def _line(problem: BaseException) -> str:
    """Return what a problem says as one short printable line."""
    line = " ".join(str(problem).split())
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in line)[:200]


def _form(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("?" if side is None else str(side) for side in shape) + ")"
