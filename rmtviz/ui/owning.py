"""A live module's own metric on the page: before and after the plan, and against a layer's rank."""

from collections.abc import Callable, Hashable
from typing import TypeVar

import streamlit as st

from rmtviz.cuts import PruningPlan
from rmtviz.errors import RmtvizError
from rmtviz.live import Judged, Live
from rmtviz.ui import links, widgets, work
from rmtviz.ui.library import Model
from rmtviz.words import say

T = TypeVar("T")


def numbers(model: Model, live: Live, plan: PruningPlan) -> None:
    """Draw the metric of the module cut by a plan beside the whole one's, once it is asked for."""

    def make() -> tuple[Judged, Judged]:
        return work.asked(lambda: (live.whole, live.judge(plan)))

    found = _on_press(model, ("judged", plan), say("live.measure", name=_name(live)), make)
    if found:
        before, after = found
        st.metric(
            _name(live),
            f"{after.value:.5g}",
            f"{after.value - before.value:+.4g}",
            delta_color="off",
            delta_description=say("prune.against"),
            border=True,
            help=say("live.metric_help", before=before.value),
            width="content",
        )


def curve(model: Model, live: Live, layer: str) -> None:
    """Draw the table of the metric against the rank of one layer, once it is asked for."""

    def make() -> tuple[Judged, ...]:
        return work.asked(lambda: tuple(live.sensitivity(layer)))

    words = say("live.curve", name=_name(live), layer=widgets.plain(layer))
    found = _on_press(model, ("sensitivity", layer), words, make)
    if found:
        st.dataframe(
            [
                {
                    "rank": each.plan[layer].rank_after,
                    "value": each.value,
                    "parameters": f"{each.size.parameters:,}",
                }
                for each in found
            ],
            column_config={
                "rank": st.column_config.NumberColumn(say("prune.column.rank")),
                "value": st.column_config.NumberColumn(_name(live), format="%.5g"),
                "parameters": st.column_config.TextColumn(say("prune.parameters")),
            },
            hide_index=True,
            row_height=40,
            alt=words,
        )


def _on_press(
    model: Model, key: tuple[str, Hashable], label: str, make: Callable[[], T]
) -> T | None:
    """Return what is kept under a key, or what a press makes; None: not asked for, or refused."""
    known: T | None = model.memo.known(key)
    if known is not None or links.bare():
        return known
    place = st.empty()
    if not place.button(label, icon=":material/speed:", key=f"live_{key[0]}"):
        return None
    try:
        with place, st.spinner(say("live.wait")):
            found = model.memo(key, make)
    except RmtvizError as problem:
        place.empty()
        widgets.refusal(problem)
        return None
    place.empty()
    return found


def _name(live: Live) -> str:
    """Return the metric's name: its function's."""
    return widgets.plain(getattr(live.evaluate, "__name__", type(live.evaluate).__name__))
