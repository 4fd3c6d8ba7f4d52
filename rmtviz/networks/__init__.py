"""How a checkpoint becomes something that runs, by name: a choice, called with the checkpoint.

To add one: a file beside this one with a frozen choice whose call returns a `Network`, and
a line in the table. This package imports torch.
"""

from collections.abc import Mapping

from rmtviz.networks.base import ACTIVATIONS, INPUTS, Network, one_thread
from rmtviz.networks.mlp import MLP, detect

NETWORKS: Mapping[str, type[MLP]] = {"mlp": MLP}
"""The kinds of network, by name."""

__all__ = ["ACTIVATIONS", "INPUTS", "MLP", "NETWORKS", "Network", "detect", "one_thread"]
