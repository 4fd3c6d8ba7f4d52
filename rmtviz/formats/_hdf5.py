"""HDF5 files: the package h5py says where things lie, and the numbers are read by us.

The library's own way to a dataset follows links into other files, lets filters inflate a chunk
to any size, and allocates what a header declares. Here it is asked only for names, types,
shapes and places; every place is checked against the file, and chunks are unpacked within
their declared size. What lies in another file is listed and never opened.
"""

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rmtviz import extras
from rmtviz.checkpoint import Skipped, Tensor
from rmtviz.formats.base import EXTENDED, place
from rmtviz.formats.pickles import stream
from rmtviz.formats.sources import Blob, Limits, Source, short

SIGN = b"\x89HDF\r\n\x1a\n"

Path = tuple[str, ...]

_GZIP, _SHUFFLE, _CHECKSUM = 1, 2, 3
_FAULTS = (OSError, RuntimeError, KeyError, ValueError, TypeError, SystemError, OverflowError)
"""What h5py raises where a file is damaged."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One packed piece of a dataset: its first element's index, its place, the filters left out."""

    index: tuple[int, ...]
    offset: int
    size: int
    mask: int


@dataclass(frozen=True, slots=True)
class Chunks:
    """The bytes of a dataset that is stored in packed pieces of one shape, in C order."""

    source: Source
    blob: Blob
    name: str
    shape: tuple[int, ...]
    piece: tuple[int, ...]
    itemsize: int
    filters: tuple[int, ...]
    chunks: tuple[Chunk, ...]

    @property
    def length(self) -> int:
        return math.prod(self.shape) * self.itemsize

    def head(self, count: int) -> bytes:
        return bytes(self.read(0, min(count, self.length)))

    def read(self, offset: int, count: int) -> memoryview:
        whole = np.empty(self.shape, f"V{self.itemsize}")
        for chunk in self.chunks:
            ends = [
                min(a + b, c) for a, b, c in zip(chunk.index, self.piece, self.shape, strict=True)
            ]
            spot = tuple(map(slice, chunk.index, ends))
            inner = tuple(slice(b - a) for a, b in zip(chunk.index, ends, strict=True))
            whole[spot] = self._unpacked(chunk)[inner]
        return whole.reshape(-1).view(np.uint8).data[offset : offset + count]

    def effort(self, count: int) -> int:
        return self.length + math.prod(self.piece) * self.itemsize

    def _unpacked(self, chunk: Chunk) -> np.ndarray:
        """Return the elements of a chunk; no more bytes are made than it declares."""
        data: bytes | memoryview = self.blob.read(chunk.offset, chunk.size)
        size = math.prod(self.piece) * self.itemsize
        for number, code in reversed(list(enumerate(self.filters))):
            if chunk.mask >> number & 1:
                continue
            if code == _CHECKSUM:
                data = data[:-4]
            elif code == _GZIP:
                data = self._inflated(data, size + 4)
            elif len(data) == size:
                table = np.frombuffer(data, np.uint8).reshape(self.itemsize, -1)
                data = np.ascontiguousarray(table.T).tobytes()
        if len(data) != size:
            raise self._damaged()
        return np.frombuffer(data, f"V{self.itemsize}").reshape(self.piece)

    def _inflated(self, data: bytes | memoryview, most: int) -> bytes:
        try:
            return zlib.decompressobj().decompress(data, most)
        except zlib.error:
            raise self._damaged() from None

    def _damaged(self) -> Exception:
        return self.source.refuse("tensor_bounds", name=short(self.name))


def datasets(
    source: Source, blob: Blob, limits: Limits
) -> tuple[dict[Path, Tensor | Skipped], dict[Path, str]]:
    """Return the datasets of a file by their path, and the names that groups have by attribute.

    Raises:
        FileRefused: the file is damaged, or beyond the limits.
        ExtraMissing: the package h5py is not installed.
    """
    h5py = extras.package("h5py", "keras")
    found: dict[Path, Tensor | Skipped] = {}
    names: dict[Path, str] = {}
    try:
        with h5py.File(stream(blob), "r") as file:
            for path, item in _walk(h5py, source, file, limits):
                if isinstance(item, h5py.Group):
                    name = item.attrs.get("name")
                    if isinstance(name, str) and 0 < len(name) <= 200:
                        names[path] = name
                elif isinstance(item, h5py.Dataset):
                    found[path] = _dataset(h5py, source, blob, path, item, limits)
                else:
                    found[path] = Skipped(".".join(path), (), "link", "elsewhere")
    except _FAULTS as fault:
        cut = "truncated" in str(fault)
        raise source.refuse("file_cut" if cut else "hdf5_damaged", length=source.length) from None
    return found, names


