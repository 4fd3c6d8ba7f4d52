"""Claim: a cut at the noise edge gains size; accuracy it gains only where labels are wrong.

A grid over width, number of images and label noise: MNIST, two hidden layers, SGD (momentum 0.9,
rate 0.05, batch 64), 24 epochs, two seeds; the contenders of `rmtviz.lab` that cut, with early
stopping and a plain energy threshold beside them. All choices are made on 5,000 selection images
with labels as noisy, and 10,000 clean test images are read to report. With --write the results go
to benchmarks/study.json as they come, and docs/study.md is made from them.
"""

import json
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import torch

from rmtviz import lab
from rmtviz.training import Training
from rmtviz.version import __version__

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "study.json", ROOT / "docs" / "study.md"

NAMES = {
    "none": "no regularisation",
    "early-stopping": "early stopping",
    "energy": "energy share of 90 %",
    "rmt-during": "at the edge, while it trains",
    "rmt-afterwards": "at the edge, afterwards",
    "rmt-chosen": "far above the edge, as chosen",
}
"""The contenders, the first being what the others are held against, and how the page names them."""

CUTS = ("energy", "rmt-during", "rmt-afterwards", "rmt-chosen")
"""Those that make the network smaller."""

POINT, HALF = 0.01, 0.005
"""What counts as a gain, and what as no loss, of test accuracy, in every seed."""

VERDICTS = ("gains", "even", "loses", "seeds disagree")


@dataclass(frozen=True, slots=True)
class Setting:
    """A point of the grid: `width` of both hidden layers, training `images`, label `noise`."""

    width: int
    images: int
    noise: float

    def __str__(self) -> str:
        return f"{self.width} wide, {self.images:,} images, {self.noise:.0%} re-drawn"

    def recipe(self, epochs: int) -> Training:
        """Return what is trained there."""
        return Training(
            widths=(self.width, self.width),
            epochs=epochs,
            batch_size=64,
            optimiser="sgd",
            learning_rate=0.05,
            rate="constant",
            train_samples=self.images,
            label_noise=self.noise,
        )


Found = Mapping[Setting, Sequence[lab.Result]]

EPOCHS = 24

GRID = tuple(Setting(*each) for each in product((128, 512), (1_000, 6_000), (0.0, 0.4)))


def measure(
    grid: Iterable[Setting] = GRID, epochs: int = EPOCHS, seeds: int = 2
) -> Iterator[tuple[Setting, lab.Result]]:
    """Yield each contender's result for each setting and seed."""
    contenders = {name: lab.CONTENDERS[name] for name in NAMES}
    for setting in grid:
        for result in lab.run(setting.recipe(epochs), range(seeds), contenders):
            yield setting, result


def page(found: Found, versions: str) -> Iterator[str]:
    """Yield the lines of docs/study.md, the conclusions being made from the numbers."""
    seeds = len({each.seed for results in found.values() for each in results})
    yield "# Where cutting at the noise edge works, and where it doesn't\n"
    yield (
        f"MNIST, two hidden layers, {EPOCHS} epochs of SGD, {seeds} seeds. The first column is "
        "test accuracy; the others are gains over it in points, seed by seed. ± is the standard "
        "deviation over the seeds; in brackets stands the share of the parameters that a cut "
        "leaves. An accuracy is of 10,000 clean test images (standard error up to 0.5 points); all "
        "choices are made on 5,000 selection images whose labels are as noisy. `make study` makes "
        "this page anew.\n"
    )
    yield "| setting | " + " | ".join(NAMES.values()) + " |"
    yield "|---" * (len(NAMES) + 1) + "|"
    for setting, results in found.items():
        lines = {line.contender: line for line in lab.table(results)}
        yield f"| {setting} | " + " | ".join(_cell(lines, name) for name in NAMES) + " |"
    yield "\n## What it says\n"
    yield (
        "A contender gains where every seed gains a point or more, and loses where every seed "
        "loses more than half a point. It is even where it does neither and no seed "
        "loses more than half "
        "a point; else the seeds disagree. By number of settings:\n"
    )
    yield from _verdicts(found)
    yield from _conclusions(found)
    yield (
        f"\n{seeds} seeds bound little, one data set and one kind of network say nothing about "
        "others, and all networks here are small."
    )
    yield f"\n`benchmarks/study.py`; {versions}."


