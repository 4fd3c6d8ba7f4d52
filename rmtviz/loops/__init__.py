"""Cuts in other people's training loops: any nn.Module's linear layers, with its optimiser."""

from rmtviz.loops.pruner import Factored, RMTPruner, shape_like

__all__ = ["Factored", "RMTPruner", "shape_like"]
