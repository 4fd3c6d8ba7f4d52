"""The slow half of an analysis: every layer's singular values, each matrix read once.

What `decompose` returns needs no weights any more: it goes to JSON and back, and any method
can be fitted to it in milliseconds.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rmtviz import blas, estimation, layers
from rmtviz.checkpoint import Checkpoint, Skipped, precise
from rmtviz.entries import Entries
from rmtviz.fits import Status
from rmtviz.fits.base import screen
from rmtviz.fits.dyson import equalised
from rmtviz.layers import Layer
from rmtviz.parallel import Room, threads
from rmtviz.spectrum import BLOCK, DOUBLE, Gram, NotFiniteError, Spectrum

MEMORY = 3 * 2**28
"""Bytes that all layers at work may take together. A layer that needs more is worked on alone."""


LIGHT = 2**27
"""Up to so much work (`_work`; six milliseconds) the layers are decomposed one by one."""

EXACT = 8192
"""Up to this smaller side the spectrum is exact; beyond it takes minutes, and is estimated."""


@dataclass(frozen=True, slots=True)
class Model:
    """What a checkpoint is, without its tensors: name, digest, format, and its size."""

    source: str
    digest: str
    format: str
    parameters: int
    bytes: int

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> "Model":
        """Return what there is to say of a checkpoint; its digest is made if it was not."""
        return cls(
            checkpoint.title,
            checkpoint.digest,
            checkpoint.format,
            checkpoint.parameters,
            checkpoint.bytes,
        )


@dataclass(frozen=True, slots=True, eq=False)
class LayerSpectrum:
    """A layer, the number of its stored weights, and the spectrum of its matrix.

    `entries` says what the matrix's entries are like, `equalised` is the spectrum of the matrix
    with rows and columns brought to one variance (`fits.dyson`); None: not computed.
    """

    layer: Layer
    parameters: int
    spectrum: Spectrum
    entries: Entries | None = None
    equalised: Spectrum | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Spectra:
    """The spectra of all layers of a model, in the order of the layers, and what was skipped."""

    model: Model
    layers: tuple[LayerSpectrum, ...]
    skipped: tuple[Skipped, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; singular values in full precision."""
        return {
            "model": {name: getattr(self.model, name) for name in Model.__slots__},
            "layers": [
                {
                    "name": item.layer.name,
                    "kind": item.layer.kind,
                    "tensors": list(item.layer.tensors),
                    "shape": list(item.layer.shape),
                    **({"part": list(item.layer.part)} if item.layer.part else {}),
                    **({"twins": list(item.layer.twins)} if item.layer.twins else {}),
                    **({"groups": item.layer.groups} if item.layer.groups != 1 else {}),
                    **({"across": True} if item.layer.across else {}),
                    **({"scale": item.layer.scale} if item.layer.scale != 1 else {}),
                    **({"codes": item.layer.codes} if item.layer.codes else {}),
                    "parameters": item.parameters,
                    "singular_values": item.spectrum.values.tolist(),
                    "precision": item.spectrum.precision,
                    "estimated": item.spectrum.estimated,
                    **({"beta": item.spectrum.beta} if item.spectrum.beta != 1 else {}),
                    "entries": asdict(item.entries) if item.entries else None,
                    "equalised": _spectrum_dict(item.equalised),
                }
                for item in self.layers
            ],
            "skipped": [skipped_record(item) for item in self.skipped],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Spectra":
        """Return what `to_dict` made."""
        found = []
        for entry in record["layers"]:
            shape = (entry["shape"][0], entry["shape"][1])
            part = (entry["part"][0], entry["part"][1]) if "part" in entry else None
            tensors, twins = tuple(entry["tensors"]), tuple(entry.get("twins", ()))
            known = ("scale", "groups", "across", "codes")
            more = {key: entry[key] for key in known if key in entry}
            layer = Layer(entry["name"], entry["kind"], tensors, shape, part, twins, **more)
            spectrum = Spectrum(
                entry["singular_values"],
                shape,
                entry.get("precision", DOUBLE),
                entry.get("estimated", 0.0),
                entry.get("beta", 1),
            )
            entries = Entries(**entry["entries"]) if entry.get("entries") else None
            other = entry.get("equalised")
            equalised = other and Spectrum(
                other["singular_values"], tuple(other["shape"]), beta=spectrum.beta
            )
            found.append(LayerSpectrum(layer, entry["parameters"], spectrum, entries, equalised))
        skipped = tuple(
            Skipped(
                entry["name"],
                tuple(entry["shape"]),
                entry["dtype"],
                entry["reason"],
                entry.get("other", ""),
            )
            for entry in record["skipped"]
        )
        return cls(Model(**record["model"]), tuple(found), skipped)


def decompose(
    checkpoint: Checkpoint,
    progress: Callable[[int, int], None] | None = None,
    *,
    only: Sequence[Layer] | None = None,
    equalise: bool = False,
    memory: int = MEMORY,
    known: Iterable[LayerSpectrum] = (),
) -> Spectra:
    """Return the spectra of all layers, or of some `only`.

    Layers with NaN or infinite entries are skipped. With `equalise` also the spectra of the
    equalised matrices, where they can be judged at all. One layer a core (but for `LIGHT` work)
    and one BLAS thread a layer, largest first: threads inside one decomposition lose on a busy
    machine, layers side by side do not. A layer is read when its turn comes; at most `memory`
    bytes are in use at once, or what the largest layer takes. A layer whose smaller side is
    beyond `EXACT` is estimated, and not equalised. The digest is made on the side.
    `progress(done, of)` counts weights. What is `known` of the same weights, seen in another
    way, is taken over. Raises what reading raises.
    """
    found, skipped = layers.find(checkpoint) if only is None else (tuple(only), ())
    room = Room(memory)
    held = {item.layer: item for item in known}
    made: dict[Layer, LayerSpectrum | None] = {x: held[x] for x in found if x in held}
    wanted = [layer for layer in found if layer not in made]
    total, done = sum(layer.parameters(checkpoint) for layer in wanted), 0
    light = sum(map(_work, wanted)) <= LIGHT
    with blas.one_thread(), threads(len(wanted) + 1, light) as pool:
        digest = pool.submit(_digest, checkpoint, room)
        tasks = {
            pool.submit(_decomposed, layer, checkpoint, room, equalise): layer
            for layer in sorted(wanted, key=_work, reverse=True)
        }
        for task in as_completed(tasks):
            layer = tasks[task]
            made[layer] = task.result()
            done += layer.parameters(checkpoint)
            if progress:
                progress(done, total)
        digest.result()
    kept = tuple(item for layer in found if (item := made[layer]))
    broken = dict.fromkeys(
        name for layer in found if made[layer] is None for name in layer.tensors
    )  # a tensor of several parts once
    return Spectra(
        Model.of(checkpoint), kept, (*skipped, *(_not_finite(name, checkpoint) for name in broken))
    )


def gram_bytes(layer: Layer, checkpoint: Checkpoint) -> int:
    """Return the bytes that a layer's spectrum takes by its Gram matrix, the matrix included."""
    p, number = min(layer.shape), _number(layer, checkpoint)
    block = number * max(BLOCK, p * p // 8)
    copies = 1 if p >= blas.TWO_STAGE and number == 8 else 2
    return _matrix_bytes(layer, checkpoint) + block + copies * number * p * p


def svd_bytes(layer: Layer, checkpoint: Checkpoint) -> int:
    """Return the bytes that a layer's spectrum takes by a full SVD, the matrix included."""
    copies = 2 * _number(layer, checkpoint)
    return _matrix_bytes(layer, checkpoint) + copies * layer.shape[0] * layer.shape[1]


def estimate_bytes(layer: Layer, checkpoint: Checkpoint) -> int:
    """Return the bytes that a layer's estimated spectrum takes, the matrix included."""
    number = _number(layer, checkpoint)
    return _matrix_bytes(layer, checkpoint) + estimation.working_bytes(min(layer.shape), number)


def _matrix_bytes(layer: Layer, checkpoint: Checkpoint) -> int:
    """Return the bytes of the matrix: as stored, or in double where it has to be made."""
    stored = sum(checkpoint.tensors[name].nbytes for name in layer.tensors)
    made = _number(layer, checkpoint) * layer.shape[0] * layer.shape[1]
    return stored if layer.kind == "linear" else stored + made


def _number(layer: Layer, checkpoint: Checkpoint) -> int:
    """Return the bytes of one of the matrix's numbers in double precision."""
    dtypes = (checkpoint.tensors[name].dtype for name in layer.tensors)
    return max(np.dtype(precise(dtype)).itemsize for dtype in dtypes)


def _work(layer: Layer) -> int:
    """Return a number that grows with the time that a layer takes."""
    p, n = sorted(layer.shape)
    if layer.adapter:
        return n
    return p * p * (n + p) if p <= EXACT else EXACT * p * n


def _decomposed(
    layer: Layer, checkpoint: Checkpoint, room: Room, equalise: bool
) -> LayerSpectrum | None:
    """Return a layer's spectrum and entries; None where they are not finite."""
    if layer.adapter:
        return _product(layer, checkpoint, room)
    if min(layer.shape) > EXACT:
        return _estimated(layer, checkpoint, room)
    try:
        with room.take(gram_bytes(layer, checkpoint)):
            matrix = layer.matrix(checkpoint)
            gram, entries = Gram.of(matrix), Entries.of(matrix)
            del matrix
            spectrum = gram.spectrum()
            del gram
        if spectrum is None:
            with room.take(svd_bytes(layer, checkpoint)):
                spectrum = Spectrum.by_svd(layer.matrix(checkpoint))
    except NotFiniteError:
        return None
    other = None
    if equalise and screen(spectrum) is Status.OK:
        with room.take(2 * svd_bytes(layer, checkpoint)):
            other = equalised(layer.matrix(checkpoint))
    return LayerSpectrum(layer, layer.parameters(checkpoint), spectrum, entries, other)


def _product(layer: Layer, checkpoint: Checkpoint, room: Room) -> LayerSpectrum | None:
    """Return the spectrum of a low-rank update, whose product is never made; None: not finite."""
    stored = layer.parameters(checkpoint)
    with room.take(4 * _number(layer, checkpoint) * stored):
        first, second = layer.held(checkpoint)
        try:
            spectrum = Spectrum.by_product(second, first, layer.scale)
        except NotFiniteError:
            return None
    return LayerSpectrum(layer, stored, spectrum)


def _estimated(layer: Layer, checkpoint: Checkpoint, room: Room) -> LayerSpectrum | None:
    """Return a layer's estimated spectrum and its entries; None where they are not finite."""
    with room.take(estimate_bytes(layer, checkpoint)):
        matrix = layer.matrix(checkpoint)
        try:
            spectrum = estimation.estimate(matrix)
        except NotFiniteError:
            return None
        entries = Entries.of(matrix)
    return LayerSpectrum(layer, layer.parameters(checkpoint), spectrum, entries)


def _digest(checkpoint: Checkpoint, room: Room) -> str:
    with room.take(max((tensor.nbytes for tensor in checkpoint.tensors.values()), default=0)):
        return checkpoint.digest


def _spectrum_dict(spectrum: Spectrum | None) -> dict[str, Any] | None:
    if spectrum is None:
        return None
    return {"shape": list(spectrum.shape), "singular_values": spectrum.values.tolist()}


def _not_finite(name: str, checkpoint: Checkpoint) -> Skipped:
    tensor = checkpoint.tensors[name]
    return Skipped(name, tensor.shape, tensor.dtype.name, "not_finite")


def skipped_record(item: Skipped) -> dict[str, Any]:
    """Return a skipped tensor as plain values for JSON."""
    return {
        "name": item.name,
        "shape": list(item.shape),
        "dtype": item.dtype,
        "reason": item.reason,
        **({"other": item.other} if item.other else {}),
    }
