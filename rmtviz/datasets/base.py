"""Labelled images, and which of them may be looked at for what.

A network that we train sees all of the training file but its last `SELECTION` images. Those
are the selection set: curves, sliders and searches read them. The test images are read only
to report. Of a model that we did not train (`foreign`) nobody knows which training images it
has seen, so both sets come from the test file: its first `SELECTION` images to select, the
others to report. In a small file, selection takes at most half of the test images, and at
most a fifth of the training images.

Text is a dataset as well: an image is then a window of tokens, and each of its places has a
label of its own, the next token. What is counted are labels: 5,000 are 39 windows of 128.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rmtviz.errors import BadOption, DataRefused

SELECTION = 5_000
"""The number of labels that choices are made on."""

SPLITS = ("train", "selection", "test", "all")
"""The names that `Dataset.split` knows; "all" is the whole test file."""

Images = NDArray[np.uint8] | NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Some labelled images, read-only: images (N, pixels) and labels (N · places,).

    Of text every place of a window has a label, of anything else each image has one; `len`
    is the number of labels. `unit` is the word for what is labelled, a key under `unit`.
    """

    name: str
    images: Images
    labels: Labels
    dataset: str
    classes: int
    unit: str = "images"

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> "Samples":
        """Return as many images as have `count` labels, or all where there are fewer."""
        places = len(self.labels) // max(1, len(self.images)) or 1
        some = -(-count // places)
        return replace(self, images=self.images[:some], labels=self.labels[: some * places])


@dataclass(frozen=True, slots=True)
class LabelNoise:
    """How labels were spoilt: each re-drawn with probability `share`, from this seed."""

    share: float
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A training file and a test file of labelled images, read-only.

    `train_images` (N, pixels) and `test_images` are levels from 0 to `top` (numbers of any
    kind where they are float32), the pixels of coloured ones channel by channel;
    `image_shape` is (height, width), (channels, height, width), or (1, numbers) for what is
    no picture. Labels (N,), or (N, pixels) of text, whose images are tokens, run from 0 to
    `len(classes) - 1`; `mean` and `std` are those of the training file's levels / `top`.
    `clean_labels` are the training labels before any noise. `digest` is that of data of one's
    own, and empty for those of the table; `scaled` says that the columns of a table have been
    brought to mean 0 and standard deviation 1. The training file may be empty.

    Raises:
        ValueError: arrays that do not belong together; a fault of whoever made the dataset.
    """

    name: str
    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels
    clean_labels: Labels
    image_shape: tuple[int, ...]
    classes: tuple[str, ...]
    mean: float
    std: float
    noise: LabelNoise | None = None
    top: float = 255.0
    digest: str = ""
    scaled: bool = False

    def __post_init__(self) -> None:
        pixels = math.prod(self.image_shape)
        for images, labels in (
            (self.train_images, self.train_labels),
            (self.train_images, self.clean_labels),
            (self.test_images, self.test_labels),
        ):
            sides = (len(labels), pixels)
            wrong = images.shape != sides or labels.shape not in (sides[:1], sides)
            if images.dtype not in (np.uint8, np.float32) or wrong:
                raise ValueError(f"{images.shape} images of {images.dtype}, {len(labels)} labels")
            within = not labels.size or (labels.min() >= 0 and labels.max() < self.outputs)
            if labels.dtype != np.int64 or not within:
                raise ValueError(f"labels must be int64 from 0 to {self.outputs - 1}")
            images.flags.writeable = False
            labels.flags.writeable = False

    @property
    def key(self) -> str:
        """What a recipe calls the data: the name in the table, or for one's own their content."""
        return f"own-{self.digest[:16]}" if self.digest else self.name

    @property
    def pixels(self) -> int:
        """The number of grey levels of one image."""
        return int(self.train_images.shape[1])

    @property
    def outputs(self) -> int:
        """The number of classes."""
        return len(self.classes)

    @property
    def text(self) -> bool:
        """Whether the images are windows of tokens with a label at each place."""
        return self.test_labels.ndim == 2

    @property
    def unit(self) -> str:
        """The word for what is labelled, a key under `unit`."""
        if self.text:
            return "characters"
        return "samples" if self.image_shape[0] == 1 and len(self.image_shape) == 2 else "images"

    @property
    def wrong_share(self) -> float:
        """The share of the training file's labels that noise has really made wrong."""
        return float((self.train_labels != self.clean_labels).mean())

    def with_label_noise(self, share: float, seed: int) -> "Dataset":
        """Return the dataset with labels of the training file re-drawn, each with this probability.

        A label is re-drawn uniformly over all classes, so that one in `len(classes)` draws
        leaves it right. The training and the selection set are in that file; test labels are
        never touched. A label's fate depends on the seed and its place, not on how many
        images are trained on.

        Raises:
            BadOption: a share outside [0, 1].
        """
        if not 0 <= share <= 1:
            raise BadOption(
                "knob_range", choice="dataset", knob="label_noise", value=share, low=0, high=1
            )
        if share == 0:
            return replace(self, train_labels=self.clean_labels, noise=None)
        draw = np.random.Generator(np.random.PCG64(seed))
        chosen = draw.random(self.clean_labels.shape) < share
        drawn = draw.integers(self.outputs, size=self.clean_labels.shape)
        noisy = np.where(chosen, drawn, self.clean_labels)
        return replace(self, train_labels=noisy, noise=LabelNoise(share, seed))

    def split(self, name: str, *, foreign: bool = False) -> Samples:
        """Return the images of a split (see the head of this module).

        Raises:
            BadOption: no split of this name.
            DataRefused: the dataset has no training file.
        """
        if name not in SPLITS:
            raise BadOption("unknown_name", name=name, known=", ".join(SPLITS))
        if not len(self.train_labels) and (
            name == "train" or (name == "selection" and not foreign)
        ):
            raise DataRefused("data_no_train", dataset=self.name)
        most = SELECTION // (self.pixels if self.text else 1)
        end = len(self.train_labels) - min(most, len(self.train_labels) // 5)
        if name == "train":
            return self._samples(name, self.train_images[:end], self.train_labels[:end])
        if name == "selection" and not foreign:
            return self._samples(name, self.train_images[end:], self.train_labels[end:])
        part = slice(None)
        if foreign and name != "all":
            half = min(most, len(self.test_labels) // 2)
            part = slice(half) if name == "selection" else slice(half, None)
        return self._samples(name, self.test_images[part], self.test_labels[part])

    def _samples(self, name: str, images: Images, labels: Labels) -> Samples:
        return Samples(name, images, labels.reshape(-1), self.name, self.outputs, self.unit)
