"""Folders of pictures in a zip: the folder that a picture lies in is its class."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from rmtviz.errors import DataRefused, ExtraMissing

MOST, LARGEST, EACH, SIDE = 200_000, 2**29, 2**23, 1024
"""Limits: members, bytes unpacked in all and for each, pixels of a side."""

ENDS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp")

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


def members(content: bytes, name: str) -> Mapping[str, bytes] | None:
    """Return the pictures, or else the IDX files, in a zip; None where there are neither.

    Raises:
        DataRefused: the archive is damaged, or unpacks to more than is allowed.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = [info for info in archive.infolist() if not _hidden(info.filename)]
            pictures = [info for info in infos if info.filename.lower().endswith(ENDS)]
            chosen = pictures or [info for info in infos if "-ubyte" in info.filename]
            total = sum(info.file_size for info in chosen)
            if len(chosen) > MOST or total > LARGEST:
                raise DataRefused("data_large", source=name, limit=LARGEST)
            if pictures and any(info.file_size > EACH for info in chosen):
                raise DataRefused("data_large", source=name, limit=EACH)
            held = {info.filename: _unpacked(archive, info, name) for info in chosen}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError):
        raise DataRefused("data_unreadable", source=name) from None
    return held or None


def read(files: Mapping[str, bytes], name: str) -> tuple[Part | None, Part, Sequence[str]]:
    """Return the training part (under a folder "train", beside another), the test part, classes.

    Raises:
        DataRefused: fewer than two folders, pictures of several sizes, or one that is none.
        ExtraMissing: pillow is not installed.
    """
    paths = {each: PurePosixPath(each).parts for each in files}
    classes = sorted({parts[-2] for parts in paths.values() if len(parts) > 1})
    if len(classes) < 2 or any(len(parts) < 2 for parts in paths.values()):
        raise DataRefused("data_folders", source=name)
    images = {each: _picture(content, each) for each, content in files.items()}
    if len({image.shape for image in images.values()}) > 1:
        raise DataRefused("data_sizes", source=name)
    grey = all((image == image[:, :, :1]).all() for image in images.values())

    def part(train: bool) -> Part | None:
        chosen = [each for each in files if ("train" in paths[each][:-2]) == train]
        if not chosen:
            return None
        stack = np.stack([images[each] for each in chosen])
        labels = np.array([classes.index(paths[each][-2]) for each in chosen], np.int64)
        return (stack[..., 0] if grey else stack.transpose(0, 3, 1, 2).copy()), labels

    train, test = part(True), part(False)
    if test is None:
        train, test = None, train
    if test is None:
        raise DataRefused("data_folders", source=name)
    return train, test, classes


def _picture(content: bytes, name: str) -> NDArray[np.uint8]:
    """Return a picture as (height, width, 3) levels."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise ExtraMissing("extra_missing", package="pillow", extra="data") from None
    try:
        with Image.open(io.BytesIO(content)) as image:
            if max(image.size) > SIDE:
                raise DataRefused("data_large", source=name, limit=SIDE)
            return np.asarray(image.convert("RGB"), dtype=np.uint8)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise DataRefused("data_unreadable", source=name) from None


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> bytes:
    """Return a member's bytes, no more of them than its entry says."""
    with archive.open(info) as member:
        content = member.read(info.file_size + 1)
    if len(content) != info.file_size:
        raise DataRefused("data_unreadable", source=name)
    return content


def _hidden(name: str) -> bool:
    return name.endswith("/") or "__MACOSX" in name or PurePosixPath(name).name.startswith(".")
