"""Learn: the theory in steps, each one sentence, one live picture and one question."""

import streamlit as st

from rmtviz.lessons import LESSONS
from rmtviz.ui import links, models, session, stage, teaching, widgets
from rmtviz.words import say

if links.bare():
    name = teaching.linked()
    st.title(say(f"learn.{name}.title"), anchor=False)
else:
    st.title(say("learn.title"))
    name = teaching.choose()
lesson = links.settings(LESSONS, name, stage.moved(name))
st.subheader(say(f"learn.{name}.sentence"), anchor=False)
if lesson.needs == "layer":
    st.caption(models.describe(session.current()))
given = teaching.material(lesson)
if lesson.needs == "layer" and given is None:
    st.info(say("learn.own.none"), icon=":material/info:")
else:
    left, right = st.columns([13, 7], gap="large")
    with left:
        teaching.picture(name, lesson, given)
    with right:
        teaching.question(name, lesson, given)
    if lesson.needs != "layer" or teaching.guessed(name):
        teaching.formula(name, lesson, given)
if lesson.needs == "layer":
    st.page_link(widgets.page("explore"), label=say("learn.explore"), icon=":material/query_stats:")
st.caption(say(f"learn.{name}.source"))
del given  # it may be a model's, and what a page names outlives a closed tab
