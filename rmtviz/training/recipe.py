"""The recipe of a run, all that it depends on: what is trained on what, how, and when it is cut."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rmtviz import knobs
from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import DATASETS, KEY, TEXTS, Dataset, divided, sizes
from rmtviz.errors import BadOption, DataRefused
from rmtviz.knobs import check, knob
from rmtviz.networks import MLP
from rmtviz.rules import RULES, BulkShare, Rule
from rmtviz.schedules import SCHEDULES, Schedule

RATES: Mapping[str, Callable[[float], float]] = {
    "constant": lambda share: 1.0,
    "cosine": lambda share: (1 + math.cos(math.pi * share)) / 2,
}
"""The learning rate in units of the first, from the share of the run that is over, by name."""

MOMENTS: Mapping[str, tuple[str, ...]] = {
    "adam": ("exp_avg", "exp_avg_sq"),
    "sgd": ("momentum_buffer",),
}
"""The optimisers, and what each remembers of a parameter besides the number of steps."""

TABLES: Mapping[str, Mapping[str, type]] = {"schedule": SCHEDULES, "rule": RULES}
"""The fields of a recipe that are choices, and where they are listed."""

EDGE = BulkShare()
"""What stays where nothing else is said: the values above the noise edge."""


WIDEST = 4096
"""No hidden layer is wider, and no matrix of data of one's own has more entries than its square."""


BATCH, SMALLEST, STEPS = 128, 8, 30
"""The usual batch; the smallest for data of one's own, and the steps of an epoch on them."""


@dataclass(frozen=True, slots=True)
class Training:
    """A multilayer perceptron, cross-entropy, from torch's usual uniform initial weights.

    `dataset` is a name of the table, or the key of data of one's own: see `naming`.
    `widths` are those of the hidden layers; `optimiser` is a key of `MOMENTS`, `momentum`
    that of "sgd"; `rate` is a key of `RATES`; `weight_decay` is the L2 penalty of
    `torch.optim`, added to the gradient; `dropout` is the probability with which a hidden
    value is set to zero; `magnitude` the share of each hidden layer's entries, the smallest,
    that is zero in the end; with `patience` a run ends when the selection accuracy has not
    risen for so many epochs (0: never). `label_noise` is the probability with which a label
    is re-drawn at random; the first `train_samples` training images are used; `activation`,
    `inputs` and `logits` are those of `networks.MLP`. `schedule` says when layers are cut and
    `rule` what stays; without a schedule nothing is cut.

    Raises:
        BadOption: names the knob, the value and what it may be.
    """

    dataset: str = "mnist"
    widths: tuple[int, ...] = (512, 256)
    epochs: int = knob(10, low=1, high=200)
    batch_size: int = knob(BATCH, low=1, high=10_000)
    optimiser: str = knob("adam", among=tuple(MOMENTS))
    learning_rate: float = knob(1e-3, low=1e-6, high=1.0)
    momentum: float = knob(0.9, low=0.0, high=0.999)
    rate: str = "cosine"
    weight_decay: float = knob(0.0, low=0.0, high=1.0)
    dropout: float = knob(0.0, low=0.0, high=0.9)
    magnitude: float = knob(0.0, low=0.0, high=0.999)
    patience: int = knob(0, low=0, high=200)
    label_noise: float = knob(0.0, low=0.0, high=1.0)
    train_samples: int = knob(55_000, low=1, high=55_000)
    activation: str = "relu"
    inputs: str = "unit"
    logits: str = "linear"
    seed: int = knob(0, low=0, high=2**32 - 1)
    schedule: Schedule | None = None
    rule: Rule = EDGE

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        for name, table in TABLES.items():
            object.__setattr__(self, name, _choice(table, getattr(self, name)))
        check(self)
        numbers = [name for name in DATASETS if name not in TEXTS]
        for word, known in ((self.dataset, numbers), (self.rate, [*RATES])):
            if word not in known and not (known is numbers and KEY.fullmatch(word)):
                raise BadOption("unknown_name", name=word, known=", ".join(known))
        if len(self.widths) > 8 or not all(1 <= width <= WIDEST for width in self.widths):
            raise BadOption("widths", widths=", ".join(map(str, self.widths)))
        if self.magnitude and self.schedule:
            raise BadOption("magnitude_and_schedule")
        MLP(self.activation, self.inputs, logits=self.logits)

    def record(self) -> dict[str, Any]:
        """Return plain values for JSON; `Training(**record)` is the same recipe."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name, table in TABLES.items():
            choice = plain[name]
            if choice is not None:
                plain[name] = {"name": knobs.label(table, choice), **knobs.values(choice)}
        return {**plain, "widths": list(self.widths)}

    @property
    def own(self) -> bool:
        """Whether the dataset is somebody's own, and not one of the table."""
        return self.dataset not in DATASETS

    def data(self, own: Dataset | None = None) -> Dataset:
        """Return the dataset with this recipe's label noise; one's own has to be given.

        It is divided by this recipe's seed: see `datasets.divided`.

        Raises:
            DataRefused: the dataset's file is missing or broken; one's own is not given or is
                another, can't be divided, or has samples too long for the first layer.
        """
        if not self.own:
            found = DATASETS[self.dataset]()()
        elif own is None or own.key != self.dataset:
            raise DataRefused("own_gone", dataset=self.dataset)
        else:
            found = divided(own, self.seed)
            width = (*self.widths, found.outputs)[0]
            if found.pixels * width > WIDEST**2:
                most = WIDEST**2 // found.pixels
                raise DataRefused("own_long", numbers=found.pixels, width=width, most=most)
        return found.with_label_noise(self.label_noise, self.seed)

    def network(self, dataset: Dataset) -> MLP:
        """Return the choice that runs this recipe's checkpoints."""
        return MLP(
            self.activation,
            self.inputs,
            mean=dataset.mean,
            std=dataset.std,
            top=dataset.top,
            logits=self.logits,
        )

    def about(self, checkpoint: Checkpoint, epoch: int) -> Checkpoint:
        """Return the checkpoint with what it takes to run it, judge it and make it again."""
        network = MLP(self.activation, self.inputs, logits=self.logits).record()
        return checkpoint.with_about(trained=self.record(), network=network, epoch=epoch)


def naming(own: Dataset) -> dict[str, Any]:
    """Return the settings for data of one's own: their key, inputs of mean 0, batches.

    These are so small that an epoch has `STEPS` of them, as far as `SMALLEST` allows.
    """
    batch = min(BATCH, max(SMALLEST, sizes(own)[0] // STEPS))
    return {"dataset": own.key, "inputs": "standard", "batch_size": batch}


def widths(words: str) -> tuple[int, ...]:
    """Return the widths in words such as "512, 256".

    Raises:
        BadOption: not whole numbers by commas.
    """
    parts = [part.strip() for part in words.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() for part in parts):
        raise BadOption("widths_word", word=words)
    return tuple(int(part) for part in parts)


def _choice(table: Mapping[str, type], value: Any) -> Any:
    """Return a choice of the table from itself, or from what `Training.record` made of it."""
    if value is None or type(value) in table.values():
        return value
    record = dict(value) if isinstance(value, Mapping) else {"name": value}
    name = record.pop("name", None)
    if name not in table:
        raise BadOption("unknown_name", name=name, known=", ".join(table))
    return table[name](**record)
