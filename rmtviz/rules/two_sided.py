"""Two-sided: remove only what lies between the law's edges."""

from dataclasses import dataclass

from rmtviz.analysis import LayerAnalysis
from rmtviz.rules.base import Keep, Rule, at_least_one


@dataclass(frozen=True, slots=True)
class TwoSided(Rule):
    """Keep the values above the noise edge, and those below the law's lower edge too.

    Removed is what lies inside [λ₋, λ₊], each edge widened by its Tracy–Widom margin. Where
    rows and columns are equally many there is nothing below λ₋ = 0, and the rule is that of
    the noise edge. At least one value is kept on top; a layer without a fitted bulk is left
    whole, and so is one where only the equalised matrix has edges.

    Values below the bulk carry information in trained transformers: without the smallest
    tenth of the values in its down projections, a model of 8 billion parameters fell from
    43 % to 2 % of solved problems. Source: Staats, Thamm and Rosenow, arXiv 2410.17770.
    """

    def __call__(self, layer: LayerAnalysis) -> Keep:
        p = layer.spectrum.p
        if layer.spikes is None or layer.below is None:
            return Keep(p, str(layer.status))
        if layer.fit.equalised is not None:
            return Keep(p, "equalised")
        top = max(layer.spikes, 1)
        if not layer.below:
            return at_least_one(layer.spikes, "two_sided")
        kept = (*range(top), *range(max(top, p - layer.below), p))
        return Keep(len(kept), "two_sided", kept=kept)
