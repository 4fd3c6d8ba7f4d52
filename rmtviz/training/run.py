"""A run that is under way: what it has seen so far, and how an epoch is finished."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import Dataset, Samples
from rmtviz.evaluation import Evaluation, evaluate
from rmtviz.networks import MLP, one_thread
from rmtviz.schedules import Look, Moment
from rmtviz.training import cutting, looking
from rmtviz.training.epoch import advance
from rmtviz.training.looking import Seen
from rmtviz.training.pacing import Pace
from rmtviz.training.recipe import Training
from rmtviz.training.records import EpochRecord, Progress
from rmtviz.training.state import State, after_cut, after_magnitude, begin, hidden, initial

MEASURED = 10_000
"""Training loss and accuracy are those of the first so many training images."""


@dataclass(slots=True)
class Run:
    """A recipe with its data, the rows of its epochs so far, and the latest look at its spectra."""

    recipe: Training
    choice: MLP
    samples: Samples
    selection: Samples
    first: Checkpoint
    pace: Pace
    rows: list[dict[str, Any]] = field(default_factory=list)
    seen: Seen | None = None

    @classmethod
    def of(cls, recipe: Training, own: Dataset | None = None) -> "Run":
        """Return the run of a recipe before its first epoch. Raises what `recipe.data` raises."""
        dataset = recipe.data(own)
        samples = dataset.split("train").first(recipe.train_samples)
        pace = Pace.of(recipe, dataset, len(samples))
        looking.prepare(pace.shapes)
        first, selection = initial(recipe, dataset), dataset.split("selection")
        return cls(recipe, recipe.network(dataset), samples, selection, first, pace)

    def over(self) -> bool:
        """Return whether the last epoch is done, or patience has run out."""
        return self._ends([row["selection_accuracy"] for row in self.rows])

    def advance(
        self, state: State | None, on_batch: Callable[[Progress], None] | None
    ) -> tuple[State, EpochRecord]:
        """Return the next state and its record; without a state the first."""
        clock = time.perf_counter()
        with one_thread():
            if state is None:
                state = begin(self.first, self.recipe)
            else:
                state = advance(self.recipe, self.choice, state, self.samples, on_batch)
                if self.recipe.magnitude:
                    state = after_magnitude(state, self.recipe)
            return self._finished(state, time.perf_counter() - clock)

    def remember(self, row: Mapping[str, Any], weights: Checkpoint) -> EpochRecord:
        """Return the record of an epoch that was kept, as if it had just been finished."""
        if row["looked"] == row["epoch"] or self.seen is None:
            self.seen = looking.look(weights, row["epoch"], self.seen)
        self.rows.append(dict(row))
        figures = {name: value for name, value in row.items() if name != "spectra_share"}
        figures["never_predicted"] = tuple(row["never_predicted"])
        return EpochRecord(**figures, checkpoint=weights, analysis=self.seen.found)

    def _finished(self, state: State, seconds: float) -> tuple[State, EpochRecord]:
        """Return a state after the look and the cut that are due, and its record."""
        found = evaluate(self.choice(state.weights), self.selection)
        clock = time.perf_counter()
        scores = [*(row["selection_accuracy"] for row in self.rows), found.accuracy]
        due = self.pace.due(self.rows) or self._ends(scores)
        seen = self._look(state) if self.seen is None or due else self.seen
        spectra, cut, before = time.perf_counter() - clock, None, None
        schedule, moment = self.recipe.schedule, self._moment(state, found, seen)
        if schedule is not None and schedule.due(moment):
            clock = time.perf_counter()
            seen = seen if seen.epoch == state.epoch else self._look(state)
            plan = schedule.plan(seen.found, self.recipe.rule, moment)
            if not plan.nothing:
                cut, before = cutting.told(plan, found.accuracy, schedule.moments), seen.found
                state = after_cut(state, self.recipe, plan)
                seen = self._look(state)
            spectra += time.perf_counter() - clock
            found = evaluate(self.choice(state.weights), self.selection) if cut else found
        record = replace(self._record(state, found, seen, seconds, spectra, cut), before=before)
        self.rows.append(record.row())
        return state, record

    def _ends(self, scores: Sequence[float]) -> bool:
        """Return whether a run ends with the latest of these selection accuracies."""
        epoch, waited = len(scores) - 1, len(scores) - 1 - scores.index(max(scores))
        return epoch >= self.recipe.epochs or 0 < self.recipe.patience <= waited

    def _look(self, state: State) -> Seen:
        self.seen = looking.look(state.weights, state.epoch, self.seen)
        return self.seen

    def _moment(self, state: State, found: Evaluation, seen: Seen) -> Moment:
        """Return what a schedule may look at, from the rows so far and the present epoch."""
        looks = tuple(
            Look(row["epoch"], row["spikes"], row["distances"])
            for row in self.rows
            if row["looked"] == row["epoch"]
        )
        accuracies = [*(row["selection_accuracy"] for row in self.rows), found.accuracy]
        return Moment(
            state.epoch,
            self.recipe.epochs,
            tuple(1 - accuracy for accuracy in accuracies),
            (*looks, seen.look) if seen.epoch == state.epoch else looks,
            tuple(row["epoch"] for row in self.rows if row["cut"]),
        )

    def _record(
        self,
        state: State,
        found: Evaluation,
        seen: Seen,
        seconds: float,
        spectra: float,
        cut: Mapping[str, Any] | None,
    ) -> EpochRecord:
        weights = state.weights
        known = evaluate(self.choice(weights), self.samples.first(MEASURED))
        clock = time.perf_counter()
        old = self.rows[-1]["start"] if self.rows else {}
        start = old if seen.epoch < state.epoch else looking.start(weights, self.first, seen.found)
        spectra += time.perf_counter() - clock
        zeros = sum(int((weights[name] == 0).sum()) for name in hidden(weights))
        return EpochRecord(
            epoch=state.epoch,
            train_loss=known.loss,
            train_accuracy=known.accuracy,
            selection_accuracy=found.accuracy,
            never_predicted=found.never_predicted,
            parameters=weights.parameters - (zeros if self.recipe.magnitude else 0),
            ranks={layer.name: layer.rank for layer in seen.found},
            looked=seen.epoch,
            spikes=dict(seen.look.spikes),
            distances=dict(seen.look.distances),
            start=start,
            seconds=seconds,
            spectra_seconds=spectra,
            cut=cut,
            checkpoint=weights,
            analysis=seen.found,
        )
