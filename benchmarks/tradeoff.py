"""Claim: cut by data, a network of a tenth of the parameters loses less than half a point.

Three networks: the clean demo, the noisy-label demo, and a small CNN trained here. On each: all
rules at their settings, with channel pruning by Torch-Pruning beside them; the budget search;
fine-tuning after the cut; latency. All that is chosen is chosen on selection images (5,000, for
the CNN 2,000), whose labels are as noisy as the training labels; the 10,000 test images are read
to report. The CNN was trained on 30,000 images, and is tuned on 10,000. With
--write the tables go to docs/tradeoff.md.
"""

import platform
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import torch_pruning
from torch import nn
from torch.nn.functional import cross_entropy

from rmtviz import budget, evaluation, finetuning, formats, frontier, networks, ranking
from rmtviz.budget import Budget
from rmtviz.checkpoint import Checkpoint
from rmtviz.costs import Size
from rmtviz.datasets import MNIST, Dataset, Samples
from rmtviz.evaluation import Paired
from rmtviz.finetuning import Tuning
from rmtviz.networks import CNN, Choice
from rmtviz.site import home
from rmtviz.tradeoff import Curve
from rmtviz.workpiece import Outcome, Workpiece

PAGE = Path(__file__).parents[1] / "docs" / "tradeoff.md"

LOSE = 0.005
RATIOS = (0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9)
"""The shares of channels that Torch-Pruning takes out: as many tries as every family has."""

LADDER = (0.01, 0.015, 0.02, 0.03)
"""What the cut may lose before fine-tuning makes up for it."""

TUNING = Tuning(epochs=5, patience=3)
LAYOUT = "same+max,same+max/flatten"


@dataclass(frozen=True)
class Try:
    """One setting of one family: what it costs, and what it reads right of the selection set."""

    family: str
    setting: str
    size: Size
    accuracy: float
    paired: Paired
    network: Checkpoint


@dataclass(frozen=True)
class Case:
    """A network, the images that it was trained on, and what it is judged by."""

    title: str
    piece: Workpiece
    training: Samples
    test: Samples


def main() -> None:
    """Print the tables, network by network; with --write also into the page."""
    tools = {name: version(name) for name in ("numpy", "torch", "torch-pruning")}
    lines = [HEAD.format(tools=", ".join(f"{name} {number}" for name, number in tools.items()))]
    print(lines[0])
    for each in cases():
        for part in report(each):
            print(part, flush=True)
            lines.append(part)
        if "--write" in sys.argv:
            PAGE.write_text("\n".join(lines) + "\n", "utf-8")


def cases() -> Iterator[Case]:
    """Yield the three networks."""
    for name, title in (("clean", "Clean demo"), ("noisy", "Noisy-label demo")):
        checkpoint = formats.read(home() / "assets" / "models" / f"{name}.safetensors")
        choice, data, _ = networks.match(checkpoint)
        count = checkpoint.about["trained"]["train_samples"]
        yield case(f"{title}: 784-512-256-10", checkpoint, choice, data, count)
    data = MNIST()()
    title = "Small CNN: 16 and 32 channels of 5 × 5, then 1568-128-10"
    small = case(title, cnn(data.split("train").first(30_000)), CNN(LAYOUT), data, 30_000)
    piece = replace(small.piece, selection=small.piece.selection.first(2_000))
    yield replace(small, piece=piece, training=small.training.first(10_000))


def case(title: str, checkpoint: Checkpoint, choice: Choice, data: Dataset, count: int) -> Case:
    """Return a case: directions are found on images that it was trained on."""
    training = data.split("train").first(count)
    piece = Workpiece.of(checkpoint, choice, data)
    piece = replace(piece, calibration=training.first(len(piece.calibration)))
    return Case(title, piece, training, data.split("test"))