def _cell(lines: Mapping[str, lab.Line], name: str) -> str:
    """Return a contender's accuracy if it is the first, else its gain and what a cut leaves."""
    line, (first, *_) = lines[name], NAMES
    value, spread = line.gain, line.gain_spread
    words = f"{100 * value:+.1f}"
    if name == first:
        value, spread = line.test_accuracy, line.spread
        words = f"{100 * value:.1f} %"
    if spread is not None:
        words += f" ± {100 * spread:.1f}"
    return words + (f" ({_share(lines, name):.0%})" if name in CUTS else "")


def _share(lines: Mapping[str, lab.Line], name: str) -> float:
    """Return the mean share of the parameters that a contender leaves."""
    first, *_ = NAMES
    return lines[name].parameters / lines[first].parameters


def _verdicts(found: Found) -> Iterator[str]:
    """Yield the table of how often each contender gains, is even, or loses, by the labels."""
    groups = [[each for each in found if bool(each.noise) == wrong] for wrong in (False, True)]
    right, wrong = map(len, groups)
    yield f"| | right labels ({right} settings) | wrong labels ({wrong} settings) |\n|---|---|---|"
    for name in list(NAMES)[1:]:
        cells = []
        for group in groups:
            counts = Counter(_verdict(_gains(found[each])[name]) for each in group)
            cells.append(", ".join(f"{word} {counts[word]}" for word in VERDICTS if counts[word]))
        yield f"| {NAMES[name]} | " + " | ".join(cells) + " |"


def _verdict(gains: Sequence[float]) -> str:
    """Return what a contender's gains in all seeds of a setting say."""
    gain, even, loss, unclear = VERDICTS
    if min(gains) >= POINT:
        return gain
    if max(gains) < -HALF:
        return loss
    return even if min(gains) >= -HALF else unclear


def _conclusions(found: Found) -> Iterator[str]:
    """Yield what the cuts cost where labels are right, and what they gain where they are wrong."""
    means = {
        setting: {name: statistics.fmean(gains) for name, gains in _gains(results).items()}
        for setting, results in found.items()
    }
    right = [each for each in found if not each.noise]
    wrong = [each for each in found if each.noise]
    best = {each: max(CUTS, key=lambda name, each=each: means[each][name]) for each in found}
    helped = [each for each in right if means[each][best[each]] >= POINT]
    edge = [100 * means[each]["rmt-afterwards"] for each in right]
    yield (
        f"\nWhere labels are right the best cut gains a point or more on average in {len(helped)} "
        f"of {len(right)} settings; a cut at the edge afterwards changes the accuracy by "
        f"{min(edge):+.1f} to {max(edge):+.1f} points."
    )
    helped = [each for each in wrong if means[each][best[each]] >= POINT]
    ahead = [each for each in helped if means[each][best[each]] > means[each]["early-stopping"]]
    yield (
        f"\nWhere they are wrong the best cut gains a point or more on average in {len(helped)} of "
        f"{len(wrong)} settings, and in {len(ahead)} of these more than early stopping does."
    )
    if helped:
        most = max(helped, key=lambda each: means[each][best[each]])
        yield (
            f"\nA cut helps most at {most}: {NAMES[best[most]]}, "
            f"{100 * means[most][best[most]]:+.1f} points."
        )


def _gains(results: Sequence[lab.Result]) -> dict[str, list[float]]:
    """Return each contender's gains of test accuracy over the first, seed by seed."""
    first, *_ = NAMES
    none = {each.seed: each.test_accuracy for each in results if each.contender == first}
    gains: dict[str, list[float]] = {}
    for each in results:
        gains.setdefault(each.contender, []).append(each.test_accuracy - none[each.seed])
    return gains


def load(record: Mapping[str, list[dict[str, object]]]) -> Found:
    """Return the results by setting, as `study.json` has them."""
    found: dict[Setting, list[lab.Result]] = {}
    for row in record["rows"]:
        result = {name: value for name, value in row.items() if name != "setting"}
        found.setdefault(Setting(**row["setting"]), []).append(lab.Result(**result))  # type: ignore[arg-type]
    return found


def main() -> None:
    """Measure; print each result, and with --write keep all and write the page."""
    record = {
        "versions": f"rmtviz {__version__}, torch {torch.__version__}",
        "recipe": GRID[0].recipe(EPOCHS).record(),  # of the first setting
        "rows": [],
    }
    for setting, result in measure():
        row = {"setting": asdict(setting), **asdict(result)}
        print(json.dumps(row), flush=True)
        record["rows"].append(row)
        if "--write" in sys.argv:
            RESULTS.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    text = "\n".join(page(load(record), record["versions"])) + "\n"
    if "--write" in sys.argv:
        PAGE.write_text(text, "utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
