"""Small transformers that read text character by character, from the layout of our own demo.

The layout, for width d, V characters, C places of context and H heads (d = H · e):

    token_embedding.weight                  V × d: what stands for each character
    blocks.B.attention_norm.weight, .bias   d
    blocks.B.query.weight, key, value       d × d: head h has the rows h e … (h + 1) e
    blocks.B.distance_embedding.weight      H × C: added to the scores, by head and distance
    blocks.B.output.weight                  d × d
    blocks.B.mlp_norm.weight, .bias         d
    blocks.B.up.weight, .bias               m × d, then GELU
    blocks.B.down.weight, .bias             d × m
    norm.weight, .bias                      d
    head.weight                             V × d: the logits of the next character

Each of attention and MLP is added to what it was given, normed before (Xiong et al., ICML 2020);
the term by distance in place of positions is T5's (Raffel et al., JMLR 21(140), 2020) with a
number for each distance. Shapes say all: C and H are the sides of a distance embedding.
"""

import itertools
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from rmtviz import layers
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import Dataset
from rmtviz.errors import CannotRun
from rmtviz.layers import Layer
from rmtviz.networks._weights import all_used, linear, parameter
from rmtviz.networks.base import TOKENS, Choice, fits, one_thread, same

BATCH = 64
"""Windows of text that go through a network at once."""

LINEAR = ("query", "key", "value", "output", "up", "down")
NORMS = ("attention_norm", "mlp_norm")
"""The linear layers of a block, and its norms."""

_TOKENS, _DISTANCES = "token_embedding.weight", "distance_embedding.weight"


