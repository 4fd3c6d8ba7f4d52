"""The studio without data: how far outputs move, and a guess of which layer loses most.

Nobody knows an accuracy here, so none is shown, and a guess is never dressed up as one.
"""

import streamlit as st

from rmtviz import ranking, verdict
from rmtviz.analysis import Analysis
from rmtviz.cuts import PruningPlan
from rmtviz.fits import METHODS
from rmtviz.rules import RULES
from rmtviz.ui import judging, plans, widgets
from rmtviz.ui.judging import Reason
from rmtviz.ui.library import Model
from rmtviz.words import say

GUESS = "stable-rank"
"""The guess that agreed best with what was measured where there are data: see docs/tradeoff.md."""


def draw(reason: Reason, model: Model) -> None:
    """Draw why there is no accuracy, what a plan moves, and the guess for each layer."""
    analysis = model.analysed(widgets.standing(METHODS, "method"))
    if not analysis.layers:
        st.info(say("prune.empty"), title=verdict.of_model(analysis), icon=":material/info:")
        return
    plan = plans.standing(analysis, widgets.standing(RULES, "rule"))
    layer = widgets.layer(analysis).name
    judging.no_accuracy(reason, model, analysis, plan, layer)
    st.subheader(say("studio.guess"), anchor=False)
    st.dataframe(
        guesses(analysis, plan),
        column_config={
            name: st.column_config.Column(say(f"studio.column.guess_{name}"))
            for name in ("place", "layer", "rank", "removed", "guess")
        },
        hide_index=True,
        alt=say("studio.guess_alt"),
    )
    st.caption(say("studio.guess_about"))


def guesses(analysis: Analysis, plan: PruningPlan) -> list[dict[str, object]]:
    """Return a row for each layer that a plan cuts, that first which should lose most by it."""
    names = widgets.short_names([layer.name for layer in analysis])
    guess = ranking.GUESSES[GUESS]
    found = sorted(
        (
            (guess(analysis, index, plan[layer.name].rank_after), index, layer)
            for index, layer in enumerate(analysis.layers)
            if plan[layer.name].form != "whole"
        ),
        key=lambda each: -each[0],
    )
    return [
        {
            "place": place,
            "layer": names[layer.name],
            "rank": f"{plan[layer.name].rank_before} → {plan[layer.name].rank_after}",
            "removed": f"{ranking.cut_energy(analysis, index, plan[layer.name].rank_after):.0%}",
            "guess": f"{value:.3g}",
        }
        for place, (value, index, layer) in enumerate(found, start=1)
    ]
