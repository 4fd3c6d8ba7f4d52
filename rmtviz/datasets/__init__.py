"""Labelled data, by name: calling a member of the table's class gives the dataset.

To add one: a file beside this one with a frozen choice whose call returns a `Dataset`, and
a line in the table.
"""

from collections.abc import Mapping

from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets._own import KEY, divided, pack, sizes, unpack
from rmtviz.datasets.base import SPLITS, Dataset, LabelNoise, Samples
from rmtviz.datasets.digits import Digits
from rmtviz.datasets.fashion import FashionMNIST
from rmtviz.datasets.files import read
from rmtviz.datasets.mnist import MNIST
from rmtviz.datasets.python_help import PythonHelp

DATASETS: Mapping[str, type[MNIST] | type[FashionMNIST] | type[Digits] | type[PythonHelp]] = {
    "mnist": MNIST,
    "fashion-mnist": FashionMNIST,
    "digits": Digits,
    "python-help": PythonHelp,
}
"""The datasets, by name."""

OFFERED = ("mnist", "digits")
"""Those that a network is tried on without being asked: they are here, and differ in shape."""

TEXTS = ("python-help",)
"""Those that are text: only a network that reads text runs on them."""

__all__ = [
    "DATASETS",
    "KEY",
    "MNIST",
    "OFFERED",
    "SPLITS",
    "TEXTS",
    "Dataset",
    "Digits",
    "FashionMNIST",
    "LabelNoise",
    "PythonHelp",
    "Samples",
    "divided",
    "of",
    "pack",
    "read",
    "sizes",
    "trained_on",
    "unpack",
]


def trained_on(checkpoint: Checkpoint) -> str | None:
    """Return the name or key of the data that a network of ours was trained on, by its record."""
    recipe = checkpoint.about.get("trained")
    name = recipe.get("dataset") if isinstance(recipe, dict) else None
    known = isinstance(name, str) and (name in DATASETS or KEY.fullmatch(name))
    return name if known else None


def of(checkpoint: Checkpoint, own: Dataset | None = None) -> tuple[Dataset, bool]:
    """Return the dataset to judge a checkpoint by, and whether the network is foreign to us.

    A network that we trained says so in its record, and gets the labels that it was trained
    on, noise included; its selection labels are as noisy. Data of somebody's `own` are divided
    as they were then, if they are those of the record. Every other network, and one whose
    record makes no sense, is foreign and gets the first dataset of the table as it is.

    Raises:
        DataRefused: the dataset's file is missing or broken.
    """
    recipe, name = checkpoint.about.get("trained"), trained_on(checkpoint)
    recipe = recipe if isinstance(recipe, dict) else {}
    share, seed = recipe.get("label_noise"), recipe.get("seed")
    share = share if isinstance(share, int | float) and 0 <= share <= 1 else None
    seed = seed if isinstance(seed, int) and seed >= 0 else None
    if name is not None and share is not None and seed is not None:
        if name in DATASETS:
            return DATASETS[name]()().with_label_noise(share, seed), False
        if own is not None and own.key == name:
            return divided(own, seed).with_label_noise(share, seed), False
    return next(iter(DATASETS.values()))()(), True
