"""Labelled data of one's own: arrays, a table, IDX files, or a folder of pictures in a zip.

What is read is found by content. Of a file without a training part all samples serve as test
samples, in an order shuffled once, so that a sorted file does not put its classes apart.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtviz import formats
from rmtviz.checkpoint import FLOATS, Checkpoint
from rmtviz.datasets import _idx, _own, _pictures
from rmtviz.datasets.base import Dataset
from rmtviz.errors import DataRefused, FileRefused

SAMPLES = ("x", "images", "data", "inputs", "features")
LABELS = ("y", "labels", "label", "target", "targets", "class")
"""The names that arrays and columns of samples and of labels may have, in lower case."""

MOST_CLASSES = 10_000

SAMPLED = 10_000
"""Mean and standard deviation are those of the first so many samples."""

Array = NDArray[Any]
Part = tuple[Array, Array]


def read(files: Mapping[str, bytes]) -> Dataset:
    """Return the dataset in one file, or in IDX files that belong together, by their names.

    Raises:
        DataRefused: says what is missing or wrong, and what is read.
    """
    if not files:
        raise DataRefused("data_unreadable", source="")
    name, content = next(iter(files.items()))
    if all(_idx.is_idx(each) for each in files.values()):
        return _named(name, *_idx_parts({n: _idx.read(c, n) for n, c in files.items()}, name))
    if len(files) > 1:
        raise DataRefused("data_several", names=", ".join(files))
    if content[:2] == b"PK" and (inside := _pictures.members(content, name)) is not None:
        if all(_idx.is_idx(each) for each in inside.values()):
            return read(inside)
        train, test, classes = _pictures.read(inside, name)
        return _named(name, train, test, classes)
    try:
        return _named(name, *_array_parts(formats.read(content, name, apart=True), name))
    except FileRefused:
        pass
    return _named(name, None, _table(content, name))


def _named(
    name: str, train: Part | None, test: Part, classes: Sequence[str] | None = None
) -> Dataset:
    """Return the dataset of one or two parts, each samples (N, …) and labels (N,)."""
    parts = [part for part in (train, test) if part is not None]
    for samples, labels in parts:
        if samples.ndim not in (2, 3, 4) or labels.shape != samples.shape[:1] or len(labels) < 2:
            raise DataRefused(
                "data_form", source=name, samples=str(samples.shape), labels=str(labels.shape)
            )
    every = np.concatenate([labels for _, labels in parts])
    if np.issubdtype(every.dtype, np.inexact) and not np.isfinite(every).all():
        raise DataRefused("data_not_finite", source=name)
    known, codes = np.unique(every, return_inverse=True)
    if np.issubdtype(every.dtype, np.integer) and every.min() >= 0 and every.max() < MOST_CLASSES:
        known = np.arange(every.max() + 1)
        codes = every
    if not 2 <= len(known) <= MOST_CLASSES:
        raise DataRefused("data_labels", source=name, count=len(known))
    values = [_levels(samples, name) for samples, _ in parts]
    top = 255.0 if all(each.dtype == np.uint8 for each in values) else 1.0
    flat = [_flat(each) for each in values]
    counts = len(parts[0][1])
    coded = [codes[:counts].astype(np.int64), codes[counts:].astype(np.int64)]
    empty = flat[0][:0], coded[0][:0]
    first = (flat[0], coded[0]) if train is not None else empty
    last = (flat[-1], coded[1 if train is not None else 0])
    order = np.random.default_rng(0).permutation(len(last[1]))
    reference = flat[0][:SAMPLED].astype(np.float64) / top
    own = Dataset(
        name=name,
        train_images=first[0],
        train_labels=first[1],
        test_images=last[0][order],
        test_labels=last[1][order],
        clean_labels=first[1],
        image_shape=_shape(values[0]),
        classes=tuple(classes or (str(each) for each in known)),
        mean=float(reference.mean()),
        std=float(reference.std()) or 1.0,
        top=top,
    )
    digest = _own.digest(own)
    return replace(own, name=f"{name} ({digest[:8]})", digest=digest)


def _levels(samples: Array, name: str) -> Array:
    """Return samples as bytes, or as float32; NaN and infinite ones are refused."""
    if samples.dtype == np.uint8:
        return samples
    if np.issubdtype(samples.dtype, np.integer) and samples.min() >= 0 and samples.max() < 256:
        return samples.astype(np.uint8)
    if samples.dtype.name not in FLOATS and not np.issubdtype(samples.dtype, np.integer):
        raise DataRefused("data_form", source=name, samples=samples.dtype.name, labels="–")
    with np.errstate(over="ignore"):
        values = samples.astype(np.float32)
    if not np.isfinite(values).all():
        raise DataRefused("data_not_finite", source=name)
    whole = values.min() >= 0 and 1 < values.max() <= 255 and (values == np.round(values)).all()
    return values.astype(np.uint8) if whole else values


def _shape(samples: Array) -> tuple[int, ...]:
    """Return the form of one sample: (height, width), (channels, height, width), (1, numbers)."""
    sides = samples.shape[1:]
    if len(sides) == 3:
        channels, *rest = (sides[2], *sides[:2]) if _channels_last(samples) else sides
        return (*rest,) if channels == 1 else (channels, *rest)
    if len(sides) == 2:
        return (int(sides[0]), int(sides[1]))
    edge = round(sides[0] ** 0.5)
    return (edge, edge) if edge > 1 and edge * edge == sides[0] else (1, int(sides[0]))


def _flat(samples: Array) -> Array:
    """Return samples as rows (N, numbers), coloured ones channel by channel."""
    moved = samples.transpose(0, 3, 1, 2) if _channels_last(samples) else samples
    return np.ascontiguousarray(moved.reshape(len(moved), -1))


def _channels_last(samples: Array) -> bool:
    return samples.ndim == 4 and samples.shape[3] in (1, 3) and samples.shape[1] not in (1, 3)


def _array_parts(checkpoint: Checkpoint, name: str) -> tuple[Part | None, Part]:
    """Return the training part, if any, and the test part of named arrays."""
    names = {each.lower(): each for each in checkpoint}
    found: dict[str, Part] = {}
    for end in ("", "_train", "_test"):
        forms = [f"{{}}{end}", f"{end.strip('_')}_{{}}"] if end else ["{}"]
        pair = [
            next((names[f.format(w)] for w in words for f in forms if f.format(w) in names), None)
            for words in (SAMPLES, LABELS)
        ]
        if pair[0] is not None and pair[1] is not None:
            found[end] = (checkpoint[pair[0]], checkpoint[pair[1]].reshape(-1))
    test = found.get("_test") or found.get("") or found.get("_train")
    if test is None:
        raise DataRefused("data_names", source=name, names=", ".join(list(checkpoint)[:8]))
    return (found.get("_train") if "_test" in found else None), test


def _idx_parts(held: Mapping[str, NDArray[np.uint8]], name: str) -> tuple[Part | None, Part]:
    """Return the training part, if any, and the test part of IDX files, told by their names."""
    parts: dict[bool, list[NDArray[np.uint8]]] = {}
    for each, array in sorted(held.items(), key=lambda item: item[1].ndim == 1):
        parts.setdefault("train" in each.lower(), []).append(array)
    whole = {
        train: (pair[0], pair[1])
        for train, pair in parts.items()
        if [array.ndim > 1 for array in pair] == [True, False]
    }
    if not whole or len(whole) != len(parts):
        raise DataRefused("data_idx", source=name)
    test = whole.get(False) or whole[True]
    return (whole.get(True) if False in whole else None), test


def _table(content: bytes, name: str) -> Part:
    """Return samples and labels of a text table whose first line names a column of labels."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataRefused("data_unreadable", source=name) from None
    try:
        mark = max(",;\t", key=text.partition("\n")[0].count)
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=mark) if row]
    except csv.Error:
        raise DataRefused("data_unreadable", source=name) from None
    heads = [head.strip().lower() for head in rows[0]] if rows else []
    place = next((heads.index(word) for word in LABELS if word in heads), None)
    if place is None:
        raise DataRefused("data_column", source=name, known=", ".join(LABELS))
    if len(rows) < 3 or any(len(row) != len(heads) for row in rows):
        raise DataRefused("data_rows", source=name, columns=len(heads))
    words = [row[place].strip() for row in rows[1:]]
    try:
        values = np.array([row[:place] + row[place + 1 :] for row in rows[1:]], dtype=np.float64)
    except ValueError:
        raise DataRefused("data_numbers", source=name) from None
    whole = all(re.fullmatch(r"\d{1,9}", word) for word in words)
    labels = np.array([int(word) for word in words] if whole else words)
    return values, labels
