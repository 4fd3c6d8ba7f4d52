"""What is tried on one network, in the background: streams of results that grow in turns.

A study is kept with its model, so whoever comes back finds it. One thread serves all of them, a
result of a study at a time; a study that no tab looks at any more rests, and goes on where it
was when somebody looks again.
"""

import functools
import itertools
import threading
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rmtviz import budget, evaluation, frontier
from rmtviz.budget import Budget
from rmtviz.cuts import PruningPlan
from rmtviz.datasets import Samples
from rmtviz.errors import RmtvizError
from rmtviz.evaluation import Latency
from rmtviz.tradeoff import RANKS, Curve
from rmtviz.workpiece import Outcome, Workpiece

if TYPE_CHECKING:
    from rmtviz.finetuning import Tuned

T = TypeVar("T")

KEPT = 64
"""So many streams a study keeps; those that were asked for longest ago go first."""


BATCHES = (1, 256)
"""How many samples are run at once where time is taken."""

TIMED = 6
"""Each layer's cut is timed alone where there are at most so many."""

Times = tuple[int, Mapping[str, Latency]]
"""A batch, and how long it takes: "" whole, "plan" cut, and by layer with that one alone cut."""


class Stream(Generic[T]):
    """Results as they are found; `problem` is what ended them before their time."""

    def __init__(self, source: Iterator[T]) -> None:
        self.found: tuple[T, ...] = ()
        self.over = False
        self.problem: RmtvizError | None = None
        self._source = source

    def step(self) -> None:
        """Find one result more."""
        try:
            self.found = (*self.found, next(self._source))
        except StopIteration:
            self.over = True
        except RmtvizError as problem:
            self.problem, self.over = problem, True


