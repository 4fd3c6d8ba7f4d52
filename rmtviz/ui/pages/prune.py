"""Prune: cut each layer by a rule or by hand, and see accuracy and size change together."""

import streamlit as st

from rmtviz import verdict
from rmtviz.fits import METHODS
from rmtviz.rules import RULES
from rmtviz.ui import (
    cutting,
    heads,
    history,
    judging,
    links,
    models,
    owning,
    plans,
    running,
    session,
    widgets,
)
from rmtviz.ui.running import Running
from rmtviz.words import say

model = heads.seen(session.current())
st.title(say("prune.title"))
st.caption(models.describe(session.current()))
by_heads = heads.note(model)
with st.container(horizontal=True, vertical_alignment="bottom"):
    names = [item.layer.name for item in model.spectra.layers]
    whole_plan = plans.adopted(model.digest, names)
    rule = widgets.strategy(RULES, "rule") if whole_plan is None else cutting.adopted(whole_plan)
    method = widgets.strategy(METHODS, "method")
    run = None if model.live else judging.run_or_reason(model)
    analysis = model.analysed(method)
    plan = plans.plan(analysis, rule)
    if not by_heads:
        history.note(plan)
    if not links.bare():
        cutting.steps(model.digest)
if not analysis.layers:
    st.info(say("prune.empty"), title=verdict.of_model(analysis), icon=":material/info:")
    st.stop()
head = st.container()
left, right = st.columns([11, 9], gap="medium")
with left:
    layer = widgets.layer(analysis).name
    if not links.bare() and whole_plan is None:
        cutting.slider(analysis, plan, layer)
        if st.toggle(say("prune.trial"), key="trial", help=say("prune.trial_about")):
            plan = cutting.trial(analysis, plan, layer)
runs = run if isinstance(run, Running) else None
before, after = running.sizes(model, plan, runs)
read = (running.whole(runs), running.pruned(runs, plan)) if runs else None
paired = running.paired(runs, plan) if runs else None
with head:
    st.subheader(verdict.of_plan(plan, before, after, read), anchor=False)
    if by_heads:
        st.caption(f"{by_heads} {say('heads.cut')}")
    if model.live:
        owning.numbers(model, model.live, plan)
    cutting.numbers(before, after, read, paired)
with left:
    if isinstance(run, Running):
        cutting.curve(run, analysis, layer, plan)
    elif model.live:
        cutting.weights_error(analysis, layer, plan[layer].rank_after)
        owning.curve(model, model.live, layer)
    elif run:
        judging.no_accuracy(run, model, analysis, plan, layer)
with right:
    cutting.table(analysis, plan)
    if links.bare():
        st.stop()
    tested = cutting.test(runs, plan) if runs else None
    cutting.take_away(model, runs, analysis, plan, (before, after), read, tested)
