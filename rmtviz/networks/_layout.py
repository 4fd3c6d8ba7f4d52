"""What the weights of a plain convolutional network do not say: margins, strides, poolings."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rmtviz.errors import BadOption

PADDINGS = ("same", "valid")
"""Margins that keep the size of a picture, or halve it with a stride of 2; or none."""

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

    def passing(self, kernel: Sides, sides: Sides, keras: bool) -> "Passing | None":
        """Return how a picture with these sides passes, for a window of this size; None: not."""
        height, width = (
            self._margins(k, side, keras) for k, side in zip(kernel, sides, strict=True)
        )
        if height is None or width is None:
            return None
        room = [
            side + sum(added) - k
            for side, added, k in zip(sides, (height, width), kernel, strict=True)
        ]
        if min(room) < 0:
            return None
        down, across = (free // self.stride + 1 for free in room)
        by = 2 if self.shrink in ("max", "average") else 1
        handed = (down // by, across // by)
        return Passing((height, width), (down, across), handed) if min(handed) else None

    def _margins(self, kernel: int, side: int, keras: bool) -> tuple[int, int] | None:
        """Return how many places are added before and after along one side; None: it can't be.

        In PyTorch half the window on either side. Keras adds what ⌈side/stride⌉ windows need,
        the odd place after: (⌈side/stride⌉ − 1) · stride + window − side, if that is above 0.
        """
        if self.padding == "valid":
            return 0, 0
        if keras:
            total = max((-(-side // self.stride) - 1) * self.stride + kernel - side, 0)
            return total // 2, total - total // 2
        return (kernel // 2, kernel // 2) if kernel % 2 else None


@dataclass(frozen=True, slots=True)
class Passing:
    """What a picture gets and becomes at one convolution.

    `margins` are the places added above and below, and left and right; `output` the sides of the
    convolution's output, `handed` of what is handed on after a pooling.
    """

    margins: tuple[Sides, Sides]
    output: Sides
    handed: Sides


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

    def passings(self, kernels: Sequence[Sides], sides: Sides, keras: bool) -> list[Passing] | None:
        """Return how a picture passes each convolution; None: nothing is left of it.

        `keras` says whose margins "same" means.
        """
        found: list[Passing] = []
        for step, kernel in zip(self.steps, kernels, strict=True):
            passing = step.passing(kernel, found[-1].handed if found else sides, keras)
            if passing is None:
                return None
            found.append(passing)
        return found


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