def _walk(h5py: Any, source: Source, file: Any, limits: Limits) -> Iterator[tuple[Path, Any]]:
    """Yield what a file holds, each group once; a link out of the tree as itself, not followed."""
    ahead: list[tuple[Path, Any]] = [((), file)]
    met = {h5py.h5o.get_info(file.id).addr}
    count = 0
    while ahead:
        path, group = ahead.pop()
        if len(path) > limits.depth:
            raise source.refuse("limit_depth", limit=limits.depth)
        for name in group:
            count += 1
            if count > limits.tensors:
                raise source.refuse("limit_tensors", limit=limits.tensors)
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                yield (*path, name), link
                continue
            item = group[name]
            if isinstance(item, h5py.Group):
                address = h5py.h5o.get_info(item.id).addr
                if address in met:
                    continue
                met.add(address)
                ahead.append(((*path, name), item))
            elif not isinstance(item, h5py.Dataset):
                continue
            yield (*path, name), item


def _dataset(
    h5py: Any, source: Source, blob: Blob, path: Path, item: Any, limits: Limits
) -> Tensor | Skipped:
    """Return the tensor that a dataset holds, or why it is left out."""
    name = ".".join(path)
    shape = tuple(item.shape or ())
    dtype = _number_type(h5py, item.id.get_type()) if item.shape is not None else None
    if dtype is None:
        return Skipped(name, shape, "object", "no_number")
    if item.is_virtual or item.external:
        return Skipped(name, shape, dtype.name, "elsewhere")
    found: Blob | None = blob
    start = item.id.get_offset()
    layout = item.id.get_create_plist().get_layout()
    if layout == h5py.h5d.CHUNKED:
        found, start = _chunks(source, blob, name, item, dtype.itemsize, limits), 0
    elif layout == h5py.h5d.COMPACT:  # at most 64 kB, inside the description of the dataset
        found, start = Source.of(np.asarray(item[()], dtype).tobytes(), source.name), 0
    if found is None:
        return Skipped(name, shape, dtype.name, "packed")
    if start is None and 0 not in shape:
        raise source.refuse("tensor_bounds", name=short(name))
    return place(source, name, dtype, shape, blob=found, offset=start or 0, limits=limits)


def _number_type(h5py: Any, kind: Any) -> np.dtype | None:
    """Return the type of a dataset's numbers, where their bytes are as numpy has them."""
    if kind.get_class() == h5py.h5t.OPAQUE:
        return EXTENDED["bfloat16"] if kind.get_size() == 2 else None
    if kind.get_class() not in (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM, h5py.h5t.COMPOUND):
        return None
    dtype = np.dtype(kind.dtype)
    known = dtype.kind in "biufc" and kind.equal(h5py.h5t.py_create(dtype, logical=True))
    return dtype if known else None


def _chunks(
    source: Source, blob: Blob, name: str, item: Any, itemsize: int, limits: Limits
) -> Chunks | None:
    """Return the pieces of a dataset with all places checked; None: packed in an unknown way.

    Raises:
        FileRefused: a piece is missing, lies outside the file, or they are too many.
    """
    plist = item.id.get_create_plist()
    filters = tuple(plist.get_filter(n)[0] for n in range(plist.get_nfilters()))
    if not set(filters) <= {_GZIP, _SHUFFLE, _CHECKSUM}:
        return None
    shape, piece = tuple(item.shape), tuple(item.chunks)
    pieces = math.prod(-(-side // step) for side, step in zip(shape, piece, strict=True))
    if pieces > limits.steps or math.prod(piece) * itemsize >= 2**32:
        raise source.refuse("limit_steps", limit=limits.steps)
    listed: list[Chunk] = []
    item.id.chunk_iter(
        lambda it: listed.append(Chunk(it.chunk_offset, it.byte_offset, it.size, it.filter_mask))
    )
    inside = all(
        0 <= it.offset <= blob.length - it.size and _fits(it.index, shape) for it in listed
    )
    if not inside or len({it.index for it in listed}) != pieces:
        raise source.refuse("tensor_bounds", name=short(name))
    return Chunks(source, blob, name, shape, piece, itemsize, filters, tuple(listed))


def _fits(index: Sequence[int], shape: Sequence[int]) -> bool:
    return all(0 <= place < side for place, side in zip(index, shape, strict=True))
