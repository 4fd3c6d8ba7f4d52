"""File formats: bytes to a checkpoint and back.

    bytes ─ a reader ─▶ Contents, the tree as the file has it ─ wrappers.unwrap ─▶ Checkpoint

To add a format, write a module with a `Format` and name it in `FORMATS`, or in `READ` where it
is only read. A reader returns None
for bytes of another format (the content decides, never the file's name), refuses what is broken
with a `FileRefused`, and leaves the numbers in the file until somebody asks for them. No reader
executes anything, and none allocates on a header's word.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rmtviz import attention, graphs, peft
from rmtviz.checkpoint import Checkpoint, Skipped, Tensor
from rmtviz.errors import BadOption
from rmtviz.formats import (
    _copies,
    _parametrised,
    _quantised,
    _rehearsal,
    _shards,
    unknown,
    wrappers,
    zips,
)
from rmtviz.formats.base import Contents, Format
from rmtviz.formats.gguf import GGUF
from rmtviz.formats.keras import KERAS
from rmtviz.formats.npz import NPZ
from rmtviz.formats.onnx import ONNX
from rmtviz.formats.pt2 import PT2
from rmtviz.formats.pytorch import PYTORCH
from rmtviz.formats.safetensors import SAFETENSORS
from rmtviz.formats.sources import Limits, Source, short, whole
from rmtviz.heads import Heads

__all__ = [
    "FORMATS",
    "READ",
    "Format",
    "Limits",
    "offered",
    "read",
    "settings",
    "together",
    "write",
]

FORMATS: Mapping[str, Format] = {
    "safetensors": SAFETENSORS,
    "pytorch": PYTORCH,
    "npz": NPZ,
    "onnx": ONNX,
}
"""The formats that are read and written."""

SETTINGS = _shards.BESIDE
"""Files of settings beside weights: a network's tell its heads, an adapter's its scale."""

REBUILT = (_quantised.dequantised, _parametrised.recombined)
"""What makes weights of tensors that are not the weights themselves, in this order."""

READ: Mapping[str, Format] = {**FORMATS, "pt2": PT2, "keras": KERAS, "gguf": GGUF}
"""The formats that are read."""


def read(
    source: bytes | str | Path,
    name: str | None = None,
    limits: Limits | None = None,
    *,
    apart: bool = False,
) -> Checkpoint:
    """Return the checkpoint in a file, or in a file's bytes; `name` is how people know it.

    At a path, a folder with one network, or the index of one in shards, is read as one, and so
    is an archive of one; an adapter with the settings beside it. With
    `apart`, a file that a library reads is tried first in a process of its own, within limits.

    Raises:
        FileRefused: says what the file is or what is wrong in it, and the way out.
        ExtraMissing: the format needs a package that is not installed.
    """
    limits = limits or Limits.configured()
    if not isinstance(source, bytes):
        path = Path(source)
        if _shards.is_folder(path):
            settings = [path / name for name in SETTINGS if (path / name).is_file()]
            held = [*_shards.of_folder(path), *settings]
            return together({it.name: it for it in held}, limits, apart=apart)
        if path.name.endswith(".index.json"):
            return together({it.name: it for it in _shards.beside(path)}, limits, apart=apart)
        beside = path.parent / peft.SETTINGS
        if path.stem == Path(peft.WEIGHTS).stem and beside.is_file():
            return together({it.name: it for it in (path, beside)}, limits, apart=apart)
    return _opened(Source.of(source, name), limits, apart)


def together(
    files: Mapping[str, bytes | Path], limits: Limits | None = None, *, apart: bool = False
) -> Checkpoint:
    """Return the checkpoint in several files, by name: the shards of one, with their index or not.

    `apart` is as in `read`. A network's settings tell its number of heads, an adapter's its
    scale; other files that are no weights by their names are passed over.

    Raises:
        FileRefused: as `read`; a shard is missing, or two hold a tensor of one name.
    """
    limits = limits or Limits.configured()
    return _joined(files, lambda file: _opened(file, limits, apart))


def settings(path: Path) -> Mapping[str, Any]:
    """Return what a file of settings beside weights says; nothing where it is none."""
    return _shards.settings(Source.of(path))


def offered(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Return the formats in which a checkpoint can be written, by name."""
    graph = checkpoint.graph is not None
    held = {tensor.dtype.name for tensor in checkpoint.tensors.values()}
    fitting = {name: form for name, form in FORMATS.items() if held.isdisjoint(form.lacks)}
    return tuple(name for name, form in fitting.items() if graph or not form.graph)


