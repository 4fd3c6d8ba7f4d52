"""IDX files, the form in which MNIST and its kin are published, plain or gzipped."""

import gzip
import math
import zlib

import numpy as np
from numpy.typing import NDArray

from rmtviz.errors import DataRefused

LARGEST = 2**29
"""No file is unpacked to more bytes."""


def is_idx(content: bytes) -> bool:
    """Return whether bytes are an IDX file of unsigned bytes, plain or gzipped."""
    if content[:2] != b"\x1f\x8b":
        return content[:3] == b"\0\0\x08"
    try:
        return zlib.decompressobj(31).decompress(content[:1024], 8)[:3] == b"\0\0\x08"
    except zlib.error:
        return False


def read(content: bytes, name: str) -> NDArray[np.uint8]:
    """Return the array in an IDX file of unsigned bytes.

    Raises:
        DataRefused: it is none, is cut off, or too large.
    """
    if content[:2] == b"\x1f\x8b":
        unpacker = zlib.decompressobj(31)
        try:
            content = unpacker.decompress(content, LARGEST)
        except zlib.error:
            raise DataRefused("data_unreadable", source=name) from None
        if unpacker.unconsumed_tail:
            raise DataRefused("data_large", source=name, limit=LARGEST)
    sides = content[3] if len(content) > 4 and content[:3] == b"\0\0\x08" else 0
    start = 4 + 4 * sides
    if not 1 <= sides <= 4 or len(content) < start:
        raise DataRefused("data_unreadable", source=name)
    shape = [int(side) for side in np.frombuffer(content, ">u4", sides, 4)]
    if math.prod(shape) != len(content) - start:
        raise DataRefused("data_unreadable", source=name)
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def write(array: NDArray[np.uint8]) -> bytes:
    """Return an array as a gzipped IDX file."""
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return gzip.compress(head + array.tobytes(), mtime=0)
