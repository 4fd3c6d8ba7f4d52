"""Training runs behind the page: threads that outlive a page, a reload and a dropped connection.

A run belongs to an unguessable token that stands in the visitor's URL. It publishes frozen
snapshots; pages only read them. Everything that a run has finished is on disk, so that
nothing is lost with the server, and a finished run's weights need no memory.
"""

import json
import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rmtviz import analysis, decomposition, formats
from rmtviz.analysis import Analysis
from rmtviz.errors import RmtvizError
from rmtviz.fits import BEMA
from rmtviz.site import data_home, make_room
from rmtviz.ui.library import Model
from rmtviz.words import say

if TYPE_CHECKING:
    from rmtviz.training import EpochRecord, Progress, Training

KEPT = 30
"""So many runs are kept on disk; the oldest go first."""

POINTS = 400
"""At most so many points of the loss curve are kept."""

TICK = 0.2
"""Seconds between two snapshots within an epoch."""

PATIENCE = 0.1
"""At most so many seconds a click waits for the run to follow it; a batch takes a few ms."""

TOKEN = re.compile(r"run-[A-Za-z0-9_-]{16}")
"""What a run's token looks like; nothing else becomes a path."""

log = logging.getLogger("rmtviz")


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """What a page may show of a run: its state, how far it is, and what is known by now.

    `state` is "queued", "running", "paused", "done", "stopped", "failed" or "interrupted";
    `rows` are the epochs' figures, `losses` pairs of (epochs, batch loss), `ranks` each
    epoch's learnt rank by layer, `analysis` the latest epoch's, `problem` what went wrong.
    """

    state: str
    epochs: int
    epoch: int = 0
    step: int = 0
    steps: int = 1
    rows: tuple[dict[str, Any], ...] = ()
    losses: tuple[tuple[float, float], ...] = ()
    ranks: tuple[dict[str, int | None], ...] = ()
    analysis: Analysis | None = None
    test_accuracy: float | None = None
    test_samples: int = 0
    problem: tuple[str, str] | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.state in ("done", "stopped", "failed", "interrupted")

    @property
    def share(self) -> float:
        """The share of the run that is done."""
        return min(1.0, (self.epoch + self.step / self.steps) / self.epochs)


class Run:
    """One training run: a thread that waits for its turn, trains, and can be paused and stopped."""

    def __init__(self, token: str, recipe: "Training", folder: Path) -> None:
        self.token = token
        self.recipe = recipe
        self.folder = folder
        self.snapshot = Snapshot("queued", recipe.epochs)
        self._go = threading.Event()
        self._go.set()
        self._stop = threading.Event()
        self._told = 0.0

    def pause(self) -> None:
        """Pause after the present batch."""
        self._go.clear()
        self._settle("running")

    def go_on(self) -> None:
        """Go on after a pause."""
        self._go.set()
        self._settle("paused")

    def stop(self) -> None:
        """Stop after the present batch; what is finished stays."""
        self._stop.set()
        self._go.set()
        self._settle("running", "paused")

    def _settle(self, *states: str) -> None:
        """Give the thread a moment to leave these states: the page that asked then shows it."""
        until = time.monotonic() + PATIENCE
        while self.snapshot.state in states and time.monotonic() < until:
            time.sleep(0.002)

    @property
    def stopping(self) -> bool:
        """Whether the run was asked to stop."""
        return self._stop.is_set()

    def work(self, its_turn: Callable[["Run"], bool]) -> None:
        """Wait for its turn, then train to the end. This is the thread's body."""
        while not its_turn(self):
            if self._stop.wait(TICK):
                self._tell(state="stopped")
                return
        try:
            self._train()
        except Exception as problem:
            self._fail(problem)

    def _train(self) -> None:
        from rmtviz import training

        self._tell(state="running")
        try:
            for record in training.train(
                self.recipe, self.folder, resume=True, on_batch=self._batch
            ):
                self._epoch(record)
                last = record
        except training.Stopped:
            self._tell(state="stopped")
            return
        from rmtviz import evaluation

        data = self.recipe.data()
        network = self.recipe.network(data)(last.checkpoint)
        found = evaluation.evaluate(network, data.split("test"))
        self._tell(state="done", test_accuracy=found.accuracy, test_samples=found.samples)

    def _batch(self, progress: "Progress") -> None:
        from rmtviz.training import Stopped

        if self.stopping:
            raise Stopped
        if not self._go.is_set():
            self._tell(state="paused")
            self._go.wait()
            self._tell(state="running")
        now = time.monotonic()
        if now - self._told < TICK and progress.step < progress.steps:
            return
        self._told = now
        place = progress.epoch - 1 + progress.step / progress.steps
        losses = (*self.snapshot.losses, (place, progress.loss))
        self._tell(
            epoch=progress.epoch - 1,
            step=progress.step,
            steps=progress.steps,
            losses=losses if len(losses) <= POINTS else losses[::2],
        )

    def _epoch(self, record: "EpochRecord") -> None:
        fitted = analysis.fit(decomposition.decompose(record.checkpoint), BEMA())
        ranks = {layer.name: layer.spikes for layer in fitted}
        self._tell(
            epoch=record.epoch,
            step=0,
            rows=(*self.snapshot.rows, record.row()),
            ranks=(*self.snapshot.ranks, ranks),
            analysis=fitted,
        )

    def _fail(self, problem: Exception) -> None:
        if isinstance(problem, RmtvizError):
            words = (problem.what, problem.do)
        else:
            number = secrets.token_hex(3)
            log.error("incident %s", number, exc_info=problem)
            words = (say("app.failed", number=number), say("train.failed_do"))
        self._tell(state="failed", problem=words)

    def _tell(self, **changes: Any) -> None:
        """Publish a new snapshot: one assignment, so that a reader sees the old or the new."""
        self.snapshot = replace(self.snapshot, **changes)


