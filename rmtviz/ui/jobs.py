"""All jobs of this server: training runs and comparisons that outlive a page, a reload, a tab.

A job belongs to an unguessable token that stands in the visitor's URL. Everything that it has
finished is on disk, so that nothing is lost with the server, and a finished run's weights
need no memory.
"""

import os
import re
import secrets
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rmtviz import decomposition, formats
from rmtviz.datasets import Dataset
from rmtviz.errors import RmtvizError
from rmtviz.site import data_home, make_room
from rmtviz.ui.contests import Contest
from rmtviz.ui.library import Model
from rmtviz.ui.runs import Run
from rmtviz.ui.work import Job
from rmtviz.words import say

if TYPE_CHECKING:
    from rmtviz.training import Training

KEPT = 30
"""So many jobs of a kind are kept on disk; the oldest go first."""

KINDS: Mapping[str, type[Run] | type[Contest]] = {"run": Run, "lab": Contest}
"""The kinds of job, by how their tokens begin."""

TOKEN = re.compile(rf"({'|'.join(KINDS)})-[A-Za-z0-9_-]{{16}}")
"""What a token looks like; nothing else becomes a path."""


class Registry:
    """All jobs of this server by token, in the order in which they came to it.

    At most `slots` of them are at work at a time; the others wait for their turn.
    """

    def __init__(self, folder: Path, slots: int) -> None:
        self._folder = folder
        self._slots = slots
        self._lock = threading.Lock()
        self._jobs: dict[str, Job[Any]] = {}
        self._models: dict[str, Model] = {}

    def submit(self, recipe: "Training", own: Dataset | None = None) -> Run:
        """Start a run, or queue it; return it with its new token. It keeps data of one's own."""
        run = Run(*self._place("run", recipe))
        run.begin(own)
        self._start(run)
        return run

    def branch(self, origin: Run, epoch: int, recipe: "Training") -> Run:
        """Start a run that begins with another's network after an epoch.

        Raises:
            BadOption: there is no such epoch, or the recipe is one of another network or data.
            DataRefused: it was trained on data of somebody's own, which are gone.
        """
        from rmtviz import training

        run = Run(*self._place("run", recipe))
        training.branch(origin.folder, epoch, recipe, run.folder)
        run.begin()
        run.note(origin=origin.token, epoch=epoch)
        self._start(run)
        return run

    def compare(self, recipe: "Training", seeds: int, own: Dataset | None = None) -> Contest:
        """Start a comparison over seeds, or queue it; return it with its new token."""
        token, _, folder = self._place("lab", recipe)
        contest = Contest(token, recipe, seeds, folder)
        contest.begin(own)
        self._start(contest)
        return contest

    def find(self, token: str | None) -> Run | None:
        """Return a run by its token, from disk where the server has no memory of it."""
        found = self._find(token)
        return found if isinstance(found, Run) else None

    def contest(self, token: str | None) -> Contest | None:
        """Return a comparison by its token, from disk where the server has no memory of it."""
        found = self._find(token)
        return found if isinstance(found, Contest) else None

    @property
    def pace(self) -> float | None:
        """The seconds that a multiply–accumulate took in this server's latest comparison."""
        with self._lock:
            shots = [job.snapshot for job in self._jobs.values() if isinstance(job, Contest)]
        known = [shot.pace for shot in shots if shot.pace is not None]
        return known[-1] if known else None

    def _find(self, token: str | None) -> Job[Any] | None:
        if not token:
            return None
        with self._lock:
            if token in self._jobs:
                return self._jobs[token]
        job = self._from_disk(token)
        if job is None:
            return None
        with self._lock:
            return self._jobs.setdefault(token, job)

    def resume(self, job: Job[Any]) -> None:
        """Go on with a job that was stopped, interrupted or failed, from what is finished.

        Nothing happens if it goes on already, because it was asked for twice.
        """
        self._start(job.again())

    def ahead(self, job: Job[Any]) -> int:
        """Return how many jobs are at work or were queued before this one."""
        with self._lock:
            before = list(self._jobs.values())
        place = before.index(job) if job in before else len(before)
        return sum(not other.snapshot.over for other in before[:place])

    def model(self, token: str) -> Model | None:
        """Return the network of a finished or stopped run, with its initial weights beside it."""
        run = self.find(token) if token.startswith("run-") else None
        if run is None or not run.snapshot.rows or not run.snapshot.over:
            return None
        epoch = run.snapshot.rows[-1]["epoch"]
        with self._lock:
            known = self._models.get(token)
            if known and known.title == _title(epoch):
                return known
        files = [run.weights(each) for each in (0, epoch)]
        try:
            spectra = decomposition.decompose(formats.read(files[1]))
        except RmtvizError:
            return None
        made = Model(
            token,
            _title(epoch),
            spectra,
            lambda: formats.read(files[1]),
            lambda: formats.read(files[0]),
        )
        with self._lock:
            self._models[token] = made
            while len(self._models) > KEPT:
                del self._models[next(iter(self._models))]
        return made

    def _place(self, kind: str, recipe: "Training") -> tuple[str, "Training", Path]:
        """Return a new token, the recipe, and a place for its folder, after making room."""
        with self._lock:
            busy = frozenset(token for token, job in self._jobs.items() if not job.snapshot.over)
            make_room(self._folder, f"{kind}-*", KEPT - 1, busy)
            for token in [token for token, job in self._jobs.items() if not job.folder.is_dir()]:
                del self._jobs[token]
                self._models.pop(token, None)
        token = f"{kind}-{secrets.token_urlsafe(12)}"
        return token, recipe, self._folder / token

    def _start(self, job: Job[Any]) -> None:
        with self._lock:
            known = self._jobs.get(job.token)
            if known and not known.snapshot.over:
                return
            self._jobs.pop(job.token, None)
            self._jobs[job.token] = job
            self._models.pop(job.token, None)
        threading.Thread(
            target=job.work, args=(self._its_turn,), name=job.token, daemon=True
        ).start()

    def _its_turn(self, job: Job[Any]) -> bool:
        return self.ahead(job) < self._slots

    def _from_disk(self, token: str) -> Job[Any] | None:
        match = TOKEN.fullmatch(token)
        return KINDS[match[1]].restored(token, self._folder / token) if match else None


@cache
def registry() -> Registry:
    """Return the one registry of this server process."""
    return Registry(data_home() / "runs", max(1, (os.cpu_count() or 1) - 1))


def _title(epoch: int) -> str:
    return say("app.run_title", epochs=epoch)
