"""MNIST: 60,000 + 10,000 handwritten digits (LeCun, Cortes; Proc. IEEE 86(11), 1998)."""

import functools
import lzma
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rmtviz import site
from rmtviz.datasets.base import Dataset
from rmtviz.errors import DataRefused

MEAN, STD = 0.1307, 0.3081
"""Of the training file's grey levels / 255, to the four digits that everybody rounds to."""


@dataclass(frozen=True, slots=True)
class MNIST:
    """Handwritten digits, 28 × 28 grey levels, exactly as published; loaded once a process."""

    def __call__(self) -> Dataset:
        """Return the dataset.

        Raises:
            DataRefused: the file is missing, or is not the MNIST that we ship.
        """
        return _load(site.home() / "assets" / "data" / "mnist.npz")


@functools.lru_cache(maxsize=1)
def _load(path: Path) -> Dataset:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            images = {part: file[f"x_{part}"].reshape(-1, 28 * 28) for part in ("train", "test")}
            labels = {part: file[f"y_{part}"].astype(np.int64) for part in ("train", "test")}
        return Dataset(
            name="mnist",
            train_images=images["train"],
            train_labels=labels["train"],
            test_images=images["test"],
            test_labels=labels["test"],
            clean_labels=labels["train"],
            image_shape=(28, 28),
            classes=tuple("0123456789"),
            mean=MEAN,
            std=STD,
        )
    except FileNotFoundError:
        raise DataRefused("data_missing", dataset="MNIST", file=path.name) from None
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, lzma.LZMAError):
        raise DataRefused("data_broken", dataset="MNIST", file=path.name) from None
