"""Programs saved by torch.export (`.pt2`): the weights, by our own reader.

`torch.export.load` executes pickles; here the list of weights, which is JSON, is read, and each
weight is a stretch of an entry of the archive. Older files keep the weights as a file of
`torch.save` inside the archive. Weights that are pickled one by one are listed, not opened.
"""

import json
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from rmtviz.checkpoint import Skipped, Tensor
from rmtviz.formats import _torchzip, zips
from rmtviz.formats.base import EXTENDED, Contents, Format, place
from rmtviz.formats.sources import Limits, Source, short

_WEIGHTS = "data/weights/model_weights_config.json"
_FOLDERS = MappingProxyType(
    {_WEIGHTS: "data/weights/", "data/constants/model_constants_config.json": "data/constants/"}
)
_OLD = "serialized_exported_program.json"
_OLD_WEIGHTS = "serialized_state_dict.pt"

_DTYPES: Mapping[int, np.dtype] = MappingProxyType(
    {
        **{
            code: np.dtype(name)
            for code, name in enumerate(["u1", "i1", "i2", "i4", "i8", "f2", "f4", "f8"], 1)
        },
        10: np.dtype("c8"),
        11: np.dtype("c16"),
        12: np.dtype("?"),
        13: EXTENDED["bfloat16"],
        28: np.dtype("u2"),
        29: EXTENDED["float8_e4m3fn"],
        30: EXTENDED["float8_e5m2"],
        31: EXTENDED["float8_e4m3fnuz"],
        32: EXTENDED["float8_e5m2fnuz"],
        33: EXTENDED["float8_e8m0fnu"],
        34: np.dtype("u4"),
        35: np.dtype("u8"),
    }
)
"""Number types by torch.export's numbers for them (`ScalarType` of its schema)."""


def read(source: Source, limits: Limits) -> Contents | None:
    """Return what a .pt2 file holds; see `Format`."""
    entries = zips.entries(source, limits)
    if entries is None:
        return None
    if _OLD in entries and _OLD_WEIGHTS in entries:
        return _old(source, entries[_OLD_WEIGHTS], limits)
    tops = [name.removesuffix(_WEIGHTS) for name in entries if f"/{name}".endswith("/" + _WEIGHTS)]
    if len(tops) != 1:
        return None
    tree: dict[str, Tensor] = {}
    left_out: list[Skipped] = []
    for listed, folder in _FOLDERS.items():
        entry = entries.get(tops[0] + listed)
        for name, about in _config(source, entry, limits).items() if entry else ():
            if len(tree) + len(left_out) >= limits.tensors:
                raise source.refuse("limit_tensors", limit=limits.tensors)
            found = _weight(source, name, about, entries, tops[0] + folder, limits)
            if isinstance(found, Tensor):
                if name in tree:
                    raise source.refuse("name_twice", name=short(name))
                tree[name] = found
            else:
                left_out.append(found)
    return Contents(tree, {}, tuple(left_out))


def _old(source: Source, entry: zips.Entry, limits: Limits) -> Contents | None:
    """Return the weights of a file from before 2025, a file of torch.save in an archive."""
    if entry.length > limits.growth * source.length + limits.spare:
        size = limits.growth * source.length + limits.spare
        raise source.refuse("limit_growth", size=entry.length, length=source.length, limit=size)
    inner = Source.of(bytes(entry.read(0, entry.length)), source.name)
    return _torchzip.read(inner, limits)


def _config(source: Source, entry: zips.Entry, limits: Limits) -> Mapping[str, object]:
    """Return the list of weights, by name."""
    if entry.length > limits.header_bytes:
        raise source.refuse("limit_header", size=entry.length, limit=limits.header_bytes)
    try:
        found = json.loads(bytes(entry.read(0, entry.length)))
    except (ValueError, RecursionError):
        raise source.refuse("pt2_weights") from None
    config = found.get("config") if isinstance(found, dict) else None
    if not isinstance(config, dict):
        raise source.refuse("pt2_weights")
    return config


def _weight(
    source: Source,
    name: str,
    about: object,
    entries: Mapping[str, zips.Entry],
    folder: str,
    limits: Limits,
) -> Tensor | Skipped:
    """Return one weight, with every number checked against its entry, or why it is left out."""
    match about:
        case {"use_pickle": False, "path_name": str(file), "tensor_meta": dict(meta)}:
            pass
        case _:
            return Skipped(name, (), "pickle", "objects")
    match meta:
        case {
            "dtype": int(code),
            "sizes": [*sizes],
            "strides": [*strides],
            "storage_offset": {"as_int": int(start)},
        }:
            shape, steps = (_numbers(each) for each in (sizes, strides))
        case _:
            raise source.refuse("pt2_weights")
    dtype, entry = _DTYPES.get(code), entries.get(folder + file)
    if dtype is None:
        return Skipped(name, (), str(code), "dtype")
    if entry is None:
        raise source.refuse("pytorch_storage", name=short(name))
    return place(
        source,
        name,
        dtype.newbyteorder("<"),
        shape,
        blob=entry,
        offset=start * dtype.itemsize,
        strides=steps,
        limits=limits,
    )


def _numbers(sides: list[object]) -> list[object]:
    return [side.get("as_int") if isinstance(side, dict) else None for side in sides]


PT2 = Format("torch.export (.pt2)", ".pt2", read, None)
