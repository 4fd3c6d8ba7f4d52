"""A plan of what will be cut, layer by layer, as a value: to look at, to keep as JSON, to apply."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from rmtviz import markup
from rmtviz.errors import BadOption, PlanRefused
from rmtviz.factors import Calibration
from rmtviz.rules.base import sound
from rmtviz.words import say

FORMS = ("auto", "dense", "factored")
"""How a cut layer is stored: factored where that is smaller, always dense, always factored."""


@dataclass(frozen=True, slots=True)
class LayerCut:
    """What happens to one layer: its rank and stored weights before and after, and why.

    `form` is "whole" (untouched), "dense" or "factored"; `reason` a key under `reason` in
    the catalogue; `stable` whether the methods agreed on the cut (None without a fit).
    `values` are the new singular values of the kept directions (None: unchanged), `kept`
    their places in the descending order, from 0 (None: the first `rank_after`).
    """

    name: str
    rank_before: int
    rank_after: int
    parameters_before: int
    parameters_after: int
    form: str
    stable: bool | None
    reason: str
    values: tuple[float, ...] | None = None
    kept: tuple[int, ...] | None = None

    @property
    def reach(self) -> int:
        """How many of the layer's first directions it takes to make the cut."""
        return self.rank_after if self.kept is None else max(self.kept) + 1


@dataclass(frozen=True, slots=True)
class PruningPlan:
    """What will be cut, bound to one checkpoint by its digest. Made by `pruning.plan`.

    Where there is a `calibration`, the directions are those of the layers' outputs on its
    samples, and it takes these to apply the plan. Of the stored entries of all cut layers,
    the largest stay: a share `density` of them.
    """

    digest: str
    rule: str
    method: str
    cuts: tuple[LayerCut, ...]
    density: float = 1.0
    calibration: Calibration | None = None

    def __getitem__(self, name: str) -> LayerCut:
        for cut in self.cuts:
            if cut.name == name:
                return cut
        known = ", ".join(cut.name for cut in self.cuts) or "–"
        raise BadOption("unknown_layer", name=name, known=known)

    @property
    def nothing(self) -> bool:
        """Whether it leaves every layer as it is."""
        return all(cut.form == "whole" for cut in self.cuts)

    def __str__(self) -> str:
        lines = [f"{self.rule}, {self.method}, {self.digest[:12]}"]
        lines += [
            f"{cut.name}: rank {cut.rank_before} → {cut.rank_after}, {cut.form}, "
            f"{cut.parameters_before:,} → {cut.parameters_after:,} weights "
            f"({', '.join([cut.reason, *_details(cut)])})"
            for cut in self.cuts
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the rule, and what happens to each layer."""
        rows = (
            {
                "name": cut.name,
                "rank": f"{cut.rank_before} → {cut.rank_after}",
                "weights": f"{cut.parameters_before:,} → {cut.parameters_after:,}",
                "form": say(f"prune.form.{cut.form}"),
                "reason": say(f"reason.{cut.reason}"),
            }
            for cut in self.cuts
        )
        return markup.shown(
            say("notebook.plan", rule=self.rule, method=self.method, digest=self.digest[:12]), rows
        )

    def to_json(self) -> str:
        """Return the plan as JSON text."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "PruningPlan":
        """Return the plan that `to_json` wrote.

        Raises:
            PlanRefused: the text is no plan.
        """
        try:
            record = json.loads(text)
            cuts = tuple(map(_cut_of, record.pop("cuts")))
            told = record.pop("calibration", None)
            plan = cls(cuts=cuts, **record, calibration=Calibration(**told) if told else None)
            makes_sense = isinstance(plan.digest, str) and all(map(_sound, cuts))
            if type(plan.density) not in (int, float) or not 0 < plan.density <= 1:
                raise ValueError
            if not makes_sense or len({cut.name for cut in cuts}) < len(cuts):
                raise ValueError
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            raise PlanRefused("plan_unreadable") from None
        return plan


def _details(cut: LayerCut) -> list[str]:
    """Return in words what a cut does besides keeping the first values as they are."""
    words = []
    if cut.kept is not None:
        first = next(i for i, place in enumerate((*cut.kept, -1)) if place != i)
        words.append(f"the first {first} and {cut.rank_after - first} of the others")
    if cut.values is not None:
        words.append(f"new values {max(cut.values):.4g} to {min(cut.values):.4g}")
    return words


def _cut_of(record: dict[str, Any]) -> LayerCut:
    """Return the cut that was written as this record; lists become tuples again."""
    values, kept = record.get("values"), record.get("kept")
    if values is not None:
        if not all(type(value) in (int, float) for value in values):
            raise ValueError
        values = tuple(float(value) for value in values)
    return LayerCut(**record | {"values": values, "kept": None if kept is None else tuple(kept)})


def _sound(cut: LayerCut) -> bool:
    """Return whether a cut that was read from a text can be one."""
    counts = (cut.rank_before, cut.rank_after, cut.parameters_before, cut.parameters_after)
    if not isinstance(cut.name, str) or not all(type(count) is int for count in counts):
        return False
    if not all(type(place) is int and place < cut.rank_before for place in cut.kept or ()):
        return False
    fits = 1 <= cut.rank_after <= cut.rank_before and sound(cut.rank_after, cut.values, cut.kept)
    return fits and cut.form in ("whole", *FORMS[1:])
