"""Spectra that were computed before, on disk by the checkpoint's digest; only where asked for.

A folder a checkpoint under `site.data_home()/spectra`, the oldest unused ones deleted. What is
broken, or made by another version of the format, is as good as absent.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rmtviz import decomposition, layers
from rmtviz.checkpoint import Checkpoint, Skipped
from rmtviz.decomposition import Model, Spectra, decompose
from rmtviz.layers import Layer
from rmtviz.site import data_home, make_room

FORMAT = 1
"""The version of what is written; another one is not read."""

KEPT = 20
"""So many checkpoints' spectra are kept."""

FILE = "spectra.json"


def remembered(
    checkpoint: Checkpoint,
    progress: Callable[[int, int], None] | None = None,
    *,
    equalise: bool = False,
) -> Spectra:
    """Return what `decompose` returns, from disk where it is there, and keep it there.

    The weights are still read once, for their digest. A disk that cannot be written to is no
    error. Raises what reading the weights raises.
    """
    found, skipped = layers.find(checkpoint)
    folder = data_home() / "spectra" / _name(checkpoint.digest, found)
    known = _read(folder / FILE, equalise)
    if known is not None and _whole(known, found):
        with contextlib.suppress(OSError):
            os.utime(folder)  # the last use counts, not the making
        broken = tuple(item for item in known.skipped if item.reason == "not_finite")
        return _told(known, checkpoint, (*skipped, *broken), equalise)
    spectra = decompose(checkpoint, progress, equalise=equalise)
    with contextlib.suppress(OSError):
        _write(folder / FILE, spectra, equalise)
        make_room(folder.parent, "*", KEPT, frozenset([folder.name]))
    return spectra


def _name(digest: str, found: Sequence[Layer]) -> str:
    """Return the name of a checkpoint's folder; the layers depend on what its tensors are told."""
    kinds = [
        [
            *(each.name, each.kind, each.tensors, each.shape, each.part),
            *(each.twins, each.scale, each.groups, each.across),
        ]
        for each in found
    ]
    told = hashlib.sha256(json.dumps(kinds).encode()).hexdigest()
    return f"{digest[:32]}-{told[:16]}"


def _read(path: Path, equalise: bool) -> Spectra | None:
    """Return the spectra in a file; None where it is absent, broken, or says too little."""
    try:
        record = json.loads(path.read_text("utf-8"))
        made = (record["format"], record["exact"])
        if made != (FORMAT, decomposition.EXACT) or (equalise and not record["equalised"]):
            return None
        return Spectra.from_dict(record["spectra"])
    except (OSError, LookupError, TypeError, ValueError, AttributeError):
        return None


def _whole(spectra: Spectra, found: Sequence[Layer]) -> bool:
    """Return whether these are the layers, but for those that are not finite."""
    broken = {item.name for item in spectra.skipped if item.reason == "not_finite"}
    expected = [layer for layer in found if not broken.intersection(layer.tensors)]
    held = [item.layer for item in spectra.layers]
    return [layer for layer in held if not broken.intersection(layer.tensors)] == expected


def _told(
    spectra: Spectra, checkpoint: Checkpoint, skipped: tuple[Skipped, ...], equalise: bool
) -> Spectra:
    """Return the spectra as those of this checkpoint, whose file may have another name."""
    model = Model.of(checkpoint)
    held = spectra.layers
    if not equalise:
        held = tuple(replace(item, equalised=None) for item in held)
    return Spectra(model, held, skipped)


def _write(path: Path, spectra: Spectra, equalise: bool) -> None:
    """Write the spectra whole or not at all.

    Raises:
        OSError: the place cannot be written to.
    """
    record = {
        "format": FORMAT,
        "exact": decomposition.EXACT,
        "equalised": equalise,
        "spectra": spectra.to_dict(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(record, file)
        Path(part).replace(path)
    except OSError:
        Path(part).unlink(missing_ok=True)
        raise
