"""A spike: a signal is lost in the noise up to a threshold, and then rises out of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rmtviz import spiked
from rmtviz.knobs import knob
from rmtviz.lessons.base import Lesson
from rmtviz.spectrum import Spectrum

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Growth:
    """The spectra of W₀ + t (W − W₀) for t from 0 to 1, in units of the noise σ√n of W₀.

    `learnt` are the singular values of W − W₀ in the same unit; a row of `values` for each
    of `times`, all descending.
    """

    ratio: float
    times: Array
    values: Array
    learnt: Array

    @classmethod
    def of(cls, initial: NDArray[Any], trained: NDArray[Any], steps: int = 41) -> "Growth":
        """Follow a layer from its weights before training to those after.

        The steps are closer together where they are small: t = (k / steps)².
        """
        start = np.asarray(initial, dtype=np.float64)
        change = np.asarray(trained, dtype=np.float64) - start
        unit = float(np.sqrt(np.mean(start**2) * max(start.shape)))
        times = np.linspace(0, 1, steps) ** 2
        rows = [Spectrum.of(start + t * change).values / unit for t in times]
        ratio = min(start.shape) / max(start.shape)
        return cls(ratio, times, np.stack(rows), Spectrum.of(change).values / unit)


@dataclass(frozen=True, slots=True)
class Spike(Lesson):
    """Noise plus x σ√n u vᵀ with unit vectors u, v; or a network's layer while it learns.

    Sources: Baik, Ben Arous and Péché, Ann. Probab. 33 (2005) 1643; Benaych-Georges and
    Nadakuditi, J. Multivariate Anal. 111 (2012) 120, section 3.1.
    """

    answers: ClassVar[tuple[str, ...]] = ("full", "part", "none")
    needs: ClassVar[str] = "growth"
    asked: ClassVar[tuple[float, float]] = (0.5, 0.5)
    """The strength and the aspect ratio of the question."""

    matrix: str = knob("planted", among=("planted", "network"))
    x: float = knob(2.0, low=0.0, high=3.0)
    m: int = knob(100, low=10, high=200)
    n: int = knob(200, low=10, high=200)
    t: float = knob(0.0, low=0.0, high=1.0)
    seed: int = knob(1, low=1, high=9999)

    def answer(self, material: Any = None) -> str:
        x, ratio = self.asked
        return "none" if x <= spiked.detection(ratio) else "part"

    def numbers(self, material: Any = None) -> Mapping[str, float]:
        ratio, x = min(self.m, self.n) / max(self.m, self.n), self.x
        if self.matrix == "network":
            ratio, x = material.ratio, self.t * float(material.learnt[0])
        return {
            "c": ratio,
            "x": x,
            "threshold": spiked.detection(ratio),
            "edge": spiked.edge(ratio),
            "landing": float(spiked.landing(x, ratio)),
            "share": float(spiked.shares(x, ratio)[0]),
            "asked": self.asked[0],
            "asked_threshold": spiked.detection(self.asked[1]),
        }

    def picture(self, material: Any = None) -> Mapping[str, Any]:
        if self.matrix == "planted":
            return {}
        return {
            "ratio": material.ratio,
            "times": material.times.round(5).tolist(),
            "values": material.values.round(4).tolist(),
            "learnt": material.learnt[:6].round(4).tolist(),
        }

    def shown(self) -> tuple[str, ...]:
        return ("matrix", "t") if self.matrix == "network" else ("matrix", "x", "m", "n", "seed")


def planted(p: int, n: int, x: float, rng: np.random.Generator) -> tuple[Spectrum, float]:
    """Draw the spectrum of noise plus a spike, and the share of the first direction in it.

    N + x√n u vᵀ with N of N(0, 1) entries, p × n. By rotation u = e₁ and v is anything: then
    only the first row of N is longer, by √((z + x√n)² + χ²ₙ₋₁) in place of χₙ, and the
    bidiagonal form of Dumitriu and Edelman (J. Math. Phys. 43 (2002) 5830) follows as without
    a spike. Exact in law; the share is the squared first entry of the top eigenvector.
    """
    from scipy.linalg import eigh_tridiagonal

    d = rng.chisquare(np.arange(n, n - p, -1.0))
    d[0] = (rng.standard_normal() + x * np.sqrt(n)) ** 2 + rng.chisquare(n - 1)
    e = rng.chisquare(np.arange(p - 1.0, 0.0, -1.0))
    diagonal = d + np.concatenate([[0.0], e])
    squares, vectors = eigh_tridiagonal(diagonal, np.sqrt(d[:-1] * e))
    values = np.sqrt(np.maximum(squares[::-1], 0.0))
    return Spectrum(values, (p, n)), float(vectors[0, -1] ** 2)
