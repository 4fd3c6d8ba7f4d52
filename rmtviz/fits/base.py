"""What every fit returns and checks: the fitted law, the cut, and how good both are."""

import abc
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from rmtviz import knobs, markup, tracy_widom
from rmtviz.marchenko_pastur import MarchenkoPastur
from rmtviz.spectrum import Spectrum
from rmtviz.words import say

SMALLEST = 20
"""Fewer singular values than this cannot be judged by a law of large matrices."""

CLOSE = 0.05
"""The Kolmogorov distance up to which the law is called close."""

FARTHEST = {True: 0.2, False: 0.3}
"""Beyond this Kolmogorov distance no bulk is claimed: for the law beside the spikes, and for that
of the whole matrix, from which a bulk beside many spikes lies up to 0.2 away."""

Matrix = Callable[[], NDArray[Any]]
"""How a method gets at the entries, where the spectrum is not enough: called when needed."""


class Status(StrEnum):
    """Whether a fit could be made; each is a key under `status` in the catalogue."""

    OK = "ok"
    TOO_SMALL = "too_small"
    DEGENERATE = "degenerate"
    NO_BULK = "no_bulk"
    NO_MATRIX = "no_matrix"
    PRODUCT = "product"


class Law(StrEnum):
    """How well the Marchenko–Pastur law describes the bulk; keys under `law` in the catalogue."""

    EXACT = "exact"
    CLOSE = "close"
    NO = "no"


@dataclass(frozen=True, slots=True)
class Promises:
    """What a method promises; `tests/law/test_promises.py` holds it to each.

    `level`: on Gaussian noise false spikes come at the chosen level; `many_spikes`: σ and the
    rank are right with 20 spikes in 300 rows; `entry_laws`: no more false spikes for entries
    with heavy tails; `unequal_variances`: nor for rows and columns of unequal variance;
    `transposition`, `scaling`, `rotation`: such a matrix has the same fit.
    """

    level: bool = True
    many_spikes: bool = True
    entry_laws: bool = False
    unequal_variances: bool = False
    transposition: bool = True
    scaling: bool = True
    rotation: bool = True


@dataclass(frozen=True, slots=True)
class Bulk:
    """The noise: σ of its entries, its law, the cut, the k spikes above it, and how well it fits.

    `law` and `cut` (with its Tracy–Widom margin) are on the scale of the matrix's eigenvalues
    λ = s²/n. `ks` is sup |F(λ₍ᵢ₎) − i/(p − k)| over the p − k bulk eigenvalues in ascending order.
    """

    sigma: float
    law: MarchenkoPastur
    cut: float
    spikes: int
    ks: float
    verdict: Law

    @property
    def edges(self) -> tuple[float, float]:
        """The law's edges (λ₋, λ₊)."""
        return self.law.support


