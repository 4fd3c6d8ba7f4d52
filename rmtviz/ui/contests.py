"""A comparison behind the page: the contenders of the lab over several seeds, one at a time."""

import itertools
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rmtviz.datasets import Dataset
from rmtviz.errors import RmtvizError
from rmtviz.ui.work import Job, Shot

if TYPE_CHECKING:
    from rmtviz.lab import Result
    from rmtviz.training import EpochRecord, Training

RECIPE, RESULTS = "recipe.json", "results.json"
"""The files of a comparison's folder: what is compared, and what is finished."""


@dataclass(frozen=True, slots=True, eq=False)
class Standing(Shot):
    """What a page may show of a comparison: the results so far, of `expected` ones.

    `contender` and `seed` are at work, `epoch` is how far; of the data, `train_samples` is how
    many could be trained on, `selection_samples` how many decide, `classes` how many there are.
    `work` is counted (`work`), `pace` the seconds a unit of it took in the first epoch.
    """

    expected: int = 1
    results: tuple["Result", ...] = ()
    contender: str | None = None
    seed: int = 0
    epoch: int = 0
    train_samples: int = 0
    selection_samples: int = 0
    classes: int = 10
    work: int = 0
    pace: float | None = None

    @property
    def share(self) -> float:
        """The share of the results that is there."""
        return len(self.results) / self.expected


class Contest(Job[Standing]):
    """One comparison: a recipe, of which the contenders change a little, and a number of seeds."""

    def __init__(self, token: str, recipe: "Training", seeds: int, folder: Path) -> None:
        from rmtviz.lab import CONTENDERS

        super().__init__(token, folder, Standing(expected=seeds * len(CONTENDERS)))
        self.recipe = recipe
        self.seeds = seeds
        self._began, self._epoch_work = 0.0, 1

    @classmethod
    def restored(cls, token: str, folder: Path) -> "Contest | None":
        """Return a comparison that another process began: done, stopped, or interrupted.

        One whose files are broken, or of a version that knew other options, is none.
        """
        from rmtviz.training import Training

        try:
            words = json.loads((folder / RECIPE).read_text("utf-8"))
            contest = cls(token, Training(**words["recipe"]), int(words["seeds"]), folder)
            results = contest.finished()
            contest.tell(**words.get("data", {}))
        except (OSError, ValueError, TypeError, KeyError, RmtvizError):
            return None
        whole = len(results) == contest.snapshot.expected
        contest.tell(state="done" if whole else contest.left, results=results)
        return contest

    def begin(self, own: Dataset | None = None) -> None:
        """Make the folder, with what is compared in it, and on which data if they are one's own."""
        from rmtviz import training

        self.folder.mkdir(parents=True)
        training.keep(self.folder, own)
        self._keep(RECIPE, {"recipe": self.recipe.record(), "seeds": self.seeds})

    def again(self) -> "Contest":
        return Contest(self.token, self.recipe, self.seeds, self.folder)

    def finished(self) -> tuple["Result", ...]:
        """Return the results in the folder."""
        from rmtviz.lab import Result

        file = self.folder / RESULTS
        rows = json.loads(file.read_text("utf-8")) if file.is_file() else []
        return tuple(Result(**row) for row in rows)

    def do(self) -> None:
        from rmtviz import lab, training

        results, own = self.finished(), training.kept(self.folder, self.recipe)
        data = self.recipe.data(own)
        facts = {f"{name}_samples": len(data.split(name)) for name in ("train", "selection")}
        facts["classes"] = data.outputs
        words = {"recipe": self.recipe.record(), "seeds": self.seeds, "data": facts}
        self._keep(RECIPE, words)
        self._epoch_work = epoch_work(self.recipe, data)
        self.tell(results=results, work=work(self.recipe, self.seeds, data), **facts)
        for seed in range(self.seeds):
            done = {each.contender for each in results if each.seed == seed}
            left = {name: each for name, each in lab.CONTENDERS.items() if name not in done}
            for result in lab.run(self.recipe, [seed], left, self._epoch, own):
                results = (*results, result)
                self._keep(RESULTS, [asdict(each) for each in results])
                self.tell(results=results, contender=None, seed=seed)
                self.held()
        self.tell(state="done", contender=None)

    def _epoch(self, contender: str, record: "EpochRecord") -> None:
        now = time.monotonic()
        if record.epoch == 1 and self.snapshot.pace is None:
            self.tell(pace=(now - self._began) / self._epoch_work)
        self.tell(contender=contender, epoch=record.epoch)
        self.held()
        self._began = time.monotonic()

    def _keep(self, name: str, value: Any) -> None:
        """Write a file so that, whenever the process dies, it is the old one or the new one."""
        part = self.folder / f"{name}.part"
        part.write_text(json.dumps(value), "utf-8")
        part.replace(self.folder / name)


def work(recipe: "Training", seeds: int, data: Dataset) -> int:
    """Return the multiply–accumulates of a whole comparison, as if no layer were ever cut.

    Those of its epochs (`epoch_work`), of reading the selection images with each network of
    which one is chosen, and the training and test images with the one that was.
    """
    from rmtviz.lab import CONTENDERS, Chosen

    contenders = CONTENDERS.values()
    selection, test = len(data.split("selection")), len(data.split("test"))
    images = len(data.split("train").first(recipe.train_samples))
    runs = {replace(recipe, **change) for each in contenders for change in each.changes(recipe)}
    read = 0
    for each in contenders:
        finish = each.finish
        made = finish.candidates(recipe) if isinstance(finish, Chosen) else 1
        read += len(list(each.changes(recipe))) * made * selection + images + test
    epochs = len(runs) * recipe.epochs * epoch_work(recipe, data)
    return seeds * (epochs + read * _weights(recipe, data))


def epoch_work(recipe: "Training", data: Dataset) -> int:
    """Return the multiply–accumulates of one epoch: of its steps, and of what is read after it."""
    from rmtviz.training import MEASURED

    images = len(data.split("train").first(recipe.train_samples))
    read = len(data.split("selection")) + min(images, MEASURED)
    return (3 * images + read) * _weights(recipe, data)


def _weights(recipe: "Training", data: Dataset) -> int:
    sides = (data.pixels, *recipe.widths, data.outputs)
    return sum(m * n for m, n in itertools.pairwise(sides))
