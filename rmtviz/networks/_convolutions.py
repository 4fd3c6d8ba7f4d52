"""Plain convolutional networks that run, from nothing but their weights and a layout.

Convolutions one after the other, each perhaps with a batch norm, an activation, and a pooling
of 2 × 2 or a stride of 2; then linear layers on all that is left, or on its mean over the
places. Which of them shrink the picture, the weights do not say; but the first linear layer
says how much is left: `layouts` lists all that fit an image's size.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rmtviz import layers
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import Dataset
from rmtviz.errors import CannotRun
from rmtviz.layers import Layer
from rmtviz.networks._inputs import given
from rmtviz.networks._layout import Layout, Passing, possible
from rmtviz.networks._weights import all_used, convolution, linear, parameter
from rmtviz.networks.base import ACTIVATIONS, INPUTS, Choice, fits, known, one_thread, same

BATCH = 500
"""Images that go through a network at once."""

POOLINGS: Mapping[str, Callable[[int], nn.Module]] = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}
"""What pools 2 × 2 places, by the word in a layout."""

NORM = ("weight", "bias", "running_mean", "running_var")

EPSILON: Mapping[bool, float] = {False: 1e-5, True: 1e-3}
"""The usual ε of a batch norm: PyTorch's, and Keras's."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageNetwork:
    """A convolutional network in float32: a `Runner`. A grey level x enters as (x − centre)/scale.

    `image` is the form (channels, height, width) of a picture.
    """

    layers: tuple[Layer, ...]
    activation: str
    inputs: str
    centre: float
    scale: float
    image: tuple[int, int, int]
    outputs: int
    places: Mapping[str, int]
    origin: tuple[Checkpoint, Choice]
    stages: nn.Sequential = field(repr=False)

    @property
    def width(self) -> int:
        """The numbers in one picture."""
        return math.prod(self.image)

    def check(self, dataset: Dataset) -> None:
        """Refuse a dataset whose images or classes are not the network's.

        Raises:
            DataRefused: names both numbers.
        """
        fits(self, dataset)

    def logits(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Return the outputs (N, classes) for images (N, pixels), channel by channel.

        Raises:
            DataRefused: the images have another number of pixels.
        """
        same("data_pixels", "images", images.shape[1], self.width)
        with one_thread(), torch.inference_mode():
            parts = [self.stages(batch).numpy() for batch in self._entered(images)]
        return np.concatenate(parts)

    def given(self, images: NDArray[Any], index: int) -> Iterator[NDArray[np.float32]]:
        """Yield what the matrix of layer number `index` multiplies (N · places, columns)."""
        return given(self.stages, self._entered(images), index)

    def enter(self, images: torch.Tensor) -> torch.Tensor:
        """Return grey levels (N, pixels) as pictures (N, channels, height, width) that enter."""
        entered = (images.to(torch.float32) - self.centre) / self.scale
        return entered.view(-1, *self.image)

    def _entered(self, images: NDArray[Any]) -> Iterator[torch.Tensor]:
        for start in range(0, max(1, len(images)), BATCH):
            yield self.enter(torch.tensor(images[start : start + BATCH]))


@dataclass(frozen=True, slots=True)
class CNN:
    """Convolutions, then linear layers, dense or factored, with one activation between them.

    `activation`, `inputs`, `mean`, `std` and `top` are `MLP`'s; `layout` is in the words of
    `Layout`; `image` the form (channels, height, width) of a picture.
    """

    layout: str
    activation: str = "relu"
    inputs: str = "unit"
    image: tuple[int, int, int] = (1, 28, 28)
    mean: float = 0.1307
    std: float = 0.3081
    top: float = 255.0

    def __post_init__(self) -> None:
        known(self.activation, ACTIVATIONS)
        known(self.inputs, INPUTS)
        Layout.of(self.layout)

    def record(self) -> dict[str, Any]:
        """Return what a checkpoint's record says under "network": how it runs."""
        own = {"activation": self.activation, "inputs": self.inputs, "layout": self.layout}
        return {"name": "cnn", **own}

    def __call__(self, checkpoint: Checkpoint) -> ImageNetwork:
        """Return the network of these weights.

        Raises:
            CannotRun: a tensor that would not be used, weights that are not finite, or shapes
                that do not follow each other in this layout.
        """
        convolutions, linears = _split(checkpoint)
        norms = _norms(checkpoint, convolutions)
        used = [f"{stem}.{part}" for stem in norms if stem for part in NORM]
        all_used(checkpoint, [*convolutions, *linears], used)
        layout = Layout.of(self.layout)
        if len(layout.steps) != len(convolutions):
            raise CannotRun("layout_count", layout=self.layout, count=len(convolutions))
        passings = _passings(checkpoint, self.image, layout, convolutions, linears)
        if passings is None:
            raise CannotRun("layout_size", layout=self.layout, image=form(self.image))
        keras = _keras(checkpoint, convolutions)
        stages: list[nn.Module] = []
        for each, norm, step, passing in zip(
            convolutions, norms, layout.steps, passings, strict=True
        ):
            stages += convolution(checkpoint, each, passing.margins, step.stride)
            stages += [_norm(checkpoint, norm, EPSILON[keras])] if norm else []
            stages.append(ACTIVATIONS[self.activation]())
            stages += [POOLINGS[step.shrink](2)] if step.shrink in POOLINGS else []
        stages.append(_Head(layout.head, keras))
        for each in linears:
            stages += [linear(checkpoint, each), ACTIVATIONS[self.activation]()]
        centre, scale = INPUTS[self.inputs](self.mean, self.std, self.top)
        return ImageNetwork(
            (*convolutions, *linears),
            self.activation,
            self.inputs,
            centre,
            scale,
            self.image,
            linears[-1].shape[0],
            {x.name: math.prod(at.output) for x, at in zip(convolutions, passings, strict=True)},
            (checkpoint, self),
            nn.Sequential(*stages[:-1]).requires_grad_(False).eval(),
        )


class _Head(nn.Module):
    """From pictures to vectors: all numbers in torch's order or in Keras's, or their means."""

    def __init__(self, head: str, channels_last: bool) -> None:
        super().__init__()
        self.head, self.channels_last = head, channels_last

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        if self.head == "mean":
            return pictures.mean(dim=(2, 3))
        return (pictures.permute(0, 2, 3, 1) if self.channels_last else pictures).flatten(1)


def layouts(checkpoint: Checkpoint, image: tuple[int, int, int]) -> tuple[str, ...]:
    """Return all layouts with which the weights fit images of this form, in words.

    Raises:
        CannotRun: it is no plain convolutional network.
    """
    convolutions, linears = _split(checkpoint)
    found: dict[tuple[Any, ...], str] = {}
    for layout in possible(len(convolutions)):
        passings = _passings(checkpoint, image, layout, convolutions, linears)
        if passings is None:
            continue
        steps = [(x.shrink, at.margins) for x, at in zip(layout.steps, passings, strict=True)]
        head = "" if passings[-1].handed == (1, 1) else layout.head
        found.setdefault((*steps, head), str(layout))
    return tuple(found.values())


def _split(checkpoint: Checkpoint) -> tuple[list[Layer], list[Layer]]:
    """Return the convolutions and the linear layers, each in the order in which they follow.

    Raises:
        CannotRun: layers of other kinds, or the channels do not follow each other.
    """
    found = layers.every(checkpoint)
    convolutions = [each for each in found if each.rule.window]
    linears = [each for each in found if not each.rule.window]
    plain = all(
        "transposed_" not in each.kind
        and each.part is None
        and all(len(checkpoint.tensors[name].shape) == 4 for name in each.tensors)
        for each in convolutions
    )
    flat = all(each.part is None and each.rule.pairs for each in linears)
    if not (plain and flat and convolutions and linears and len(convolutions) <= 8):
        raise CannotRun("no_plain_cnn")
    channels = [_inputs(checkpoint, each) for each in convolutions[1:]]
    if channels != [each.shape[0] for each in convolutions[:-1]]:
        raise CannotRun("no_plain_cnn")
    return convolutions, list(layers.chain(linears))


def _passings(
    checkpoint: Checkpoint,
    image: tuple[int, int, int],
    layout: Layout,
    convolutions: Sequence[Layer],
    linears: Sequence[Layer],
) -> list[Passing] | None:
    """Return how an image passes the convolutions in this layout.

    None: it does not end as what the first linear layer takes.
    """
    kernels = [_window(checkpoint, each) for each in convolutions]
    if len(layout.steps) != len(kernels) or _inputs(checkpoint, convolutions[0]) != image[0]:
        return None
    passings = layout.passings(kernels, image[1:], _keras(checkpoint, convolutions))
    if passings is None:
        return None
    places = math.prod(passings[-1].handed) if layout.head == "flatten" else 1
    return passings if convolutions[-1].shape[0] * places == linears[0].shape[1] else None


def _inputs(checkpoint: Checkpoint, layer: Layer) -> int:
    return layer.rule.moved(checkpoint.tensors[layer.tensors[0]].shape)[1]


def _window(checkpoint: Checkpoint, layer: Layer) -> tuple[int, int]:
    height, width = layer.rule.moved(checkpoint.tensors[layer.tensors[0]].shape)[2:]
    return height, width


def _norms(checkpoint: Checkpoint, convolutions: Sequence[Layer]) -> list[str]:
    """Return the name of each convolution's batch norm: all have one of their width, or none.

    "" stands for none; norms that do not fit are left over, and refused as unused.
    """
    end = ".running_var"
    stems = sorted((x.removesuffix(end) for x in checkpoint if x.endswith(end)), key=layers.natural)
    whole = all(f"{stem}.{part}" in checkpoint for stem in stems for part in NORM)
    widths = [checkpoint.tensors[f"{stem}{end}"].shape for stem in stems]
    fit = whole and widths == [(each.shape[0],) for each in convolutions]
    return stems if fit else [""] * len(convolutions)


def _keras(checkpoint: Checkpoint, convolutions: Sequence[Layer]) -> bool:
    """Return whether the weights are Keras's: by the record of the reader, or by their kinds."""
    told = checkpoint.about.get("conventions") == "keras"
    return told or any(each.kind.endswith("outputs_last") for each in convolutions)


def _norm(checkpoint: Checkpoint, stem: str, epsilon: float) -> nn.BatchNorm2d:
    """Return a batch norm as a module, with this ε."""
    held = {part: parameter(f"{stem}.{part}", checkpoint[f"{stem}.{part}"]) for part in NORM}
    made = nn.BatchNorm2d(len(held["weight"]), eps=epsilon)
    made.weight, made.bias = held["weight"], held["bias"]
    made.running_mean, made.running_var = held["running_mean"].data, held["running_var"].data
    return made


def form(image: tuple[int, ...]) -> str:
    """Return the form of an image in words."""
    return "×".join(map(str, image))