class Registry:
    """All runs of this server by token, in the order in which they came to it.

    At most `slots` of them are at work at a time; the others wait for their turn.
    """

    def __init__(self, folder: Path, slots: int) -> None:
        self._folder = folder
        self._slots = slots
        self._lock = threading.Lock()
        self._runs: dict[str, Run] = {}
        self._models: dict[str, Model] = {}

    def submit(self, recipe: "Training") -> Run:
        """Start a run, or queue it; return it with its new token."""
        self._make_room()
        token = f"run-{secrets.token_urlsafe(12)}"
        folder = self._folder / token
        folder.mkdir(parents=True)
        (folder / "recipe.json").write_text(json.dumps(recipe.record()), "utf-8")
        return self._start(Run(token, recipe, folder))

    def find(self, token: str | None) -> Run | None:
        """Return a run by its token, from disk where the server has no memory of it."""
        if not token:
            return None
        with self._lock:
            if token in self._runs:
                return self._runs[token]
        run = self._from_disk(token)
        if run is None:
            return None
        with self._lock:
            return self._runs.setdefault(token, run)

    def resume(self, run: Run) -> None:
        """Go on with a run that was stopped, interrupted or failed, from its last epoch.

        Nothing happens if it goes on already, because it was asked for twice.
        """
        self._start(Run(run.token, run.recipe, run.folder))

    def ahead(self, run: Run) -> int:
        """Return how many runs are at work or were queued before this one."""
        with self._lock:
            before = list(self._runs.values())
        place = before.index(run) if run in before else len(before)
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
        files = [run.folder / f"epoch-{each:03}.safetensors" for each in (0, epoch)]
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

    def _start(self, run: Run) -> Run:
        with self._lock:
            known = self._runs.get(run.token)
            if known and not known.snapshot.over:
                return known
            self._runs.pop(run.token, None)
            self._runs[run.token] = run
            self._models.pop(run.token, None)
        threading.Thread(
            target=run.work, args=(self._its_turn,), name=run.token, daemon=True
        ).start()
        return run

    def _its_turn(self, run: Run) -> bool:
        return self.ahead(run) < self._slots

    def _from_disk(self, token: str) -> Run | None:
        """Return a run that another server process began: done, or interrupted.

        One whose files are broken, or of a version that knew other options, is none.
        """
        if not TOKEN.fullmatch(token):
            return None
        recipe_file = self._folder / token / "recipe.json"
        if not recipe_file.is_file():
            return None
        from rmtviz.training import Training

        state = recipe_file.with_name("state.safetensors")
        try:
            recipe = Training(**json.loads(recipe_file.read_text("utf-8")))
            rows = formats.read(state).about["rows"] if state.is_file() else []
        except (ValueError, TypeError, KeyError, RmtvizError):
            return None
        run = Run(token, recipe, recipe_file.parent)
        epoch = rows[-1]["epoch"] if rows else 0
        run.snapshot = replace(
            run.snapshot,
            state="done" if epoch == run.recipe.epochs else "interrupted",
            epoch=epoch,
            rows=tuple(rows),
        )
        return run

    def _make_room(self) -> None:
        """Delete the oldest runs that are over, from disk and memory, until one more fits."""
        with self._lock:
            busy = frozenset(token for token, run in self._runs.items() if not run.snapshot.over)
            make_room(self._folder, "run-*", KEPT - 1, busy)
            for token in [token for token, run in self._runs.items() if not run.folder.is_dir()]:
                del self._runs[token]
                self._models.pop(token, None)


@cache
def registry() -> Registry:
    """Return the one registry of this server process."""
    return Registry(data_home() / "runs", max(1, (os.cpu_count() or 1) - 1))


def _title(epoch: int) -> str:
    return say("app.run_title", epochs=epoch)
