"""A multilayer perceptron on the digits that come along, cut by the three lines marked below."""

import argparse

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from rmtviz.datasets import DATASETS
from rmtviz.loops import RMTPruner  # 1
from rmtviz.schedules import Once


def main(epochs: int = 30, width: int = 256, cut_after: int = 15) -> tuple[float, float]:
    """Train, print a line an epoch, and return accuracy and the share of the parameters left."""
    torch.manual_seed(0)
    data = DATASETS["digits"]()()
    train, unseen = data.split("train"), data.split("selection")
    x, y = torch.tensor(train.images) / data.top, torch.tensor(train.labels)
    model = nn.Sequential(
        nn.Linear(data.pixels, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, data.outputs),
    )
    optimiser = torch.optim.Adam(model.parameters())
    pruner = RMTPruner(model, optimiser, Once(epoch=cut_after, gate="none"))  # 2
    full = sum(each.numel() for each in model.parameters())
    for epoch in range(1, epochs + 1):
        for batch in torch.randperm(len(y)).split(64):
            optimiser.zero_grad()
            cross_entropy(model(x[batch]), y[batch]).backward()
            optimiser.step()
        plan = pruner.step()  # 3
        with torch.inference_mode():
            answers = model(torch.tensor(unseen.images) / data.top).argmax(1)
        accuracy = (answers == torch.tensor(unseen.labels)).float().mean().item()
        stored = sum(each.numel() for each in model.parameters())
        print(f"epoch {epoch}: {accuracy:.1%} of {len(unseen)}, {stored:,} parameters")
        if plan:
            print(plan)
    return accuracy, stored / full


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    main(parser.parse_args().epochs)
