"""The trembling edge: how the largest value of noise scatters."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rmtviz import tracy_widom
from rmtviz.knobs import knob
from rmtviz.lessons.base import Lesson

GRID = np.linspace(-5.0, 4.0, 91)
"""Where the density is drawn."""


@dataclass(frozen=True, slots=True)
class TracyWidom(Lesson):
    """The largest eigenvalue of W Wᵀ for p × n noise, over many draws, centred and scaled.

    Sources: Tracy and Widom, Commun. Math. Phys. 177 (1996) 727; Johnstone, Ann. Stat. 29
    (2001) 295; Ma, Bernoulli 18 (2012) 322; Dumitriu and Edelman, J. Math. Phys. 43 (2002)
    5830 for the draws.
    """

    answers: ClassVar[tuple[str, ...]] = ("never", "sixth", "half")

    m: int = knob(100, low=10, high=200)
    n: int = knob(200, low=10, high=200)
    draws: int = knob(10, low=10, high=1000)
    seed: int = knob(1, low=1, high=9999)

    def answer(self, material: Any = None) -> str:
        return "sixth"

    def numbers(self, material: Any = None) -> Mapping[str, float]:
        p, n = sorted((self.m, self.n))
        centre, scale = tracy_widom.largest_eigenvalue(p, n)
        return {
            "p": p,
            "n": n,
            "centre": centre,
            "scale": scale,
            "above": 1 - tracy_widom.cdf(0.0),
            "quantile": tracy_widom.quantile(0.9),
            "margin": tracy_widom.quantile(0.9) * scale,
        }

    def picture(self, material: Any = None) -> Mapping[str, Any]:
        return {
            "x": GRID.round(3).tolist(),
            "density": density(),
            "cut": tracy_widom.quantile(0.9),
        }


@functools.cache
def density() -> list[float]:
    """Return the Tracy–Widom density on `GRID`, by central differences of its distribution."""
    h = 0.01
    return [round((tracy_widom.cdf(s + h) - tracy_widom.cdf(s - h)) / (2 * h), 5) for s in GRID]
