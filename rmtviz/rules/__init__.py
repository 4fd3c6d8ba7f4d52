"""Which singular values stay: each rule is a frozen value that maps a LayerAnalysis to a rank."""

from collections.abc import Mapping

from rmtviz.rules.base import Keep, Rule
from rmtviz.rules.energy import EnergyShare
from rmtviz.rules.fixed_rank import FixedRank
from rmtviz.rules.noise_edge import NoiseEdge
from rmtviz.rules.off import Off

RULES: Mapping[str, type[Rule]] = {
    "noise-edge": NoiseEdge,
    "energy": EnergyShare,
    "rank": FixedRank,
    "off": Off,
}

__all__ = ["RULES", "EnergyShare", "FixedRank", "Keep", "NoiseEdge", "Off", "Rule"]
