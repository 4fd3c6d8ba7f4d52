"""Where the theory fails: noise that is not of the kind that the law is about."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rmtviz.fits import BEMA
from rmtviz.knobs import knob
from rmtviz.lessons.base import Lesson
from rmtviz.marchenko_pastur import MarchenkoPastur, midpoint_quantiles
from rmtviz.spectrum import Spectrum

SHAPE = (100, 200)
DRAWS = 20
QUIET = 0.1
"""The standard deviation of an entry in a dead column, and of a squeezed direction."""


@dataclass(frozen=True, slots=True)
class Limits(Lesson):
    """100 × 200 matrices without any signal on which the noise edge is wrong.

    `tails`: entries with a t law; `dead`: a share of the columns, as pixels that never
    change, is ten times quieter; `below`: some directions are ten times weaker and fall below
    the lower edge.

    Sources: Bai, Silverstein and Yin, J. Multivariate Anal. 26 (1988) 166 (tails); Landa and
    Kluger, Information and Inference (2025), arXiv 2306.11263 (unequal variances); Staats,
    Thamm and Rosenow, arXiv 2410.17770 (small values).
    """

    answers: ClassVar[tuple[str, ...]] = ("right", "false", "refuses")

    case: str = knob("dead", among=("tails", "dead", "below"))
    nu: float = knob(3.0, low=2.2, high=12.0)
    share: float = knob(0.0, low=0.0, high=0.9)
    count: int = knob(10, low=0, high=30)
    seed: int = knob(1, low=1, high=9999)

    def answer(self, material: Any = None) -> str:
        return "false"

    def numbers(self, material: Any = None) -> Mapping[str, float]:
        much = getattr(self, self.shown()[1])
        found = [measured(self.case, much, seed) for seed in range(DRAWS)]
        asked = [measured("dead", 0.5, seed)[0] for seed in range(DRAWS)]
        return {
            "p": SHAPE[0],
            "n": SHAPE[1],
            "draws": DRAWS,
            "spikes": float(np.mean([spikes for spikes, _ in found])),
            "below": float(np.mean([below for _, below in found])),
            "asked": float(np.mean(asked)),
            "lower": MarchenkoPastur(SHAPE[0] / SHAPE[1]).singular(SHAPE[1]).support[0],
        }

    def picture(self, material: Any = None) -> Mapping[str, Any]:
        method = BEMA()
        values = np.sqrt(SHAPE[1] * _quantiles()[::-1])
        variance, cut = method.estimate(Spectrum(values, SHAPE))
        return {
            "quantiles": _quantiles().round(5).tolist(),
            "reach": cut / variance,
            "alpha": method.alpha,
            "quiet": QUIET,
        }

    def shown(self) -> tuple[str, ...]:
        return ("case", {"tails": "nu", "dead": "share", "below": "count"}[self.case], "seed")


def drawn(case: str, much: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a matrix of a case; `much` is ν, the share of dead columns, or the weak directions."""
    if case == "tails":
        scale = float(np.sqrt((much - 2) / much))
        return np.asarray(scale * rng.standard_t(much, SHAPE), dtype=np.float64)
    matrix = rng.standard_normal(SHAPE)
    if case == "dead":
        matrix[:, : round(much * SHAPE[1])] *= QUIET
    else:
        matrix[: round(much)] *= QUIET
    return matrix


@functools.lru_cache(maxsize=2048)
def measured(case: str, much: float, seed: int) -> tuple[int, int]:
    """Return how many values BEMA puts above its cut, and how many lie below its lower edge."""
    spectrum = Spectrum.of(drawn(case, much, np.random.default_rng(seed)))
    variance, cut = BEMA().estimate(spectrum)
    low = MarchenkoPastur(spectrum.ratio, variance).support[0]
    values = spectrum.eigenvalues
    return int((values > cut).sum()), int((values < low).sum())


def _quantiles() -> NDArray[np.float64]:
    return midpoint_quantiles(SHAPE[0], SHAPE[0] / SHAPE[1])
