"""numpy's own files: `.npy`, one array, and `.npz`, a zip archive of them. No pickle is opened.

numpy has no name for bfloat16 or the 8-bit floats and stores them as nameless bytes (`V2`,
`V1`). Written here they are stored the same way, and the entry `__dtypes__` says what they
are; in files of others, two nameless bytes are a bfloat16.
"""

import io
import json
import re
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtviz.checkpoint import Checkpoint, Skipped, Tensor
from rmtviz.errors import BadOption
from rmtviz.formats import zips
from rmtviz.formats.base import EXTENDED, LOOSE, RECORD, Contents, Format, little, place, row_major
from rmtviz.formats.sources import Blob, Limits, Source, short

_DTYPES = "__dtypes__"
_MAGIC = b"\x93NUMPY"
_HEADER_BYTES = 10_000
_NUMBER = re.compile(r"[<>|=]?(?:\?|[biufc][0-9]{1,2})")
_TEXT = re.compile(r"[<=]U[0-9]+")
_NAMELESS = re.compile(r"[<>|=]?V([0-9]{1,2})")
_DESCR = re.compile(r"""["']descr["']\s*:\s*["']([^"']{1,40})["']""")
_ORDER = re.compile(r"""["']fortran_order["']\s*:\s*(True|False)""")
_SHAPE = re.compile(r"""["']shape["']\s*:\s*\(([0-9\s,L]*)\)""")
_SIDE = re.compile(r"[0-9]{0,18}")


def read(source: Source, limits: Limits) -> Contents | None:
    """Return what an .npz or .npy file holds; see `Format`."""
    if source.head(len(_MAGIC)) == _MAGIC:
        return _contents(source, {LOOSE: _array(source, LOOSE, source, {}, limits)}, {})
    entries = zips.entries(source, limits, checked=True)
    if entries is None or not any(name.endswith(".npy") for name in entries):
        return None
    if len(entries) > limits.tensors:
        raise source.refuse("limit_tensors", limit=limits.tensors)
    members = {name.removesuffix(".npy"): entry for name, entry in entries.items()}
    if len(members) != len(entries):
        raise source.refuse("zip_twice", name=".npy")
    record = _text(source, members.pop(RECORD, None), limits)
    dtypes = _named(_text(source, members.pop(_DTYPES, None), limits))
    found = {name: _array(source, name, item, dtypes, limits) for name, item in members.items()}
    return _contents(source, found, {} if record is None else {"rmtviz": record})


def write(checkpoint: Checkpoint) -> bytes:
    """Return the checkpoint as an uncompressed .npz file, the same bytes each time."""
    buffer = io.BytesIO()
    nameless = {
        name: tensor.dtype.name
        for name, tensor in checkpoint.tensors.items()
        if tensor.dtype.name in EXTENDED
    }
    texts = {RECORD: checkpoint.metadata.get("rmtviz")}
    texts[_DTYPES] = json.dumps(nameless) if nameless else None
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, tensor in checkpoint.tensors.items():
            if name in texts or "\0" in name:
                raise BadOption("write_name", name=short(name), format="npz")
            if tensor.dtype.kind not in "biufc" and name not in nameless:
                raise BadOption(
                    "write_dtype", name=short(name), dtype=tensor.dtype.name, format="npz"
                )
            array = little(tensor)
            _add(archive, name, array.view(f"V{array.itemsize}") if name in nameless else array)
        for name, text in texts.items():
            if text is not None:
                _add(archive, name, np.array(text))
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
        np.lib.format.write_array(member, array, allow_pickle=False)


def _contents(
    source: Source, found: Mapping[str, Tensor | Skipped], about: Mapping[str, str]
) -> Contents:
    tree = {name: item for name, item in found.items() if isinstance(item, Tensor)}
    left_out = tuple(item for item in found.values() if isinstance(item, Skipped))
    objects = [short(item.name, 30) for item in left_out if item.reason == "objects"]
    if objects and not tree:
        raise source.refuse("npz_objects", names=", ".join(objects[:8]))
    return Contents(tree, about, left_out)


def _array(
    source: Source, name: str, blob: Blob, dtypes: Mapping[str, str], limits: Limits
) -> Tensor | Skipped:
    """Return the array of one .npy file, or why it is none that can be read without a pickle."""
    header = _header(source, name, blob)
    if header is None:
        return Skipped(name, (), "", "not_array")
    start, descr, fortran, shape = header
    dtype = _dtype(descr, dtypes.get(name))
    if dtype is None:
        return Skipped(name, tuple(shape), short(descr), "objects" if "O" in descr else "no_number")
    strides = row_major(shape[::-1])[::-1] if fortran else None
    tensor = place(
        source, name, dtype, shape, blob=blob, offset=start, strides=strides, limits=limits
    )
    if start + tensor.nbytes != blob.length:
        raise source.refuse("npy_size", name=short(name), held=blob.length - start)
    return tensor


def _header(source: Source, name: str, blob: Blob) -> tuple[int, str, bool, tuple[int, ...]] | None:
    """Return where the numbers begin, their type's name, whether columns come first, the shape.

    The header is text in Python's syntax; it is searched for its three fields, not evaluated.
    """
    head = blob.head(_HEADER_BYTES)
    if not head.startswith(_MAGIC):
        return None
    wide = len(head) > 6 and head[6] > 1
    start = 12 if wide else 10
    count = int.from_bytes(head[8:start], "little")
    text = head[start : start + count].decode("latin-1")
    order, shape = _ORDER.search(text), _SHAPE.search(text)
    sides = [side.strip().removesuffix("L") for side in shape[1].split(",")] if shape else ["?"]
    if len(text) != count or order is None or not all(map(_SIDE.fullmatch, sides)):
        raise source.refuse("npy_header", name=short(name))
    descr = _DESCR.search(text)
    numbers = tuple(int(side) for side in sides if side)
    return start + count, descr[1] if descr else "void", order[1] == "True", numbers


def _dtype(descr: str, name: str | None) -> np.dtype | None:
    """Return the number type of a description, or None where it describes no numbers."""
    if _NUMBER.fullmatch(descr):
        try:
            return np.dtype(descr)
        except TypeError:
            return None
    nameless = _NAMELESS.fullmatch(descr)
    if nameless is None:
        return None
    dtype = EXTENDED.get(name or ("bfloat16" if nameless[1] == "2" else ""))
    return dtype if dtype is not None and dtype.itemsize == int(nameless[1]) else None


def _text(source: Source, entry: zips.Entry | None, limits: Limits) -> str | None:
    """Return the text of an entry of our own; None where there is no such entry."""
    if entry is None:
        return None
    header = _header(source, entry.name, entry)
    if header is None or entry.length > limits.header_bytes or not _TEXT.fullmatch(header[1]):
        raise source.refuse("npy_header", name=short(entry.name))
    try:
        data = bytes(entry.read(header[0], entry.length - header[0]))
        return data.decode("utf-32-le", "surrogatepass").rstrip("\0")
    except UnicodeDecodeError:
        raise source.refuse("npy_header", name=short(entry.name)) from None


def _named(text: str | None) -> Mapping[str, str]:
    """Return the number types that a file of ours names, by tensor."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return {k: v for k, v in found.items() if isinstance(v, str)} if type(found) is dict else {}


NPZ = Format("NumPy (.npz, .npy)", ".npz", read, write)
