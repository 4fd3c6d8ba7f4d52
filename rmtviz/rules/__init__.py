"""What of a layer stays: each rule is a frozen value that maps a LayerAnalysis to a Keep."""

from collections.abc import Mapping

from rmtviz.rules.base import Keep, Rule
from rmtviz.rules.bulk_share import BulkShare
from rmtviz.rules.energy import EnergyShare
from rmtviz.rules.fixed_rank import FixedRank
from rmtviz.rules.noise_edge import NoiseEdge
from rmtviz.rules.off import Off
from rmtviz.rules.optimal_threshold import OptimalThreshold
from rmtviz.rules.random_directions import RandomDirections
from rmtviz.rules.screenot import ScreeNOT
from rmtviz.rules.shrinkage import Shrinkage
from rmtviz.rules.two_sided import TwoSided

RULES: Mapping[str, type[Rule]] = {
    "noise-edge": NoiseEdge,
    "optimal-threshold": OptimalThreshold,
    "shrinkage": Shrinkage,
    "screenot": ScreeNOT,
    "two-sided": TwoSided,
    "bulk-share": BulkShare,
    "energy": EnergyShare,
    "rank": FixedRank,
    "off": Off,
}

CONTROLS: Mapping[str, type[Rule]] = {"random": RandomDirections}
"""Rules that nobody should use: what the others are compared with."""

__all__ = [
    "CONTROLS",
    "RULES",
    "BulkShare",
    "EnergyShare",
    "FixedRank",
    "Keep",
    "NoiseEdge",
    "Off",
    "OptimalThreshold",
    "RandomDirections",
    "Rule",
    "ScreeNOT",
    "Shrinkage",
    "TwoSided",
]
