"""safetensors: a JSON header that says where each tensor lies, and then the bytes.

Everything that the format's own library checks is checked here too, and what it leaves open
(a name twice) is refused. The library itself cannot give numpy a bfloat16 and reads whole
files where only one layer is asked for; what is written here is, byte for byte, what it writes.
"""

import json
import math
import re
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from rmtviz.checkpoint import Checkpoint, Skipped, Tensor
from rmtviz.errors import BadOption
from rmtviz.formats.base import EXTENDED, Contents, Format, little, place
from rmtviz.formats.sources import Limits, Source, short

_DTYPES: Mapping[str, np.dtype] = MappingProxyType(
    {
        "BOOL": np.dtype("?"),
        "U8": np.dtype("u1"),
        "I8": np.dtype("i1"),
        "F8_E5M2": EXTENDED["float8_e5m2"],
        "F8_E4M3": EXTENDED["float8_e4m3fn"],
        "F8_E8M0": EXTENDED["float8_e8m0fnu"],
        "F8_E4M3FNUZ": EXTENDED["float8_e4m3fnuz"],
        "F8_E5M2FNUZ": EXTENDED["float8_e5m2fnuz"],
        "I16": np.dtype("<i2"),
        "U16": np.dtype("<u2"),
        "F16": np.dtype("<f2"),
        "BF16": EXTENDED["bfloat16"],
        "I32": np.dtype("<i4"),
        "U32": np.dtype("<u4"),
        "F32": np.dtype("<f4"),
        "C64": np.dtype("<c8"),
        "F64": np.dtype("<f8"),
        "I64": np.dtype("<i8"),
        "U64": np.dtype("<u8"),
    }
)
"""Number types by the format's name for them, in the format's own order."""

_PACKED_BITS: Mapping[str, int] = MappingProxyType({"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6})
"""Number types smaller than a byte, which numpy cannot hold, and their bits."""

_METADATA = "__metadata__"
_PROSE = re.compile(rb"[\t\r\n -~]{8}")
"""Eight bytes that are text and no length: as a length they are above 6 × 10¹⁷."""

_Fields = tuple[str, list[int], int, int]


def read(source: Source, limits: Limits) -> Contents | None:
    """Return what a safetensors file holds; see `Format`."""
    head = source.head(9)
    if len(head) < 9 or head[8:] != b"{" or _PROSE.fullmatch(head[:8]):
        return None
    (count,) = struct.unpack("<Q", head[:8])
    if count > limits.header_bytes:
        raise source.refuse("limit_header", size=count, limit=limits.header_bytes)
    start = 8 + count
    header = _parse(source, bytes(source.read(8, count)))
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise source.refuse("safetensors_metadata")
    if len(header) > limits.tensors:
        raise source.refuse("limit_tensors", limit=limits.tensors)
    fields = {name: _fields(source, name, entry, limits) for name, entry in header.items()}
    _check_cover(source, fields, source.length - start)
    tree: dict[str, Tensor] = {}
    left_out: list[Skipped] = []
    for name, (code, shape, begin, _) in fields.items():
        if code in _PACKED_BITS:
            left_out.append(Skipped(name, tuple(shape), code, "dtype"))
            continue
        dtype = _DTYPES[code]
        tree[name] = place(
            source, name, dtype, shape, blob=source, offset=start + begin, limits=limits
        )
    return Contents(tree, metadata, tuple(left_out))


def write(checkpoint: Checkpoint) -> bytes:
    """Return the checkpoint as a safetensors file, its metadata in the header."""
    codes = {dtype.name: (rank, code) for rank, (code, dtype) in enumerate(_DTYPES.items())}
    for name, tensor in checkpoint.tensors.items():
        if tensor.dtype.name not in codes:
            raise BadOption(
                "write_dtype", name=short(name), dtype=tensor.dtype.name, format="safetensors"
            )
        if name == _METADATA:
            raise BadOption("write_name", name=name, format="safetensors")
    order = sorted(
        checkpoint.tensors.items(), key=lambda item: (-codes[item[1].dtype.name][0], item[0])
    )
    header: dict[str, Any] = {_METADATA: dict(checkpoint.metadata)} if checkpoint.metadata else {}
    at = 0
    for name, tensor in order:
        end = at + tensor.nbytes
        code = codes[tensor.dtype.name][1]
        header[name] = {"dtype": code, "shape": list(tensor.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join(
        [struct.pack("<Q", len(text)), text, *(little(tensor).tobytes() for _, tensor in order)]
    )


def _parse(source: Source, text: bytes) -> dict[str, Any]:
    """Return the header, an object in which no name stands twice."""
    try:
        header = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise source.refuse("safetensors_header") from None
    if not isinstance(header, dict):
        raise source.refuse("safetensors_header")
    return header


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _no_constant(word: str) -> None:
    raise ValueError(word)


def _fields(source: Source, name: str, entry: object, limits: Limits) -> _Fields:
    """Return dtype, shape, begin and end of one tensor, checked against each other."""
    match entry:
        case {"dtype": str(code), "shape": [*shape], "data_offsets": [begin, end]} if len(
            shape
        ) <= limits.sides and all(map(_is_count, (*shape, begin, end))):
            pass
        case _:
            raise source.refuse("safetensors_entry", name=short(name))
    if code not in _DTYPES and code not in _PACKED_BITS:
        raise source.refuse("safetensors_dtype", name=short(name), dtype=short(code))
    bits = _PACKED_BITS[code] if code in _PACKED_BITS else 8 * _DTYPES[code].itemsize
    if math.prod(shape) * bits != 8 * (end - begin):
        raise source.refuse("safetensors_size", name=short(name), held=end - begin)
    return code, shape, begin, end


def _is_count(number: object) -> bool:
    return type(number) is int and 0 <= number < 2**63


def _check_cover(source: Source, fields: Mapping[str, _Fields], length: int) -> None:
    """Refuse tensors that overlap, leave a gap, or end anywhere but at the end of the file."""
    reached = 0
    for name, (_, _, begin, end) in sorted(fields.items(), key=lambda item: item[1][2:]):
        if begin != reached:
            raise source.refuse("safetensors_layout", name=short(name))
        reached = end
    if reached > length:
        raise source.refuse("file_cut", length=source.length)
    if reached < length:
        raise source.refuse("safetensors_rest", rest=length - reached)


SAFETENSORS = Format("safetensors", ".safetensors", read, write, lacks=("complex128",))
