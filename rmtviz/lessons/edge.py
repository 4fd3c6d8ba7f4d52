"""Finding the edge: the slope of a quantile–quantile plot is the size of the noise."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from rmtviz.fits import BEMA
from rmtviz.knobs import knob
from rmtviz.lessons.base import Lesson
from rmtviz.marchenko_pastur import midpoint_quantiles
from rmtviz.spectrum import Spectrum


@dataclass(frozen=True, slots=True)
class Edge(Lesson):
    """A layer's sorted eigenvalues against the quantiles of the law; the slope is σ̂².

    The material is a spectrum for each of the networks.

    Source: Ke, Ma and Lin, JASA 118 (2023) 374, arXiv 2006.00436, Algorithm 1.
    """

    answers: ClassVar[tuple[str, ...]] = ("smaller", "equal", "larger")
    needs: ClassVar[str] = "spectra"

    network: str = knob("clean", among=("clean", "untrained"))
    alpha: float = knob(0.2, low=0.0, high=0.45)

    def answer(self, material: Any = None) -> str:
        found = self.numbers(material)
        return "larger" if found["raw"] > 1.02 * found["sigma"] else "equal"

    def numbers(self, material: Any = None) -> Mapping[str, float]:
        spectrum: Spectrum = material[self.network]
        method = BEMA(self.alpha)
        variance, cut = method.estimate(spectrum)
        p, n = spectrum.p, spectrum.n
        return {
            "p": p,
            "n": n,
            "alpha": self.alpha,
            "sigma": math.sqrt(variance),
            "variance": variance,
            "raw": math.sqrt(spectrum.energy / (p * n)),
            "cut": spectrum.singular(cut),
            "spikes": int((spectrum.eigenvalues > cut).sum()),
        }

    def picture(self, material: Any = None) -> Mapping[str, Any]:
        spectrum: Spectrum = material[self.network]
        variance, cut = BEMA(self.alpha).estimate(spectrum)
        return {
            "quantiles": midpoint_quantiles(spectrum.p, spectrum.ratio).round(5).tolist(),
            "eigenvalues": [float(f"{value:.5g}") for value in spectrum.eigenvalues[::-1]],
            "reach": cut / variance,
            "n": spectrum.n,
        }