def cnn(samples: Samples) -> Checkpoint:
    """Return a small CNN after three epochs of Adam, seed 0."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 49, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip
    images = torch.tensor(samples.images).float().div(255).view(-1, 1, 28, 28)
    labels = torch.tensor(samples.labels)
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    with networks.one_thread():
        for _ in range(3):
            for batch in torch.randperm(len(images)).split(128):
                optimiser.zero_grad()
                torch.autograd.backward(cross_entropy(net(images[batch]), labels[batch]))
                optimiser.step()
    return Checkpoint.of(net.state_dict())


def report(case: Case) -> Iterator[str]:
    """Yield the tables of one network, as Markdown."""
    piece = case.piece
    whole = piece.whole
    test = evaluation.evaluate(piece.network, case.test).accuracy
    size = whole.size
    yield (
        f"\n## {case.title}\n\n{size.parameters:,} parameters, {size.bytes:,} bytes, {size.macs:,} "
        f"multiply–accumulates; {whole.accuracy:.2%} of {whole.samples:,} selection images and "
        f"{test:.2%} of {len(case.test):,} test images read right."
    )
    begin = time.process_time()
    tried = [made(piece, one) for one in frontier.outcomes(piece)] + list(channels(piece))
    yield rules(case, tried, time.process_time() - begin)
    begin = time.process_time()
    curves = {curve.layer: curve for curve in budget.curves(piece)}
    found: dict[str, Outcome] = {}
    for name, wanted in budgets(whole).items():
        outcomes = [whole, *budget.search(piece, wanted, list(curves.values()))]
        found[name] = wanted.chosen(outcomes, whole)
        tried += [made(piece, one) for one in outcomes[1:]]
    yield searches(case, found, time.process_time() - begin)
    yield best(tried, whole)
    yield tuned(case, list(curves.values()))
    yield speed(case, found)
    yield guesses(case, list(curves.values()))


def budgets(whole: Outcome) -> Mapping[str, Budget]:
    """Return what is searched for, in words."""
    return {
        "loses at most 0.5 points": Budget(lose=LOSE),
        "10 % of the bytes": Budget("bytes", most=0.1 * whole.size.bytes),
        "half the multiply–accumulates": Budget("macs", most=0.5 * whole.size.macs),
        "most accurate": Budget(),
    }


def made(piece: Workpiece, one: Outcome) -> Try:
    """Return an outcome with the network that it is of."""
    return Try(one.family, one.plan.rule, one.size, one.accuracy, one.paired, piece.cut(one.plan))


def channels(piece: Workpiece) -> Iterator[Try]:
    """Yield channel pruning by Torch-Pruning: the channels of least norm in each layer."""
    whole = evaluation.evaluate(piece.network, piece.selection)
    for ratio in RATIOS:
        stages = modules(piece)
        shape = (1, 784) if isinstance(stages[0], nn.Linear) else (1, 1, 28, 28)
        pruner = torch_pruning.pruner.MagnitudePruner(
            stages,
            torch.zeros(shape),
            importance=torch_pruning.importance.MagnitudeImportance(p=2),
            pruning_ratio=ratio,
            ignored_layers=[stages[-1]],
        )
        pruner.step()
        smaller = Checkpoint.of(stages.state_dict(), metadata=piece.checkpoint.metadata)
        network = piece.choice(smaller)
        found = evaluation.evaluate(network, piece.selection)
        paired = evaluation.compare(whole, found, piece.selection.labels)
        size = Size.of(smaller, network.places)
        yield Try("channels", f"Torch-Pruning {ratio}", size, found.accuracy, paired, smaller)


def modules(piece: Workpiece) -> nn.Sequential:
    """Return the network as a module whose tensors have the checkpoint's names."""
    held = piece.checkpoint
    stages: list[nn.Module] = []
    for name in (name for name in held if name.endswith("weight")):
        shape = held[name].shape
        if len(shape) == 2:
            stages += [nn.Flatten()] if stages and isinstance(stages[-1], nn.MaxPool2d) else []
            stages += [nn.Linear(shape[1], shape[0]), nn.ReLU()]
        else:
            stages += [
                nn.Conv2d(shape[1], shape[0], shape[2:], padding=2),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
    net = nn.Sequential(*stages[:-1])
    net.load_state_dict({name: torch.tensor(np.array(held[name])) for name in held})
    return net


def rules(case: Case, tried: list[Try], seconds: float) -> str:
    """Return the table of families, each tuned on the selection set."""
    whole = case.piece.whole
    lines = [
        "\n### Rules side by side\n\nEvery family tuned on the selection set, "
        f"{frontier.TRIES} tries where it has a setting; {len(tried)} networks in {seconds:.0f} s "
        "of CPU. Left: the smallest that loses at most 0.5 points there. Right: the most accurate "
        "there of at most 10 % of the parameters.\n",
        "| rule | parameters | bytes | selection | test | 10 %: parameters | selection | test |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for family in dict.fromkeys(one.family for one in tried):
        own = [one for one in tried if one.family == family]
        near = [one for one in own if one.accuracy >= whole.accuracy - LOSE]
        small = [one for one in own if one.size.parameters <= 0.1 * whole.size.parameters]
        left = min(near, key=lambda one: one.size.parameters) if near else None
        right = max(small, key=lambda one: one.accuracy) if small else None
        lines.append(f"| {family} | {cells(case, left, True)} | {cells(case, right, False)} |")
    return "\n".join(lines)


def cells(case: Case, one: Try | None, weight: bool) -> str:
    """Return what a network costs and reads, as cells of a table; dashes for none."""
    if one is None:
        return "– | – | – | –" if weight else "– | – | –"
    whole = case.piece.whole.size
    read = evaluation.evaluate(case.piece.choice(one.network), case.test).accuracy
    share = f"{one.size.parameters / whole.parameters:.1%}"
    cost = f"{share} | {one.size.bytes / whole.bytes:.1%}" if weight else share
    return f"{cost} | {one.accuracy:.2%} | {read:.2%}"


def searches(case: Case, found: Mapping[str, Outcome], seconds: float) -> str:
    """Return the table of what the search chose for each budget, and what test images say."""
    lines = [
        f"\n### The budget search\n\nCurves of all layers and {len(found)} searches in "
        f"{seconds:.0f} s of CPU. The change on test images with its 95 % interval, paired.\n",
        "| budget | chosen | parameters | bytes | multiply–accumulates | selection | test "
        "| change, points | to right | to wrong |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    whole = case.piece.whole.size
    for name, one in found.items():
        read = case.piece.report(one.plan, case.test)
        shares = " | ".join(
            f"{getattr(one.size, cost) / getattr(whole, cost):.1%}"
            for cost in ("parameters", "bytes", "macs")
        )
        lines.append(
            f"| {name} | {one.plan.rule} | {shares} | {one.accuracy:.2%} | "
            f"{read.after.accuracy:.2%} | {change(read.paired)} | "
            f"{read.paired.flipped_to_right} | {read.paired.flipped_to_wrong} |"
        )
    return "\n".join(lines)


def change(paired: Paired) -> str:
    """Return a paired difference in points, with its interval."""
    return f"{100 * paired.difference:+.2f} ({100 * paired.low:+.2f} to {100 * paired.high:+.2f})"


def best(tried: list[Try], whole: Outcome) -> str:
    """Return the frontier of all that was tried, within five points of the best."""
    top = max(one.accuracy for one in tried)
    kept: list[Try] = []
    for one in sorted(tried, key=lambda one: (one.size.parameters, -one.accuracy)):
        if one.accuracy > max((x.accuracy for x in kept), default=top - 0.05):
            kept.append(one)
    lines = [
        f"\n### The frontier\n\nOf {len(tried)} networks those that no other beats in parameters "
        "and selection accuracy, down to 5 points below the best.\n",
        "| rule | parameters | bytes | selection |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {one.setting} | {one.size.parameters / whole.size.parameters:.1%} | "
        f"{one.size.bytes / whole.size.bytes:.1%} | {one.accuracy:.2%} |"
        for one in kept
    ]
    return "\n".join(lines)


def tuned(case: Case, curves: list[Curve]) -> str:
    """Return what fine-tuning gives back: cuts that lose more and more, each tuned.

    Chosen: the smallest whose tuned network loses at most 0.5 points by the paired interval on
    the selection set.
    """
    piece = case.piece
    whole = evaluation.evaluate(piece.network, piece.selection)
    lines = [
        f"\n### Fine-tuning after the cut\n\nUp to {TUNING.epochs} epochs of Adam on the training "
        f"images towards the answers of the whole network, stopped after {TUNING.patience} without "
        "a gain. In bold the choice: the smallest whose paired interval on the selection set lies "
        "above −0.5 points.\n",
        "| the cut may lose | ranks | parameters | selection: before, cut, tuned | epochs | test: "
        "before, cut, tuned | change, points |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = []
    for lose in LADDER:
        wanted = Budget(lose=lose)
        one = wanted.chosen([piece.whole, *budget.search(piece, wanted, curves)], piece.whole)
        cut = piece.cut(one.plan)
        records = list(
            finetuning.tune(
                TUNING, cut, piece.choice, case.training, piece.selection, piece.network
            )
        )
        last = finetuning.chosen(records)
        after = evaluation.evaluate(piece.choice(last.checkpoint), piece.selection)
        paired = evaluation.compare(whole, after, piece.selection.labels)
        rows.append((lose, one, last, cut, paired.low >= -LOSE))
    able = [row for row in rows if row[4]]
    chosen = min(able, key=lambda row: row[1].size.parameters) if able else None
    before = evaluation.evaluate(piece.network, case.test)
    for row in rows:
        lose, one, last, cut, _ = row
        reads = [
            evaluation.evaluate(piece.choice(each), case.test) for each in (cut, last.checkpoint)
        ]
        paired = evaluation.compare(before, reads[1], case.test.labels)
        mark = "**" if row is chosen else ""
        lines.append(
            f"| {100 * lose:.1f} points | {mark}{one.plan.rule}{mark} | "
            f"{one.size.parameters / piece.whole.size.parameters:.1%} | {whole.accuracy:.2%}, "
            f"{one.accuracy:.2%}, {last.accuracy:.2%} | {last.epoch} | {before.accuracy:.2%}, "
            f"{reads[0].accuracy:.2%}, {reads[1].accuracy:.2%} | {change(paired)} |"
        )
    return "\n".join(lines)


def speed(case: Case, found: Mapping[str, Outcome]) -> str:
    """Return the latencies, side by side in one run."""
    piece = case.piece
    runners = {"as it is": piece.network} | {
        name: piece.choice(piece.cut(one.plan)) for name, one in found.items()
    }
    lines = [
        "\n### Latency\n\nMicroseconds for a batch on one thread, warm, in turns: median (10th to "
        "90th percentile, wide where other work shared the machine).\n",
        "| network | 1 image | 256 images |",
        "|---|---|---|",
    ]
    times = {batch: evaluation.latencies(runners, case.test.images, batch) for batch in (1, 256)}
    for name in runners:
        one, many = (times[batch][name] for batch in (1, 256))
        lines.append(f"| {name} | {micro(one)} | {micro(many)} |")
    return "\n".join(lines)


def guesses(case: Case, curves: list[Curve]) -> str:
    """Return how far guesses from the weights alone order cuts as the curves do."""
    lines = [
        "\n### Guesses without data\n\nSpearman's correlation with the accuracy lost at the "
        "measured ranks of all layers, and how many pairs of layers, cut to the same share of "
        "their directions, are in the right order.\n",
        "| guess | cuts | correlation | pairs | in order |",
        "|---|---|---|---|---|",
    ]
    for name in ranking.GUESSES:
        found = ranking.agreement(name, case.piece.analysis, curves)
        lines.append(
            f"| {name} | {found.points} | {found.correlation:.2f} | {found.pairs} | "
            f"{found.ordered:.0%} |"
        )
    return "\n".join(lines)


def micro(found: evaluation.Latency) -> str:
    """Return a latency in microseconds."""
    return f"{1e6 * found.median:,.0f} ({1e6 * found.low:,.0f} to {1e6 * found.high:,.0f})"


HEAD = f"""\
# Accuracy against size, on three networks

<!-- Made by benchmarks/tradeoff.py --write; do not edit by hand. -->

{{tools}}, Python {platform.python_version()}. What is
chosen is chosen on selection images, whose labels are as noisy as the training labels; test
images are read to report. Sizes are shares of the whole network's; those of networks with dropped
entries count the entries that are left, their bytes with the places of these."""


if __name__ == "__main__":
    main()
