"""Pure noise: the spectrum of a random matrix is known before it is drawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from rmtviz.knobs import knob
from rmtviz.lessons.base import Lesson
from rmtviz.marchenko_pastur import MarchenkoPastur


@dataclass(frozen=True, slots=True)
class Noise(Lesson):
    """An m × n matrix of independent N(0, σ²) entries, against the Marchenko–Pastur law.

    Source: Marchenko and Pastur, Math. USSR-Sbornik 1 (1967) 457.
    """

    answers: ClassVar[tuple[str, ...]] = ("same", "root", "double")

    m: int = knob(100, low=10, high=200)
    n: int = knob(180, low=10, high=200)
    sigma: float = knob(1.0, low=0.5, high=2.0)
    seed: int = knob(1, low=1, high=9999)

    def answer(self, material: Any = None) -> str:
        return "root"

    def numbers(self, material: Any = None) -> Mapping[str, float]:
        p, n = sorted((self.m, self.n))
        low, high = MarchenkoPastur(p / n, self.sigma**2).singular(n).support
        return {"p": p, "n": n, "c": p / n, "sigma": self.sigma, "low": low, "high": high}
