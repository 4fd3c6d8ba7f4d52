"""A training run behind the page: what is shown of it, its thread, and what its folder keeps."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rmtviz import formats
from rmtviz.analysis import Analysis
from rmtviz.datasets import Dataset
from rmtviz.errors import RmtvizError
from rmtviz.ui import work
from rmtviz.ui.memo import Memo
from rmtviz.ui.work import Job, Shot

if TYPE_CHECKING:
    from rmtviz.training import EpochRecord, Progress, Training

POINTS = 400
"""At most so many points of the loss curve are kept."""

ABOUT = "about.json"
"""What is known of a run besides its epochs: its name, its origin, how it reads the test set."""


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot(Shot):
    """What a page may show of a run: its state, how far it is, and what is known by now.

    `rows` are the epochs' figures, `losses` pairs of (epochs, batch loss). `frames` are pairs
    of an epoch after which the spectra were looked at and what they said, `befores` the same
    of what they said before the cut there.
    """

    epochs: int = 1
    epoch: int = 0
    step: int = 0
    steps: int = 1
    rows: tuple[dict[str, Any], ...] = ()
    losses: tuple[tuple[float, float], ...] = ()
    frames: tuple[tuple[int, Analysis], ...] = ()
    befores: tuple[tuple[int, Analysis], ...] = ()
    selection_samples: int = 0
    test_accuracy: float | None = None
    test_samples: int = 0

    @property
    def share(self) -> float:
        """The share of the run that is done."""
        return min(1.0, (self.epoch + self.step / self.steps) / self.epochs)

    @property
    def looks(self) -> list[int]:
        """The epochs after which the spectra were looked at."""
        return [row["epoch"] for row in self.rows if row["looked"] == row["epoch"]]


class Run(Job[Snapshot]):
    """One training run."""

    def __init__(self, token: str, recipe: "Training", folder: Path) -> None:
        super().__init__(token, folder, Snapshot(epochs=recipe.epochs))
        self.recipe = recipe
        self.memo = Memo()
        self._told = 0.0
        self._one = False

    @classmethod
    def restored(cls, token: str, folder: Path) -> "Run | None":
        """Return a run that another server process began: done, stopped, or interrupted.

        One whose files are broken, or of a version that knew other options, is none.
        """
        from rmtviz.training import Training

        state = folder / "state.safetensors"
        try:
            recipe = Training(**json.loads((folder / "recipe.json").read_text("utf-8")))
            rows = formats.read(state).about["rows"] if state.is_file() else []
        except (OSError, ValueError, TypeError, KeyError, RmtvizError):
            return None
        run = cls(token, recipe, folder)
        about, epoch = run.about, rows[-1]["epoch"] if rows else 0
        done = epoch == recipe.epochs or "test_accuracy" in about
        run.tell(
            state="done" if done else run.left,
            epoch=epoch,
            rows=tuple(rows),
            selection_samples=about.get("selection_samples", 0),
            test_accuracy=about.get("test_accuracy"),
            test_samples=about.get("test_samples", 0),
        )
        return run

    def begin(self, own: Dataset | None = None) -> None:
        """Make the run's folder, with the recipe in it, and the data if they are one's own."""
        from rmtviz import training

        self.folder.mkdir(parents=True, exist_ok=True)
        training.keep(self.folder, own)
        (self.folder / "recipe.json").write_text(json.dumps(self.recipe.record()), "utf-8")

    def again(self) -> "Run":
        return Run(self.token, self.recipe, self.folder)

    def step(self) -> None:
        """Go on after a pause, to the end of the epoch."""
        self._one = True
        self.go_on()

    @property
    def about(self) -> dict[str, Any]:
        """What is known besides its epochs."""
        try:
            known: dict[str, Any] = json.loads((self.folder / ABOUT).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return known

    def note(self, **facts: Any) -> None:
        """Keep facts about the run."""
        (self.folder / ABOUT).write_text(json.dumps({**self.about, **facts}), "utf-8")

    def weights(self, epoch: int) -> Path:
        """Return the file of an epoch's network."""
        return self.folder / f"epoch-{epoch:03}.safetensors"

    def frame(self, epoch: int) -> Analysis:
        """Return what the spectra say after an epoch, read from its file at most once.

        Where layers were cut after it, it is what they said before, if that is known.

        Raises:
            FileRefused: the file is broken.
        """
        known = dict((*self.snapshot.frames, *self.snapshot.befores))
        return known[epoch] if epoch in known else self.memo(epoch, lambda: self._read(epoch))

    def _read(self, epoch: int) -> Analysis:
        from rmtviz.training import looking

        return looking.look(formats.read(self.weights(epoch)), epoch).found

    def do(self) -> None:
        from rmtviz import evaluation, training

        data = self.recipe.data(training.kept(self.folder, self.recipe))
        selection = len(data.split("selection"))
        self.tell(selection_samples=selection)
        for record in training.train(self.recipe, self.folder, resume=True, on_batch=self._batch):
            self._epoch(record)
            last = record
        network = self.recipe.network(data)(last.checkpoint)
        found = evaluation.evaluate(network, data.split("test"))
        facts = {"test_accuracy": found.accuracy, "test_samples": found.samples}
        self.note(selection_samples=selection, **facts)
        self.tell(state="done", **facts)

    def _batch(self, progress: "Progress") -> None:
        self.held()
        now = time.monotonic()
        if now - self._told < work.TICK and progress.step < progress.steps:
            return
        self._told = now
        place = progress.epoch - 1 + progress.step / progress.steps
        losses = (*self.snapshot.losses, (place, progress.loss))
        self.tell(
            epoch=progress.epoch - 1,
            step=progress.step,
            steps=progress.steps,
            losses=losses if len(losses) <= POINTS else losses[::2],
        )

    def _epoch(self, record: "EpochRecord") -> None:
        shot = self.snapshot
        new = ((record.epoch, record.analysis),) if record.looked == record.epoch else ()
        old = ((record.epoch, record.before),) if record.before else ()
        self.tell(
            epoch=record.epoch,
            step=0,
            rows=(*shot.rows, record.row()),
            frames=(*shot.frames, *new),
            befores=(*shot.befores, *old),
        )
        if self._one:
            self._one = False
            self._go.clear()
        if record.epoch < self.recipe.epochs:
            self.held()
