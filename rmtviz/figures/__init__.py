"""Pictures: each function maps a value to a plotly Figure."""

from rmtviz.figures.base import CONFIG
from rmtviz.figures.spectrum import SCALES, spectrum
from rmtviz.figures.tradeoff import removed, tradeoff

__all__ = ["CONFIG", "SCALES", "removed", "spectrum", "tradeoff"]
