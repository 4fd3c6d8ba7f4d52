"""A checkpoint's layers, their spectra, and the law fitted to each.

Two stages: `decompose` is the slow one (singular values of every layer), `fit` takes
milliseconds, so that a changed method never decomposes again. `analyze` is both.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rmtviz import decomposition, formats, knobs, layers, tracy_widom
from rmtviz.checkpoint import Checkpoint, Skipped
from rmtviz.errors import BadOption, ExtraMissing
from rmtviz.fits import BEMA, METHODS, Bulk, Law, Method, MPFit, Status
from rmtviz.layers import Layer
from rmtviz.spectrum import Spectrum

if TYPE_CHECKING:
    import pandas

STABLE = 0.6
"""The cut is stable if the smallest rank over the methods is this share of the largest."""


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
    """A layer, the number of its stored weights, and the spectrum of its matrix."""

    layer: Layer
    parameters: int
    spectrum: Spectrum


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
                    "parameters": item.parameters,
                    "singular_values": item.spectrum.values.tolist(),
                }
                for item in self.layers
            ],
            "skipped": [_skipped(item) for item in self.skipped],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Spectra":
        """Return what `to_dict` made."""
        found = []
        for entry in record["layers"]:
            shape = (entry["shape"][0], entry["shape"][1])
            layer = Layer(entry["name"], entry["kind"], tuple(entry["tensors"]), shape)
            spectrum = Spectrum(entry["singular_values"], shape)
            found.append(LayerSpectrum(layer, entry["parameters"], spectrum))
        skipped = tuple(
            Skipped(entry["name"], tuple(entry["shape"]), entry["dtype"], entry["reason"])
            for entry in record["skipped"]
        )
        return cls(Model(**record["model"]), tuple(found), skipped)


@dataclass(frozen=True, slots=True, eq=False)
class LayerAnalysis:
    """One layer with the law fitted to its spectrum, and the rank that each method finds.

    Lengths on the scale of singular values; None where no bulk was fitted.
    """

    layer: Layer
    parameters: int
    spectrum: Spectrum
    fit: MPFit
    ranks: Mapping[str, int | None]

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.layer.name

    @property
    def status(self) -> Status:
        """Whether a fit could be made."""
        return self.fit.status

    @property
    def bulk(self) -> Bulk | None:
        """The fitted bulk, where there is one."""
        return self.fit.bulk

    @property
    def sigma(self) -> float | None:
        """The standard deviation of the noise's entries."""
        return self.bulk.law.sigma if self.bulk else None

    @property
    def edges(self) -> tuple[float, float] | None:
        """The law's edges σ(√n ∓ √p)."""
        return self.bulk.law.singular(self.spectrum.n).support if self.bulk else None

    @property
    def cut(self) -> float | None:
        """The noise edge: the bulk's upper edge with its Tracy–Widom margin."""
        return self.spectrum.singular(self.bulk.cut) if self.bulk else None

    @property
    def spikes(self) -> int | None:
        """The number of singular values above the cut."""
        return self.fit.spikes

    @property
    def ks(self) -> float | None:
        """The Kolmogorov distance between the bulk and the law."""
        return self.bulk.ks if self.bulk else None

    @property
    def law(self) -> Law | None:
        """Whether the law holds: exactly, closely, or not."""
        return self.bulk.verdict if self.bulk else None

    @property
    def stable(self) -> bool | None:
        """Whether the methods' ranks agree: the smallest is at least 60 % of the largest."""
        ranks = [rank for rank in self.ranks.values() if rank is not None]
        if self.spikes is None or len(ranks) < len(self.ranks):
            return None if self.spikes is None else False
        return min(ranks) >= STABLE * max(ranks)

    @property
    def below(self) -> int | None:
        """The number of singular values that noise would hardly put so far below the lower edge."""
        if self.bulk is None:
            return None
        centre, scale = tracy_widom.smallest_eigenvalue(self.spectrum.p, self.spectrum.n)
        low = centre - tracy_widom.quantile(0.99) * scale
        if low <= 0:
            return 0
        return int((self.spectrum.values < self.bulk.law.sigma * math.sqrt(low)).sum())

    @property
    def bulk_directions(self) -> float | None:
        """The share of the p directions that lie in the bulk."""
        return None if self.spikes is None else 1 - self.spikes / self.spectrum.p

    @property
    def bulk_energy(self) -> float | None:
        """The share of the squared Frobenius norm that lies in the bulk."""
        if self.spikes is None:
            return None
        rest = self.spectrum.values[self.spikes :]
        return float(rest @ rest) / self.spectrum.energy

    def to_dict(self) -> dict[str, Any]:
        """Return the layer's results as plain values for JSON."""
        edges = self.edges
        return {
            "name": self.name,
            "kind": self.layer.kind,
            "shape": list(self.layer.shape),
            "parameters": self.parameters,
            "sigma": self.sigma,
            "bulk_edge": edges[1] if edges else None,
            "bulk_edge_lower": edges[0] if edges else None,
            "cut": self.cut,
            "scaled": False,
            "spikes": self.spikes,
            "ranks": dict(self.ranks),
            "ks": self.ks,
            "law": self.law.value if self.law else None,
            "stable": self.stable,
            "status": self.status.value,
            "bulk_directions": self.bulk_directions,
            "bulk_energy": self.bulk_energy,
            "below_lower_edge": self.below,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """A model, the method, each layer with its fit, and every tensor that was skipped."""

    model: Model
    method: Method
    layers: tuple[LayerAnalysis, ...]
    skipped: tuple[Skipped, ...]

    @property
    def digest(self) -> str:
        """The digest of the checkpoint that was analysed."""
        return self.model.digest

    def __iter__(self) -> Iterator[LayerAnalysis]:
        return iter(self.layers)

    def __getitem__(self, name: str) -> LayerAnalysis:
        for layer in self.layers:
            if layer.name == name:
                return layer
        known = ", ".join(layer.name for layer in self.layers) or "–"
        raise BadOption("unknown_layer", name=name, known=known)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, without the spectra."""
        return {
            "model": {name: getattr(self.model, name) for name in Model.__slots__},
            "method": knobs.label(METHODS, self.method),
            "options": knobs.values(self.method),
            "layers": [layer.to_dict() for layer in self.layers],
            "skipped": [_skipped(item) for item in self.skipped],
        }

    def to_frame(self) -> "pandas.DataFrame":
        """Return a table, one row a layer.

        Raises:
            ExtraMissing: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ExtraMissing("extra_missing", package="pandas", extra="frame") from None
        return pandas.DataFrame([layer.to_dict() for layer in self.layers])


def analyze(
    model: Any, method: Method | None = None, progress: Callable[[int, int], None] | None = None
) -> Analysis:
    """Return the analysis of a Checkpoint, a file, a mapping of arrays, or an nn.Module.

    The method is BEMA() unless another is given. `progress(done, of)` counts weights.

    Raises:
        FileRefused: the file is not a checkpoint that we read.
    """
    return fit(decompose(checkpoint_of(model), progress), method or BEMA())


def checkpoint_of(model: Any) -> Checkpoint:
    """Return the checkpoint of a Checkpoint, a path, a mapping of arrays, or an nn.Module."""
    if isinstance(model, Checkpoint):
        return model
    if isinstance(model, str | Path):
        return formats.read(Path(model))
    if isinstance(model, Mapping):
        return Checkpoint.of(model)
    if hasattr(model, "state_dict"):
        return Checkpoint.of(model.state_dict(), source=type(model).__name__)
    raise BadOption("not_a_model", kind=type(model).__name__)


def decompose(
    checkpoint: Checkpoint,
    progress: Callable[[int, int], None] | None = None,
    memory: int = decomposition.MEMORY,
) -> Spectra:
    """Return the spectra of all layers; layers with NaN or infinite entries are skipped.

    `progress(done, of)` counts weights. At most `memory` bytes are in use at once, or what
    the largest layer takes. Raises what reading the file raises.
    """
    found, skipped = layers.find(checkpoint)
    kept: list[LayerSpectrum] = []
    dropped: list[Skipped] = list(skipped)
    spectra = decomposition.spectra(found, checkpoint, progress, memory)
    for layer, spectrum in zip(found, spectra, strict=True):
        if spectrum is None:
            dropped += [_not_finite(name, checkpoint) for name in layer.tensors]
        else:
            kept.append(LayerSpectrum(layer, layer.parameters(checkpoint), spectrum))
    model = Model(
        checkpoint.source,
        checkpoint.digest,
        checkpoint.format,
        checkpoint.parameters,
        checkpoint.bytes,
    )
    return Spectra(model, tuple(kept), tuple(dropped))


def fit(spectra: Spectra, method: Method) -> Analysis:
    """Return the analysis of these spectra by this method: milliseconds a layer."""
    chosen = knobs.label(METHODS, method)
    methods = {name: method if name == chosen else make() for name, make in METHODS.items()}
    results = []
    for item in spectra.layers:
        fits = {name: each(item.spectrum) for name, each in methods.items()}
        ranks = {name: each.spikes for name, each in fits.items()}
        results.append(
            LayerAnalysis(item.layer, item.parameters, item.spectrum, fits[chosen], ranks)
        )
    return Analysis(spectra.model, method, tuple(results), spectra.skipped)


def _not_finite(name: str, checkpoint: Checkpoint) -> Skipped:
    tensor = checkpoint.tensors[name]
    return Skipped(name, tensor.shape, tensor.dtype.name, "not_finite")


def _skipped(item: Skipped) -> dict[str, Any]:
    return {
        "name": item.name,
        "shape": list(item.shape),
        "dtype": item.dtype,
        "reason": item.reason,
    }
