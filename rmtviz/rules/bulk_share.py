"""A share of the bulk: keep what can be told from random, and some of the rest."""

from dataclasses import dataclass

import numpy as np

from rmtviz.analysis import LayerAnalysis
from rmtviz.knobs import knob
from rmtviz.rules.base import Keep, Rule, at_least_one


@dataclass(frozen=True, slots=True)
class BulkShare(Rule):
    """Keep the values above the noise edge and, of those below, this share, the largest first.

    With k values above and d below it the rank is k + ⌊share · d⌋, at least 1; d counts the
    values that are stored, for a factored layer those that its inner side leaves. `times`
    moves the edge up: what is below 2 edges counts as below, where that is 2. A layer without
    a fitted bulk is left whole, and where only the equalised matrix has an edge, its values
    decide. Source: Shmalo, Jenkins and Krupchytskyi, arXiv 2303.08986, section 4.4, which
    keeps 45 % where the text says that 45 % are removed; `times` is not in the paper.
    """

    share: float = knob(0.0, low=0.0, high=1.0)
    times: float = knob(1.0, low=1.0, high=100.0)

    def __call__(self, layer: LayerAnalysis) -> Keep:
        if layer.cut is None:
            return Keep(layer.spectrum.p, str(layer.status))
        above = int(np.count_nonzero(layer.shown.values > self.times * layer.cut))
        below = max(layer.rank - above, 0)
        return at_least_one(above + int(self.share * below), "bulk_share")
