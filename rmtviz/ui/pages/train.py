"""Train: a demo network on real data, live; the run goes on when the page is left."""

import streamlit as st

from rmtviz.ui import jobs, links, live, session
from rmtviz.words import say

token = st.session_state.get("run") or st.query_params.get("run")
run = jobs.registry().find(token)
if run is not None:
    st.session_state["run"] = run.token
    links.put("run", run.token)
elif token:
    st.session_state.pop("run", None)
    st.warning(say("train.gone"), icon=":material/history:")

st.title(say("train.title"))
st.caption(say("train.about"))
left, right = st.columns([1, 3], gap="large")
with left:
    recipe = live.recipe()
    pressed = st.button(
        say("train.start"),
        icon=":material/play_arrow:",
        type="primary",
        width="stretch",
        disabled=recipe is None or (run is not None and not run.snapshot.over),
    )
    if pressed and recipe is not None:
        st.session_state["run"] = jobs.registry().submit(recipe).token
        st.rerun()
with right:
    if run is None:
        st.info(say("train.empty"), icon=":material/info:")
    else:
        live.watch(run, session.mode())
