"""PyTorch's files (`.pt`, `.pth`, TorchScript), read without torch and without running them.

Such a file is a zip archive with a pickle that describes objects and one entry of bytes for
each storage, or, from before version 1.6, pickles and bytes in a row. The pickle is followed
by `pickles`, which calls nothing. That also reads whole pickled modules, under the names that
`state_dict()` gives, files with a Namespace or a numpy number beside the weights, and plain
pickles that hold arrays.
"""

import io
import re
from collections import OrderedDict
from typing import Any

import numpy as np

from rmtviz.checkpoint import Checkpoint, Tensor
from rmtviz.errors import BadOption, ExtraMissing
from rmtviz.formats import _legacy, _torchzip, pickles
from rmtviz.formats._legacy import DTYPES
from rmtviz.formats._objects import Objects
from rmtviz.formats.base import RECORD, Contents, Format, flat, little
from rmtviz.formats.sources import Limits, Source, short

_PICKLE = re.compile(rb"\x80[\x02-\x05]")
_JOBLIB = re.compile(rb"\x80[\x02-\x05].*joblib\.numpy_pickle", re.DOTALL)


def read(source: Source, limits: Limits) -> Contents | None:
    """Return what a PyTorch file holds; see `Format`."""
    head = source.head(4096)
    if _JOBLIB.match(head):  # its arrays stand between the opcodes, where no pickle has them
        return None
    if _PICKLE.match(head):
        return _pickled(source, limits, head[2:].startswith(_legacy.START))
    return _torchzip.read(source, limits)


def write(checkpoint: Checkpoint) -> bytes:
    """Return the checkpoint as PyTorch saves a state dict.

    Raises:
        ExtraMissing: torch is not installed.
    """
    try:
        import torch
    except ImportError:
        raise ExtraMissing("extra_missing", package="torch", extra="torch") from None
    state: dict[str, Any] = {}
    for name, tensor in checkpoint.tensors.items():
        if name == RECORD:
            raise BadOption("write_name", name=name, format="pytorch")
        dtype = getattr(torch, tensor.dtype.name, None)
        if dtype is None or f"torch.{tensor.dtype.name}" not in DTYPES:
            raise BadOption(
                "write_dtype", name=short(name), dtype=tensor.dtype.name, format="pytorch"
            )
        raw = torch.from_numpy(little(tensor).reshape(-1).view(np.uint8).copy())
        numbers = raw.view(dtype) if tensor.size else torch.empty(0, dtype=dtype)
        state[name] = numbers.reshape(tensor.shape)
    if "rmtviz" in checkpoint.metadata:
        state[RECORD] = checkpoint.metadata["rmtviz"]
    buffer = io.BytesIO()
    torch.save(OrderedDict(state), buffer)
    return buffer.getvalue()


def _pickled(source: Source, limits: Limits, legacy: bool) -> Contents | None:
    """Return what a legacy file or a plain pickle holds; None for one without an array."""
    if legacy:
        held = _legacy.parse(source, limits)
        return Objects(source, limits, held.storages).contents(held.value)
    value = pickles.follow(source, pickles.stream(source), limits)
    contents = Objects(source, limits, {}).contents(value)
    ends = (node for _, node in flat(contents.tree))
    return contents if any(isinstance(node, Tensor) for node in ends) else None


PYTORCH = Format("PyTorch (.pt, .pth)", ".pt", read, write)
