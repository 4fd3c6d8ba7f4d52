"""The reader's own network: the whole way once more, on a layer of theirs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rmtviz.analysis import LayerAnalysis
from rmtviz.lessons.base import Lesson


@dataclass(frozen=True, slots=True)
class Own(Lesson):
    """A layer of the current model; the material is its analysis.

    Source: the method is that of Shmalo, Jenkins and Krupchytskyi, arXiv 2303.08986.
    """

    answers: ClassVar[tuple[str, ...]] = ("half", "most", "nearly")
    needs: ClassVar[str] = "layer"

    def answer(self, material: Any = None) -> str:
        share = material.bulk_directions or 0.0
        return "half" if share < 0.5 else "most" if share < 0.9 else "nearly"

    def numbers(self, material: Any = None) -> Mapping[str, Any]:
        layer: LayerAnalysis = material
        found: dict[str, Any] = {"p": layer.shown.p, "n": layer.shown.n, "bulk": None, "edge": None}
        if layer.spikes is not None and layer.edges:
            found |= {"bulk": layer.spectrum.p - layer.spikes, "edge": layer.edges[1]}
        return {
            **found,
            "sigma": layer.sigma,
            "cut": layer.cut,
            "spikes": layer.spikes,
            "share": layer.bulk_directions,
        }

    def picture(self, material: Any = None) -> Mapping[str, Any]:
        """Return the values, and the shape (p − k) × (n − k) of the noise that the law is of."""
        layer: LayerAnalysis = material
        values = np.sort(layer.shown.values)
        found = {name: getattr(layer, name) for name in ("sigma", "cut", "spikes")}
        return {
            "values": [float(f"{value:.5g}") for value in values],
            "p": layer.shown.p - layer.beside,
            "n": layer.shown.n - layer.beside,
            **found,
        }
