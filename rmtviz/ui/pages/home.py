"""Home: what this is for, and three doors, each with a small picture that is alive."""

import streamlit as st

from rmtviz import verdict
from rmtviz.fits import BEMA
from rmtviz.ui import models, session, welcome
from rmtviz.words import say

st.title(say("home.title"), anchor=False)
st.markdown(say("home.sentence"))
welcome.draw()
model = session.current()
st.subheader(say("home.now", model=models.title(model)), anchor=False)
st.markdown(verdict.of_model(model.analysed(BEMA())))
st.caption(say("home.private"))
