"""How a checkpoint becomes something that runs, by name: a choice, called with the checkpoint.

To add one: a file beside this one with a frozen choice whose call returns a `Runner`, a line
in the table, and the way to it in `detect`. This package imports torch.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rmtviz import datasets, layers
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import Dataset
from rmtviz.errors import CannotRun, DataRefused
from rmtviz.networks import cnn, mlp
from rmtviz.networks._choosing import SLACK, best, recorded, score
from rmtviz.networks.base import (
    ACTIVATIONS,
    HOLDERS,
    INPUTS,
    Choice,
    Network,
    Runner,
    Transparent,
    Tunable,
    one_thread,
)
from rmtviz.networks.cnn import CNN
from rmtviz.networks.mlp import DETECTED_ON, MLP
from rmtviz.networks.onnx import ONNX

NETWORKS: Mapping[str, type[MLP] | type[CNN] | type[ONNX]] = {
    "mlp": MLP,
    "cnn": CNN,
    "onnx": ONNX,
}
"""The kinds of network, by name."""

__all__ = [
    "ACTIVATIONS",
    "CNN",
    "HOLDERS",
    "INPUTS",
    "MLP",
    "NETWORKS",
    "ONNX",
    "Choice",
    "Network",
    "Runner",
    "Transparent",
    "Tunable",
    "blind",
    "detect",
    "match",
    "one_thread",
]


def detect(
    checkpoint: Checkpoint,
    dataset: Dataset,
    foreign: bool = True,
    *,
    activation: str | None = None,
    inputs: str | None = None,
    order: tuple[str, ...] | None = None,
    layout: str | None = None,
) -> Choice:
    """Return how the checkpoint is run, what it leaves open being found on selection images.

    An ONNX file runs as its graph says. Else see `cnn.detect` where there is a convolution,
    and `mlp.detect` where there is none. What is given is kept.

    Raises:
        DataRefused: the dataset's images or classes do not fit the network.
        CannotRun, BadOption: as the choices and their calls.
    """
    if checkpoint.graph is not None:
        return _graph(checkpoint, dataset, foreign, inputs)
    if any(each.rule.window for each in layers.find(checkpoint)[0]):
        return cnn.detect(
            checkpoint, dataset, foreign, activation=activation, inputs=inputs, layout=layout
        )
    return mlp.detect(
        checkpoint, dataset, foreign, activation=activation, inputs=inputs, order=order
    )


def match(
    checkpoint: Checkpoint, dataset: Dataset | None = None, **given: Any
) -> tuple[Choice, Dataset, bool]:
    """Return how a checkpoint is run, on which data, and whether the network is foreign to us.

    The data are those given, else those it was trained on here, else the first of
    `datasets.OFFERED` whose form and classes are the network's. `given` is `detect`'s.

    Raises:
        DataRefused, CannotRun: what `detect` says of the first that was tried.
    """
    own, foreign = datasets.of(checkpoint)
    tried = [own if dataset.name == own.name else dataset] if dataset else [own]
    foreign = foreign or tried[0].name != own.name
    if dataset is None and foreign:
        more = (name for name in datasets.OFFERED if name != own.name)
        tried += [datasets.DATASETS[name]()() for name in more]
    refusals: list[CannotRun | DataRefused] = []
    for data in tried:
        try:
            return detect(checkpoint, data, foreign, **given), data, foreign
        except (CannotRun, DataRefused) as refusal:
            refusals.append(refusal)
    raise refusals[0]


def blind(checkpoint: Checkpoint, activation: str | None = None) -> Choice:
    """Return how a checkpoint is run where no data say how: numbers enter as they are.

    The activation is the one given, else the one on record, else the table's first.

    Raises:
        CannotRun: it needs data to be told how, or cannot be run at all.
    """
    if checkpoint.graph is not None:
        return ONNX("raw")
    if any(each.rule.window for each in layers.find(checkpoint)[0]):
        raise CannotRun("layout_blind")
    return MLP(recorded(checkpoint, activation, "activation", list(ACTIVATIONS))[0], "raw")


def _graph(checkpoint: Checkpoint, dataset: Dataset, foreign: bool, inputs: str | None) -> ONNX:
    """Return the choice that runs a graph, with the inputs that read the most images right."""
    ways = recorded(checkpoint, inputs, "inputs", list(INPUTS))
    choices = [ONNX(way, dataset.mean, dataset.std, dataset.top) for way in ways]
    network = choices[0](checkpoint)
    network.check(dataset)
    if len(choices) == 1:
        return choices[0]
    some = dataset.split("selection", foreign=foreign).first(DETECTED_ON)
    scores = {}
    for choice in choices:
        centre, scale = INPUTS[choice.inputs](choice.mean, choice.std, choice.top)
        scores[choice] = score(replace(network, centre=centre, scale=scale), some)
    return best(scores, SLACK)
