"""A small convolutional network on the digits: the linear layers behind it are cut."""

import argparse

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from rmtviz.datasets import DATASETS
from rmtviz.loops import RMTPruner
from rmtviz.rules import BulkShare
from rmtviz.schedules import Every


def main(epochs: int = 20, channels: int = 16, width: int = 128) -> tuple[float, float]:
    """Train, print a line an epoch, and return accuracy and the share of the parameters left."""
    torch.manual_seed(0)
    data = DATASETS["digits"]()()
    train, unseen = data.split("train"), data.split("selection")
    side = data.image_shape[-1]
    x, y = _pictures(train.images, side, data.top), torch.tensor(train.labels)
    model = nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(channels, 2 * channels, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * channels * (side // 2) ** 2, width),
        nn.ReLU(),
        nn.Linear(width, data.outputs),
    )
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    schedule = Every(first=epochs // 2, every=2, most=2, gate="none")
    pruner = RMTPruner(model, optimiser, schedule, BulkShare(0.45), epochs=epochs)
    full = sum(each.numel() for each in model.parameters())
    for epoch in range(1, epochs + 1):
        for batch in torch.randperm(len(y)).split(64):
            optimiser.zero_grad()
            cross_entropy(model(x[batch]), y[batch]).backward()
            optimiser.step()
        pruner.step()
        with torch.inference_mode():
            answers = model(_pictures(unseen.images, side, data.top)).argmax(1)
        accuracy = (answers == torch.tensor(unseen.labels)).float().mean().item()
        stored = sum(each.numel() for each in model.parameters())
        print(f"epoch {epoch}: {accuracy:.1%} of {len(unseen)}, {stored:,} parameters")
    return accuracy, stored / full


def _pictures(images: object, side: int, top: float) -> torch.Tensor:
    return torch.tensor(images).float().reshape(-1, 1, side, side) / top


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    main(parser.parse_args().epochs)