@dataclass(frozen=True, slots=True)
class MPFit:
    """A fit by one method: its status, and the bulk where there is one.

    `equalised` is the spectrum of the rescaled matrix where the fit is one of that matrix:
    then law and cut belong to it, and only the number of spikes is the matrix's own.
    """

    method: "Method"
    status: Status
    bulk: Bulk | None = None
    equalised: Spectrum | None = None

    @property
    def spikes(self) -> int | None:
        """The number of eigenvalues above the cut; None without a bulk."""
        return self.bulk.spikes if self.bulk else None

    @property
    def scaled(self) -> bool:
        """Whether law and cut belong to a rescaled matrix."""
        return self.equalised is not None

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the method, and the bulk or why there is none."""
        if self.bulk is None:
            return markup.shown(say("notebook.no_bulk", method=self.method, status=self.status))
        bulk = self.bulk
        row = {
            "sigma": f"{bulk.sigma:.4g}",
            "bulk_edge": f"{bulk.edges[1]:.4g}",
            "cut": f"{bulk.cut:.4g}",
            "spikes": f"{bulk.spikes}",
            "ks": f"{bulk.ks:.3f}",
            "law": say(f"cli.word.{bulk.verdict}"),
        }
        return markup.shown(say("notebook.fit", method=self.method), [row])


@dataclass(frozen=True, slots=True)
class Method(abc.ABC):
    """A way to find the bulk; its fields are its knobs.

    `promises` says what holds for it, `needs_matrix` whether it looks at the entries. `beside`
    says which noise its σ describes: that beside the k spikes, (p − k) × (n − k), or, for
    methods that know of no spikes, the whole matrix.
    """

    promises: ClassVar[Promises] = Promises()
    needs_matrix: ClassVar[bool] = False
    beside: ClassVar[bool] = True

    @property
    @abc.abstractmethod
    def level(self) -> float:
        """The chance of a false spike in pure noise; a knob of every method."""

    def __post_init__(self) -> None:
        knobs.check(self)

    def at(self, level: float) -> Self:
        """Return the same method at another chance of a false spike."""
        return replace(self, level=level)  # type: ignore[call-arg]

    @abc.abstractmethod
    def __call__(
        self, spectrum: Spectrum, matrix: Matrix | None = None, *, kurtosis: float = 0.0
    ) -> MPFit:
        """Fit the law to a spectrum. What cannot be fitted is a status, not an error.

        `matrix` is called only by methods that need the entries (`needs_matrix`); an excess
        `kurtosis` of the entries moves the cut by `tracy_widom.edge_shift`.
        """


@dataclass(frozen=True, slots=True)
class Spectral(Method):
    """A method to which the spectrum is enough: a subclass gives `estimate`."""

    @abc.abstractmethod
    def estimate(self, spectrum: Spectrum) -> tuple[float, float]:
        """Return the variance σ² of the noise and the cut, both on the scale of eigenvalues."""

    def __call__(
        self, spectrum: Spectrum, matrix: Matrix | None = None, *, kurtosis: float = 0.0
    ) -> MPFit:
        """Fit the law to a spectrum; the matrix is not looked at."""
        return fitted(self, spectrum, self.estimate, kurtosis)


def fitted(
    method: Method,
    spectrum: Spectrum,
    estimate: Callable[[Spectrum], tuple[float, float]],
    kurtosis: float = 0.0,
) -> MPFit:
    """Return the fit that an estimate of (σ², cut) makes of a spectrum, or why there is none.

    The estimate is made at a largest value between ½ and 1, so that no square overflows.
    """
    status = screen(spectrum)
    if status is not Status.OK:
        return MPFit(method, status)
    _, exponent = math.frexp(spectrum.values[0])
    scaled = replace(spectrum, values=np.ldexp(spectrum.values, -exponent))
    variance, cut = estimate(scaled)
    cut += variance * tracy_widom.edge_shift(spectrum.p, spectrum.n, kurtosis)
    spikes = int(np.count_nonzero(scaled.eigenvalues > cut))
    tiny = math.ldexp(variance, 2 * exponent) < sys.float_info.min
    if tiny or spikes > spectrum.p // 2:
        return MPFit(method, Status.NO_BULK)
    removed = spikes if method.beside else 0
    ks = distance(noise_law(spectrum.shape, variance, removed), scaled, spikes)
    if ks > FARTHEST[method.beside]:
        return MPFit(method, Status.NO_BULK)
    variance, cut = math.ldexp(variance, 2 * exponent), math.ldexp(cut, 2 * exponent)
    law = noise_law(spectrum.shape, variance, removed)
    verdict = judge(ks, spectrum.p - spikes, spectrum.estimated, spectrum.beta)
    return MPFit(method, Status.OK, Bulk(math.sqrt(variance), law, cut, spikes, ks, verdict))


def noise_law(shape: tuple[int, int], variance: float, spikes: int) -> MarchenkoPastur:
    """Return the law of the noise beside k spikes, for eigenvalues λ = s²/n of the whole matrix.

    Strong spikes fill k dimensions on either side; what is left is noise of (p − k) × (n − k),
    whose values lie between σ(√(n − k) ∓ √(p − k)). For 20 spikes in 300 × 784 the law of the
    whole p × n lies 0.029 from the bulk, that of the rest 0.009 (in Kolmogorov distance).
    """
    p, n = min(shape), max(shape)
    return MarchenkoPastur((p - spikes) / (n - spikes), variance * (n - spikes) / n)


def rest(spectrum: Spectrum, spikes: int) -> Spectrum:
    """Return the spectrum of what is left beside the k largest values, (p − k) × (n − k)."""
    shape = (spectrum.shape[0] - spikes, spectrum.shape[1] - spikes)
    return replace(spectrum, values=spectrum.values[spikes:], shape=shape)


def deflated(
    spectrum: Spectrum, estimate: Callable[[Spectrum], tuple[float, float]]
) -> tuple[float, float]:
    """Return (σ², cut) after repeating an estimate on what is left beside the spikes found so far.

    It ends when no more spikes are found, or when the rest no longer fits better (in
    Kolmogorov distance): on trained layers, whose bulk has no sharp edge, an iteration would
    else go on and on.
    """
    p, n = spectrum.p, spectrum.n
    spikes, best, found = 0, math.inf, (0.0, 0.0)
    while True:
        variance, cut = estimate(rest(spectrum, spikes))
        cut *= (n - spikes) / n
        above = int(np.count_nonzero(spectrum.eigenvalues > cut))
        if above > p // 2:
            return (variance, cut) if math.isinf(best) else found
        ks = distance(noise_law(spectrum.shape, variance, above), spectrum, above)
        if ks >= best:
            return found
        best, found = ks, (variance, cut)
        if above <= spikes:
            return found
        spikes = above


def screen(spectrum: Spectrum) -> Status:
    """Return whether a spectrum can be fitted at all, whatever the method.

    Too small: fewer than 20 values. Degenerate: a tenth of the values or more are zero to
    rounding, or the middle half of them are equal (a zero, constant, low-rank or orthogonal
    matrix), so that nothing like a bulk is there.
    """
    if spectrum.p < SMALLEST:
        return Status.TOO_SMALL
    values = spectrum.values
    upper, lower = values[spectrum.p // 4], values[(3 * spectrum.p) // 4]
    if spectrum.hard_rank <= 0.9 * spectrum.p or upper - lower <= 1e-6 * upper:
        return Status.DEGENERATE
    return Status.OK


def distance(law: MarchenkoPastur, spectrum: Spectrum, spikes: int) -> float:
    """Return sup |F(λ₍ᵢ₎) − i/(p − k)| over the bulk: all but the k largest eigenvalues."""
    bulk = spectrum.eigenvalues[spikes:][::-1]
    steps = np.arange(1, len(bulk) + 1) / len(bulk)
    return float(np.abs(law.cdf(bulk) - steps).max())


def judge(ks: float, p: int, error: float = 0.0, beta: int = 1) -> Law:
    """Return how well the law holds for p bulk values: as for noise, within 0.05, or not.

    The standard error of an estimated spectrum counts against it: what it cannot show is not said.
    """
    if ks + error <= null_band(p, beta):
        return Law.EXACT
    return Law.CLOSE if ks + error <= CLOSE else Law.NO


def null_band(p: int, beta: int = 1) -> float:
    """Return the 99 % quantile of `distance` for pure Gaussian noise with p eigenvalues.

    Eigenvalues repel each other, so the distance falls like log(p)/p and not like 1/√p.
    Measured with the Dumitriu–Edelman model for both methods, p from 20 to 1000 and c in
    {0.1, 0.5, 1} (200 to 400 draws each): p times the quantile is 2.2–2.5 at 20, 3.0–3.1 at
    100 and 4.1–4.4 at 1000, whatever the ratio. Eigenvalues of complex noise (β = 2) repel each
    other more: 1.8–2.0 at 20, 2.3–2.6 at 100 and 3.0–3.4 at 1000, the more for BEMA, whose false
    spikes count more in so narrow a band (3,000 to 300 draws each).
    """
    start, slope = {1: (1.05, 0.45), 2: (0.93, 0.33)}[beta]
    return (start + slope * math.log(p)) / p
