"""The zip archive in which torch.save and TorchScript put a pickle and its storages."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from rmtviz.formats import pickles, zips
from rmtviz.formats._objects import Objects
from rmtviz.formats.base import Contents
from rmtviz.formats.sources import Limits, Source

_ORDERS: Mapping[bytes, Literal["<", ">"]] = MappingProxyType({b"little": "<", b"big": ">"})


def read(source: Source, limits: Limits) -> Contents | None:
    """Return what such an archive holds, or None where the source is none."""
    entries = zips.entries(source, limits)
    names = [name for name in entries or () if f"/{name}".endswith("/data.pkl")]
    if entries is None or len(names) != 1:
        return None
    pickle, folder = entries[names[0]], names[0].removesuffix("data.pkl")
    if pickle.length > limits.header_bytes:
        raise source.refuse("limit_header", size=pickle.length, limit=limits.header_bytes)
    order = entries.get(f"{folder}byteorder")
    mark = _ORDERS.get(order.head(7) if order else b"little")
    if mark is None:
        raise source.refuse("pytorch_order")
    value = pickles.parse(source, bytes(pickle.read(0, pickle.length)), limits)
    data = f"{folder}data/"
    storages = {key.removeprefix(data): it for key, it in entries.items() if key.startswith(data)}
    return Objects(source, limits, storages, mark).contents(value)
