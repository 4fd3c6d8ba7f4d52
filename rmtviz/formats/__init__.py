"""File formats: bytes to a checkpoint and back.

    bytes ─ a reader ─▶ Contents, the tree as the file has it ─ wrappers.unwrap ─▶ Checkpoint

To add a format, write a module with a `Format` and name it in `FORMATS`. A reader returns None
for bytes of another format (the content decides, never the file's name), refuses what is broken
with a `FileRefused`, and leaves the numbers in the file until somebody asks for them. No reader
executes anything, and none allocates on a header's word.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from rmtviz.checkpoint import Checkpoint
from rmtviz.errors import BadOption
from rmtviz.formats import unknown, wrappers
from rmtviz.formats.base import LIMITS, Contents, Format, Limits, Place, Source, short
from rmtviz.formats.npz import NPZ
from rmtviz.formats.pytorch import PYTORCH
from rmtviz.formats.safetensors import SAFETENSORS

__all__ = ["FORMATS", "LIMITS", "Format", "Limits", "read", "write"]

FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "safetensors": SAFETENSORS,
        "pytorch": PYTORCH,
        "npz": NPZ,
    }
)


def read(
    source: bytes | str | Path, name: str | None = None, limits: Limits = LIMITS
) -> Checkpoint:
    """Return the checkpoint in a file, or in a file's bytes; `name` is how people know it.

    Raises:
        FileRefused: says what the file is or what is wrong in it, and the way out.
    """
    file = Source.of(source, name)
    for label, form in FORMATS.items():
        contents = form.read(file, limits)
        if contents is not None:
            return _checkpoint(file, label, contents, limits)
    raise unknown.refusal(file, limits, (form.title for form in FORMATS.values()))


def write(checkpoint: Checkpoint, form: str) -> bytes:
    """Return the checkpoint as a file of the format of this name.

    Raises:
        BadOption: no such format, or one that cannot hold a name or a number type.
        ExtraMissing: the format needs a package that is not installed.
    """
    if form not in FORMATS:
        raise BadOption("unknown_name", name=form, known=", ".join(FORMATS))
    for name in checkpoint:
        if _unwritable(name):
            raise BadOption("write_name", name=short(name), format=form)
    return FORMATS[form].write(checkpoint)


def _checkpoint(file: Source, label: str, contents: Contents, limits: Limits) -> Checkpoint:
    tensors, left_out = wrappers.unwrap(file, contents, limits)
    for name in tensors:
        if _unwritable(name):
            raise file.refuse("name_broken", name=short(name))
    places = [tensor.load for tensor in tensors.values()]
    effort = sum(place.effort for place in places if isinstance(place, Place))
    most = limits.growth * file.length + limits.spare
    if effort > most:
        raise file.refuse("limit_growth", size=effort, length=file.length, limit=most)
    return Checkpoint(tensors, file.name, label, contents.metadata, left_out)


def _unwritable(name: str) -> bool:
    """Whether a name holds half of a surrogate pair, which no file can hold as text."""
    return any("\ud800" <= sign <= "\udfff" for sign in name)
