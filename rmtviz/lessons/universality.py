"""Universality: the law asks for the variance of the entries and for nothing else."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rmtviz.knobs import knob
from rmtviz.lessons.base import Lesson
from rmtviz.marchenko_pastur import MarchenkoPastur

Draw = Callable[[np.random.Generator, tuple[int, int], float], NDArray[np.float64]]

ENTRIES: Mapping[str, Draw] = {
    "gaussian": lambda rng, shape, nu: rng.standard_normal(shape),
    "sign": lambda rng, shape, nu: rng.choice([-1.0, 1.0], shape),
    "uniform": lambda rng, shape, nu: rng.uniform(-math.sqrt(3), math.sqrt(3), shape),
    "t": lambda rng, shape, nu: rng.standard_t(nu, shape) * math.sqrt((nu - 2) / nu),
}
"""Laws of one entry, each with mean 0 and variance 1; `nu` is the t law's degrees of freedom."""


@dataclass(frozen=True, slots=True)
class Universality(Lesson):
    """A 100 × 200 matrix of independent entries with one of four laws of variance 1.

    The histogram follows the law for any entries of finite variance; the largest value
    stays at the edge if and only if their fourth moment is finite as well.

    Sources: Bai and Silverstein, Spectral Analysis of Large Dimensional Random Matrices,
    2nd ed. (2010), chapters 3 and 5; Bai, Silverstein and Yin, J. Multivariate Anal. 26
    (1988) 166.
    """

    answers: ClassVar[tuple[str, ...]] = ("peaks", "same", "narrow")
    shape: ClassVar[tuple[int, int]] = (100, 200)

    entries: str = knob("gaussian", among=tuple(ENTRIES))
    nu: float = knob(5.0, low=2.2, high=12.0)
    seed: int = knob(1, low=1, high=9999)

    def answer(self, material: Any = None) -> str:
        return "same"

    def numbers(self, material: Any = None) -> Mapping[str, float]:
        p, n = self.shape
        low, high = MarchenkoPastur(p / n).singular(n).support
        return {"p": p, "n": n, "low": low, "high": high, "fourth": fourth(self.entries, self.nu)}

    def shown(self) -> tuple[str, ...]:
        return ("entries", "nu", "seed") if self.entries == "t" else ("entries", "seed")


def fourth(entries: str, nu: float) -> float:
    """Return the fourth moment of a law of variance 1: 3 for Gauss; infinite for t, ν ≤ 4."""
    if entries == "t":
        return 3 + 6 / (nu - 4) if nu > 4 else math.inf
    return {"gaussian": 3.0, "sign": 1.0, "uniform": 1.8}[entries]
