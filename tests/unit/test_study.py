"""A study goes on while somebody looks, in turns, and rests when nobody does."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from rmtviz import budget, frontier
from rmtviz.budget import Budget
from rmtviz.cuts import PruningPlan
from rmtviz.errors import CannotRun
from rmtviz.ui import study
from rmtviz.ui.study import Stream, Study, Watch

Source = Callable[..., Iterator[Any]]


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[[Source, Source], Study]:
    """Make a study whose frontier and curves come from these sources."""

    def begun(outcomes: Source, curves: Source) -> Study:
        monkeypatch.setattr(frontier, "outcomes", outcomes)
        monkeypatch.setattr(budget, "curves", curves)
        piece = SimpleNamespace(whole="whole", judge=lambda family, plan: (family, plan))
        return Study(piece)  # type: ignore[arg-type]

    return begun


def test_a_watched_study_ends(made) -> None:
    begun = made(lambda *_: iter("abc"), lambda _: iter([]))
    Watch().look(begun)
    until(lambda: begun.over)
    assert begun.frontier.found == ("whole", "a", "b", "c")


def test_streams_take_turns(made) -> None:
    order: list[str] = []

    def noting(name: str) -> Iterator[str]:
        for _ in range(5):
            order.append(name)
            yield name

    begun = made(lambda *_: noting("f"), lambda _: noting("c"))
    Watch().look(begun)
    until(lambda: begun.over)
    assert {"f", "c"} <= set(order[:3])
    assert max(len(list(same)) for _, same in itertools.groupby(order[:6])) <= 2


def test_it_rests_when_nobody_looks_and_goes_on_where_it_was(made) -> None:
    gate = threading.Semaphore(0)

    def slowly(*_: object) -> Iterator[int]:
        for each in range(100):
            gate.acquire()
            yield each

    begun, looking = made(slowly, lambda _: iter([])), Watch()
    looking.look(begun)
    looking.look(begun)  # as each run of the page does; it is one tab all the same
    gate.release()
    until(lambda: len(begun.frontier.found) == 2)
    looking.leave()
    gate.release()  # the step that was begun
    until(lambda: len(begun.frontier.found) == 3)
    gate.release(200)
    until(lambda: begun._now is not None and begun._now.done())
    assert len(begun.frontier.found) == 3
    looking.look(begun)
    until(lambda: begun.over)
    assert begun.frontier.found == ("whole", *range(100))


def test_another_study_takes_the_place_of_the_last(made) -> None:
    first, second = (made(lambda *_: iter([]), lambda _: iter([])) for _ in range(2))
    looking = Watch()
    looking.look(first)
    looking.look(second)
    assert (first._watchers, second._watchers) == (0, 1)
    looking.leave()
    looking.leave()
    assert second._watchers == 0


def test_a_watch_does_not_keep_a_study(made) -> None:
    looking, begun = Watch(), made(lambda *_: iter([]), lambda _: iter([]))
    looking.look(begun)
    until(lambda: looking._at() is None or (looking._at().over and looking._at()._now.done()))
    del begun
    until(lambda: looking._at() is None)


def test_a_refusal_ends_its_stream_and_no_other(made) -> None:
    def refused(*_: object) -> Iterator[str]:
        yield "first"
        raise CannotRun("outputs_not_finite")

    begun = made(refused, lambda _: iter("abc"))
    Watch().look(begun)
    until(lambda: begun.over)
    assert begun.frontier.found == ("whole", "first")
    assert [problem.key for problem in begun.problems] == ["outputs_not_finite"]
    assert begun.curves.found == ("a", "b", "c")


def test_a_fault_of_the_program_is_told_once(made) -> None:
    def broken(*_: object) -> Iterator[str]:
        yield "first"
        raise ZeroDivisionError

    begun, looking = made(broken, lambda _: iter("abc")), Watch()
    looking.look(begun)

    def told() -> bool:
        try:
            begun.go()
        except ZeroDivisionError:
            return True
        return False

    until(told)
    looking.look(begun)
    until(lambda: begun.over)
    assert begun.frontier.found == ("whole", "first")


def test_a_search_waits_for_the_curves_and_is_kept(made, monkeypatch: pytest.MonkeyPatch) -> None:
    curves = [SimpleNamespace(layer="0", at=1), SimpleNamespace(layer="0", at=2)]
    begun = made(lambda *_: iter([]), lambda _: iter(curves))
    monkeypatch.setattr(budget, "search", lambda _, wanted, found: iter([(wanted, found)]))
    assert begun.search(Budget()) is None
    Watch().look(begun)
    until(lambda: begun.over)
    assert begun.latest == {"0": curves[-1]}
    looking = Watch()
    asked = begun.search(Budget(lose=0.1))
    looking.look(begun)
    until(lambda: begun.over)
    assert asked is begun.search(Budget(lose=0.1)) is not begun.search(Budget(lose=0.2))
    assert asked.found == ((Budget(lose=0.1), [curves[-1]]),)


def test_the_longest_unasked_streams_go_first(made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "KEPT", 3)
    begun = made(lambda *_: iter([]), lambda _: iter([]))
    plans = [PruningPlan(str(number), "", "", ()) for number in range(5)]
    streams: list[Stream[Any]] = [begun.judged(plan) for plan in plans]
    assert begun.judged(plans[-1]) is streams[-1]
    assert begun.judged(plans[0]) is not streams[0]
    assert {begun.frontier, begun.curves} <= set(begun._known())
