"""Pictures: each function maps a value to a plotly Figure."""

from plotly.graph_objects import Figure

from rmtviz.figures.base import CONFIG, table
from rmtviz.figures.confusion import CLASSES, confusion
from rmtviz.figures.spectrum import SCALES, bins, reach, spectrum
from rmtviz.figures.tradeoff import removed, tradeoff

__all__ = [
    "CLASSES",
    "CONFIG",
    "SCALES",
    "Figure",
    "bins",
    "confusion",
    "reach",
    "removed",
    "spectrum",
    "table",
    "tradeoff",
]
