"""Settings where the study found that a cut helps most, with what it found: for the lab."""

import json
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import streamlit as st

from rmtviz.site import home
from rmtviz.ui import recipes
from rmtviz.words import say

if TYPE_CHECKING:
    from rmtviz.lab import Line
    from rmtviz.training import Training

STUDY = home() / "benchmarks" / "study.json"
"""The results of `benchmarks/study.py`; an installed package comes without them."""

MOST = 2
"""So many settings are offered."""

CUT, BESIDE = "rmt-chosen", "early-stopping"
"""The contender that settings are chosen by, and the one whose gain stands beside its gain."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A setting of the study: its recipe, and what two contenders gained on average."""

    recipe: "Training"
    cut: "Line"
    beside: "Line"

    @property
    def title(self) -> str:
        """The setting in words."""
        recipe = self.recipe
        return say(
            "train.finding",
            width=recipe.widths[0],
            images=recipe.train_samples,
            noise=recipe.label_noise,
        )

    @property
    def found(self) -> str:
        """What was found there, in words."""
        return say(
            "train.finding_found",
            gain=_points(self.cut),
            beside=_points(self.beside),
            seeds=say("train.seeds_n", n=self.cut.seeds),
        )


@cache
def findings() -> tuple[Finding, ...]:
    """Return the settings in which the cut gains most, the best first; none without the study."""
    from rmtviz.lab import Result, table
    from rmtviz.training import Training

    if not STUDY.is_file():
        return ()
    record = json.loads(STUDY.read_text("utf-8"))
    base = Training(**record["recipe"])
    results: dict[Training, list[Result]] = {}
    for row in record["rows"]:
        setting = row.pop("setting")
        width, images, noise = (setting[name] for name in ("width", "images", "noise"))
        recipe = replace(base, widths=(width,) * 2, train_samples=images, label_noise=noise)
        results.setdefault(recipe, []).append(Result(**row))
    found = []
    for recipe, rows in results.items():
        lines = {line.contender: line for line in table(rows)}
        found.append(Finding(recipe, lines[CUT], lines[BESIDE]))
    return tuple(sorted(found, key=lambda each: -each.cut.gain)[:MOST])


def draw() -> None:
    """Draw a button for each setting, and below it what the study found there."""
    for place, each in enumerate(findings()):
        if not place:
            st.caption(say("train.findings"))
        st.button(each.title, key=f"finding_{place}", on_click=_take, args=(each,), width="stretch")
        st.caption(each.found)


def _take(finding: Finding) -> None:
    recipes.take(finding.recipe, recipes.SIDE)
    st.session_state["lab_seeds"] = finding.cut.seeds


def _points(line: "Line") -> str:
    spread = "" if line.gain_spread is None else f" ± {100 * line.gain_spread:.1f}"
    return f"{100 * line.gain:+.1f}{spread}"
