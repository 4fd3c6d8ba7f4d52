"""How a checkpoint becomes something that runs, by name: a choice, called with the checkpoint.

To add one: a file beside this one with a frozen choice whose call returns a `Runner`, a line
in the table, and the way to it in `detect`. This package imports torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rmtviz import datasets, layers
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import Dataset
from rmtviz.errors import CannotRun, DataRefused
from rmtviz.networks import cnn, mlp, transformer
from rmtviz.networks._choosing import SLACK, best, recorded, score
from rmtviz.networks.base import (
    ACTIVATIONS,
    HOLDERS,
    INPUTS,
    TOKENS,
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
from rmtviz.networks.transformer import Transformer

NETWORKS: Mapping[str, type[MLP] | type[CNN] | type[ONNX] | type[Transformer]] = {
    "mlp": MLP,
    "cnn": CNN,
    "onnx": ONNX,
    "transformer": Transformer,
}
"""The kinds of network, by name."""

FITS, AHEAD = 0.5, 0.1
"""A network was trained on data of which it reads this share right, so much more than of others:
guessing reads a tenth of the digits offered, what learnt other digits up to a third (measured)."""

__all__ = [
    "ACTIVATIONS",
    "CNN",
    "HOLDERS",
    "INPUTS",
    "MLP",
    "NETWORKS",
    "ONNX",
    "TOKENS",
    "Choice",
    "Network",
    "Runner",
    "Transformer",
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

    An ONNX file runs as its graph says, a transformer as its layout. Else see `cnn.detect`
    where there is a convolution, and `mlp.detect` where there is none. What is given is kept.

    Raises:
        DataRefused: the dataset's images or classes do not fit the network.
        CannotRun, BadOption: as the choices and their calls.
    """
    if checkpoint.graph is not None:
        return _graph(checkpoint, dataset, foreign, inputs)
    if transformer.has_layout(checkpoint):
        choice = Transformer()
        choice(checkpoint).check(dataset)
        return choice
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

    The data are those given, else those it was trained on here. A foreign network is tried on
    all of `datasets.OFFERED` whose form and classes are its own, and gets the one that it reads
    best: it must read a share `FITS` right, and `AHEAD` of the next, unless somebody says how it
    runs. `given` is `detect`'s.

    Raises:
        DataRefused: no data have its form, or it reads none of them well enough; or it was
            trained on data of somebody's own, which are not given.
        CannotRun: what `detect` says of the first that was tried.
    """
    own, foreign = datasets.of(checkpoint, dataset)
    if dataset is not None or not foreign:
        data = own if dataset is None or dataset.key == own.key else dataset
        foreign = foreign or data.key != own.key
        return detect(checkpoint, data, foreign, **given), data, foreign
    if (name := datasets.trained_on(checkpoint)) and datasets.KEY.fullmatch(name):
        raise DataRefused("own_closed", dataset=name)
    found: list[tuple[float, Choice, Dataset]] = []
    refusals: list[CannotRun | DataRefused] = []
    for name in datasets.TEXTS if transformer.has_layout(checkpoint) else datasets.OFFERED:
        data = datasets.DATASETS[name]()()
        try:
            choice = detect(checkpoint, data, **given)
        except (CannotRun, DataRefused) as refusal:
            refusals.append(refusal)
            continue
        some = data.split("selection", foreign=True).first(DETECTED_ON)
        right, _ = score(choice(checkpoint), some)
        found.append((right / len(some), choice, data))
    found.sort(key=lambda each: -each[0])
    asked = any(value is not None for value in given.values())
    if found and (asked or _clear([share for share, _, _ in found])):
        return found[0][1], found[0][2], True
    for each in refusals:  # one that is no matter of size stands for an open question
        if isinstance(each, CannotRun) and each.key != "layout_none":
            raise each
    if found:
        raise DataRefused("data_unread", share=found[0][0], dataset=found[0][2].name)
    raise refusals[0]


def _clear(shares: Sequence[float]) -> bool:
    """Return whether the first of these shares read right, in descending order, decides."""
    return shares[0] >= FITS and (len(shares) == 1 or shares[0] - shares[1] >= AHEAD)


def blind(checkpoint: Checkpoint, activation: str | None = None) -> Choice:
    """Return how a checkpoint is run where no data say how: numbers enter as they are.

    The activation is the one given, else the one on record, else the table's first.

    Raises:
        CannotRun: it needs data to be told how, or cannot be run at all.
    """
    if checkpoint.graph is not None:
        return ONNX("raw")
    if transformer.has_layout(checkpoint):
        return Transformer()
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
