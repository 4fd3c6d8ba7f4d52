"""Many tasks at once: side by side on all cores, within a budget of memory."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any


class Room:
    """Bytes that tasks share: each waits until its own fit in, or until nobody else is inside."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._taken: list[int] = []
        self._changed = threading.Condition()

    @contextmanager
    def take(self, count: int) -> Iterator[None]:
        """Hold so many bytes, once they are free."""
        with self._changed:
            self._changed.wait_for(
                lambda: sum(self._taken, count) <= self._total or not self._taken
            )
            self._taken.append(count)
        try:
            yield
        finally:
            with self._changed:
                self._taken.remove(count)
                self._changed.notify_all()


class AtOnce(Executor):
    """No threads: what is submitted is done before `submit` returns."""

    def submit(self, function: Callable[..., Any], /, *given: Any, **more: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(function(*given, **more))
        return done


@contextmanager
def threads(tasks: int, light: bool = False) -> Iterator[Executor]:
    """Yield threads, one a core; leaving early drops the tasks that have not begun.

    For `light` tasks there are none: to hand a task over takes a millisecond, and ten on a
    busy machine.
    """
    pool = AtOnce() if light else ThreadPoolExecutor(min(tasks, os.cpu_count() or 1))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
