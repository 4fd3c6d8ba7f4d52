"""What every lesson is: knobs, the numbers that follow from them, and one question."""

import abc
import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from rmtviz import knobs


@dataclass(frozen=True, slots=True)
class Lesson(abc.ABC):
    """A step: its fields are what the reader may move, `answers` what may be guessed.

    `needs` names what the numbers are computed from, besides the knobs: nothing, what the
    shipped networks are made of, or the reader's own layer. Whoever shows a lesson hands it
    over as `material`. The picture is drawn from the knobs and from `picture`, both plain
    values; the words are the catalogue's.
    """

    answers: ClassVar[tuple[str, ...]]
    needs: ClassVar[str] = "nothing"

    def __post_init__(self) -> None:
        knobs.check(self)

    @abc.abstractmethod
    def answer(self, material: Any = None) -> str:
        """Return which of the answers is right."""

    @abc.abstractmethod
    def numbers(self, material: Any = None) -> Mapping[str, Any]:
        """Return the values that the formula and the explanation are filled with."""

    def picture(self, material: Any = None) -> Mapping[str, Any]:
        """Return what the picture needs beside the knobs, as plain numbers and lists."""
        return {}

    def shown(self) -> tuple[str, ...]:
        """Return the knobs that mean something at the present choice, in order."""
        return tuple(field.name for field in dataclasses.fields(self))


def step(field: dataclasses.Field[Any]) -> float:
    """Return by how much a knob moves at a time: 1 if whole, else about a hundredth, round."""
    if isinstance(field.default, int):
        return 1
    width = (field.metadata["high"] - field.metadata["low"]) / 100
    unit = 10.0 ** math.floor(math.log10(width))
    return float(min((m for m in (1, 2, 5, 10)), key=lambda m: abs(m * unit - width)) * unit)
