"""The slow half of an analysis: every layer's singular values, each matrix read once.

What `decompose` returns needs no weights any more: it goes to JSON and back, and any method
can be fitted to it in milliseconds.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from threadpoolctl import threadpool_limits

from rmtviz import layers
from rmtviz.checkpoint import Checkpoint, Skipped
from rmtviz.entries import Entries
from rmtviz.fits import Status
from rmtviz.fits.base import screen
from rmtviz.fits.dyson import equalised
from rmtviz.layers import Layer
from rmtviz.spectrum import NotFiniteError, Spectrum


@dataclass(frozen=True, slots=True)
class Model:
    """What a checkpoint is, without its tensors: name, digest, format, and its size."""

    source: str
    digest: str
    format: str
    parameters: int
    bytes: int


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
                    "parameters": item.parameters,
                    "singular_values": item.spectrum.values.tolist(),
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
            layer = Layer(entry["name"], entry["kind"], tuple(entry["tensors"]), shape, part)
            spectrum = Spectrum(entry["singular_values"], shape)
            entries = Entries(**entry["entries"]) if entry.get("entries") else None
            other = entry.get("equalised")
            equalised = other and Spectrum(other["singular_values"], tuple(other["shape"]))
            found.append(LayerSpectrum(layer, entry["parameters"], spectrum, entries, equalised))
        skipped = tuple(
            Skipped(entry["name"], tuple(entry["shape"]), entry["dtype"], entry["reason"])
            for entry in record["skipped"]
        )
        return cls(Model(**record["model"]), tuple(found), skipped)


def decompose(
    checkpoint: Checkpoint,
    progress: Callable[[int, int], None] | None = None,
    *,
    equalise: bool = False,
) -> Spectra:
    """Return the spectra of all layers; layers with NaN or infinite entries are skipped.

    With `equalise` also those of the equalised matrices, where they can be judged at all.

    One BLAS thread a layer and two layers at a time: threads inside one decomposition
    lose on a busy machine, layers side by side do not.
    """
    found, skipped = layers.find(checkpoint)
    total, done = sum(layer.parameters(checkpoint) for layer in found), 0
    kept: list[LayerSpectrum] = []
    dropped: list[Skipped] = list(skipped)
    with threadpool_limits(1, "blas"), _workers(len(found)) as run:
        spectra = run(lambda layer: _decomposed(layer, checkpoint, equalise), found)
        for layer, item in zip(found, spectra, strict=True):
            if item is None:
                lost = (_not_finite(name, checkpoint) for name in layer.tensors)
                dropped += [gone for gone in lost if gone not in dropped]
            else:
                kept.append(item)
            done += layer.parameters(checkpoint)
            if progress:
                progress(done, total)
    model = Model(
        checkpoint.source,
        checkpoint.digest,
        checkpoint.format,
        checkpoint.parameters,
        checkpoint.bytes,
    )
    return Spectra(model, tuple(kept), tuple(dropped))


def _decomposed(layer: Layer, checkpoint: Checkpoint, equalise: bool) -> LayerSpectrum | None:
    """Return a layer's spectrum and entries; None where they are not finite."""
    matrix = layer.matrix(checkpoint)
    try:
        spectrum = Spectrum.of(matrix)
    except NotFiniteError:
        return None
    other = equalised(matrix) if equalise and screen(spectrum) is Status.OK else None
    weights = layer.parameters(checkpoint)
    return LayerSpectrum(layer, weights, spectrum, Entries.of(matrix), other)


def _spectrum_dict(spectrum: Spectrum | None) -> dict[str, Any] | None:
    if spectrum is None:
        return None
    return {"shape": list(spectrum.shape), "singular_values": spectrum.values.tolist()}


@contextlib.contextmanager
def _workers(tasks: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """Yield a map over two threads, or the plain one where there is one task or one core."""
    if tasks < 2 or (os.cpu_count() or 1) < 2:
        yield map
        return
    with ThreadPoolExecutor(2) as pool:
        yield pool.map


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
    }
