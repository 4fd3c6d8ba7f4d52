"""Labelled data of one's own, for training: named by what is in them, divided in three, kept.

A recipe names such data by their digest and never by a path, so a run on them can be resumed,
and compared with another, wherever the same data are at hand.
"""

import hashlib
import io
import json
import re
import zipfile
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rmtviz.datasets.base import SELECTION, Dataset, Labels
from rmtviz.errors import DataRefused
from rmtviz.formats import Limits

KEY = re.compile(r"own-[0-9a-f]{16}")
"""What a recipe calls such data: see `Dataset.key`."""

TESTED = 5
"""One sample in so many is for testing, where the file brings no test samples."""

FEWEST = 10
"""Each of the three sets has at least so many samples: fewer say nothing."""

EACH = 5
"""So many samples a class has at least, on the average: labels with fewer are measurements."""

STEPS = 20
"""Labels with decimals and more values than these are measurements as well."""

SCALED_BY = 10_000
"""The mean and the standard deviation of pictures are those of the first so many."""

DIVIDES = 1
"""The stream of a seed that divides: not that of label noise, which is the seed's own."""

PARTS = ("train_images", "train_labels", "test_images", "test_labels")


def digest(own: Dataset) -> str:
    """Return the sha256 of samples, labels, form and classes; not of the file's name or kind."""
    total = hashlib.sha256(json.dumps([own.image_shape, own.classes, own.top]).encode())
    for part in PARTS:
        array = np.ascontiguousarray(getattr(own, part))
        total.update(f"{array.dtype.str}{array.shape}".encode())
        total.update(array.data)
    return total.hexdigest()


def divided(own: Dataset, seed: int) -> Dataset:
    """Return the data with a training file, whose end selects, and a test file: by a seed.

    The file's own test samples stay that where it has training samples too; else one sample in
    `TESTED` is for testing. Every class is in every set in its share, and classes that do not
    occur are left out. `mean` and `std` are those of the training file; the columns of a table
    are scaled, each by its own.

    Raises:
        DataRefused: fewer than two classes, labels that are measurements, too few samples for
            three sets, or more bytes than an upload may have.
    """
    classes = _classes(own)
    test_images, test_labels = own.test_images, np.searchsorted(classes, own.test_labels)
    if len(own.train_labels):
        images, labels = own.train_images, np.searchsorted(classes, own.train_labels)
        order = _spread(labels, seed)
    else:
        images, labels = test_images, test_labels
        order, held = np.split(_spread(labels, seed), [len(labels) - len(labels) // TESTED])
        test_images, test_labels = images[held], labels[held]
    return _scaled(
        replace(
            own,
            train_images=images[order],
            train_labels=labels[order],
            clean_labels=labels[order],
            test_images=test_images,
            test_labels=test_labels,
            classes=tuple(own.classes[each] for each in classes),
        )
    )


def sizes(own: Dataset) -> tuple[int, int, int]:
    """Return how many samples will train, select and test."""
    whole, test = len(own.train_labels), len(own.test_labels)
    if not whole:
        whole, test = test - test // TESTED, test // TESTED
    selection = min(SELECTION, whole // 5)
    return whole - selection, selection, test


def pack(own: Dataset) -> bytes:
    """Return the data as a file, from which `unpack` makes the same again."""
    about = {name: getattr(own, name) for name in ("name", "image_shape", "classes", "top")}
    held = io.BytesIO()
    np.savez(
        held,
        allow_pickle=False,
        about=np.frombuffer(json.dumps(about).encode(), np.uint8),
        **{part: getattr(own, part) for part in PARTS},
    )
    return held.getvalue()


def unpack(content: bytes, key: str) -> Dataset:
    """Return the data in a file of `pack`, if they are those of this key.

    Raises:
        DataRefused: they are not, or the file is broken.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            about = json.loads(file["about"].tobytes())
            parts = {part: file[part] for part in PARTS}
        about |= {each: tuple(about[each]) for each in ("image_shape", "classes")}
        own = Dataset(**about, **parts, clean_labels=parts["train_labels"], mean=0.0, std=1.0)
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile):
        raise DataRefused("own_gone", dataset=key) from None
    own = replace(own, digest=digest(own))
    if own.key != key:
        raise DataRefused("own_gone", dataset=key)
    return own


def _classes(own: Dataset) -> Labels:
    """Return the classes that occur, as codes; refuse what can't be told apart by training."""
    labels = np.concatenate([own.train_labels, own.test_labels])
    limit = Limits.configured().upload_bytes
    if own.train_images.nbytes + own.test_images.nbytes > limit:
        raise DataRefused("own_large", source=own.name, limit=limit)
    classes = np.unique(labels)
    known = np.unique(own.train_labels) if len(own.train_labels) else classes
    if len(known) < 2:
        raise DataRefused("data_labels", source=own.name, count=len(known))
    words = [own.classes[each] for each in classes]
    measured = len(words) > STEPS and any(re.fullmatch(r"-?\d+\.\d*[1-9]\d*", x) for x in words)
    if measured or EACH * len(classes) > len(labels) >= EACH * FEWEST:
        raise DataRefused("own_measured", source=own.name, values=len(classes), count=len(labels))
    if min(sizes(own)) < FEWEST:
        train, selection, test = sizes(own)
        raise DataRefused(
            "own_few", source=own.name, train=train, selection=selection, test=test, fewest=FEWEST
        )
    return classes


def _spread(codes: Labels, seed: int) -> NDArray[np.int64]:
    """Return an order by chance in which every stretch has each class in about its share."""
    draw = np.random.Generator(np.random.PCG64((seed, DIVIDES)))
    mixed = draw.permutation(len(codes))
    sizes = np.bincount(codes)
    by_class = np.argsort(codes[mixed], kind="stable")
    within = np.empty(len(codes))
    within[by_class] = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    place = (within + draw.random(len(codes))) / sizes[codes[mixed]]
    return mixed[np.argsort(place, kind="stable")]


def _scaled(data: Dataset) -> Dataset:
    """Return the data with mean and standard deviation of the training file, columns by them."""
    if data.unit != "samples":
        levels = data.train_images[:SCALED_BY] / np.float64(data.top)
        return replace(data, mean=float(levels.mean()), std=float(levels.std()) or 1.0)
    centre = data.train_images.mean(axis=0, dtype=np.float64)
    scale = data.train_images.std(axis=0, dtype=np.float64)
    scale[scale == 0] = 1.0
    images, tested = (
        ((part - centre) / scale).astype(np.float32)
        for part in (data.train_images, data.test_images)
    )
    return replace(
        data, train_images=images, test_images=tested, mean=0.0, std=1.0, top=1.0, scaled=True
    )
