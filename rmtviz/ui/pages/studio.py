"""Studio: accuracy against size, the smallest network within a budget, what each layer can lose."""

import streamlit as st

from rmtviz import verdict
from rmtviz.budget import Budget
from rmtviz.cuts import PruningPlan
from rmtviz.fits import METHODS
from rmtviz.rules import RULES
from rmtviz.ui import (
    budgeting,
    heads,
    history,
    judging,
    links,
    plans,
    polishing,
    running,
    sensing,
    session,
    trading,
    unlabelled,
    widgets,
)
from rmtviz.ui.running import Running
from rmtviz.ui.study import Study
from rmtviz.words import say
from rmtviz.workpiece import Outcome


def draw(key: str) -> bool:
    """Draw all that is known of a model by now; return whether that is all.

    Each part has a place of its own from the first run on, also while it is empty: a large
    element that moved between two runs may reach the browser before what stands above it.
    """
    known = trading.found(key)
    if known is None:
        st.rerun()
    run, study = known
    trading.watch().look(study)
    head, decision, picture, table, layers = (st.container() for _ in range(5))
    whole = running.whole(run)
    unit = say(f"unit.{whole.unit}")
    with head:
        budget = budgeting.wanted(running.whole_size(run.model, run))
        best = budgeting.answer(study, budget, unit)
    standing = plans.current(study.piece.analysis, widgets.standing(RULES, "rule"))
    history.note(standing)
    searched = study.search(budget)
    tried = study.frontier.found + (searched.found if searched else ())
    with picture:
        _picture(run, study, tried, budget, standing, best)
    with decision:
        chosen = budgeting.pick(tried, best, unit)
        if chosen:
            budgeting.decide(run, study, chosen)
            polishing.draw(run, study, chosen)
    with table:
        st.subheader(say("studio.rules"), anchor=False)
        trading.table(tried, budget, whole.design)
    with layers:
        st.subheader(say("studio.layers"), anchor=False)
        st.caption(say("studio.layers_read"))
        layer = sensing.draw(run.model, study.piece.analysis, whole, study.latest)
    if layer:
        st.session_state["layer"] = layer
        st.switch_page(widgets.page("prune"))
    return study.over


def _picture(
    run: Running,
    study: Study,
    tried: tuple[Outcome, ...],
    budget: Budget,
    standing: PruningPlan,
    best: Outcome | None,
) -> None:
    """Draw the frontier; a plan that is clicked is looked at, and kept with those tried."""
    cost = links.choice(
        st.segmented_control,
        say("studio.cost"),
        trading.COSTS,
        "cost",
        format_func=lambda name: say(f"studio.cost_{name}"),
        required=True,
        wrap=True,
    )
    st.caption(say("studio.read"))
    own = study.judged(standing).found
    found = {"whole": tried[0] if tried else None, "plan": own[0] if own else None, "answer": best}
    marked = {name: each for name, each in found.items() if each}
    picked = trading.picture(run, tried, cost, budget, marked)
    if picked and picked != st.session_state.get("studio_picked"):
        st.session_state["studio_picked"] = picked
        history.note(next(x.plan for x in tried if trading.named(x) == picked))
        st.rerun()


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
run = judging.run_or_reason(model)
if not isinstance(run, Running):
    st.markdown(say("studio.no_data"))
    unlabelled.draw(run, model)
    st.stop()
if guessing := verdict.of_guessing(running.whole(run)):
    st.info(guessing, icon=":material/casino:")
    st.stop()
st.caption(say("studio.about"))
if heads.asked(model):
    st.caption(say("heads.studio"))
key, over = model.key, trading.study(run, widgets.standing(METHODS, "method")).over
del model, run  # what a page names outlives a closed tab
with st.container():  # each of its own, as what is drawn in them grows
    (rest if over else follow)(key)
with st.container():
    history.draw(key)
