"""A small transformer that learns to write Python's own help, character by character.

The text comes with Python (`pydoc_data.topics`). Cut are the layers of the feed-forward part,
while it trains; query, key and value stand side by side in one tensor and are left alone.
"""

import argparse
import math
from pydoc_data.topics import topics

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from rmtviz.loops import RMTPruner
from rmtviz.schedules import Every


class Writer(nn.Module):
    """Characters to the logits of the next ones."""

    def __init__(self, signs: int, width: int, depth: int, length: int) -> None:
        super().__init__()
        self.signs, self.places = nn.Embedding(signs, width), nn.Embedding(length, width)
        block = nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.0, batch_first=True)
        self.blocks = nn.TransformerEncoder(block, depth, enable_nested_tensor=False)
        self.out = nn.Linear(width, signs)

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        length = text.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        inner = self.signs(text) + self.places(torch.arange(length))
        return self.out(self.blocks(inner, mask=mask, is_causal=True))


def main(
    epochs: int = 10, width: int = 64, depth: int = 2, length: int = 64, steps: int = 100
) -> tuple[float, float]:
    """Train, print a line an epoch; return the loss in bits and the share of parameters left."""
    torch.manual_seed(0)
    text = "\n".join(topics[name] for name in sorted(topics))[:200_000]
    signs = sorted(set(text))
    coded = torch.tensor([signs.index(sign) for sign in text])
    known, unseen = coded[:180_000], coded[180_000:]
    model = Writer(len(signs), width, depth, length)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    pruner = RMTPruner(
        model,
        optimiser,
        Every(first=max(1, epochs // 2), every=max(1, epochs // 2), gate="none"),
        epochs=epochs,
        wanted=lambda name: "linear" in name,
    )
    full = sum(each.numel() for each in model.parameters())
    for epoch in range(1, epochs + 1):
        model.train()
        for _ in range(steps):
            optimiser.zero_grad()
            _loss(model, known, length).backward()
            optimiser.step()
        pruner.step()
        model.eval()
        with torch.inference_mode():
            bits = _loss(model, unseen, length, 64).item() / math.log(2)
        stored = sum(each.numel() for each in model.parameters())
        print(f"epoch {epoch}: {bits:.2f} bits a character, {stored:,} parameters")
    return bits, stored / full


def _loss(model: nn.Module, text: torch.Tensor, length: int, count: int = 32) -> torch.Tensor:
    """Return the cross-entropy of the next characters in pieces of the text drawn at random."""
    starts = torch.randint(len(text) - length, (count,))
    pieces = torch.stack([text[start : start + length + 1] for start in starts])
    return cross_entropy(model(pieces[:, :-1]).flatten(0, 1), pieces[:, 1:].flatten())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=10)
    main(parser.parse_args().epochs)
