"""Singular values: a matrix turns a circle into an ellipse."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from rmtviz.knobs import knob
from rmtviz.lessons.base import Lesson


@dataclass(frozen=True, slots=True)
class Singular(Lesson):
    """A 2 × 2 matrix W = (a b; c d), and the half-axes of the image of the unit circle.

        s₁,₂ = ½ (√((a + d)² + (b − c)²) ± √((a − d)² + (b + c)²)), the second in absolute value

    Source: Golub and Van Loan, Matrix Computations, 4th ed. (2013), section 2.4.
    """

    answers: ClassVar[tuple[str, ...]] = ("half", "zero", "same")

    a: float = knob(1.2, low=-2.0, high=2.0)
    b: float = knob(0.5, low=-2.0, high=2.0)
    c: float = knob(-0.4, low=-2.0, high=2.0)
    d: float = knob(1.0, low=-2.0, high=2.0)

    def answer(self, material: Any = None) -> str:
        return "zero"

    def numbers(self, material: Any = None) -> Mapping[str, float]:
        one = math.hypot(self.a + self.d, self.b - self.c)
        two = math.hypot(self.a - self.d, self.b + self.c)
        return {
            **{name: getattr(self, name) for name in self.shown()},
            "s1": (one + two) / 2,
            "s2": abs(one - two) / 2,
            "determinant": self.a * self.d - self.b * self.c,
        }