class Study:
    """The streams of one network: its frontier, its layers' curves, searches, plans by hand."""

    def __init__(self, piece: Workpiece) -> None:
        self.piece = piece
        self._streams: dict[Hashable, Stream[Any]] = {}
        self._lock = threading.Lock()
        self._turns = itertools.count()
        self._watchers = 0
        self._now: Future[None] | None = None
        self.frontier: Stream[Outcome] = self._stream("frontier", self._outcomes)
        self.curves: Stream[Curve] = self._stream("curves", lambda: budget.curves(piece))

    @property
    def expected(self) -> int:
        """About how many results the frontier and the curves will have."""
        most = {layer.name: min(layer.shape) for layer in self.piece.network.layers}
        recipes = [x for each in frontier.FAMILIES.values() for x in each]
        known = [
            x for x in recipes if self.piece.calibrated or not isinstance(x, frontier.Whitened)
        ]
        return 1 + len(known) + sum(min(rank, RANKS) for rank in most.values())

    @property
    def done(self) -> int:
        """How many results the frontier and the curves have by now."""
        return len(self.frontier.found) + len(self.curves.found)

    @property
    def over(self) -> bool:
        """Whether nothing more will be found by itself."""
        return all(stream.over for stream in self._known())

    @property
    def problems(self) -> list[RmtvizError]:
        """What ended streams before their time."""
        return [each.problem for each in self._known() if each.problem]

    @property
    def latest(self) -> dict[str, Curve]:
        """The curves as far as they are, by layer."""
        return {curve.layer: curve for curve in self.curves.found}

    def search(self, wanted: Budget) -> Stream[Outcome] | None:
        """Return what the search for a budget tries; None before the curves are known."""
        if not self.curves.over:
            return None
        curves = list(self.latest.values())
        return self._stream(wanted, lambda: budget.search(self.piece, wanted, curves))

    def judged(self, plan: PruningPlan) -> Stream[Outcome]:
        """Return the outcome of one plan, once it is known."""
        return self._stream(plan, lambda: iter([self.piece.judge("plan", plan)]))

    def timed(self, plan: PruningPlan) -> Stream[Times]:
        """Return how long the network takes before and after a plan, batch after batch."""
        return self._stream(("timed", plan), lambda: self._times(plan))

    def tuned(self, plan: PruningPlan, training: Samples) -> "Stream[Tuned]":
        """Return the network after a plan, as cut and after each epoch of fine-tuning.

        It is tuned towards the answers of the whole network, so that labels are not looked at.
        """
        return self._stream(("tuned", plan), lambda: self._epochs(plan, training))

    @property
    def latencies(self) -> dict[PruningPlan, Latency]:
        """How long one sample takes after each plan that was timed."""
        with self._lock:
            timed = [(key, x) for key, x in self._streams.items() if isinstance(key, tuple)]
        found = {key[1]: dict(each.found) for key, each in timed if key[0] == "timed"}
        return {plan: times[1]["plan"] for plan, times in found.items() if 1 in times}

    def watched(self, more: int) -> None:
        """Count one tab more, or less, that looks at it."""
        with self._lock:
            self._watchers += more

    def go(self) -> None:
        """Go on, where something is left to do and somebody looks.

        Raises:
            Exception: whatever broke the last turn; a fault of the program.
        """
        with self._lock:
            if self._now and self._now.done():
                last, self._now = self._now, None
                last.result()
            if self._now is None:
                self._ask()

    def _turn(self) -> None:
        """Take one step of the stream whose turn it is, and ask for the next turn."""
        waiting = [stream for stream in self._known() if not stream.over]
        if waiting:
            waiting[next(self._turns) % len(waiting)].step()
        with self._lock:
            self._ask()

    def _ask(self) -> None:
        """Ask for a turn, if somebody looks and something is left to do."""
        if self._watchers and any(not stream.over for stream in self._streams.values()):
            self._now = _worker().submit(self._turn)

    def _times(self, plan: PruningPlan) -> Iterator[Times]:
        piece, cuts = self.piece, [cut for cut in plan.cuts if cut.form == "factored"]
        alone = cuts if 1 < len(cuts) <= TIMED else []
        plans = {"plan": plan} | {cut.name: replace(plan, cuts=(cut,)) for cut in alone}
        whole = piece.choice(piece.checkpoint)
        networks = {"": whole} | {name: piece.choice(piece.cut(x)) for name, x in plans.items()}
        for batch in BATCHES:
            yield batch, evaluation.latencies(networks, piece.selection.images, batch)

    def _epochs(self, plan: PruningPlan, training: Samples) -> "Iterator[Tuned]":
        from rmtviz import finetuning

        piece = self.piece
        yield from finetuning.tune(
            finetuning.Tuning(),
            piece.cut(plan),
            piece.choice,
            training,
            piece.selection,
            piece.network,
        )

    def _outcomes(self) -> Iterator[Outcome]:
        yield self.piece.whole
        yield from frontier.outcomes(self.piece, frontier.FAMILIES)

    def _stream(self, key: Hashable, make: Callable[[], Iterator[T]]) -> Stream[T]:
        with self._lock:
            known = self._streams.pop(key, None) or Stream(_later(make))
            self._streams[key] = known
            for old in list(self._streams)[2:-KEPT]:
                del self._streams[old]
            return known

    def _known(self) -> list[Stream[Any]]:
        with self._lock:
            return list(self._streams.values())


class Watch:
    """Which study a tab looks at: one at a time, and held weakly, since it goes with its model."""

    def __init__(self) -> None:
        self._at: Callable[[], Study | None] = lambda: None

    def look(self, study: Study) -> None:
        """Look at a study, and have it go on."""
        if self._at() is not study:
            self.leave()
            self._at = weakref.ref(study)
            study.watched(1)
        study.go()

    def leave(self) -> None:
        """Look no more."""
        study, self._at = self._at(), lambda: None
        if study is not None:
            study.watched(-1)


def _later(make: Callable[[], Iterator[T]]) -> Iterator[T]:
    """Yield what an iterator yields that is made with the first result."""
    yield from make()


@functools.cache
def _worker() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "study")
