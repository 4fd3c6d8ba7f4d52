"""What the weights of a plain convolutional network do not say: margins, strides, poolings."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rmtviz.errors import BadOption

PADDINGS = ("same", "valid")
"""Margins that keep the size of a picture (for windows of odd sides), or none."""

SHRINKS = ("keep", "max", "average", "stride")
"""What halves the picture at a convolution: nothing, a pooling of 2 × 2 after it, its stride."""

HEADS = ("flatten", "mean")
"""What the linear layers are given: all numbers, or the mean of each channel."""

MIXED = 4
"""Up to so many convolutions may each have a padding of its own; in more, all have the same."""

Sides = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Step:
    """What happens at one convolution. As words: "same+max"."""

    padding: str
    shrink: str

    def __str__(self) -> str:
        return f"{self.padding}+{self.shrink}"

    @property
    def stride(self) -> int:
        """The stride of the convolution."""
        return 2 if self.shrink == "stride" else 1

    def margins(self, kernel: Sides) -> Sides:
        """Return how many places are added on each side, for a window of this size."""
        return (kernel[0] // 2, kernel[1] // 2) if self.padding == "same" else (0, 0)

    def after(self, kernel: Sides, sides: Sides) -> tuple[Sides, Sides] | None:
        """Return the sides of the convolution's output, and of what is handed on; None: nothing."""
        if self.padding == "same" and 0 in (kernel[0] % 2, kernel[1] % 2):
            return None
        margins = self.margins(kernel)
        room = [s + 2 * m - k for s, m, k in zip(sides, margins, kernel, strict=True)]
        if min(room) < 0:
            return None
        height, width = (free // self.stride + 1 for free in room)
        by = 2 if self.shrink in ("max", "average") else 1
        handed = (height // by, width // by)
        return ((height, width), handed) if min(handed) else None


@dataclass(frozen=True, slots=True)
class Layout:
    """A step for each convolution, and the head. As words: "same+max,valid+keep/flatten"."""

    steps: tuple[Step, ...]
    head: str

    @classmethod
    def of(cls, words: str) -> "Layout":
        """Return the layout in words.

        Raises:
            BadOption: they are none.
        """
        first, _, head = words.partition("/")
        pairs = [word.split("+") for word in first.split(",")]
        if head in HEADS and all(len(pair) == 2 for pair in pairs):
            steps = tuple(Step(padding, shrink) for padding, shrink in pairs)
            if all(step.padding in PADDINGS and step.shrink in SHRINKS for step in steps):
                return cls(steps, head)
        raise BadOption("layout_word", word=words)

    def __str__(self) -> str:
        return f"{','.join(map(str, self.steps))}/{self.head}"

    def sides(self, kernels: Sequence[Sides], sides: Sides) -> list[Sides] | None:
        """Return the sides after each convolution, and those at the end; None: nothing is left."""
        found = []
        for step, kernel in zip(self.steps, kernels, strict=True):
            after = step.after(kernel, sides)
            if after is None:
                return None
            found.append(after[0])
            sides = after[1]
        return [*found, sides]


def possible(count: int) -> Iterator[Layout]:
    """Yield all layouts for so many convolutions; there is one kind of pooling in a network."""
    paddings: Iterator[tuple[str, ...]] = ((each,) * count for each in PADDINGS)
    if count <= MIXED:
        paddings = itertools.product(PADDINGS, repeat=count)
    for padding in paddings:
        for pooling in ("max", "average"):
            for shrinks in itertools.product(("keep", pooling, "stride"), repeat=count):
                if pooling == "max" or pooling in shrinks:
                    steps = tuple(map(Step, padding, shrinks))
                    yield from (Layout(steps, head) for head in HEADS)
