"""What every network that runs promises, how pixels enter, and the plain chain of layers."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import Dataset
from rmtviz.errors import BadOption, DataRefused
from rmtviz.layers import Layer

BATCH = 2_000
"""Images that go through a network at once, where memory is the only concern."""

INPUTS: Mapping[str, Callable[[float, float, float], tuple[float, float]]] = {
    "unit": lambda mean, std, top: (0.0, top),
    "standard": lambda mean, std, top: (top * mean, top * std),
    "symmetric": lambda mean, std, top: (top / 2, top / 2),
    "raw": lambda mean, std, top: (0.0, 1.0),
}
"""How a level x from 0 to `top` (255) enters: as (x − centre) / scale, by name.

Given the mean and standard deviation of x/255 and the 255: `unit` is x/255, `standard` is
(x/255 − mean)/std, `symmetric` is (x/255 − ½)/½, `raw` is x.
"""

TOKENS = "tokens"
"""What stands for a way of `INPUTS` where a network reads text: a token is looked up as it is."""

ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}
"""What runs between the layers, by name, each with torch's defaults."""


HOLDERS = (nn.Linear, nn.Conv2d, nn.Sequential)
"""What a layer is among the stages of a network: a Sequential is a factored one."""


class Runner(Protocol):
    """A network that runs, never changed.

    `layers` are the checkpoint's, in order; `places` says of those that are applied at more
    than one place for one answer, at how many; `inputs` is a key of `INPUTS`, or `TOKENS`.
    """

    @property
    def layers(self) -> tuple[Layer, ...]: ...
    @property
    def activation(self) -> str: ...
    @property
    def inputs(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def outputs(self) -> int: ...
    @property
    def places(self) -> Mapping[str, int]: ...
    @property
    def origin(self) -> "tuple[Checkpoint, Choice] | None":
        """What it was made of and how, where that is the way to run it with other weights."""

    def check(self, dataset: Dataset) -> None:
        """Refuse a dataset whose samples or classes are not the network's: `DataRefused`."""

    def logits(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Return the outputs (N, classes) for samples (N, pixels).

        Of text there is one answer at each place: (N · pixels, classes), window by window.
        """


@runtime_checkable
class Transparent(Protocol):
    """A `Runner` that shows what its layers are given."""

    def given(self, images: NDArray[Any], index: int) -> Iterator[NDArray[np.float32]]:
        """Yield what the matrix of layer number `index` multiplies (places, columns), in batches.

        For samples (N, pixels), at all places where the layer is applied.
        """


@runtime_checkable
class Tunable(Protocol):
    """A `Runner` whose layers are stages, in order, that can be trained further."""

    @property
    def layers(self) -> tuple[Layer, ...]: ...
    @property
    def stages(self) -> nn.Sequential: ...

    def enter(self, images: torch.Tensor) -> torch.Tensor:
        """Return levels (N, pixels) as the first stage takes them, in float32."""


class Choice(Protocol):
    """How a checkpoint is run, with all that it leaves open decided: called, it gives a network."""

    @property
    def activation(self) -> str: ...
    @property
    def inputs(self) -> str: ...

    def __call__(self, checkpoint: Checkpoint) -> Runner: ...

    def __hash__(self) -> int: ...

    def record(self) -> dict[str, Any]:
        """Return what a checkpoint's record says under "network": how it runs."""


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A network in float32, never changed: `stages` are layers, with an activation between two.

    `activation` and `inputs` are keys of `ACTIVATIONS` and `INPUTS`; a grey level x enters
    as (x − centre) / scale; `layers` are the checkpoint's, one for each layer stage.
    """

    layers: tuple[Layer, ...]
    activation: str
    inputs: str
    centre: float
    scale: float
    stages: nn.Sequential = field(repr=False)

    @property
    def width(self) -> int:
        """The number of inputs of the first layer."""
        return self.layers[0].shape[1]

    @property
    def outputs(self) -> int:
        """The number of classes."""
        return self.layers[-1].shape[0]

    @property
    def places(self) -> Mapping[str, int]:
        """Every layer is applied once."""
        return {}

    @property
    def origin(self) -> None:
        """Not needed: see `hidden` and `rest`."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one sample: one for each stored weight, biases apart."""
        return sum(weights.numel() for weights in self.stages.parameters() if weights.ndim == 2)

    def check(self, dataset: Dataset) -> None:
        """Refuse a dataset whose images or classes are not those that the network takes and gives.

        Raises:
            DataRefused: names both numbers.
        """
        fits(self, dataset)

    def logits(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Return the outputs (N, classes) for images (N, pixels) of grey levels.

        Raises:
            DataRefused: the images have another number of pixels.
        """
        return self.hidden(images, len(self.layers))

    def hidden(self, images: NDArray[Any], upto: int) -> NDArray[np.float32]:
        """Return what layer number `upto` is given (N, columns), for images (N, pixels).

        That is the scaled pixels for 0, and the logits for `len(layers)`.

        Raises:
            DataRefused: the images have another number of pixels.
        """
        same("data_pixels", "images", images.shape[1], self.width)
        part = self.stages[: 2 * upto]
        return self._batches(images, lambda batch: part(self.enter(batch)))

    def given(self, images: NDArray[Any], index: int) -> Iterator[NDArray[np.float32]]:
        """Yield what layer number `index` is given (N, columns), in batches."""
        for start in range(0, len(images), BATCH):
            yield self.hidden(images[start : start + BATCH], index)

    def rest(self, outputs: NDArray[np.float32], index: int) -> NDArray[np.float32]:
        """Return the logits from what layer number `index` gives (N, rows), bias included."""
        return self._batches(outputs, self.stages[2 * index + 1 :])

    def bias(self, index: int) -> NDArray[np.float32]:
        """Return what layer number `index` adds to its matrix's outputs (rows,), if only zeros."""
        columns = self.layers[index].shape[1]
        with torch.inference_mode():
            return np.array(self.stages[2 * index](torch.zeros(columns)).numpy())

    def enter(self, images: torch.Tensor) -> torch.Tensor:
        """Return grey levels (N, pixels) as the network takes them, in float32."""
        return (images.to(torch.float32) - self.centre) / self.scale

    def module(self) -> nn.Sequential:
        """Return the network as a module of its own that can be trained; it takes `enter`'s result.

        Its layers are called 0, 2, 4, …; a factored one is a Sequential of two.
        """
        return deepcopy(self.stages).requires_grad_(True).train()

    def _batches(
        self, array: NDArray[np.generic], run: Callable[[torch.Tensor], torch.Tensor]
    ) -> NDArray[np.float32]:
        with one_thread(), torch.inference_mode():
            parts = [
                run(torch.tensor(array[start : start + BATCH])).numpy()
                for start in range(0, max(1, len(array)), BATCH)
            ]
        return np.concatenate(parts)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread inside the block: on a shared machine two are often slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fits(network: Runner, dataset: Dataset) -> None:
    """Refuse a dataset whose samples or classes are not those that the network takes and gives.

    Raises:
        DataRefused: names both numbers.
    """
    if dataset.text != (network.inputs == TOKENS):
        raise DataRefused("data_text" if dataset.text else "data_no_text", dataset=dataset.name)
    same("data_pixels", dataset.name, dataset.pixels, network.width)
    same("data_classes", dataset.name, dataset.outputs, network.outputs)


def known(word: str, table: Mapping[str, Any]) -> None:
    """Refuse a word that is none of a table's.

    Raises:
        BadOption: names those that are.
    """
    if word not in table:
        raise BadOption("unknown_name", name=word, known=", ".join(table))


def same(key: str, dataset: str, given: int, wanted: int) -> None:
    """Refuse two numbers that differ, with the sentence of this key."""
    if given != wanted:
        raise DataRefused(key, dataset=dataset, given=given, wanted=wanted)
