"""A network that runs: a chain of layers with an activation between them, and how pixels enter."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rmtviz.datasets import Dataset
from rmtviz.errors import DataRefused
from rmtviz.layers import Layer

BATCH = 2_000
"""Images that go through a network at once, where memory is the only concern."""

INPUTS: Mapping[str, Callable[[float, float], tuple[float, float]]] = {
    "unit": lambda mean, std: (0.0, 255.0),
    "standard": lambda mean, std: (255 * mean, 255 * std),
    "symmetric": lambda mean, std: (127.5, 127.5),
    "raw": lambda mean, std: (0.0, 1.0),
}
"""How a grey level x from 0 to 255 enters: as (x − centre) / scale, by name.

Given the mean and standard deviation of x/255: `unit` is x/255, `standard` is
(x/255 − mean)/std, `symmetric` is (x/255 − ½)/½, `raw` is x.
"""

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
    def macs(self) -> int:
        """Multiply-accumulates of one sample: one for each stored weight, biases apart."""
        return sum(weights.numel() for weights in self.stages.parameters() if weights.ndim == 2)

    def check(self, dataset: Dataset) -> None:
        """Refuse a dataset whose images or classes are not those that the network takes and gives.

        Raises:
            DataRefused: names both numbers.
        """
        _same("data_pixels", dataset.name, dataset.pixels, self.width)
        _same("data_classes", dataset.name, dataset.outputs, self.outputs)

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the outputs (N, classes) for images (N, pixels) of grey levels.

        Raises:
            DataRefused: the images have another number of pixels.
        """
        return self.hidden(images, len(self.layers))

    def hidden(self, images: NDArray[np.uint8], upto: int) -> NDArray[np.float32]:
        """Return what layer number `upto` is given (N, columns), for images (N, pixels).

        That is the scaled pixels for 0, and the logits for `len(layers)`.

        Raises:
            DataRefused: the images have another number of pixels.
        """
        _same("data_pixels", "images", images.shape[1], self.width)
        part = self.stages[: 2 * upto]
        return self._batches(images, lambda batch: part(self.enter(batch)))

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


def _same(key: str, dataset: str, given: int, wanted: int) -> None:
    if given != wanted:
        raise DataRefused(key, dataset=dataset, given=given, wanted=wanted)
