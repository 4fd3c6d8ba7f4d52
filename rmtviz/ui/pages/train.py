"""Train: a network on real data, live, cut while it trains; ways to train side by side."""

import streamlit as st

from rmtviz.site import home
from rmtviz.ui import contesting, feeding, findings, jobs, kept, links, live, recipes
from rmtviz.words import say

SHOWN = ("one", "side", "kept")
"""What the page shows: one run, contenders side by side, or the visitor's runs."""

token = st.session_state.get("run") or st.query_params.get("run")
run = jobs.registry().find(token)
if run is not None:
    kept.look_at(run)
    links.put("run", run.token)
elif token:
    st.session_state.pop("run", None)
    st.warning(say("train.gone"), icon=":material/history:")
kept.mine()

st.title(say("train.title"))
st.caption(say("train.about"))
show = links.choice(
    st.segmented_control,
    say("train.show"),
    SHOWN,
    "show",
    format_func=lambda name: say(f"train.show_{name}"),
    required=True,
    label_visibility="collapsed",
)
if show == "kept":
    kept.draw()
    st.stop()
start = recipes.ALONE if show == "one" else recipes.SIDE
left, right = st.columns([2, 5], gap="large")
with left:
    if show == "one" and not links.bare():
        recipes.presets()
    if show == "side" and not links.bare():
        findings.draw()
    fed, own = feeding.choose(start.key)
    told = st.container()
    settings = recipes.network(start, own) | fed
    settings |= (recipes.cuts() if show == "one" else {}) | recipes.how(start)
    recipe = recipes.recipe(settings)
    with told:
        recipe = feeding.tell(recipe, own)
    if show == "side":
        contesting.start(recipe, contesting.seeds(), own)
    else:
        live.start(recipe, run, own)
with right:
    if show == "side":
        contesting.watch()
    elif run is None:
        st.info(say("train.empty"), icon=":material/info:")
    else:
        live.watch(run, recipe)
    paper = home() / "docs" / "paper.md"
    if paper.is_file():
        with st.expander(say("train.paper"), icon=":material/menu_book:"):
            st.markdown(paper.read_text("utf-8"))
