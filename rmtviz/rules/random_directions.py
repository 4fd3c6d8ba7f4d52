"""Random directions: a control, to see what choosing them is worth."""

import zlib
from dataclasses import dataclass

import numpy as np

from rmtviz.analysis import LayerAnalysis
from rmtviz.knobs import knob
from rmtviz.rules.base import Keep, Rule


@dataclass(frozen=True, slots=True)
class RandomDirections(Rule):
    """Keep this many singular values in every layer, drawn at random, or all of fewer."""

    rank: int = knob(32, low=1, high=65536)
    seed: int = knob(0, low=0, high=2**32 - 1)

    def __call__(self, layer: LayerAnalysis) -> Keep:
        p = layer.spectrum.p
        if self.rank >= p:
            return Keep(p, "random")
        rng = np.random.default_rng((self.seed, zlib.crc32(layer.name.encode())))
        kept = np.sort(rng.choice(p, self.rank, replace=False))
        return Keep(self.rank, "random", kept=tuple(map(int, kept)))
