"""A checkpoint's layers, their spectra, and the law fitted to each.

Two stages: `decompose` is the slow one (singular values of every layer), `fit` takes
milliseconds, so that a changed method never decomposes again. `analyze` is both.
"""

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rmtviz import formats, knobs, markup, tracy_widom
from rmtviz.cache import remembered
from rmtviz.checkpoint import Checkpoint, Skipped
from rmtviz.decomposition import LayerSpectrum, Model, Spectra, decompose, skipped_record
from rmtviz.entries import Entries
from rmtviz.errors import BadOption, ExtraMissing
from rmtviz.fits import BEMA, COMPARED, METHODS, Bulk, Dyson, Law, Method, MPFit, Status
from rmtviz.fits.base import SMALLEST, screen
from rmtviz.layers import Layer
from rmtviz.spectrum import Spectrum
from rmtviz.words import say

if TYPE_CHECKING:
    import pandas

STABLE = 0.6
"""The cut is stable if the smallest rank over the methods is this share of the largest."""


@dataclass(frozen=True, slots=True, eq=False)
class LayerAnalysis:
    """One layer with the law fitted to its spectrum, and the rank that each method finds.

    Lengths on the scale of singular values; None where no bulk was fitted. Where the fit is
    `scaled`, σ, the edges, the cut and what lies below belong to the equalised matrix.
    """

    layer: Layer
    parameters: int
    spectrum: Spectrum
    fit: MPFit
    ranks: Mapping[str, int | None]
    entries: Entries | None = None

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
    def scaled(self) -> bool:
        """Whether the fit is that of the equalised matrix."""
        return self.fit.scaled

    @property
    def shown(self) -> Spectrum:
        """The spectrum to which the law was fitted: the matrix's, or the equalised one's."""
        return self.fit.equalised or self.spectrum

    @property
    def beside(self) -> int:
        """How many spikes the law stands beside: k where σ is that of the rest, else 0."""
        return self.spikes or 0 if self.fit.method.beside else 0

    @property
    def rank(self) -> int:
        """The rank as stored: at most p, and at most a factored layer's inner side."""
        m, n = self.layer.shape
        return min(m, n, self.parameters // (m + n)) if self.layer.factored else min(m, n)

    @property
    def sigma(self) -> float | None:
        """The standard deviation of the noise's entries."""
        return self.bulk.sigma if self.bulk else None

    @property
    def edges(self) -> tuple[float, float] | None:
        """The law's edges σ(√(n − k) ∓ √(p − k)), beside k spikes."""
        return self.bulk.law.singular(self.shown.n).support if self.bulk else None

    @property
    def cut(self) -> float | None:
        """The noise edge: the bulk's upper edge with its Tracy–Widom margin."""
        return self.shown.singular(self.bulk.cut) if self.bulk else None

    @property
    def corrected(self) -> bool:
        """Whether the cut was moved for heavy tails of the entries."""
        return self.bulk is not None and _kurtosis(self.fit.method, self.entries) != 0

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
        """Whether the compared methods agree: the smallest rank is at least 60 % of the largest.

        They are BEMA, Kritchman–Nadler and, where the equalised matrix is known, Dyson.
        """
        if self.spikes is None:
            return None
        ranks = [self.ranks[name] for name in COMPARED if name in self.ranks]
        found = [rank for rank in ranks if rank is not None]
        return len(found) == len(ranks) and min(found) >= STABLE * max(found)

    @property
    def below(self) -> int | None:
        """The number of singular values that noise would hardly put so far below the lower edge."""
        if self.bulk is None:
            return None
        left, shown = self.beside, self.shown
        p, n = shown.p - left, shown.n - left
        centre, scale = tracy_widom.smallest_eigenvalue(p, n, shown.beta)
        low = centre - tracy_widom.quantile(0.99, shown.beta) * scale
        if low <= 0:
            return 0
        return int((shown.values < self.bulk.sigma * math.sqrt(low)).sum())

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

    def row(self) -> dict[str, str]:
        """Return the layer as a line of a table, by the keys of its columns."""

        def number(value: float | None, form: str) -> str:
            return "–" if value is None else format(value, form)

        m, n = self.layer.shape
        return {
            "name": self.name,
            "shape": f"{m} × {n}",
            "sigma": number(self.sigma, ".4g"),
            "cut": number(self.cut, ".4g"),
            "spikes": number(self.spikes, "d"),
            "bulk_directions": number(self.bulk_directions, ".0%"),
            "ks": number(self.ks, ".3f"),
            "law": say(f"cli.word.{self.law}") if self.law else "–",
        }

    def _repr_html_(self) -> str:
        """Return what a notebook shows: its line, and why there is no fit where there is none."""
        spectrum = self.spectrum
        rank = int((spectrum.values > 0).sum())
        return markup.shown(say(f"status.{self.status}", p=spectrum.p, rank=rank), [self.row()])

    def to_dict(self) -> dict[str, Any]:
        """Return the layer's results as plain values for JSON."""
        edges = self.edges
        return {
            "name": self.name,
            "kind": self.layer.kind,
            "shape": list(self.layer.shape),
            "parameters": self.parameters,
            "beta": self.spectrum.beta,
            "sigma": self.sigma,
            "bulk_edge": edges[1] if edges else None,
            "bulk_edge_lower": edges[0] if edges else None,
            "cut": self.cut,
            "scaled": self.scaled,
            "spikes": self.spikes,
            "ranks": dict(self.ranks),
            "ks": self.ks,
            "law": self.law.value if self.law else None,
            "stable": self.stable,
            "status": self.status.value,
            "bulk_directions": self.bulk_directions,
            "bulk_energy": self.bulk_energy,
            "below_lower_edge": self.below,
            "kurtosis": self.entries.kurtosis if self.entries else None,
            "row_spread": self.entries.row_spread if self.entries else None,
            "column_spread": self.entries.column_spread if self.entries else None,
            "edge_corrected": self.corrected,
            "estimated": self.spectrum.estimated,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """A model, the method, each layer with its fit, and every tensor that was skipped.

    `level` is the chance of a false spike at which each layer was tested.
    """

    model: Model
    method: Method
    layers: tuple[LayerAnalysis, ...]
    skipped: tuple[Skipped, ...]
    level: float

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

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the model, a line for each layer, and what was skipped."""
        model = self.model
        head = say(
            "cli.file",
            source=model.source,
            format=model.format,
            parameters=model.parameters,
            bytes=model.bytes,
        )
        skipped = say("notebook.skipped", count=len(self.skipped)) if self.skipped else ""
        return markup.shown(head, (layer.row() for layer in self.layers), skipped)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, without the spectra."""
        return {
            "model": {name: getattr(self.model, name) for name in Model.__slots__},
            "method": knobs.label(METHODS, self.method),
            "options": knobs.values(self.method),
            "level_each": self.level,
            "layers": [layer.to_dict() for layer in self.layers],
            "skipped": [skipped_record(item) for item in self.skipped],
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
    model: Any,
    method: Method | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    equalise: bool = False,
    each: bool = False,
    cache: bool = False,
) -> Analysis:
    """Return the analysis of a Checkpoint, a file, a mapping of arrays, or an nn.Module.

    The method is BEMA() unless another is given. `progress(done, of)` counts weights. With
    `equalise` the rank of the equalised matrix stands beside the others (about three times the
    work); `each` holds every layer to the method's level, which else is that of the model.
    With `cache` the spectra are kept on disk, and taken from there the next time (`rmtviz.cache`).

    Raises:
        FileRefused: the file is not a checkpoint that we read.
    """
    checkpoint = checkpoint_of(model)
    spectra = (remembered if cache else decompose)(checkpoint, progress, equalise=equalise)
    return fit(spectra, method or BEMA(), checkpoint, each=each)


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


def fit(
    spectra: Spectra, method: Method, checkpoint: Checkpoint | None = None, *, each: bool = False
) -> Analysis:
    """Return the analysis of these spectra by this method: milliseconds a layer.

    The method's level, the chance of a false spike, is that of the whole model: each of its L
    layers is tested at 1 − (1 − level)^(1/L) (Šidák), unless `each` is to have the level
    itself. Methods that need the entries take them from the `checkpoint`,
    but for layers whose spectrum is estimated: those are too large for them.
    """
    count = (
        1
        if each
        else sum(item.spectrum.p >= SMALLEST and not item.layer.adapter for item in spectra.layers)
    )
    level = 1 - (1 - method.level) ** (1 / max(count, 1))
    chosen = knobs.label(METHODS, method)
    methods = {name: METHODS[name]().at(level) for name in COMPARED} | {chosen: method.at(level)}
    results = []
    for item in spectra.layers:
        fits = {
            name: _fit(each_method, item, checkpoint)
            for name, each_method in methods.items()
            if name == chosen or not each_method.needs_matrix or item.equalised
        }
        ranks = {name: found.spikes for name, found in fits.items()}
        results.append(
            LayerAnalysis(
                item.layer, item.parameters, item.spectrum, fits[chosen], ranks, item.entries
            )
        )
    return Analysis(spectra.model, method, tuple(results), spectra.skipped, level)


def _fit(method: Method, item: LayerSpectrum, checkpoint: Checkpoint | None) -> MPFit:
    if item.layer.adapter:
        return MPFit(method, Status.PRODUCT)
    if isinstance(method, Dyson) and item.equalised and screen(item.spectrum) is Status.OK:
        return method.of(item.equalised)
    seen = checkpoint is not None and not item.spectrum.estimated  # else minutes for each fit
    matrix = functools.partial(item.layer.matrix, checkpoint) if checkpoint and seen else None
    return method(item.spectrum, matrix, kurtosis=_kurtosis(method, item.entries))


def _kurtosis(method: Method, entries: Entries | None) -> float:
    """Return the excess kurtosis for which a method's cut is corrected; 0: it is not.

    Methods that look at the entries know better: rows of unequal variance look heavy-tailed too.
    """
    if entries is None or method.needs_matrix or not entries.heavy or entries.extreme:
        return 0.0
    return entries.kurtosis
