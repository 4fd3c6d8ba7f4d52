"""When the error on the selection set starts to rise."""

from dataclasses import dataclass

from rmtviz.knobs import knob
from rmtviz.schedules.base import Moment, Repeated, since


@dataclass(frozen=True, slots=True)
class Rising(Repeated):
    """Cut when the selection error has not come below its least for so many epochs.

    The least one since the latest cut counts.
    """

    patience: int = knob(2, low=1, high=100)

    def ready(self, moment: Moment) -> bool:
        errors = moment.errors[since(moment) :]
        return len(errors) - 1 - errors.index(min(errors)) >= self.patience
