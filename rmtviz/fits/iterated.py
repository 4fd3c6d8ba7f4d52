"""Iteration: another method, repeated on what is left beside the spikes."""

from collections.abc import Mapping
from dataclasses import dataclass

from rmtviz import knobs
from rmtviz.fits.base import Spectral, deflated
from rmtviz.fits.bema import BEMA
from rmtviz.fits.kolmogorov import Kolmogorov
from rmtviz.fits.kritchman_nadler import KritchmanNadler
from rmtviz.fits.median import Median
from rmtviz.knobs import knob
from rmtviz.spectrum import Spectrum

INNER: Mapping[str, type[Spectral]] = {
    "bema": BEMA,
    "kritchman-nadler": KritchmanNadler,
    "median": Median,
    "kolmogorov": Kolmogorov,
}
"""The methods that can be repeated: those to which the spectrum is enough."""


@dataclass(frozen=True, slots=True)
class Iterated(Spectral):
    """Repeat another method on the rest beside the spikes it finds. For many spikes.

    A method for few spikes takes part of many for noise. Fitted again to the (p − k) × (n − k)
    rest, its σ̂ falls and more spikes appear, until none is found or the rest no longer fits
    better. `method` is a name or, for knobs of its own, a method: `Iterated(BEMA(alpha=0.3))`. The
    level is always the one given here.

    Source: the deflation of Dobriban and Owen, JRSS B 81 (2019) 163, arXiv 1711.04155, around
    an edge from the law in place of a permutation's.
    """

    method: Spectral | str = knob("bema", among=tuple(INNER))  # noqa: RUF009
    level: float = knob(0.10, low=1e-6, high=0.999)

    def __post_init__(self) -> None:
        knobs.check(self if isinstance(self.method, str) else Iterated(level=self.level))

    @property
    def inner(self) -> Spectral:
        """The method that is repeated."""
        inner = self.method if isinstance(self.method, Spectral) else INNER[self.method]()
        return inner.at(self.level)

    def estimate(self, spectrum: Spectrum) -> tuple[float, float]:
        return deflated(spectrum, self.inner.estimate)
