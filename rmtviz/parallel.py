"""Many tasks at once: side by side on all cores, within a budget of memory."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


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


@contextmanager
def threads(tasks: int) -> Iterator[ThreadPoolExecutor]:
    """Yield threads, one a core; leaving early drops the tasks that have not begun."""
    pool = ThreadPoolExecutor(min(tasks, os.cpu_count() or 1))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
