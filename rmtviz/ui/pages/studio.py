"""Studio: accuracy against size, the smallest network within a budget, what each layer can lose."""

import streamlit as st

from rmtviz import verdict
from rmtviz.fits import METHODS
from rmtviz.rules import RULES
from rmtviz.ui import (
    budgeting,
    judging,
    links,
    plans,
    running,
    sensing,
    session,
    trading,
    widgets,
)
from rmtviz.ui.running import Running
from rmtviz.words import say


def draw(key: str) -> bool:
    """Draw all that is known of a model by now; return whether that is all."""
    known = trading.found(key)
    if known is None:
        st.rerun()
    run, study = known
    trading.watch().look(study)
    budget = budgeting.wanted(running.whole_size(run.model, run))
    head = st.container()
    cost = links.choice(
        st.segmented_control,
        say("studio.cost"),
        trading.COSTS,
        "cost",
        format_func=lambda name: say(f"studio.cost_{name}"),
        required=True,
        wrap=True,
    )
    whole = running.whole(run)
    unit = say(f"unit.{whole.unit}")
    with head:
        best = budgeting.answer(study, budget, unit)
    searched = study.search(budget)
    tried = study.frontier.found + (searched.found if searched else ())
    if tried:
        st.caption(say("studio.read"))
        own = study.judged(
            plans.current(study.piece.analysis, widgets.standing(RULES, "rule"))
        ).found
        marked = {"whole": tried[0]} | ({"plan": own[0]} if own else {})
        if best:
            marked["answer"] = best
        picked = trading.picture(run.model, whole, tried, cost, budget, marked)
        if picked:
            st.session_state["studio_picked"] = picked
        with head:
            chosen = budgeting.pick(tried, best, unit)
            if chosen:
                budgeting.decide(run, study, chosen)
        st.subheader(say("studio.rules"), anchor=False)
        trading.table(tried, budget, whole.design)
    st.subheader(say("studio.layers"), anchor=False)
    st.caption(say("studio.layers_read"))
    layer = sensing.draw(run.model, study.piece.analysis, whole, study.latest)
    if layer:
        st.session_state["layer"] = layer
        st.switch_page(widgets.page("prune"))
    return study.over


@st.fragment(run_every=trading.REFRESH)
def follow(key: str) -> None:
    """Draw what is known again and again, until it is all; given words only, as it is kept."""
    if draw(key):
        links.settle()
        st.rerun()
    links.settle()


@st.fragment
def rest(key: str) -> None:
    """Draw what is known; what is asked for anew is begun."""
    if not draw(key):
        links.settle()
        st.rerun()
    links.settle()


model = session.current()
st.title(say("studio.title"))
st.caption(say("studio.about"))
run = judging.run_or_reason(model)
if not isinstance(run, Running):
    widgets.refusal(run, st.info, ":material/info:")
    st.markdown(say("studio.no_data"))
    st.stop()
if guessing := verdict.of_guessing(running.whole(run)):
    st.info(guessing, icon=":material/casino:")
    st.stop()
key, over = model.key, trading.study(run, widgets.standing(METHODS, "method")).over
del model, run  # what a page names outlives a closed tab
(rest if over else follow)(key)