class Block(nn.Module):
    """One block: attention, then an MLP, each added to what it was given."""

    attention_norm: nn.Module
    query: nn.Module
    key: nn.Module
    value: nn.Module
    distance_embedding: nn.Embedding
    output: nn.Module
    mlp_norm: nn.Module
    up: nn.Module
    down: nn.Module

    def __init__(self, parts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's outputs (windows, places, d) for inputs of the same form."""
        h = self.attention_norm(x)
        bias = self._bias(x.shape[1])
        q, k, v = (
            part(h).unflatten(-1, (len(bias), -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        mixed = scaled_dot_product_attention(q, k, v, attn_mask=bias)
        x = x + self.output(mixed.transpose(1, 2).flatten(2))
        out: torch.Tensor = x + self.down(gelu(self.up(self.mlp_norm(x))))
        return out

    def _bias(self, count: int) -> torch.Tensor:
        """Return what is added to the scores (heads, count, count): −∞ for what comes later."""
        places = torch.arange(count)
        distance = places[:, None] - places
        added = self.distance_embedding.weight[:, distance.clamp(min=0)]
        return added.masked_fill(distance < 0, float("-inf"))


class Decoder(nn.Module):
    """The whole network as a module: its parameters have the names of the layout."""

    def __init__(
        self, token_embedding: nn.Module, blocks: list[Block], norm: nn.Module, head: nn.Module
    ) -> None:
        super().__init__()
        self.token_embedding, self.blocks = token_embedding, nn.Sequential(*blocks)
        self.norm, self.head = norm, head

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the logits (windows, places, V) of each next token, for tokens."""
        logits: torch.Tensor = self.head(self.norm(self.blocks(self.token_embedding(tokens))))
        return logits


@dataclass(frozen=True, slots=True, eq=False)
class TextNetwork:
    """A small transformer in float32: a `Runner` whose samples are windows of tokens.

    Where heads are looked at alone, each is one of its `layers`.
    """

    layers: tuple[Layer, ...]
    width: int
    outputs: int
    origin: tuple[Checkpoint, Choice]
    module: Decoder = field(repr=False)

    @property
    def activation(self) -> str:
        """What runs inside of each MLP."""
        return "gelu"

    @property
    def inputs(self) -> str:
        """The word that says that tokens are looked up."""
        return TOKENS

    @property
    def places(self) -> Mapping[str, int]:
        """For each character every layer is applied once."""
        return {}

    def check(self, dataset: Dataset) -> None:
        """Refuse a dataset that is no text, or of other windows or characters.

        Raises:
            DataRefused: says what differs.
        """
        fits(self, dataset)

    def logits(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Return the logits (N · places, V) of each next token for windows of tokens (N, places).

        Raises:
            DataRefused: the windows have another length.
        """
        same("data_pixels", "text", images.shape[1], self.width)
        parts = []
        with one_thread(), torch.inference_mode():
            for start in range(0, max(1, len(images)), BATCH):
                tokens = torch.tensor(images[start : start + BATCH].astype(np.int64))
                parts.append(self.module(tokens).flatten(0, 1).numpy())
        return np.concatenate(parts)

    def given(self, images: NDArray[Any], index: int) -> Iterator[NDArray[np.float32]]:
        """Yield what layer number `index` is given (N · places, columns), in batches."""
        layer = self.layers[index]
        columns = layer.place[1]  # a head's projection is given what that head made
        module = deepcopy(self.module)  # two that ask at once must not hear each other
        heard: list[torch.Tensor] = []
        part = module.get_submodule(layer.stem)
        part.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
        for start in range(0, len(images), BATCH):
            tokens = torch.tensor(images[start : start + BATCH].astype(np.int64))
            with one_thread(), torch.inference_mode():
                module(tokens)
            yield heard.pop().flatten(0, 1).numpy()[:, columns]


@dataclass(frozen=True, slots=True)
class Transformer:
    """A small transformer whose tensors have the names and shapes of the layout; layers may be cut.

    There is nothing to choose: the layout says all.
    """

    @property
    def activation(self) -> str:
        """What runs inside of each MLP."""
        return "gelu"

    @property
    def inputs(self) -> str:
        """The word that says that tokens are looked up."""
        return TOKENS

    def record(self) -> dict[str, Any]:
        """Return what a checkpoint's record says under "network": how it runs."""
        return {"name": "transformer"}

    def __call__(self, checkpoint: Checkpoint) -> TextNetwork:
        """Return the network of these weights.

        Raises:
            CannotRun: a tensor is missing, left over, not finite, or does not fit.
        """
        found: dict[str, list[Layer]] = {}
        for each in layers.find(checkpoint)[0]:
            found.setdefault(each.stem, []).append(each)
        used: list[str] = []
        applied: list[Layer] = []

        def tensor(name: str) -> nn.Parameter:
            if name not in checkpoint:
                raise CannotRun("transformer_layout", name=name)
            used.append(name)
            return parameter(name, checkpoint[name])

        def matrix(name: str) -> nn.Module:
            if name not in found:
                raise CannotRun("transformer_layout", name=f"{name}.weight")
            applied.extend(found[name])
            return linear(checkpoint, found[name][0].whole(checkpoint))

        def norm(name: str) -> nn.Module:
            scale, shift = tensor(f"{name}.weight"), tensor(f"{name}.bias")
            made = nn.LayerNorm(scale.numel(), device="meta")
            made.weight, made.bias = scale, shift
            return made

        tokens = _table(tensor(_TOKENS))
        blocks, contexts = [], []
        for number in range(_blocks(checkpoint)):
            stem = f"blocks.{number}"
            parts = {name: matrix(f"{stem}.{name}") for name in LINEAR}
            parts |= {name: norm(f"{stem}.{name}") for name in NORMS}
            distances = _table(tensor(f"{stem}.{_DISTANCES}"))
            contexts.append(distances.embedding_dim)
            blocks.append(Block({**parts, "distance_embedding": distances}))
        module = Decoder(tokens, blocks, norm("norm"), matrix("head"))
        all_used(checkpoint, [each.whole(checkpoint) for each in applied], used)
        context = min(contexts)
        network = TextNetwork(
            tuple(applied),
            context,
            applied[-1].shape[0],
            (checkpoint, self),
            module.requires_grad_(False).eval(),
        )
        try:
            network.logits(np.full((1, context), network.outputs - 1))
        except (RuntimeError, IndexError):
            raise CannotRun("transformer_shapes") from None
        return network


def has_layout(checkpoint: Checkpoint) -> bool:
    """Return whether a checkpoint's names are those of the layout, its blocks whole or not."""
    return _TOKENS in checkpoint and f"blocks.0.{_DISTANCES}" in checkpoint


def _blocks(checkpoint: Checkpoint) -> int:
    """Return the number of blocks: those whose distance embedding is there, and one at least."""
    return next(n for n in itertools.count(1) if f"blocks.{n}.{_DISTANCES}" not in checkpoint)


def _table(weight: nn.Parameter) -> nn.Embedding:
    """Return a table of rows as a module.

    Raises:
        CannotRun: it is no table.
    """
    if weight.ndim != 2:
        raise CannotRun("transformer_shapes")
    return nn.Embedding(weight.shape[0], weight.shape[1], _weight=weight)
