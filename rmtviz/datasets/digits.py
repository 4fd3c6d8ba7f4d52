"""Digits: 1,797 handwritten digits of 8 × 8 (Alpaydin and Kaynak 1998), the smallest dataset."""

import functools
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rmtviz import site
from rmtviz.datasets.base import Dataset
from rmtviz.errors import DataRefused

TRAINED = 1_200
"""Of the 1,797 images so many are the training file here; the others are the test file."""

TOP = 16
"""The largest level: the number of inked pixels in a block of 4 × 4."""


@dataclass(frozen=True, slots=True)
class Digits:
    """Handwritten digits, 8 × 8 levels from 0 to 16, the file that scikit-learn ships."""

    def __call__(self) -> Dataset:
        """Return the dataset.

        Raises:
            DataRefused: the file is missing, or does not hold the digits.
        """
        return _load(site.home() / "assets" / "data" / "digits.npz")


@functools.lru_cache(maxsize=1)
def _load(path: Path) -> Dataset:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            images, labels = file["images"].reshape(-1, 64), file["labels"].astype(np.int64)
        train = images[:TRAINED] / TOP
        return Dataset(
            name="digits",
            train_images=images[:TRAINED],
            train_labels=labels[:TRAINED],
            test_images=images[TRAINED:],
            test_labels=labels[TRAINED:],
            clean_labels=labels[:TRAINED],
            image_shape=(8, 8),
            classes=tuple("0123456789"),
            mean=float(train.mean()),
            std=float(train.std()),
            top=float(TOP),
        )
    except FileNotFoundError:
        raise DataRefused("data_missing", dataset="Digits", file=path.name) from None
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        raise DataRefused("data_broken", dataset="Digits", file=path.name) from None
