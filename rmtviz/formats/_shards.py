"""One network in several files: which files belong together, and their tensors as one checkpoint.

A network in shards comes with an index, JSON whose "weight_map" says in which file each tensor
lies. Only files that were given are read; a path in an index is never followed.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rmtviz.checkpoint import Checkpoint, Tensor
from rmtviz.errors import FileRefused
from rmtviz.formats.sources import Blob, Source, short

_INDEX = ".index.json"
_LARGEST = 100_000_000
_LARGEST_SETTINGS = 1_000_000
_ENDINGS = (
    ".safetensors",
    ".bin",
    ".pt",
    ".pth",
    ".onnx",
    ".pt2",
    ".npz",
    ".keras",
    ".h5",
    ".gguf",
)
"""Endings of files of weights, those that are taken first before the others."""
_STATES = re.compile(r"(training_args|optimizer|scheduler|scaler|rng_state(_\d+)?)\.(bin|pt|pth)")
"""What trainers leave beside the weights under the endings of weights."""
_FOREIGN = re.compile(r"__MACOSX|com\.apple\.CoreML")
"""Folders in archives whose files are others than they are called."""
_TEXTS = (".json", ".jsonl", ".txt", ".md", ".py", ".jinja", ".model")
"""Endings of what else lies in a network's folder: settings, tokenizers, cards."""
BESIDE = ("config.json", "adapter_config.json")
"""The files of a network's settings, and of an adapter's."""


def is_folder(path: Path) -> bool:
    """Return whether there is a folder at a path; a path that cannot be is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def of_folder(folder: Path) -> list[Path]:
    """Return the files of a folder that hold one network, with their index if there is one.

    Raises:
        FileRefused: there is no file of weights, or which is meant cannot be told.
    """
    try:
        found = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileRefused("file_unreadable", source=folder.name, reason=reason) from None
    files = _chosen([path.name for path in found], folder.name)
    if not files:
        raise FileRefused("file_folder", source=folder.name)
    index = [folder / name for name in files if name.endswith(_INDEX)]
    return beside(index[0]) if index else [folder / name for name in files]


def of_archive(entries: Mapping[str, Blob], source: Source) -> list[str]:
    """Return the names in an archive that are one network's: its weights, index and settings.

    Of several folders with weights the outermost is meant; empty where there is none.

    Raises:
        FileRefused: which are meant cannot be told, or an index is none.
    """
    held: dict[str, list[str]] = {}
    for name in sorted(entries):
        folder, _, own = name.rpartition("/")
        if not own.startswith(".") and not _FOREIGN.search(folder):
            held.setdefault(f"{folder}/".lstrip("/"), []).append(own)
    found = [(each, files) for each, own in held.items() if (files := _chosen(own, source.name))]
    if not found:
        return []
    least = min(each.count("/") for each, _ in found)
    (folder, files), *others = [item for item in found if item[0].count("/") == least]
    if others:
        several = ", ".join(short(each + names[0], 40) for each, names in found[:5])
        raise FileRefused("folder_several", source=source.name, held=several)
    if files[0].endswith(_INDEX):
        index = entries[folder + files[0]]
        if index.length > _LARGEST:
            raise source.refuse("limit_header", size=index.length, limit=_LARGEST)
        listed = weight_map(Source.of(bytes(index.read(0, index.length)), files[0])).values()
        files = [*files, *sorted(set(listed) & set(held[folder]))]
    return [folder + name for name in (*files, *(x for x in BESIDE if x in held[folder]))]


def _chosen(names: Sequence[str], source: str) -> list[str]:
    """Return the index among names of files, or the one file of weights; none where there is none.

    Raises:
        FileRefused: there are several.
    """
    for ending in _ENDINGS:
        if index := [name for name in names if name.endswith(f"{ending}{_INDEX}")]:
            return index[:1]
        files = [n for n in names if n.endswith(ending) and not _STATES.fullmatch(n)]
        if len(files) > 1:
            held = ", ".join(short(name, 40) for name in files[:5])
            raise FileRefused("folder_several", source=source, held=held)
        if files:
            return files
    return []


def weighty(name: str) -> bool:
    """Return whether a file that was given with others may be one of weights, by its name."""
    return not (name.endswith(_TEXTS) or name.startswith(".") or _STATES.fullmatch(name))


def beside(index: Path) -> list[Path]:
    """Return an index and the files beside it that it names.

    Raises:
        FileRefused: it is no index, or a file is missing.
    """
    files = sorted(set(weight_map(Source.of(index)).values()))
    return [index, *(index.parent / _name(index.name, file) for file in files)]


def weight_map(source: Source) -> Mapping[str, str]:
    """Return in which file each tensor lies, by its name.

    Raises:
        FileRefused: it is no index.
    """
    if source.length > _LARGEST:
        raise source.refuse("limit_header", size=source.length, limit=_LARGEST)
    try:
        found = json.loads(bytes(source.read(0, source.length)))
    except (ValueError, RecursionError):
        raise source.refuse("is_json") from None
    listed = found.get("weight_map") if isinstance(found, dict) else None
    if not isinstance(listed, dict) or not all(isinstance(v, str) for v in listed.values()):
        raise source.refuse("is_json")
    return {name: _name(source.name, file) for name, file in listed.items()}


def settings(source: Source) -> Mapping[str, Any]:
    """Return a network's settings; none where the file is large or says nothing."""
    if source.length > _LARGEST_SETTINGS:
        return {}
    try:
        found = json.loads(bytes(source.read(0, source.length)))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def join(
    parts: Sequence[Checkpoint], indices: Iterable[tuple[str, Mapping[str, str]]]
) -> Checkpoint:
    """Return the tensors of several files as one checkpoint, complete by every index given.

    Raises:
        FileRefused: two files hold a tensor of one name, or a file that an index names is missing.
    """
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    for part in parts:
        for name, tensor in part.tensors.items():
            if name in tensors:
                raise FileRefused("name_twice", source=part.source, name=short(name))
            tensors[name] = tensor
        metadata = {**part.metadata, **metadata}
    given = {part.source for part in parts}
    for index, files in indices:
        missing = sorted(set(files.values()) - given)
        if missing:
            held = ", ".join(short(file, 40) for file in missing[:5])
            raise FileRefused("shard_missing", source=index, held=held, count=len(missing))
    left_out = tuple(item for part in parts for item in part.left_out)
    first = parts[0]
    title = f"{first.source} + {len(parts) - 1}"
    return Checkpoint(tensors, title, first.format, metadata, left_out)


def _name(index: str, file: str) -> str:
    """Return a file's name from an index, which must not lead to another folder."""
    if not file or Path(file).name != file or "\\" in file or file in (".", ".."):
        raise FileRefused("shard_path", source=index, name=short(file))
    return file