def write(checkpoint: Checkpoint, format: str) -> bytes:
    """Return the checkpoint as a file of the format of this name.

    Raises:
        BadOption: no such format, or one that cannot hold a name or a number type.
        ExtraMissing: the format needs a package that is not installed.
    """
    checkpoint = attention.whole(checkpoint)
    writer = FORMATS[format].write if format in FORMATS else None
    if writer is None:
        raise BadOption("unknown_name", name=format, known=", ".join(FORMATS))
    for text in _texts(checkpoint.tensors, checkpoint.metadata):
        if text != whole(text):
            raise BadOption("write_name", name=short(text), format=format)
    return writer(checkpoint)


def _opened(file: Source, limits: Limits, apart: bool) -> Checkpoint:
    """Return the checkpoint in a file, or in the files in an archive."""
    found = _read(file, limits, apart)
    files = _unpacked(file, limits) if found is None else None
    if files:
        found = replace(_joined(files, lambda it: _known(it, limits, apart)), source=file.name)
    return found or _known(file, limits, apart)


def _known(file: Source, limits: Limits, apart: bool) -> Checkpoint:
    """Return the checkpoint in a file of weights; an archive of files is refused."""
    found = _read(file, limits, apart)
    if found is None:
        raise unknown.refusal(file, limits, (form.title for form in READ.values()))
    return found


def _read(file: Source, limits: Limits, apart: bool) -> Checkpoint | None:
    """Return the checkpoint in a file of weights; None where it is of no format."""
    if apart and any(form.known and form.known(file, limits) for form in READ.values()):
        _rehearsal.rehearse(file, limits)
    for label, form in READ.items():
        contents = form.read(file, limits)
        if contents is not None:
            return _checkpoint(file, label, contents, limits)
    return None


def _unpacked(file: Source, limits: Limits) -> dict[str, bytes | Path]:
    """Return the files of one network in an archive, by name; none where there are none."""
    entries = zips.entries(file, limits, checked=True) or {}
    names = _shards.of_archive(entries, file)
    size = sum(entries[name].length for name in names)
    most = limits.growth * file.length + limits.spare
    if size > most:
        raise file.refuse("limit_growth", size=size, length=file.length, limit=most)
    each = ((name.rpartition("/")[2], entries[name]) for name in names)
    return {name: bytes(entry.read(0, entry.length)) for name, entry in each}


def _joined(
    files: Mapping[str, bytes | Path], opened: Callable[[Source], Checkpoint]
) -> Checkpoint:
    """Return the checkpoint in several files, by name, each of which is opened."""
    sources = {name: Source.of(origin, name) for name, origin in files.items()}
    indices = [
        (name, _shards.weight_map(source))
        for name, source in sources.items()
        if name.endswith(".index.json")
    ]
    weights = [source for name, source in sources.items() if _shards.weighty(name)]
    settings = [sources[name] for name in SETTINGS if name in sources]
    parts = [opened(source) for source in weights or settings or sources.values()]
    whole = parts[0] if len(parts) == 1 and not indices else _shards.join(parts, indices)
    told = {name: _shards.settings(sources[name]) for name in SETTINGS if name in sources}
    if heads := Heads.of_settings(told.get("config.json", {})):
        whole = whole.with_about(heads=asdict(heads))
    return peft.scaled(whole, told[peft.SETTINGS]) if peft.SETTINGS in told else whole


def _checkpoint(file: Source, label: str, contents: Contents, limits: Limits) -> Checkpoint:
    if contents.graph is not None:
        tree = {name: node for name, node in contents.tree.items() if isinstance(node, Tensor)}
        found = Checkpoint(
            tree, file.name, label, contents.metadata, contents.left_out, graph=contents.graph
        )
        return graphs.described(found)
    tensors, left_out, beside = wrappers.unwrap(file, contents, limits)
    tensors, copies = _copies.split(tensors, beside)
    named = {item.name for item in left_out}
    left_out += tuple(Skipped(name, (), "dict", "copy") for name in copies if name not in named)
    for text in _texts(tensors, contents.metadata):
        if text != whole(text):
            raise file.refuse("name_broken", name=short(text))
    places = {id(it): it.load for held in (tensors, *copies.values()) for it in held.values()}
    effort = sum(getattr(place, "effort", 0) for place in places.values())
    most = limits.growth * file.length + limits.spare
    if effort > most:
        raise file.refuse("limit_growth", size=effort, length=file.length, limit=most)
    for rebuilt in REBUILT:
        tensors, parts = rebuilt(tensors)
        left_out += parts
        copies = {name: rebuilt(copy)[0] for name, copy in copies.items()}
    listed = tuple(replace(skipped, name=whole(skipped.name)) for skipped in left_out)
    return Checkpoint(tensors, file.name, label, contents.metadata, listed, copies=copies)


def _texts(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Iterator[str]:
    """Yield every text that a file of the checkpoint holds."""
    return itertools.chain(tensors, metadata, metadata.values())
