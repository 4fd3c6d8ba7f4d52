"""Claim: looks at spectra and cuts take a few per cent of a training run, more of the smallest.

They are paced to 5 % of the counted work (`rmtviz.training.pacing`), but for the first look, the
last, and those that a schedule takes to decide: where an epoch takes milliseconds, these alone
are more than that.

A table of shares: three networks on MNIST, each without a schedule and with four. A share is the
median over some runs of the time of all looks and cuts over that time and the time of all
steps; evaluating and saving, which a run does beside, would make it smaller. In brackets: how
many epochs have a look of their own, and the epochs after which layers were cut. Nothing is
asserted, for the machine may be busy.
"""

import statistics
from collections.abc import Sequence

from threadpoolctl import threadpool_limits

from rmtviz.schedules import Every, Falling, Once, Settled
from rmtviz.training import EpochRecord, Training, train

NETWORKS = (((128,), 1_000, 9), ((512, 512), 6_000, 3), ((1_000, 500), 55_000, 1))
"""Hidden layers, training images, and how often each run is repeated."""

SCHEDULES = {
    "none": None,
    "every": Every(),
    "once": Once(),
    "settled": Settled(),
    "falling": Falling(),
}

EPOCHS = 10


def main() -> None:
    """Print the table, a line a network, as it is measured."""
    list(train(Training(widths=(64,), epochs=1, train_samples=200)))  # what is loaded once
    print("| hidden layers, images | " + " | ".join(SCHEDULES) + " |")
    print("|---" * (len(SCHEDULES) + 1) + "|")
    for widths, images, repeats in NETWORKS:
        print(f"| {' × '.join(map(str, widths))}, {images:,} |", end="", flush=True)
        for schedule in SCHEDULES.values():
            recipe = Training(widths=widths, epochs=EPOCHS, train_samples=images, schedule=schedule)
            runs = [list(train(recipe)) for _ in range(repeats)]
            middle = statistics.median(share(run) for run in runs)
            looks = sum(record.looked == record.epoch for record in runs[0])
            cuts = [record.epoch for record in runs[0] if record.cut]
            print(f" {middle:.1%} ({looks}; {cuts or '–'}) |", end="", flush=True)
        print()


def share(run: Sequence[EpochRecord]) -> float:
    """Return the share of looks and cuts in the time of a run."""
    spectra = sum(record.spectra_seconds for record in run)
    return spectra / (spectra + sum(record.seconds for record in run))


if __name__ == "__main__":
    with threadpool_limits(1, "blas"):
        main()
