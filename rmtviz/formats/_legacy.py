"""PyTorch's number types, and its file format from before version 1.6.

Such a file is five pickles in a row (a magic number, a version, the machine, the objects, the
keys of the storages), and then for each key the number of elements and the elements, always
little-endian. Every length is checked against the file.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from rmtviz.formats import pickles
from rmtviz.formats.base import EXTENDED
from rmtviz.formats.pickles import Global, Outside
from rmtviz.formats.sources import Blob, Limits, Source, Stretch

MAGIC = 0x1950A86A20F9469CFC6C
START = b"\x8a\x0a" + MAGIC.to_bytes(10, "little")
"""What follows the two bytes of a pickle's version at the beginning of a file."""

_VERSION = 1001

_NUMPY = tuple(np.dtype(code) for code in "?BHILbhilefdFD")
DTYPES: Mapping[str, np.dtype] = MappingProxyType(
    {f"torch.{dtype.name}": dtype for dtype in (*_NUMPY, *EXTENDED.values())}
)
"""Number types as torch names them."""

UNTYPED = "torch.storage.UntypedStorage"
STORAGES: Mapping[str, np.dtype] = MappingProxyType(
    {
        "torch.BoolStorage": np.dtype("?"),
        "torch.ByteStorage": np.dtype("u1"),
        "torch.CharStorage": np.dtype("i1"),
        "torch.QInt8Storage": np.dtype("i1"),
        "torch.QUInt8Storage": np.dtype("u1"),
        "torch.ShortStorage": np.dtype("i2"),
        "torch.IntStorage": np.dtype("i4"),
        "torch.LongStorage": np.dtype("i8"),
        "torch.HalfStorage": np.dtype("f2"),
        "torch.BFloat16Storage": EXTENDED["bfloat16"],
        "torch.FloatStorage": np.dtype("f4"),
        "torch.DoubleStorage": np.dtype("f8"),
        "torch.ComplexFloatStorage": np.dtype("c8"),
        "torch.ComplexDoubleStorage": np.dtype("c16"),
        UNTYPED: np.dtype("u1"),
    }
)
"""Number types by the class of storage that holds them."""

_SIZES: Mapping[str, int] = MappingProxyType(
    {
        **{name: dtype.itemsize for name, dtype in STORAGES.items()},
        "torch.QInt32Storage": 4,
    }
)
"""The bytes of an element by the class of storage, those included that are only passed over."""


@dataclass(frozen=True, slots=True, eq=False)
class Legacy:
    """What a file describes, and where its storages lie, by key."""

    value: object
    storages: Mapping[str, Blob]


def plain(kind: str) -> str:
    """Return the name of a class of storage without the device."""
    return kind.replace("torch.cuda.", "torch.")


def parse(source: Source, limits: Limits) -> Legacy:
    """Return what a file of this format holds.

    Raises:
        FileRefused: it is no such file, or it is broken.
    """
    stream = pickles.stream(source)
    outside: list[Outside] = []
    magic, version, _ = (pickles.follow(source, stream, limits) for _ in range(3))
    if magic != MAGIC or version != _VERSION:
        raise source.refuse("pickle_damaged")
    value = pickles.follow(source, stream, limits, outside)
    keys = pickles.follow(source, stream, limits)
    if not isinstance(keys, list):
        raise source.refuse("pickle_damaged")
    sizes: dict[object, int] = {}
    for item in outside:
        match item.value:
            case ["storage", Global(name=kind), str(key), *_]:
                sizes[key] = _SIZES.get(plain(kind), 0)
    at = stream.tell()
    found: dict[str, Blob] = {}
    for key in keys:
        size = sizes.get(key, 0) if isinstance(key, str) else 0
        if not size:
            raise source.refuse("pytorch_storage", name=str(key)[:60])
        (count,) = struct.unpack("<q", source.read(at, 8))
        if count < 0 or at + 8 + count * size > source.length:
            raise source.refuse("file_cut", length=source.length)
        found[str(key)] = Stretch(source, at + 8, count * size)
        at += 8 + count * size
    return Legacy(value, found)
