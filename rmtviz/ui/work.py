"""A job behind the pages: a thread that waits for its turn, and can be paused and stopped.

It publishes frozen snapshots; pages only read them. What it has finished is in its folder.
Here everything may be caught: what a job does, and what somebody else's function raises.
"""

import abc
import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from rmtviz.errors import CannotRun, RmtvizError
from rmtviz.words import say

TICK = 0.2
"""Seconds between two snapshots within an epoch."""

PATIENCE = 0.1
"""At most so many seconds a click waits for the job to follow it; a batch takes a few ms."""

STOPPED = "stopped"
"""The file in a job's folder that says that somebody stopped it, to another server process."""

log = logging.getLogger("rmtviz")


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """What a page may show of a job: its state, and what went wrong.

    `state` is "queued", "running", "paused", "done", "stopped", "failed" or "interrupted".
    """

    state: str = "queued"
    problem: tuple[str, str] | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.state in ("done", "stopped", "failed", "interrupted")


S = TypeVar("S", bound=Shot)
T = TypeVar("T")


def asked(function: Callable[[], T]) -> T:
    """Return what somebody else's function gives.

    Raises:
        CannotRun: it fails; the refusal holds its message.
    """
    try:
        return function()
    except RmtvizError:
        raise
    except Exception as problem:
        words = f"{type(problem).__name__}: {problem}".split("\n")[0]
        raise CannotRun("metric_failed", problem=words) from problem


class Job(abc.ABC, Generic[S]):
    """A thread that waits for its turn and works, its folder, and its latest snapshot."""

    def __init__(self, token: str, folder: Path, snapshot: S) -> None:
        self.token = token
        self.folder = folder
        self.snapshot = snapshot
        self._go = threading.Event()
        self._go.set()
        self._stop = threading.Event()

    @abc.abstractmethod
    def again(self) -> "Job[S]":
        """Return the same job before its start: it goes on from what its folder holds."""

    @abc.abstractmethod
    def do(self) -> None:
        """Do the work, with a look at `held` now and then, and publish that it is done."""

    def pause(self) -> None:
        """Pause at the next look."""
        self._go.clear()
        self._settle("running")

    def go_on(self) -> None:
        """Go on after a pause."""
        self._go.set()
        self._settle("paused")

    def stop(self) -> None:
        """Stop at the next look; what is finished stays."""
        self._stop.set()
        self._go.set()
        self._settle("running", "paused")

    @property
    def asked(self) -> str | None:
        """What it was asked to do and has not done yet: "stopping", "pausing", or nothing."""
        if self.snapshot.state != "running":
            return None
        if self._stop.is_set():
            return "stopping"
        return None if self._go.is_set() else "pausing"

    def _settle(self, *states: str) -> None:
        """Give the thread a moment to leave these states: the page that asked then shows it."""
        until = time.monotonic() + PATIENCE
        while self.snapshot.state in states and time.monotonic() < until:
            time.sleep(0.002)

    def work(self, its_turn: Callable[["Job[Any]"], bool]) -> None:
        """Wait for its turn, then work to the end. This is the thread's body."""
        (self.folder / STOPPED).unlink(missing_ok=True)
        while not its_turn(self):
            if self._stop.wait(TICK):
                self._stopped()
                return
        from rmtviz.training import Stopped

        self.tell(state="running")
        try:
            self.do()
        except Stopped:
            self._stopped()
        except Exception as problem:
            self._fail(problem)

    def held(self) -> None:
        """Wait here as long as the job is paused.

        Raises:
            Stopped: it was asked to stop.
        """
        from rmtviz.training import Stopped

        if not self._go.is_set():
            self.tell(state="paused")
            self._go.wait()
            self.tell(state="running")
        if self._stop.is_set():
            raise Stopped

    def tell(self, **changes: Any) -> None:
        """Publish a new snapshot: one assignment, so that a reader sees the old or the new."""
        self.snapshot = replace(self.snapshot, **changes)

    @property
    def left(self) -> str:
        """The state of an unfinished job of another server process: stopped, or interrupted."""
        return "stopped" if (self.folder / STOPPED).exists() else "interrupted"

    def _stopped(self) -> None:
        (self.folder / STOPPED).touch()
        self.tell(state="stopped")

    def _fail(self, problem: Exception) -> None:
        if isinstance(problem, RmtvizError):
            words = (problem.what, problem.do)
        else:
            number = secrets.token_hex(3)
            log.error("incident %s", number, exc_info=problem)
            words = (say("app.failed", number=number), say("train.failed_do"))
        self.tell(state="failed", problem=words)
