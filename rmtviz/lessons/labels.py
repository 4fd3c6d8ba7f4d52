"""Wrong labels: what a cut at the noise edge takes away, and what it does not give back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rmtviz.knobs import knob
from rmtviz.lessons.base import Lesson

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Cuts:
    """A network trained on partly wrong labels, its hidden layers cut at multiples of the edge.

    A number for each of `factors`: `test` is the accuracy on `test_samples` images,
    `selection` that on `selection_samples` images whose labels are as noisy as the training
    labels, `repeated` the share of the `wrong_samples` wrong training labels that the network
    still gives back. `ranks` are those of the hidden layers.
    """

    digest: str
    test_samples: int
    selection_samples: int
    wrong_samples: int
    factors: Array
    ranks: NDArray[np.int64]
    test: Array
    selection: Array
    repeated: Array

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Cuts":
        """Return what `to_dict` made."""
        values: dict[str, Any] = {name: record[name] for name in COUNTS}
        values |= {name: np.array(record[name]) for name in LISTS}
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        counts = {name: getattr(self, name) for name in COUNTS}
        return {**counts, **{name: getattr(self, name).tolist() for name in LISTS}}

    def at(self, factor: float) -> int:
        """Return the place of the measured factor that is closest."""
        return int(np.abs(self.factors - factor).argmin())

    @property
    def chosen(self) -> int:
        """The place of the factor with the best accuracy on the noisy selection labels."""
        return int(self.selection.argmax())


COUNTS = ("digest", "test_samples", "selection_samples", "wrong_samples")
LISTS = ("factors", "ranks", "test", "selection", "repeated")


@dataclass(frozen=True, slots=True)
class Labels(Lesson):
    """The demo network with wrong labels, cut at a multiple of the noise edge. Measured.

    After Staats, Thamm and Rosenow, Phys. Rev. E 108 (2023) L022302, arXiv 2206.03927.
    """

    answers: ClassVar[tuple[str, ...]] = ("none", "few", "most")
    needs: ClassVar[str] = "cuts"

    cut: float = knob(0.0, low=0.0, high=2.0)

    def answer(self, material: Any = None) -> str:
        found = self.numbers(material)
        gain = found["edge_test"] - found["whole_test"]
        return "none" if gain < 0.01 else "few" if gain < 0.15 else "most"

    def numbers(self, material: Any = None) -> Mapping[str, float]:
        cuts: Cuts = material
        places = {"whole": 0, "edge": cuts.at(1.0), "chosen": cuts.chosen, "now": cuts.at(self.cut)}
        found: dict[str, float] = {name: getattr(cuts, name) for name in COUNTS[1:]}
        for name, place in places.items():
            found[f"{name}_factor"] = float(cuts.factors[place])
            found[f"{name}_test"] = float(cuts.test[place])
            found[f"{name}_repeated"] = float(cuts.repeated[place])
            found[f"{name}_first"], found[f"{name}_second"] = map(int, cuts.ranks[place])
        found["gain"] = 100 * (found["edge_test"] - found["whole_test"])
        found["change"] = 100 * (found["now_test"] - found["whole_test"])
        found["chosen_gain"] = 100 * (found["chosen_test"] - found["whole_test"])
        return found

    def picture(self, material: Any = None) -> Mapping[str, Any]:
        cuts: Cuts = material
        return {**{name: getattr(cuts, name).tolist() for name in LISTS}, "chosen": cuts.chosen}
