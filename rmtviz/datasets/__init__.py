"""Labelled data, by name: calling a member of the table's class gives the dataset.

To add one: a file beside this one with a frozen choice whose call returns a `Dataset`, and
a line in the table.
"""

from collections.abc import Mapping

from rmtviz.checkpoint import Checkpoint
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
    "of",
    "read",
]


def of(checkpoint: Checkpoint) -> tuple[Dataset, bool]:
    """Return the dataset to judge a checkpoint by, and whether the network is foreign to us.

    A network that we trained says so in its record, and gets the labels that it was trained
    on, noise included; its selection labels are as noisy. Every other network, and one whose
    record makes no sense, is foreign and gets the first dataset of the table as it is.

    Raises:
        DataRefused: the dataset's file is missing or broken.
    """
    recipe = checkpoint.about.get("trained")
    recipe = recipe if isinstance(recipe, dict) else {}
    name, share, seed = (recipe.get(key) for key in ("dataset", "label_noise", "seed"))
    known = DATASETS.get(name) if isinstance(name, str) else None
    share = share if isinstance(share, int | float) and 0 <= share <= 1 else None
    seed = seed if isinstance(seed, int) and seed >= 0 else None
    if known is None or share is None or seed is None:
        return next(iter(DATASETS.values()))()(), True
    return known()().with_label_noise(share, seed), False
