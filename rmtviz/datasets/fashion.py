"""Fashion-MNIST: 60,000 + 10,000 pictures of clothes (Xiao, Rasul, Vollgraf; arXiv 1708.07747)."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rmtviz import site
from rmtviz.datasets import _idx
from rmtviz.datasets.base import Dataset
from rmtviz.errors import DataRefused, ExtraMissing

INSTALLED = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the files."""

SOURCE = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
"""Where the authors publish them."""

FILES: Mapping[str, str] = {
    "train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
}
"""The files, in the order of `arrays`, with the sums that the authors state."""

CLASSES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FashionMNIST:
    """Pictures of clothes, 28 × 28 grey levels: Debian's files, else downloaded once, checked."""

    def __call__(self) -> Dataset:
        """Return the dataset; the first call may download 30 MB.

        Raises:
            DataRefused: no download, or a file that is not the published one.
            ExtraMissing: pooch is needed and not installed.
        """
        return _load()


@functools.lru_cache(maxsize=1)
def _load() -> Dataset:
    return dataset(arrays(INSTALLED if all((INSTALLED / x).is_file() for x in FILES) else fetch()))


def fetch(source: str = SOURCE, files: Mapping[str, str] = FILES, to: Path | None = None) -> Path:
    """Return a folder with the files, downloaded where they are not there yet or are others.

    Each is checked against its sum before it is used; progress goes to stderr in a terminal.

    Raises:
        DataRefused: they can't be had, or are others.
        ExtraMissing: pooch is not installed.
    """
    try:
        import pooch
    except ImportError:
        raise ExtraMissing("extra_missing", package="pooch", extra="data") from None
    folder = to or site.data_home() / "datasets" / "fashion-mnist"
    pooch.get_logger().setLevel("WARNING")
    try:
        for name, known in files.items():
            load = pooch.HTTPDownloader(timeout=30)
            pooch.retrieve(f"{source}{name}", known, name, folder, downloader=load)
    except (OSError, ValueError) as problem:  # what requests raises is an OSError
        why = " ".join(str(problem).split())[:120]
        raise DataRefused("data_download", dataset="Fashion-MNIST", why=why) from None
    return folder


def arrays(folder: Path) -> list[NDArray[np.uint8]]:
    """Return the four arrays: training images and labels, test images and labels.

    Raises:
        DataRefused: a file is missing or broken.
    """
    found = []
    for name in FILES:
        try:
            content = (folder / name).read_bytes()
        except OSError:
            raise DataRefused("data_missing", dataset="Fashion-MNIST", file=name) from None
        found.append(_idx.read(content, name))
    return found


def dataset(held: list[NDArray[np.uint8]]) -> Dataset:
    """Return the dataset of the four arrays.

    Raises:
        DataRefused: they do not belong together.
    """
    train, train_labels, test, test_labels = held
    counts = np.bincount(train.ravel(), minlength=256) / train.size
    levels = np.arange(256) / 255
    mean = float(counts @ levels)
    try:
        return Dataset(
            name="fashion-mnist",
            train_images=train.reshape(len(train), -1).copy(),
            train_labels=train_labels.astype(np.int64),
            test_images=test.reshape(len(test), -1).copy(),
            test_labels=test_labels.astype(np.int64),
            clean_labels=train_labels.astype(np.int64),
            image_shape=(train.shape[1], train.shape[2]),
            classes=CLASSES,
            mean=mean,
            std=float(np.sqrt(counts @ (levels - mean) ** 2)),
        )
    except (ValueError, IndexError):
        raise DataRefused("data_broken", dataset="Fashion-MNIST", file=INSTALLED.name) from None
