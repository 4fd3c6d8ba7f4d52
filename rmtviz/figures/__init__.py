"""Pictures: each function maps a value to a plotly Figure."""

from rmtviz.figures.base import CONFIG
from rmtviz.figures.spectrum import SCALES, spectrum

__all__ = ["CONFIG", "SCALES", "spectrum"]
