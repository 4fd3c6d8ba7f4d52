"""When a run looks at its spectra: by counted work, never by the clock.

A run that is resumed on a busy machine must be the same run. So what looks and steps cost is
counted, in multiply–accumulates of a step; a look's other work is brought to that unit by
factors that were measured, on one thread. What a run has spent follows from its rows.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rmtviz.datasets import Dataset
from rmtviz.training.recipe import Training

BUDGET = 0.05
"""Looks are so far apart that they and the cuts take at most this share of a run, by count."""

EIGEN = 4
"""The eigenvalues of a Gram matrix of side p, or some of its eigenvectors: so many p³."""

ENTRY = 200
"""For each entry of a layer: its digest, the entries' moments, and whether it has moved."""

LEAD = 12
"""For each entry, and each spike and ten more: how much of the bulk is still W₀."""

ONCE = 1.2e8
"""For each look: to fit the law, to find the layers, and what small matrices take beside."""

Ranks = Sequence[int]
"""The layers' ranks as stored, in their order."""

Row = Mapping[str, Any]
"""What `EpochRecord.row` returns."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The shapes of a run's layers (rows × columns), its training images, and its epochs.

    `needs` is how many looks the run's schedule takes to know when to cut: so many come before
    the last epoch, whatever they cost.
    """

    shapes: tuple[tuple[int, int], ...]
    samples: int
    epochs: int
    needs: int = 0

    @classmethod
    def of(cls, recipe: Training, dataset: Dataset, samples: int) -> "Pace":
        """Return the pace of a recipe's run on so many images of a dataset."""
        sides = (dataset.pixels, *recipe.widths, dataset.outputs)
        shapes = tuple((m, n) for n, m in itertools.pairwise(sides))
        schedule = recipe.schedule
        return cls(shapes, samples, recipe.epochs, schedule.needs if schedule else 0)

    def due(self, rows: Sequence[Row]) -> bool:
        """Return whether to look after the epoch that follows these rows.

        The looks that are left, one of them for the last epoch, are spread evenly over the
        epochs that are left.
        """
        if not rows:
            return True
        last = rows[-1]
        epoch, latest, ranks = last["epoch"] + 1, last["looked"], [*last["ranks"].values()]
        look = self.look(ranks, _spikes(last))
        steps = self.stepped(rows) + (self.epochs - last["epoch"]) * self.step(ranks)
        room = BUDGET * steps - self.spent(rows) - look
        intervals = 1 + max(0, math.floor(room / look))
        gap = math.ceil((self.epochs - latest) / intervals)
        if self.needs:
            gap = min(gap, max(1, (self.epochs - 1) // self.needs))
        return bool(epoch - latest >= gap)

    def stepped(self, rows: Sequence[Row]) -> float:
        """Return what the steps of these rows' epochs cost: each with the ranks before it."""
        return sum(self.step([*row["ranks"].values()]) for row in rows[:-1])

    def spent(self, rows: Sequence[Row]) -> float:
        """Return what the looks and cuts of these rows cost."""
        return sum(self._spent(row) for row in rows if row["looked"] == row["epoch"])

    def step(self, ranks: Ranks) -> float:
        """Return the work of an epoch's steps: 3 N multiply–accumulates for each weight."""
        return (
            3.0
            * self.samples
            * sum(r * (m + n) if r < min(m, n) else m * n for r, m, n in self._sided(ranks))
        )

    def look(self, ranks: Ranks, spikes: Ranks) -> float:
        """Return the work of a look: n p² + 4 p³ and some for each entry, of pairs much less."""
        return ONCE + sum(
            _decomposed(r, m, n) + (ENTRY + LEAD * (k + 10)) * min(r * (m + n), m * n)
            for (r, m, n), k in zip(self._sided(ranks), spikes, strict=True)
        )

    def _spent(self, row: Row) -> float:
        """Return the work of a row's look; of two and the cuts between, where layers were cut."""
        after = [*row["ranks"].values()]
        if not row["cut"]:
            return self.look(after, _spikes(row))
        made = row["cut"]["layers"]
        before = [each["rank_before"] for each in made]
        cut = sum(
            _decomposed(r, m, n) + ENTRY * m * n
            for (r, m, n), each in zip(self._sided(before), made, strict=True)
            if each["form"] != "whole"
        )
        return self.look(before, [0] * len(before)) + cut + self.look(after, _spikes(row))

    def _sided(self, ranks: Ranks) -> Iterable[tuple[int, int, int]]:
        return ((r, m, n) for r, (m, n) in zip(ranks, self.shapes, strict=True))


def _spikes(row: Row) -> Ranks:
    return [spikes or 0 for spikes in row["spikes"].values()]


def _decomposed(rank: int, m: int, n: int) -> float:
    """Return the work of a layer's values: through its Gram matrix, of a pair its core."""
    p = min(m, n)
    if rank < p:
        return rank**2 * (m + n + EIGEN * rank)
    return p**2 * (max(m, n) + EIGEN * p)
