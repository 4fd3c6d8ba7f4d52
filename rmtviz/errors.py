"""The errors that a person can cause, as a tree. Each says what, where, and the way out.

    RmtvizError
    ├── FileRefused        the bytes are not a checkpoint that we read
    ├── PlanRefused        the plan does not belong to this checkpoint, or cannot be carried out
    ├── CannotRun          the network cannot be run from its weights
    ├── OrderUnknown       the layers fit together in more than one order
    ├── BadOption          a choice, a name or a number outside its range
    ├── DataRefused        a dataset that is missing, broken or does not fit the network
    └── ExtraMissing       an optional package is not installed

The words are in the catalogue under `error.KEY.what` and `error.KEY.do`.
A fit that cannot be made is no error: it is a status of the fit.
"""

from rmtviz.words import say


class RmtvizError(Exception):
    """A refusal: `what` went wrong and where, `do` says the way out."""

    def __init__(self, key: str, **values: object) -> None:
        self.key = key
        self.values = values
        super().__init__(f"{self.what}\n{self.do}")

    @property
    def what(self) -> str:
        return say(f"error.{self.key}.what", **self.values)

    @property
    def do(self) -> str:
        return say(f"error.{self.key}.do", **self.values)


class FileRefused(RmtvizError):
    """The bytes are not a checkpoint that we read."""


class PlanRefused(RmtvizError):
    """The plan does not belong to this checkpoint, or cannot be carried out."""


class CannotRun(RmtvizError):
    """The network cannot be run from its weights alone."""


class OrderUnknown(CannotRun):
    """The layers fit together in more than one order, and their names do not say which."""


class BadOption(RmtvizError):
    """A choice, a name or a number outside its range."""


class DataRefused(RmtvizError):
    """A dataset that is missing, broken or does not fit the network."""


class ExtraMissing(RmtvizError):
    """An optional package is not installed; the sentence names the extra."""
